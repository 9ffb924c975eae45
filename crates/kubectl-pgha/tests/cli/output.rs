//! What is written where, and in what colour.

use std::fs::OpenOptions;
use std::time::Duration;

use crate::bench::{Bench, end_of, primary};

const LEADER: [&str; 2] = ["leader", "zitadel"];

#[test]
fn a_closed_pipe_is_no_failure() {
    let bench = Bench::one(&primary());
    for arguments in [
        &LEADER[..],
        &["status"],
        &["--help"],
        &["completion", "bash"],
    ] {
        let mut child = bench.command(arguments).spawn().unwrap();
        drop(child.stdout.take());
        let output = end_of(child, Duration::from_secs(20));
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
    }
}

#[test]
fn a_full_disk_is_a_failure() {
    let bench = Bench::one(&primary());
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = bench.command(&LEADER).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("the result cannot be written"), "{said}");
}

#[test]
fn colour_is_asked_for_or_left_out() {
    let bench = Bench::one(&primary());
    let colored = |arguments: &[&str], variables: &[(&str, &str)]| {
        let output = bench
            .command(&[&LEADER[..], arguments].concat())
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        output.stdout.contains(&0x1b)
    };
    assert!(!colored(&[], &[]), "a pipe is no terminal");
    assert!(colored(&["--color", "always"], &[("NO_COLOR", "1")]));
    assert!(colored(&[], &[("PGHA_COLOR", "always")]));
    assert!(!colored(&["--color", "never"], &[("PGHA_COLOR", "always")]));
}

#[test]
fn a_log_goes_to_stderr_and_only_when_asked_for() {
    let bench = Bench::one(&primary());
    assert_eq!(
        bench.run(&[&LEADER[..], &["-o", "name"]].concat()).stderr,
        ""
    );
    let output = bench
        .command(&[&LEADER[..], &["-o", "name"]].concat())
        .arg("-v")
        .output()
        .unwrap();
    assert!(output.stdout.starts_with(b"pod/zitadel-"));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.matches(" 200 OK in ").count(), 4, "{said}");
}

#[test]
fn the_kubeconfig_of_the_home_folder_is_the_last_one_tried() {
    let bench = Bench::one(&primary());
    let folder = bench.home().join(".kube");
    std::fs::create_dir(&folder).unwrap();
    std::fs::rename(bench.kubeconfig(), folder.join("config")).unwrap();
    let output = bench
        .command(&LEADER)
        .env_remove("KUBECONFIG")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
}
