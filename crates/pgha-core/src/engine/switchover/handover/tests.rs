//! The two scripts against folders of this machine: what leaves one log arrives in the other.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use super::{RECEIVE, SEND};

const SIZE: usize = 1 << 20;
const TAIL: usize = 128 << 10;
const NAMES: [&str; 2] = ["000000010000000000000004", "000000010000000000000005"];

/// A data directory, and a `pg_ctl` that only writes down what it was asked.
struct Server {
    folder: tempfile::TempDir,
}

impl Server {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("data/pg_wal/archive_status")).unwrap();
        let program = folder.path().join("pg_ctl");
        let asked = folder.path().join("asked").display().to_string();
        fs::write(&program, format!("#!/bin/sh\necho \"$@\" >> {asked}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        Self { folder }
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("data/pg_wal")
    }

    fn asked(&self) -> String {
        fs::read_to_string(self.folder.path().join("asked")).unwrap_or_default()
    }

    fn start(&self, script: &str) -> (Child, ChildStdin) {
        let path = format!("{}:/usr/bin:/bin", self.folder.path().display());
        let mut child = Command::new("bash")
            .args(["--noprofile", "--norc", "-c", script])
            .env_clear()
            .env("PATH", path)
            .env("PGDATA", self.folder.path().join("data"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        (child, stdin)
    }

    /// What the source sends when it is asked for both segments.
    fn send(&self) -> std::process::Output {
        let (child, mut stdin) = self.start(SEND);
        writeln!(stdin, "{TAIL} {}", NAMES.join(" ")).unwrap();
        child.wait_with_output().unwrap()
    }
}

/// Log, then zeros to the end, as a switch leaves it.
fn switched() -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..=250).cycle().take(SIZE / 8).collect();
    bytes.resize(SIZE, 0);
    bytes
}

/// Some log, then what an earlier life of the file has left.
fn recycled() -> Vec<u8> {
    (1..=241).cycle().take(SIZE).collect()
}

fn source() -> Server {
    let source = Server::new();
    fs::write(source.log().join(NAMES[0]), switched()).unwrap();
    fs::write(source.log().join(NAMES[1]), recycled()).unwrap();
    source
}

