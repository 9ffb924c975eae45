//! `kubectl pgha leader`.

use pgha_testkit::{Failure, Fault};

use crate::assert_said;
use crate::bench::{Bench, cluster, primary, standby};

#[test]
fn a_healthy_primary_is_shown_with_its_evidence() {
    let bench = Bench::one(&primary());
    assert_said!(
        bench.run(&["leader", "zitadel"]),
        bench.run(&["leader", "zitadel", "--context", "core1", "-o", "wide"]),
        bench.run(&["leader", "zitadel", "-o", "name"]),
    );
}

#[test]
fn programs_get_the_same_facts() {
    let bench = Bench::one(&primary());
    assert_said!(
        bench.run(&["leader", "zitadel", "-o", "json"]),
        bench.run(&["leader", "zitadel", "-o", "yaml"]),
    );
}

#[test]
fn a_standby_leader_is_no_primary() {
    let bench = Bench::one(&standby());
    assert_said!(bench.run(&["leader", "zitadel"]));
}

#[test]
fn at_most_four_requests_are_made() {
    let cluster = cluster(&primary());
    let bench = Bench::new(&[("core1", &cluster)]);
    assert_eq!(
        bench.run(&["leader", "zitadel", "-o", "name"]).code,
        Some(0)
    );
    let requests = cluster.requests();
    let asked: Vec<String> = requests
        .iter()
        .map(|request| format!("{} {}", request.verb, request.resource))
        .collect();
    assert!(asked.len() <= 4, "{asked:?}");
    assert!(asked.contains(&"get pods/proxy".to_owned()), "{asked:?}");
    let ours = requests.iter().all(|request| {
        request
            .user_agent
            .as_deref()
            .is_some_and(|agent| agent.starts_with("pgha/"))
    });
    assert!(ours);
}

#[test]
fn without_a_leader_there_is_no_name() {
    let bench = Bench::one(&primary().without_leader());
    assert_said!(
        bench.run(&["leader", "zitadel"]),
        bench.run(&["leader", "zitadel", "-o", "name"]),
    );
}

#[test]
fn two_leaders_are_a_disagreement() {
    let bench = Bench::one(&primary().two_leaders());
    assert_said!(
        bench.run(&["leader", "zitadel"]),
        bench.run(&["leader", "zitadel", "-o", "name"]),
    );
}

#[test]
fn a_disagreement_is_told_to_programs_too() {
    let bench = Bench::one(&primary().two_leaders());
    let ran = bench.run(&["leader", "zitadel", "-o", "json"]);
    assert_eq!(ran.code, Some(3));
    let view: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(view["disagreements"].as_array().map(Vec::len), Some(2));
    assert!(ran.stderr.contains("effect: nothing was changed"));
}

#[test]
fn a_stale_lock_is_a_disagreement() {
    let bench = Bench::one(&primary().lock_age_seconds(90));
    let ran = bench.run(&["leader", "zitadel"]);
    assert_eq!(ran.code, Some(3));
    assert!(ran.stderr.contains("is stale"), "{ran}");
}

#[test]
fn a_member_that_may_not_be_asked_is_told_as_unseen() {
    let cluster = cluster(&primary());
    cluster.fail(Fault::new(Failure::Forbidden).resource("pods/proxy"));
    cluster.fail(Fault::new(Failure::Forbidden).resource("pods/exec"));
    let bench = Bench::new(&[("core1", &cluster)]);
    assert_said!(
        bench.run(&["leader", "zitadel"]),
        bench.run(&["status", "zitadel"])
    );
}
