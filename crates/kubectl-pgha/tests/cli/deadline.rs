//! The Job that goes back to the source: who may place it, and whether it may do what it is there for.

use pgha_testkit::pgo::{Kind, pair};
use pgha_testkit::{Failure, FakeCluster, Fault};
use serde_json::json;

use crate::bench::{Bench, NAMESPACE, Ran, assert_untouched, cluster, now};

/// Both sites with the record of a move, whose epoch is 4.
struct Sites {
    clusters: [FakeCluster; 2],
    bench: Bench,
}

impl Sites {
    fn new() -> Self {
        let (primary, standby) = pair(Kind::ArchiveStandby, "zitadel", NAMESPACE, now());
        let clusters = [cluster(&primary), cluster(&standby)];
        let bench = Bench::new(&[("core1", &clusters[0]), ("core2", &clusters[1])]);
        Self { clusters, bench }
    }

    fn with_record() -> Self {
        let sites = Self::new();
        sites.clusters[0].insert(json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "zitadel-pgha", "namespace": NAMESPACE}, "data": {"epoch": "4", "move-4": "{}"}}));
        sites
    }

    fn check(&self, epoch: &str) -> Ran {
        let words = [
            "deadline",
            "zitadel",
            "--epoch",
            epoch,
            "--job",
            "zitadel-pgha-4",
        ];
        self.bench
            .run(&[&words[..], &["--after", "60s", "--check"]].concat())
    }

    fn assert_nothing_written(&self) {
        assert_untouched(&self.clusters.each_ref());
    }
}

#[test]
fn a_job_that_may_go_back_says_so_and_ends() {
    let sites = Sites::with_record();
    let ran = sites.check("4");
    assert_eq!(ran.code, Some(0), "{ran}");
    assert!(ran.stdout.contains("zitadel-pgha-4 may go back"), "{ran}");
    sites.assert_nothing_written();
}

#[test]
fn a_job_that_may_not_says_what_it_lacks() {
    let sites = Sites::with_record();
    let fault = Fault::new(Failure::Forbidden)
        .verb("patch")
        .resource("endpoints");
    sites.clusters[0].fail(fault);
    let ran = sites.check("4");
    assert_eq!(ran.code, Some(3), "{ran}");
    assert!(
        ran.stderr.contains("patch endpoints zitadel-ha-config"),
        "{ran}"
    );
    let without_move = sites.check("5");
    assert_eq!(without_move.code, Some(3), "{without_move}");
    assert!(
        without_move.stderr.contains("no move with epoch 5"),
        "{without_move}"
    );
    sites.assert_nothing_written();
}

#[test]
fn a_move_whose_job_may_not_be_placed_does_not_begin() {
    let sites = Sites::new();
    let fault = Fault::new(Failure::Forbidden)
        .verb("create")
        .resource("jobs");
    sites.clusters[0].fail(fault);
    let words = [
        "switchover",
        "zitadel",
        "--from",
        "core1",
        "--to",
        "core2",
        "--yes",
    ];
    let ran = sites
        .bench
        .run(&[&words[..], &["--deadline-image", "pgha:1"]].concat());
    assert_eq!(ran.code, Some(3), "{ran}");
    for text in [
        "create jobs",
        "manifests/rbac/deadline.yaml",
        "effect: nothing was changed",
    ] {
        assert!(ran.stderr.contains(text), "`{text}`: {ran}");
    }
    sites.assert_nothing_written();
}
