//! `kubectl pgha upgrade`: what it refuses, and what it says of images that are there already.
//!
//! The fake API server has no `exec`, so no Postgres answers here: what is proved by Postgres' word is the lab's.

use pgha_testkit::pgo::PgoSite;
use serde_json::Value;

use crate::assert_said;
use crate::bench::{Bench, assert_untouched, cluster, primary, standby};

/// What the fake's pods run.
const OLD: &str = "registry.example/postgres:15";
const NEW: &str = "registry.example/postgres:15.15";

const UPGRADE: [&str; 7] = [
    "upgrade",
    "zitadel",
    "--context",
    "core1",
    "--yes",
    "--postgres-image",
    NEW,
];

fn naming(site: PgoSite, image: &str) -> PgoSite {
    site.object(|object| object["spec"]["image"] = image.into())
}

fn findings(stdout: &str) -> Vec<Value> {
    let view: Value = serde_json::from_str(stdout).unwrap_or_default();
    view["findings"].as_array().cloned().unwrap_or_default()
}

#[test]
fn a_primary_is_refused_before_its_standby() {
    let (here, other) = (cluster(&primary()), cluster(&standby()));
    let bench = Bench::new(&[("core1", &here), ("core2", &other)]);
    let ran = bench.run(&[&UPGRADE[..], &["-o", "json"]].concat());
    assert_eq!(ran.code, Some(3), "{ran}");
    let findings = findings(&ran.stdout);
    let mut all = findings.iter();
    let first = all.find(|finding| finding["check"] == "standby-first");
    let seen = first.map(|finding| finding["seen"].to_string());
    let seen = seen.unwrap_or_else(|| panic!("{ran}"));
    let command = "kubectl pgha upgrade zitadel -n prod --context core2 --postgres-image registry.example/postgres:15.15";
    assert!(seen.contains(command), "{seen}");
    assert_untouched(&[&here, &other]);
}

/// Nothing of a cluster that has no standby is refused for one, and nothing is written where Postgres cannot be asked.
#[test]
fn a_cluster_without_a_standby_waits_for_none_and_an_owner_is_named() {
    let here = cluster(&primary().managed_by_argo_cd());
    let bench = Bench::new(&[("core1", &here)]);
    let ran = bench.run(&[&UPGRADE[..], &["--alone", "-o", "json"]].concat());
    assert_eq!(ran.code, Some(3), "{ran}");
    let findings = findings(&ran.stdout);
    let checks: Vec<_> = findings.iter().map(|finding| &finding["check"]).collect();
    assert!(
        !checks.contains(&&Value::from("standby-first")),
        "{checks:?}"
    );
    assert!(checks.contains(&&Value::from("not-managed")), "{checks:?}");
    assert!(
        checks.contains(&&Value::from("postgres-answers")),
        "{checks:?}"
    );
    assert_untouched(&[&here]);
}

#[test]
fn images_that_every_member_runs_are_not_asked_for_again() {
    let here = cluster(&naming(primary(), OLD));
    let bench = Bench::new(&[("core1", &here)]);
    let again = [&UPGRADE[..6], &[OLD]].concat();
    assert_said!(
        bench.run(&again),
        bench.run(&[&again[..], &["-o", "json"]].concat()),
    );
    assert_untouched(&[&here]);
}

#[test]
fn what_is_no_image_or_no_site_is_said_before_anything_is_looked_at() {
    let bench = Bench::two(&(primary(), standby()));
    assert_said!(
        bench.run(&["upgrade", "zitadel", "--context", "core1"]),
        bench.run(&[
            "upgrade",
            "zitadel",
            "--context",
            "core1",
            "--postgres-image",
            "a b"
        ]),
        bench.run(&[
            "upgrade",
            "zitadel",
            "--yes",
            "--pgbackrest-image",
            "pgbackrest:2.57"
        ]),
        bench.run(&[
            "upgrade",
            "zitadel",
            "--context",
            "core1",
            "--postgres-version",
            "16"
        ]),
    );
}
