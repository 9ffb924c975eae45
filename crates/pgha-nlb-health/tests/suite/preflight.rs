//! What is found before a move, and what settings are refused.

use pgha_nlb::finding::Severity;
use pgha_nlb::{Cutover as _, Finding};
use pgha_testkit::{Failure, Fault};
use serde_json::{Value, json};

use crate::world::{NAMESPACE, WITHIN, World, latch, route, scale};

fn troubles(findings: Vec<Finding>) -> Vec<(Severity, String, String)> {
    let bad = findings
        .into_iter()
        .filter(|it| it.severity != Severity::Pass);
    bad.map(|it| (it.severity, it.check, it.seen)).collect()
}

#[tokio::test]
async fn all_is_well_where_nothing_stands_in_the_way() {
    let world = World::new();
    let backend = world.backend(&[scale(), latch()]);
    assert_eq!(troubles(backend.preflight(WITHIN).await), []);
    assert_eq!(world.patches(), 0);
}

#[tokio::test]
async fn a_permission_that_is_missing_is_found() {
    let world = World::new();
    let fault = || Fault::new(Failure::Forbidden).verb("patch");
    world.clusters[0].fail(fault().resource("deployments/scale"));
    world.clusters[1].fail(fault().resource("configmaps"));
    let found = troubles(world.backend(&[scale(), latch()]).preflight(WITHIN).await);
    let denied = |seen: &str| {
        let check = "kubernetes-permission".to_owned();
        (Severity::Fail, check, format!("For {seen}."))
    };
    let wanted = [
        denied("Deployment tools/health at one, you may not patch deployments/scale"),
        denied("ConfigMap tools/health at two, you may not patch configmaps"),
    ];
    assert_eq!(found, wanted);
}

#[tokio::test]
async fn a_budget_that_does_not_fit_is_told_and_does_not_stop_a_move() {
    let world = World::new();
    let budget = |cluster: usize, field: &str, value: Value| {
        let change = |it: &mut Value| {
            it["spec"] = json!({"selector": {"matchLabels": {"app": "health"}}, field: value});
        };
        world.clusters[cluster].change("poddisruptionbudgets", NAMESPACE, "health", change);
    };
    budget(0, "minAvailable", json!(0));
    budget(1, "minAvailable", json!(1));
    let backend = world.backend(&[scale()]);
    let found = troubles(backend.preflight(WITHIN).await);
    let [(warn, check, one), (_, _, two)] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!((warn, check.as_str()), (&Severity::Warn, "health-budget"));
    assert!(
        one.contains("at one: PodDisruptionBudget health (minAvailable: 0) lets all"),
        "{one}"
    );
    assert!(
        two.contains("at two: PodDisruptionBudget health (minAvailable: 1) cannot"),
        "{two}"
    );
    world.clusters[0].remove("poddisruptionbudgets", NAMESPACE, "health");
    world.clusters[1].fail(Fault::new(Failure::Forbidden).resource("poddisruptionbudgets"));
    let found = troubles(backend.preflight(WITHIN).await);
    assert!(
        matches!(found.as_slice(), [(Severity::Warn, _, _)]),
        "{found:?}"
    );
}

#[tokio::test]
async fn who_would_put_it_back_is_told() {
    let world = World::new();
    world.clusters[0].change("deployments", NAMESPACE, "health", |it| {
        it["metadata"]["labels"] = json!({"kustomize.toolkit.fluxcd.io/name": "apps"});
    });
    let found = troubles(world.backend(&[scale()]).preflight(WITHIN).await);
    assert!(
        matches!(found.as_slice(), [(Severity::Warn, _, seen)] if seen.contains("Flux Kustomization apps")),
        "{found:?}"
    );
}

#[tokio::test]
async fn a_stateful_set_is_a_workload_too() {
    let world = World::new();
    let backend = world.backend(&[route("x", &json!({"scale": {"object": "sts/health"}}))]);
    let at = "StatefulSet tools/health at one, StatefulSet tools/health at two";
    assert_eq!(backend.describe().at, at);
    pgha_nlb::conformance::moved(&backend, "core1", WITHIN)
        .await
        .unwrap();
    let object = world.clusters[0].object("statefulsets", NAMESPACE, "health");
    assert_eq!(object.unwrap()["spec"]["replicas"], 2);
}

#[test]
fn what_contradicts_itself_is_refused() {
    let world = World::new();
    let with = |mut route: Value, pointer: &str, value: Value| {
        *route.pointer_mut(pointer).unwrap() = value;
        vec![route]
    };
    let place = |site: &str| json!({"site": site, "namespace": NAMESPACE});
    let object = "/endpoint/scale/object";
    let key = |settings: Value| with(latch(), "/endpoint/latch", settings);
    for (routes, words) in [
        (vec![scale(), scale()], "two of its routes are called https"),
        (
            vec![scale(), with(scale(), "/name", json!("x")).remove(0)],
            "routes https and x are one and the same field",
        ),
        (with(scale(), "/in", json!([])), "two sites or more"),
        (
            with(scale(), "/in", json!([place("core1")])),
            "two sites or more",
        ),
        (with(scale(), "/in/1", place("core1")), "each once"),
        (
            with(scale(), "/in/1", json!({"context": "two"})),
            "each once",
        ),
        (with(scale(), "/in/1", place("core9")), "no site core9"),
        (
            with(scale(), "/in/1/namespace", json!("../x")),
            "is no name",
        ),
        (
            with(scale(), "/endpoint/scale/count", json!(0)),
            "a `count` of 0",
        ),
        (with(scale(), "/endpoint/scale/count", json!(-1)), "-1"),
        (
            with(scale(), object, json!("ds/health")),
            "no Deployment and no StatefulSet",
        ),
        (with(scale(), object, json!("health")), "TYPE/NAME"),
        (with(scale(), "/endpoint", json!({"port": {}})), "port"),
        (key(json!({"configMap": "health", "key": "a/b"})), "no key"),
        (key(json!({"configMap": "A b", "key": "a"})), "is no name"),
        (
            key(json!({"configMap": "health", "key": "a", "on": "off"})),
            "two different lines",
        ),
        (
            key(json!({"configMap": "health", "key": "a", "on": "a\nb"})),
            "two different lines",
        ),
    ] {
        let said = world.try_backend(&routes).unwrap_err();
        assert!(said.contains(words), "{words}: {said}");
    }
}
