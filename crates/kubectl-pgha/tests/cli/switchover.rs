//! `kubectl pgha switchover` where it must not begin.

use pgha_testkit::LoggedRequest;
use pgha_testkit::pgo::{Kind, PgoSite, forked_pair, pair};
use serde_json::{Value, json};

use crate::assert_said;
use crate::bench::{Bench, NAMESPACE, cluster, empty_cluster, now};

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

/// An object of another operator under the name, of a version that is not served, or none of its kind at all.
#[test]
fn what_is_no_cluster_of_a_known_operator_is_refused_on_either_side() {
    let (primary, standby) = sites();
    let zalando = empty_cluster();
    zalando.install("acid.zalan.do", "v1", "postgresql", "postgresqls");
    zalando.insert(json!({
        "apiVersion": "acid.zalan.do/v1", "kind": "postgresql",
        "metadata": {"name": "zitadel", "namespace": NAMESPACE}
    }));
    let newer = empty_cluster();
    newer.uninstall("postgresclusters");
    let group = "postgres-operator.crunchydata.com";
    newer.install(group, "v2", "PostgresCluster", "postgresclusters");
    newer.insert(json!({
        "apiVersion": format!("{group}/v2"), "kind": "PostgresCluster",
        "metadata": {"name": "zitadel", "namespace": NAMESPACE}
    }));
    let mut validate = MOVE[..6].to_vec();
    validate[0] = "validate";
    assert_said!(
        Bench::new(&[("core1", &cluster(&primary)), ("core2", &zalando)]).run(&MOVE),
        Bench::new(&[("core1", &zalando), ("core2", &cluster(&standby))]).run(&MOVE),
        Bench::new(&[("core1", &cluster(&primary)), ("core2", &newer)]).run(&MOVE),
        Bench::new(&[("core1", &newer), ("core2", &cluster(&standby))]).run(&validate),
    );
    for cluster in [&zalando, &newer] {
        let requests = cluster.requests();
        let written = requests.iter().find(|request| request.verb == "patch");
        assert_eq!(written.map(LoggedRequest::summary), None);
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
