//! `kubectl pgha switchover` where it must not begin.

use pgha_testkit::LoggedRequest;
use pgha_testkit::pgo::{Kind, PgoSite, forked_pair, pair};
use serde_json::{Value, json};

use crate::bench::{Bench, NAMESPACE, cluster, now};

const MOVE: [&str; 7] = [
    "switchover",
    "zitadel",
    "--from",
    "core1",
    "--to",
    "core2",
    "--yes",
];

fn sites() -> (PgoSite, PgoSite) {
    pair(Kind::StreamingStandby, "zitadel", NAMESPACE, now())
}

/// States that no plan is made of, with the check that says so.
fn states() -> Vec<(&'static str, (PgoSite, PgoSite))> {
    let (primary, standby) = sites();
    let pending = |object: &mut Value| {
        let trigger = "postgres-operator.crunchydata.com/trigger-switchover";
        object["metadata"]["annotations"][trigger] = json!("once");
        object["spec"]["patroni"] = json!({"switchover": {"enabled": true}});
    };
    let with_target = |target: PgoSite| (primary.clone(), target);
    vec![
        (
            "leader-evidence",
            with_target(standby.clone().without_leader()),
        ),
        (
            "leader-evidence",
            with_target(standby.clone().two_leaders()),
        ),
        (
            "system-identifier",
            with_target(standby.clone().system_identifier("8")),
        ),
        ("roles", (primary.clone(), primary.clone())),
        ("roles", (standby.clone(), standby.clone())),
        ("roles", (standby.clone(), primary.clone())),
        ("can-follow", forked_pair("zitadel", NAMESPACE, now())),
        (
            "no-pending-switchover",
            with_target(standby.clone().object(pending)),
        ),
        ("operator-not-paused", with_target(standby.clone().paused())),
        (
            "not-managed",
            with_target(standby.clone().managed_by_flux()),
        ),
        (
            "not-managed",
            with_target(standby.clone().managed_by_argo_cd()),
        ),
        (
            "not-managed",
            with_target(standby.clone().managed_by_helm()),
        ),
        (
            "patroni-version",
            with_target(standby.patroni_of(1, "3.3.8")),
        ),
    ]
}

#[test]
fn a_state_that_forbids_a_move_is_named_and_nothing_is_written() {
    for (check, (source, target)) in states() {
        let clusters = [cluster(&source), cluster(&target)];
        let bench = Bench::new(&[("core1", &clusters[0]), ("core2", &clusters[1])]);
        let ran = bench.run(&[&MOVE[..], &["-o", "json"]].concat());
        assert_eq!(ran.code, Some(3), "{check}: {ran}");
        let view: Value = serde_json::from_str(&ran.stdout).unwrap();
        let mut findings = view["findings"].as_array().unwrap().iter();
        assert!(findings.any(|one| one["check"] == check), "{check}: {ran}");
        assert!(ran.stderr.contains("effect: nothing was changed"), "{ran}");
        for cluster in &clusters {
            let writes = ["patch", "update", "delete"];
            let requests = cluster.requests();
            let mut requests = requests.iter();
            let written = requests.find(|request| writes.contains(&request.verb));
            assert_eq!(written.map(LoggedRequest::summary), None, "{check}");
        }
    }
}

#[test]
fn a_move_onto_itself_or_to_nowhere_is_a_wrong_argument() {
    let bench = Bench::two(&sites());
    for to in ["core1", "core9"] {
        let args = [
            "switchover",
            "zitadel",
            "--yes",
            "--from",
            "core1",
            "--to",
            to,
        ];
        let ran = bench.run(&args);
        assert_eq!(ran.code, Some(2), "{ran}");
        assert!(ran.stderr.contains("effect: nothing was changed"), "{ran}");
    }
}