/// The first 56 bytes of a segment that begins with a record: its page header and what the record says of the one before.
fn header(at: u64, before: u64) -> Vec<u8> {
    let kind = 0xD110_u64 | 7 << 32;
    let sizes = SIZE as u64 | 8192 << 32;
    let words = [kind, at, 0, 77, sizes, 114, before];
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// A switch ends the first segment at 300 kB; `kind` of that record is `0x40`.
fn source_after_switch(kind: u8) -> Server {
    let source = source();
    let (start, offset) = (4 << 20, 300_000);
    let mut first = recycled();
    let mut record = [0; 24];
    (record[0], record[16]) = (24, kind);
    first[offset..offset + record.len()].copy_from_slice(&record);
    fs::write(source.log().join(NAMES[0]), first).unwrap();
    let next = start + SIZE as u64;
    let mut last = recycled();
    let header = header(next, start + offset as u64);
    last[..header.len()].copy_from_slice(&header);
    fs::write(source.log().join(NAMES[1]), last).unwrap();
    source
}

/// What was sent without its first line, and that line.
fn cargo(sent: &[u8]) -> (&str, &[u8]) {
    let end = sent.iter().position(|byte| *byte == b'\n').unwrap();
    (std::str::from_utf8(&sent[..end]).unwrap(), &sent[end + 1..])
}

/// Gives the target what was sent; returns what it said before it asked, and the process that waits for the word.
fn receive(target: &Server, sent: &[u8]) -> (String, Child, ChildStdin) {
    let (lengths, packed) = cargo(sent);
    let (mut child, mut stdin) = target.start(RECEIVE);
    writeln!(
        stdin,
        "{SIZE} {} {lengths} {}",
        packed.len(),
        NAMES.join(" ")
    )
    .unwrap();
    // A receiver that has ended already is what some tests are about.
    drop(stdin.write_all(packed));
    let mut said = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    loop {
        let mut line = String::new();
        if stdout.read_line(&mut line).unwrap() == 0 || line == "arrived\n" {
            said.push_str(&line);
            return (said, child, stdin);
        }
        said.push_str(&line);
    }
}

fn names_in(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn what_is_sent_arrives_whole_and_the_garbage_after_the_end_does_not() {
    let (source, target) = (source(), Server::new());
    fs::write(
        target.log().join(NAMES[1]),
        b"recycled under a name to come",
    )
    .unwrap();
    let sent = source.send();
    assert!(sent.status.success(), "{sent:?}");
    let (said, mut child, mut stdin) = receive(&target, &sent.stdout);
    assert!(said.ends_with("arrived\n"), "{said}");
    assert_eq!(fs::read(target.log().join(NAMES[1])).unwrap().len(), 29);
    writeln!(stdin, "accept").unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(fs::read(target.log().join(NAMES[0])).unwrap(), switched());
    let mut tail = recycled()[..TAIL].to_vec();
    tail.resize(SIZE, 0);
    assert_eq!(fs::read(target.log().join(NAMES[1])).unwrap(), tail);
    assert_eq!(
        names_in(&target.log().join("archive_status")),
        NAMES.map(|name| format!("{name}.done"))
    );
    assert!(target.asked().starts_with("reload"), "{}", target.asked());
    assert!(!target.folder.path().join("data/pg_wal.pgha").exists());
}

#[test]
fn a_segment_that_a_switch_ended_is_sent_only_up_to_there() {
    let (source, target) = (source_after_switch(0x40), Server::new());
    let sent = source.send().stdout;
    assert_eq!(cargo(&sent).0, format!("{},{TAIL}", 320 << 10));
    let (_, mut child, mut stdin) = receive(&target, &sent);
    writeln!(stdin, "accept").unwrap();
    assert!(child.wait().unwrap().success());
    let mut log = fs::read(source.log().join(NAMES[0])).unwrap();
    log.truncate(320 << 10);
    log.resize(SIZE, 0);
    assert_eq!(fs::read(target.log().join(NAMES[0])).unwrap(), log);
}

#[test]
fn a_segment_that_anything_else_ended_is_sent_whole() {
    let sent = source_after_switch(0x50).send().stdout;
    assert_eq!(cargo(&sent).0, format!("{SIZE},{TAIL}"));
}

#[test]
fn the_page_headers_are_told() {
    let (source, target) = (source(), Server::new());
    let header = header(4 << 20, 0);
    let mut segment = switched();
    segment[..header.len()].copy_from_slice(&header);
    fs::write(source.log().join(NAMES[0]), segment).unwrap();
    let (said, mut child, stdin) = receive(&target, &source.send().stdout);
    drop(stdin);
    child.wait().unwrap();
    let words: Vec<_> = said.lines().next().unwrap().split_whitespace().collect();
    let kind = (0xD110_u64 | 7 << 32).to_string();
    assert_eq!(words, [NAMES[0], "1048576", &kind, "4194304", "0", "77"]);
}

#[test]
fn without_the_word_the_log_is_not_touched() {
    let (source, target) = (source(), Server::new());
    let (_, mut child, stdin) = receive(&target, &source.send().stdout);
    drop(stdin);
    assert!(!child.wait().unwrap().success());
    assert_eq!(names_in(&target.log()), ["archive_status"]);
    assert_eq!(target.asked(), "");
}

#[test]
fn what_was_damaged_on_the_way_does_not_arrive() {
    let (source, target) = (source(), Server::new());
    let mut packed = source.send().stdout;
    let inside = packed.len() - 100;
    packed[inside] ^= 0x40;
    let (said, mut child, stdin) = receive(&target, &packed);
    drop(stdin);
    assert!(!said.contains("arrived"), "{said}");
    assert!(!child.wait().unwrap().success());
    let mut says = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut says)
        .unwrap();
    assert!(says.contains("gzip"), "{says}");
    assert_eq!(names_in(&target.log()), ["archive_status"]);
}

#[test]
fn a_segment_that_is_gone_is_not_sent() {
    let source = source();
    fs::remove_file(source.log().join(NAMES[0])).unwrap();
    let sent = source.send();
    assert!(!sent.status.success());
    assert!(String::from_utf8_lossy(&sent.stderr).contains(NAMES[0]));
}
