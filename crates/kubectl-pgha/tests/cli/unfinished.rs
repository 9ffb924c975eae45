//! A move that was left unfinished, as the next command finds it.

use pgha_testkit::FakeCluster;
use pgha_testkit::pgo::{Kind, PgoSite, pair};
use serde_json::{Value, json};

use crate::bench::{Bench, NAMESPACE, Ran, assert_untouched, cluster, now, primary};

const SIDES: [&str; 4] = ["--from", "core1", "--to", "core2"];

struct Sites {
    clusters: [FakeCluster; 2],
    bench: Bench,
}

impl Sites {
    fn new() -> Self {
        let (primary, standby) = pair(Kind::StreamingStandby, "zitadel", NAMESPACE, now());
        Self::of([&primary, &standby])
    }

    fn of(sites: [&PgoSite; 2]) -> Self {
        let clusters = sites.map(cluster);
        let bench = Bench::new(&[("core1", &clusters[0]), ("core2", &clusters[1])]);
        Self { clusters, bench }
    }

    fn run(&self, verb: &str, more: &[&str]) -> Ran {
        self.bench
            .run(&[&[verb, "zitadel", "--yes"][..], &SIDES, more].concat())
    }

    /// The record of a switchover that is at this stage, until this time.
    fn record(&self, deadline: &str) -> Value {
        let side = |index: usize, context: &str| {
            let object = self.clusters[index].object("postgresclusters", NAMESPACE, "zitadel");
            let uid = object.map(|object| object["metadata"]["uid"].clone());
            json!({"context": context, "namespace": NAMESPACE, "cluster": "zitadel",
                "identity": {"objectUid": uid}, "leader": null, "paused": null,
                "standby": index == 1, "settings": {}})
        };
        json!({"version": 1, "epoch": 4, "action": "switchover", "operator": "jane, process 7",
            "claimedAt": "2026-11-21T10:00:00Z", "systemIdentifier": "7710549851658973354",
            "source": side(0, "core1"), "target": side(1, "core2"),
            "stage": "fenced", "deadline": deadline, "events": []})
    }

    fn keep(&self, record: &str) {
        for cluster in &self.clusters {
            cluster.insert(json!({"apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": "zitadel-pgha", "namespace": NAMESPACE},
                "data": {"epoch": "4", "move-4": record}}));
        }
    }

    fn assert_nothing_written(&self) {
        assert_untouched(&self.clusters.each_ref());
    }
}

const PAST: &str = "2026-11-21T10:03:00Z";
const FUTURE: &str = "2126-11-21T10:03:00Z";

#[test]
fn without_an_unfinished_move_there_is_nothing_to_do() {
    let sites = Sites::new();
    for verb in ["resume", "abort"] {
        let ran = sites.run(verb, &[]);
        assert_eq!(ran.code, Some(0), "{ran}");
        assert!(
            ran.stdout
                .contains("There is no unfinished move of zitadel."),
            "{ran}"
        );
    }
    sites.assert_nothing_written();
}

#[test]
fn no_other_move_begins_and_both_ways_out_are_named() {
    let sites = Sites::new();
    sites.keep(&sites.record(PAST).to_string());
    let ran = sites.run("switchover", &[]);
    assert_eq!(ran.code, Some(3), "{ran}");
    for text in [
        "the switchover of jane, process 7 (epoch 4) is not finished",
        "kubectl pgha resume zitadel -n prod --from core1 --to core2",
        "kubectl pgha abort zitadel -n prod --from core1 --to core2",
    ] {
        assert!(ran.stderr.contains(text), "`{text}`: {ran}");
    }
    let ran = sites.bench.run(&[
        "demote",
        "zitadel",
        "--yes",
        "--context",
        "core1",
        "--peer",
        "core2",
    ]);
    assert_eq!(ran.code, Some(3), "{ran}");
    assert!(ran.stderr.contains("is not finished"), "{ran}");
    sites.assert_nothing_written();
}

#[test]
fn a_tool_that_may_be_alive_is_not_taken_over_by_itself() {
    let sites = Sites::new();
    sites.keep(&sites.record(FUTURE).to_string());
    for verb in ["resume", "abort"] {
        let ran = sites.run(verb, &[]);
        assert_eq!(ran.code, Some(3), "{ran}");
        assert!(ran.stderr.contains("may still be at work"), "{ran}");
        assert!(ran.stderr.contains("--take-over"), "{ran}");
    }
    sites.assert_nothing_written();
}

#[test]
fn the_sides_must_be_those_of_the_move() {
    let sites = Sites::new();
    sites.keep(&sites.record(PAST).to_string());
    let swapped = ["--from", "core2", "--to", "core1", "--yes"];
    let ran = sites
        .bench
        .run(&[&["resume", "zitadel"][..], &swapped].concat());
    assert_eq!(ran.code, Some(3), "{ran}");
    assert!(
        ran.stderr.contains("does not go from core2 to core1"),
        "{ran}"
    );
    let same = ["--from", "core1", "--to", "core1"];
    let ran = sites
        .bench
        .run(&[&["abort", "zitadel"][..], &same].concat());
    assert_eq!(ran.code, Some(2), "{ran}");
    sites.assert_nothing_written();
}

#[test]
fn a_move_of_the_database_that_had_the_name_before_is_not_in_the_way() {
    let sites = Sites::new();
    let mut record = sites.record(PAST);
    record["systemIdentifier"] = "1".into();
    sites.keep(&record.to_string());
    let ran = sites.run("resume", &[]);
    assert_eq!(ran.code, Some(0), "{ran}");
    assert!(ran.stdout.contains("no unfinished move"), "{ran}");
    sites.assert_nothing_written();
}

#[test]
fn two_primaries_are_not_taken_over() {
    let sites = Sites::of([&primary(), &primary()]);
    sites.keep(&sites.record(PAST).to_string());
    for verb in ["resume", "abort"] {
        let ran = sites.run(verb, &[]);
        assert_eq!(ran.code, Some(3), "{ran}");
        assert!(
            ran.stderr.contains("both sides are or will be primary"),
            "{ran}"
        );
    }
    sites.assert_nothing_written();
}

#[test]
fn a_record_that_cannot_be_read_is_in_the_way_too() {
    let sites = Sites::new();
    for record in ["{", "\u{1b}[2J", r#"{"version": 99}"#, ""] {
        sites.keep(record);
        let ran = sites.run("switchover", &[]);
        assert_eq!(ran.code, Some(3), "{ran}");
        assert!(
            ran.stderr
                .contains("a move whose record cannot be read (epoch 4) is not finished"),
            "{ran}"
        );
        assert!(!ran.stderr.contains('\u{1b}'), "{ran}");
    }
    sites.assert_nothing_written();
}

#[test]
fn without_consent_nothing_is_taken_over() {
    let sites = Sites::new();
    sites.keep(&sites.record(PAST).to_string());
    let ran = sites
        .bench
        .run(&[&["abort", "zitadel"][..], &SIDES].concat());
    assert_eq!(ran.code, Some(3), "{ran}");
    assert!(ran.stderr.contains("no terminal"), "{ran}");
    sites.assert_nothing_written();
}
