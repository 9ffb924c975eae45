//! `kubectl pgha failover` and `rejoin`: what they refuse before anything is changed.
//!
//! The fake API server has no `exec`, so no Postgres answers here: what is decided by Postgres' word is the lab's.

use serde_json::Value;

use crate::bench::{Bench, Ran, assert_untouched, cluster, primary, standby};

const FAILOVER: [&str; 6] = ["failover", "zitadel", "--from", "core1", "--to", "core2"];
const REJOIN: [&str; 6] = ["rejoin", "zitadel", "--from", "core1", "--to", "core2"];
const ALL: [&str; 7] = [
    "--yes",
    "--accept-loss-of",
    "ROWS-UNKNOWN",
    "--site-is-down",
    "the power is off",
    "-o",
    "json",
];

fn assert_said(ran: &Ran, code: i32, text: &str) {
    assert_eq!(ran.code, Some(code), "{ran}");
    assert!(ran.stderr.contains(text), "{ran}");
}

fn failing(ran: &Ran) -> Vec<String> {
    let view: Value = serde_json::from_str(&ran.stdout).unwrap_or_default();
    let all = view["findings"].as_array().into_iter().flatten();
    all.map(|finding| finding["check"].as_str().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn whatever_is_said_and_accepted_a_primary_is_not_failed_over_from() {
    let sites = (cluster(&primary()), cluster(&standby()));
    let bench = Bench::new(&[("core1", &sites.0), ("core2", &sites.1)]);
    let ran = bench.run(&[&FAILOVER[..], &ALL].concat());
    assert_eq!(ran.code, Some(3), "{ran}");
    let failing = failing(&ran);
    assert!(failing.contains(&"peer-not-primary".to_owned()), "{ran}");
    // Beside a primary nothing else about the source matters.
    assert!(!failing.contains(&"source-fenced".to_owned()), "{ran}");
    assert_untouched(&[&sites.0, &sites.1]);
}

#[test]
fn a_source_that_does_not_answer_needs_a_word_and_a_loss() {
    let sites = (cluster(&primary()), cluster(&standby()));
    let mut bench = Bench::new(&[("core1", &sites.0), ("core2", &sites.1)]);
    bench.stop(0);
    let without = bench.run(&[&FAILOVER[..], &["--yes", "-o", "json"]].concat());
    assert_eq!(without.code, Some(3), "{without}");
    let refused = failing(&without);
    for check in ["source-fenced", "loss-accepted"] {
        assert!(refused.contains(&check.to_owned()), "{refused:?}");
    }
    assert_said(
        &bench.run(&FAILOVER),
        3,
        "prod/zitadel@core1 does not answer",
    );
    let with = bench.run(&[&FAILOVER[..], &ALL].concat());
    // What this side itself lacks is lifted by nothing: here its Postgres does not answer.
    assert_eq!(with.code, Some(3), "{with}");
    let refused = failing(&with);
    for check in ["source-fenced", "loss-accepted"] {
        assert!(!refused.contains(&check.to_owned()), "{refused:?}");
    }
    assert!(
        refused.contains(&"postgres-answers".to_owned()),
        "{refused:?}"
    );
    assert_untouched(&[&sites.1]);
}

#[test]
fn a_failover_wants_sites_and_a_loss_that_are_what_they_are_called() {
    let sites = (cluster(&primary()), cluster(&standby()));
    let bench = Bench::new(&[("core1", &sites.0), ("core2", &sites.1)]);
    let same = ["failover", "zitadel", "--from", "core1", "--to", "core1"];
    assert_said(&bench.run(&same), 2, "same context");
    let unknown = ["failover", "zitadel", "--from", "core7", "--to", "core2"];
    assert_said(&bench.run(&unknown), 2, "core7");
    let loss = [&FAILOVER[..], &["--accept-loss-of", "some"]].concat();
    assert_said(&bench.run(&loss), 2, "ROWS-UNKNOWN");
    let word = [&FAILOVER[..], &["--site-is-down", ""]].concat();
    assert_said(&bench.run(&word), 2, "--site-is-down");
    assert_untouched(&[&sites.0, &sites.1]);
}

#[test]
fn only_a_primary_is_rejoined() {
    let sites = (cluster(&primary()), cluster(&standby()));
    let bench = Bench::new(&[("core1", &sites.0), ("core2", &sites.1)]);
    let ran = bench.run(&[&REJOIN[..], &["--yes"]].concat());
    assert_said(&ran, 3, "core2 is not primary");
    let other = cluster(&primary().system_identifier("1"));
    let bench = Bench::new(&[("core1", &sites.1), ("core2", &other)]);
    let ran = bench.run(&[&REJOIN[..], &["--yes"]].concat());
    assert_said(&ran, 3, "not two sides of one service");
    assert_untouched(&[&sites.0, &sites.1, &other]);
}
