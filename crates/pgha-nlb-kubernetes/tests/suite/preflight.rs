//! What is found before a move, and what settings are refused.

use pgha_nlb::finding::Severity;
use pgha_nlb::{Cutover as _, Finding};
use pgha_testkit::{Failure, Fault};
use serde_json::{Value, json};

use crate::world::{NAMESPACE, WITHIN, World, geo_tag, route, selector, target, weights};

fn worst(findings: &[Finding], check: &str) -> (Severity, String) {
    let found = findings.iter().filter(|finding| finding.check == check);
    let worst = found.max_by_key(|finding| finding.severity).unwrap();
    (worst.severity, worst.seen.clone())
}

#[tokio::test]
async fn all_is_well_where_nothing_stands_in_the_way() {
    let world = World::new();
    let backend = world.backend(&[weights(), selector(), target(), geo_tag()]);
    let findings = backend.preflight(WITHIN).await;
    assert!(
        findings
            .iter()
            .all(|finding| finding.severity == Severity::Pass),
        "{findings:?}"
    );
    assert_eq!(world.patches(), 0);
}

#[tokio::test]
async fn a_permission_that_is_missing_is_found() {
    let world = World::new();
    let backend = world.backend(&[selector()]);
    world.first().fail(
        Fault::new(Failure::Forbidden)
            .verb("patch")
            .resource("services"),
    );
    world.clusters[1].fail(Fault::new(Failure::Forbidden).verb("list").resource("pods"));
    let findings = backend.preflight(WITHIN).await;
    let denied = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Fail);
    let denied: Vec<_> = denied.map(|finding| finding.seen.as_str()).collect();
    let wanted = [
        "For Service prod/web at core1, you may not patch services.",
        "For Service prod/web at core2, you may not list pods.",
    ];
    assert_eq!(denied, wanted);
}

