//! The entries of the fuzz targets over their stored corpus and seeded mutations of it: what a stable compiler can run.
//!
//! The same bytes come of the same seed. A failure names its target and its seed, and shows the bytes.
#![expect(
    clippy::unwrap_used,
    reason = "a corpus that cannot be read fails the test"
)]

#[path = "../../../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "the fuzz targets are another crate")]
mod parsers;

#[path = "../../../fuzz/src/random.rs"]
mod random;

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

use parsers::{PARSERS, Parser};
use pgha_model::record::{Entry, Epoch, Journal};
use random::Random;

/// Mutations of each file of a corpus.
const ROUNDS: u64 = 400;

/// What parsers stumble over.
const TOKENS: [&[u8]; 24] = [
    b"\"",
    b"\\",
    b"\0",
    b"\n",
    b"\r",
    b":",
    b",",
    b"{",
    b"[",
    b"]}",
    b"null",
    b"true",
    b"-1",
    b"1e999",
    b"18446744073709551616",
    b"4294967295",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\x1b[2J",
    "\u{202e}".as_bytes(),
    "\u{660}".as_bytes(),
    b"0/0",
    b"&a *a",
    b"<<: !!binary ",
];

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target);
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

fn mutate(bytes: &mut Vec<u8>, others: &[Vec<u8>], random: &mut Random) {
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        let end = (at + 1 + random.below(16)).min(bytes.len());
        match random.below(7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 => drop(bytes.drain(at..end)),
            2 => drop(bytes.splice(at..at, random.one_of(&TOKENS).iter().copied())),
            3 => drop(bytes.splice(at..end, random.one_of(&TOKENS).iter().copied())),
            4 => bytes.extend_from_within(at..end),
            5 => bytes.truncate(at),
            _ => {
                let other = random.one_of(others);
                let tail = &other[random.below(other.len() + 1)..];
                drop(bytes.splice(at.., tail.iter().copied()));
            }
        }
    }
}

fn survives(target: &str, parser: Parser, bytes: &[u8], seed: u64) {
    let ended = catch_unwind(|| parser(bytes));
    assert!(
        ended.is_ok(),
        "{target}, seed {seed:#x}, does not survive {:?}",
        String::from_utf8_lossy(bytes)
    );
}

#[test]
fn every_parser_survives_its_corpus_and_what_becomes_of_it() {
    for (number, &(target, parser)) in (1_u64..).zip(PARSERS) {
        let files = corpus(target);
        assert!(files.len() > 1, "{target} has no corpus");
        for (index, file) in (0_u64..).zip(&files) {
            survives(target, parser, file, 0);
            for round in 0..ROUNDS {
                let seed = number << 48 | index << 32 | round;
                let mut bytes = file.clone();
                mutate(&mut bytes, &files, &mut Random(seed));
                survives(target, parser, &bytes, seed);
            }
        }
    }
}

/// The control: a parser that fails is found, and a corpus that reads well is read well.
#[test]
fn the_corpus_reaches_what_it_is_for() {
    let found = catch_unwind(|| survives("control", |bytes| assert!(bytes.is_empty()), b"x", 1));
    assert!(found.is_err());
    let readable = corpus("lsn");
    let readable = readable.iter().filter(|bytes| {
        let text = String::from_utf8_lossy(bytes);
        text.parse::<pgha_model::lsn::Lsn>().is_ok()
    });
    assert_eq!(readable.count(), 4);
    let status = corpus("patroni_status");
    let readable = status
        .iter()
        .filter(|bytes| pgha_core::survey::read_status(&String::from_utf8_lossy(bytes)).is_ok());
    assert_eq!(readable.count(), 3);
    let records = corpus("move_record")
        .into_iter()
        .map(|bytes| String::from_utf8(bytes).unwrap());
    let data = (1_u64..)
        .zip(records)
        .map(|(epoch, text)| (Journal::key(Epoch(epoch)), text));
    let journal = Journal::from_data(&data.collect());
    let readable = journal
        .moves
        .values()
        .filter(|entry| matches!(entry, Entry::Readable(_)));
    assert_eq!(readable.count(), 2);
}

#[test]
fn every_entry_has_its_fuzz_target() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/fuzz_targets");
    let mut targets: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            entry
                .unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    // Tests of crates that this one does not see call them.
    targets.retain(|name| !["cue_edit", "haproxy_edit", "yaml_edit"].contains(&name.as_str()));
    targets.sort();
    let mut entries: Vec<&str> = PARSERS.iter().map(|(name, _)| *name).collect();
    if cfg!(not(feature = "oidc")) {
        entries.extend(["token", "key_set"]);
    }
    entries.sort_unstable();
    assert_eq!(targets, entries);
}
