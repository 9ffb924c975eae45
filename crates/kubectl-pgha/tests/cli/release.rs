//! `release` as far as nothing of it needs Postgres, and `--hold-owners` before a move.

use pgha_testkit::FakeCluster;
use pgha_testkit::pgo::{Kind, PgoSite, pair};
use serde_json::{Value, json};

use crate::bench::{Bench, NAMESPACE, cluster, now};

const GROUP: &str = "kustomize.toolkit.fluxcd.io";
const SOURCES: &str = "source.toolkit.fluxcd.io";

/// A site whose object Flux owns.
pub(crate) fn owned(site: PgoSite, spec: &Value) -> FakeCluster {
    let cluster = cluster(&site.managed_by_flux());
    cluster.install(GROUP, "v1", "Kustomization", "kustomizations");
    cluster.install(SOURCES, "v1", "GitRepository", "gitrepositories");
    let mut spec = spec.clone();
    spec["interval"] = json!("10m");
    spec["sourceRef"] = json!({"kind": "GitRepository", "name": "platform"});
    let revision = "main@sha1:1f";
    cluster.insert(
        json!({"apiVersion": format!("{GROUP}/v1"), "kind": "Kustomization",
        "metadata": {"name": "databases", "namespace": "flux-system"}, "spec": spec,
        "status": {"lastAppliedRevision": revision}}),
    );
    cluster.insert(
        json!({"apiVersion": format!("{SOURCES}/v1"), "kind": "GitRepository",
        "metadata": {"name": "platform", "namespace": "flux-system"},
        "status": {"artifact": {"revision": revision}}}),
    );
    cluster
}

/// The primary of a pair, whose owner was held when it was a standby.
fn held() -> FakeCluster {
    let (primary, _) = pair(Kind::ArchiveStandby, "zitadel", NAMESPACE, now());
    held_as(primary, true)
}

/// A site whose owner was held by move 7, when the object asked for a standby, or did not.
pub(crate) fn held_as(site: PgoSite, standby: bool) -> FakeCluster {
    let cluster = owned(site, &json!({"suspend": true}));
    let by = json!([{"cluster": format!("{NAMESPACE}/zitadel"), "epoch": 7, "standby": standby}]);
    let mark = json!({"before": null, "by": by}).to_string();
    cluster.change("kustomizations", "flux-system", "databases", |object| {
        object["metadata"]["annotations"] = json!({"pgha.dev/hold": mark});
    });
    cluster
}

#[test]
fn where_nobody_is_held_there_is_nothing_to_do() {
    let bench = Bench::pair(Kind::ArchiveStandby);
    let ran = bench.run(&["release", "zitadel", "--context", "core1", "--yes"]);
    assert_eq!(ran.code, Some(0), "{ran}");
    assert_eq!(ran.stdout, "No owner is held by a move of this cluster.\n");
}

#[test]
fn what_is_held_and_what_is_to_be_committed_is_shown_and_nothing_changed() {
    let cluster = held();
    let bench = Bench::new(&[("core1", &cluster)]);
    let ran = bench.run(&["release", "zitadel", "--dry-run"]);
    assert_eq!(ran.code, Some(0), "{ran}");
    let owner = "Flux Kustomization flux-system/databases";
    assert!(ran.stdout.contains(owner), "{ran}");
    let ran = bench.run(&["release", "zitadel", "--dry-run", "-o", "json"]);
    let view: Value = serde_json::from_str(&ran.stdout).unwrap();
    let side = &view["sides"][0];
    assert_eq!(
        (&side["owners"][0], &side["state"]),
        (&json!(owner), &json!("held"))
    );
    assert!(side["toCommit"]["spec"].get("standby").is_some(), "{ran}");
    let ran = bench.run(&["release", "zitadel", "--dry-run", "-o", "name"]);
    assert_eq!(ran.stdout, format!("{owner}\n"));
    let writes = cluster
        .requests()
        .into_iter()
        .filter(|one| one.summary().starts_with("patch"));
    assert_eq!(writes.count(), 0);
}

#[test]
fn who_is_held_stays_so_while_git_has_nothing_new() {
    let cluster = held();
    let bench = Bench::new(&[("core1", &cluster)]);
    let ran = bench.run(&[
        "release",
        "zitadel",
        "--context",
        "core1",
        "--yes",
        "--wait",
        "1s",
        "--timeout",
        "1s",
    ]);
    assert_eq!(ran.code, Some(3), "{ran}");
    assert!(ran.stderr.contains("stay held"), "{ran}");
    assert!(ran.stderr.contains("hint: Commit {\"spec\":"), "{ran}");
    let owner = cluster
        .object("kustomizations", "flux-system", "databases")
        .unwrap();
    assert_eq!(owner["spec"]["suspend"], true);
    let status = bench.run(&["status", "zitadel", "--context", "core1"]);
    assert_eq!(status.code, Some(3), "{status}");
    let told = "is held by a move of this cluster (epoch 7).";
    assert!(status.stdout.contains(told), "{status}");
}

#[test]
fn a_release_wants_its_sites_named_and_a_word() {
    let bench = Bench::new(&[("core1", &held())]);
    let ran = bench.run(&["release", "zitadel", "--yes"]);
    assert_eq!(ran.code, Some(3), "{ran}");
    let ran = bench.run(&["release", "zitadel", "--context", "core1"]);
    assert_eq!(ran.code, Some(3), "{ran}");
}

#[test]
fn what_holds_the_owners_is_in_the_plan() {
    let (primary, standby) = pair(Kind::ArchiveStandby, "zitadel", NAMESPACE, now());
    let clusters = (owned(primary, &json!({})), owned(standby, &json!({})));
    let bench = Bench::new(&[("core1", &clusters.0), ("core2", &clusters.1)]);
    let asked = [
        "validate", "zitadel", "--from", "core1", "--to", "core2", "-o", "json",
    ];
    let severity = |more: &[&'static str], check: &str| {
        let ran = bench.run(&[&asked[..], more].concat());
        let view: Value = serde_json::from_str(&ran.stdout).unwrap();
        let all = view["findings"].as_array().unwrap().clone();
        let found: Vec<Value> = all
            .into_iter()
            .filter(|one| one["check"] == check)
            .collect();
        let severities = found
            .iter()
            .map(|one| one["severity"].as_str().unwrap().to_owned());
        severities.collect::<Vec<_>>()
    };
    assert_eq!(severity(&[], "not-managed"), ["fail", "fail"]);
    assert_eq!(
        severity(&["--hold-owners"], "not-managed"),
        ["pass", "pass"]
    );
    assert_eq!(
        severity(&["--hold-owners"], "owner-to-hold"),
        ["warn", "warn"]
    );
}