#[tokio::test]
async fn who_would_put_it_back_is_told() {
    for (metadata, owner) in [
        (
            json!({"labels": {"kustomize.toolkit.fluxcd.io/name": "apps"}}),
            "Flux Kustomization apps",
        ),
        (
            json!({"labels": {"helm.toolkit.fluxcd.io/name": "web"}}),
            "Flux HelmRelease web",
        ),
        (
            json!({"annotations": {"argocd.argoproj.io/tracking-id": "apps:k8gb.absa.oss/Gslb:prod/login"}}),
            "Argo CD application apps",
        ),
        (
            json!({"managedFields": [{"manager": "argocd-controller", "fieldsV1": {"f:spec": {}}}]}),
            "Argo CD",
        ),
        (
            json!({"annotations": {"meta.helm.sh/release-name": "web"}}),
            "Helm release web",
        ),
        (
            json!({"ownerReferences": [{"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": "login", "uid": "x",
            "controller": true}]}),
            "Ingress login",
        ),
    ] {
        let world = World::new();
        world.first().change("gslbs", NAMESPACE, "login", |gslb| {
            let Value::Object(signs) = metadata else {
                return;
            };
            gslb["metadata"].as_object_mut().unwrap().extend(signs);
        });
        let (severity, seen) = worst(
            &world.backend(&[geo_tag()]).preflight(WITHIN).await,
            "kubernetes-owner",
        );
        assert!(
            severity == Severity::Warn && seen.contains(owner),
            "{owner}: {seen}"
        );
    }
    for metadata in [
        json!({"labels": {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/reconcile": "disabled"}}),
        json!({"annotations": {"argocd.argoproj.io/tracking-id": "apps:k8gb.absa.oss/Gslb:prod/template"}}),
    ] {
        let world = World::new();
        world.first().change("gslbs", NAMESPACE, "login", |gslb| {
            let Value::Object(signs) = metadata else {
                return;
            };
            gslb["metadata"].as_object_mut().unwrap().extend(signs);
        });
        let (severity, seen) = worst(
            &world.backend(&[geo_tag()]).preflight(WITHIN).await,
            "kubernetes-owner",
        );
        assert_eq!(severity, Severity::Pass, "{seen}");
    }
}

#[tokio::test]
async fn a_route_that_no_gateway_reads_is_found() {
    for (path, value, severity, words) in [
        (
            "/status",
            json!({}),
            Severity::Fail,
            "No gateway's controller",
        ),
        (
            "/status/parents/0/conditions/0/status",
            json!("False"),
            Severity::Fail,
            "has not accepted it",
        ),
        (
            "/status/parents/0/conditions/0/observedGeneration",
            json!(0),
            Severity::Warn,
            "generation 1",
        ),
        (
            "/status/parents/0/conditions/1/status",
            json!("False"),
            Severity::Warn,
            "does not find a backend",
        ),
    ] {
        let world = World::new();
        world
            .first()
            .change("httproutes", NAMESPACE, "login", |route| {
                *route.pointer_mut(path).unwrap() = value;
            });
        let found = worst(
            &world.backend(&[weights()]).preflight(WITHIN).await,
            "kubernetes-gateway",
        );
        assert!(found.0 == severity && found.1.contains(words), "{found:?}");
    }
}

#[tokio::test]
async fn a_context_that_is_not_there_is_told() {
    let world = World::new();
    let mut nowhere = weights();
    nowhere["in"][0]["context"] = json!("core3");
    let findings = world.backend(&[nowhere]).preflight(WITHIN).await;
    let (severity, seen) = worst(&findings, "kubernetes-object");
    assert!(
        severity == Severity::Fail && seen.contains("no context core3"),
        "{seen}"
    );
}

#[tokio::test]
async fn a_site_of_the_service_stands_for_its_context() {
    let world = World::new();
    let mut home = weights();
    home["in"] = json!([{"site": "home"}]);
    let backend = world.backend(&[home]);
    assert_eq!(backend.describe().at, "HTTPRoute login at core1");
    backend.observe(WITHIN).await.unwrap();
}

#[test]
fn what_contradicts_itself_is_refused() {
    let world = World::new();
    let with = |mut route: Value, pointer: &str, value: Value| {
        *route.pointer_mut(pointer).unwrap() = value;
        vec![route]
    };
    let place = json!({"context": "core1", "namespace": NAMESPACE});
    let rule = |rule: Value| json!({"weights": {"kind": "HTTPRoute", "name": "login", "rule": 1, "weight": rule}});
    let again = |name: &str| {
        let mut again = weights();
        again["name"] = json!(name);
        again
    };
    for (routes, words) in [
        (
            vec![weights(), weights()],
            "two of its routes are called https",
        ),
        (
            vec![weights(), again("http")],
            "routes https and http are one and the same field",
        ),
        (with(weights(), "/in", json!([])), "names no place"),
        (
            with(weights(), "/in", json!([place, place])),
            "names a place twice",
        ),
        (
            with(weights(), "/in/0", json!({})),
            "a `site` or a `context`",
        ),
        (
            with(
                weights(),
                "/in/0",
                json!({"site": "home", "context": "core1"}),
            ),
            "a `site` or a `context`",
        ),
        (
            with(weights(), "/in/0", json!({"site": "core9"})),
            "no site core9",
        ),
        (
            with(weights(), "/in/0/namespace", json!("../kube-system")),
            "is no name",
        ),
        (
            with(weights(), "/field/weights/name", json!("a/b")),
            "is no name",
        ),
        (
            with(weights(), "/field/weights/kind", json!("TCPRoute")),
            "TCPRoute",
        ),
        (with(weights(), "/field", rule(json!(0))), "the weight"),
        (
            with(weights(), "/sites/core1", json!("other/web-core2")),
            "both called",
        ),
        (
            with(weights(), "/sites/core1", json!("a, b")),
            "no value of a site",
        ),
        (
            with(weights(), "/sites/core1", json!({"app": "x"})),
            "only a selector",
        ),
        (
            with(selector(), "/sites/core1", json!("app=web")),
            "a map of labels",
        ),
        (
            with(selector(), "/sites/core1", json!({"app": "a,b"})),
            "one label or more",
        ),
        (
            with(selector(), "/sites/core1", json!({})),
            "one label or more",
        ),
        (
            with(target(), "/field/target/kind", json!("HTTPRoute")),
            "HTTPRoute",
        ),
        (
            with(target(), "/sites/core1", json!("a\nb")),
            "no value of a site",
        ),
        (
            vec![route(
                "x",
                &["core1"],
                &json!({"port": {}}),
                [json!("a"), json!("b")],
            )],
            "port",
        ),
    ] {
        let said = world.try_backend(&routes).unwrap_err();
        assert!(said.contains(words), "{words}: {said}");
    }
}
