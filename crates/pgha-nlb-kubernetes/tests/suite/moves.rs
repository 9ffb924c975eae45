//! What a change sends and says when something comes between.

use pgha_model::effect::Effect;
use pgha_nlb::conformance::moved;
use pgha_nlb::{Active, Cutover as _, Did, Look, Problem, Refusal};
use pgha_testkit::{Failure, Fault};
use serde_json::{Value, json};

use crate::world::{
    NAMESPACE, OLD_TARGET, TARGET, WITHIN, World, geo_tag, selector, site, target, weights,
};

fn patch_of(world: &World) -> Value {
    let requests = world.first().requests();
    let patch = requests
        .iter()
        .find(|request| request.verb == "patch")
        .unwrap();
    assert_eq!(patch.field_manager.as_deref(), Some("pgha"));
    patch.body.clone().unwrap()
}

#[tokio::test]
async fn a_rule_is_tested_whole_and_only_its_weights_change() {
    let world = World::new();
    let backend = world.backend(&[weights()]);
    let before = world
        .first()
        .object("httproutes", NAMESPACE, "login")
        .unwrap();
    let seen = backend.observe(WITHIN).await.unwrap();
    let plan = backend.plan(&seen, &site("core1")).unwrap();
    for line in [
        "-HTTPRoute prod/login at core1: weights of rule 1 = web-core1 0, other/web-core2 default",
        "+HTTPRoute prod/login at core1: weights of rule 1 = web-core1 100, other/web-core2 0",
    ] {
        assert!(
            plan.diff.lines().any(|shown| shown == line),
            "{}",
            plan.diff
        );
    }
    backend.apply(&plan, WITHIN).await.unwrap();
    let weight = |number: usize, value: i64| json!({"op": "add", "path": format!("/spec/rules/1/backendRefs/{number}/weight"), "value": value});
    let rule = json!({"op": "test", "path": "/spec/rules/1", "value": before["spec"]["rules"][1]});
    assert_eq!(
        patch_of(&world),
        json!([rule, weight(0, 100), weight(1, 0)])
    );
    let after = world
        .first()
        .object("httproutes", NAMESPACE, "login")
        .unwrap();
    assert_eq!(after["spec"]["rules"][0], before["spec"]["rules"][0]);
    assert_eq!(
        after["spec"]["rules"][1]["backendRefs"][2],
        before["spec"]["rules"][1]["backendRefs"][2]
    );
}

#[tokio::test]
async fn both_annotations_change_in_one_patch_and_others_stay() {
    let world = World::new();
    let backend = world.backend(&[target()]);
    moved(&backend, "core1", WITHIN).await.unwrap();
    let ingress = world
        .first()
        .object("ingresses", NAMESPACE, "login")
        .unwrap();
    let wanted = json!({TARGET: "192.0.2.1,2001:db8::1", OLD_TARGET: "192.0.2.1,2001:db8::1", "example.org/note": "x"});
    assert_eq!(
        (&ingress["metadata"]["annotations"], world.patches()),
        (&wanted, 1)
    );
}

#[tokio::test]
async fn an_annotation_of_either_prefix_is_enough() {
    for gone in [TARGET, OLD_TARGET] {
        let world = World::new();
        world
            .first()
            .change("ingresses", NAMESPACE, "login", |ingress| {
                ingress["metadata"]["annotations"]
                    .as_object_mut()
                    .unwrap()
                    .remove(gone);
            });
        let backend = world.backend(&[target()]);
        moved(&backend, "core1", WITHIN).await.unwrap();
        let ingress = world
            .first()
            .object("ingresses", NAMESPACE, "login")
            .unwrap();
        assert_eq!(ingress["metadata"]["annotations"].get(gone), None);
        assert_eq!(
            backend.observe(WITHIN).await.unwrap().active(),
            Active::Site(site("core1"))
        );
    }
}

#[tokio::test]
async fn what_another_writer_does_between_the_look_and_the_patch_is_not_overwritten() {
    for (route, resource, name, path, value) in [
        (
            weights(),
            "httproutes",
            "login",
            "/spec/rules/1/matches/0/path/value",
            json!("/x"),
        ),
        (
            selector(),
            "services",
            "web",
            "/spec/selector/app",
            json!("maintenance"),
        ),
        (
            target(),
            "ingresses",
            "login",
            "/metadata/annotations/external-dns.kubernetes.io~1target",
            json!("x"),
        ),
        (
            geo_tag(),
            "gslbs",
            "login",
            "/spec/strategy/type",
            json!("roundRobin"),
        ),
    ] {
        let world = World::new();
        let backend = world.backend(&[route]);
        let cluster = world.first().clone();
        world.first().before_a_patch(move || {
            cluster.change(resource, NAMESPACE, name, |object| {
                *object.pointer_mut(path).unwrap() = value;
            });
        });
        let error = moved(&backend, "core1", WITHIN).await.unwrap_err();
        assert!(error.is_conflict(), "{error}");
        assert_eq!(error.effect, Effect::None);
        let changed = world.first().object(resource, NAMESPACE, name).unwrap();
        let mut wanted = World::new()
            .first()
            .object(resource, NAMESPACE, name)
            .unwrap();
        *wanted.pointer_mut(path).unwrap() = changed.pointer(path).unwrap().clone();
        assert_eq!(
            (&changed["spec"], &changed["metadata"]["annotations"]),
            (&wanted["spec"], &wanted["metadata"]["annotations"])
        );
    }
}

#[tokio::test]
async fn a_patch_that_the_api_server_calls_stale_is_a_conflict() {
    let world = World::new();
    let backend = world.backend(&[weights()]);
    world
        .first()
        .fail(Fault::new(Failure::Conflict).verb("patch").times(1));
    let error = moved(&backend, "core1", WITHIN).await.unwrap_err();
    assert!(
        error.is_conflict() && error.effect == Effect::None,
        "{error}"
    );
    assert_eq!(
        moved(&backend, "core1", WITHIN).await.unwrap().did,
        Did::Change
    );
}

#[tokio::test]
async fn an_answer_that_was_lost_is_replaced_by_what_is_there() {
    for failure in [Failure::ConnectionLostAfter, Failure::SilenceAfter] {
        let world = World::new();
        let backend = world.backend(&[weights()]);
        world
            .first()
            .fail(Fault::new(failure).verb("patch").times(1));
        let receipt = moved(&backend, "core1", WITHIN).await.unwrap();
        assert_eq!((receipt.did, world.patches()), (Did::Change, 1));
        assert!(
            receipt.evidence.concat().contains("was lost"),
            "{receipt:?}"
        );
        backend.rollback(&receipt, WITHIN).await.unwrap();
        assert_eq!(world.wanted(), World::new().wanted());
    }
}

#[tokio::test]
async fn a_request_that_may_be_under_way_is_unknown_and_not_repeated() {
    for failure in [
        Failure::ConnectionLostBefore,
        Failure::SilenceBefore,
        Failure::Internal("etcd"),
    ] {
        let world = World::new();
        let backend = world.backend(&[weights()]);
        world
            .first()
            .fail(Fault::new(failure).verb("patch").times(1));
        let error = moved(&backend, "core1", WITHIN).await.unwrap_err();
        assert_eq!(
            (error.effect, world.patches()),
            (Effect::Unknown, 1),
            "{error}"
        );
        assert_eq!(world.wanted(), World::new().wanted());
    }
}

#[tokio::test]
async fn what_is_not_permitted_is_told_and_changes_nothing() {
    let world = World::new();
    let backend = world.backend(&[weights()]);
    world
        .first()
        .fail(Fault::new(Failure::Forbidden).verb("patch"));
    let error = moved(&backend, "core1", WITHIN).await.unwrap_err();
    assert!(matches!(error.problem, Problem::Denied { .. }), "{error}");
    assert_eq!(error.effect, Effect::None);
    assert!(
        error.to_string().contains("HTTPRoute prod/login at core1"),
        "{error}"
    );
}

#[tokio::test]
async fn a_cluster_that_refuses_has_the_other_one_taken_back() {
    for (failure, effect) in [
        (Failure::Forbidden, Effect::None),
        (Failure::Conflict, Effect::None),
        (Failure::SilenceBefore, Effect::Unknown),
    ] {
        let world = World::new();
        let backend = world.backend(&[geo_tag()]);
        world.clusters[1].fail(Fault::new(failure).verb("patch").times(1));
        let error = moved(&backend, "core1", WITHIN).await.unwrap_err();
        assert_eq!(
            (error.effect, world.wanted()),
            (effect, World::new().wanted()),
            "{error}"
        );
        assert_eq!(world.patches(), 3);
    }
}

#[tokio::test]
async fn a_cluster_that_cannot_be_taken_back_is_unknown() {
    let world = World::new();
    let backend = world.backend(&[geo_tag()]);
    world.clusters[1].fail(Fault::new(Failure::Forbidden).verb("patch"));
    world
        .first()
        .fail(Fault::new(Failure::Late(WITHIN / 5)).verb("patch").times(1));
    world
        .first()
        .fail(Fault::new(Failure::Forbidden).verb("patch"));
    let error = moved(&backend, "core1", WITHIN).await.unwrap_err();
    assert_eq!(error.effect, Effect::Unknown, "{error}");
    let split = backend.observe(WITHIN).await.unwrap().active();
    assert!(matches!(split, Active::Split { .. }), "{split:?}");
}

#[tokio::test]
async fn an_object_that_cannot_be_read_any_more_does_not_keep_the_other_one_changed() {
    let world = World::new();
    let backend = world.backend(&[geo_tag()]);
    let theirs = |cluster: &pgha_testkit::FakeCluster| {
        cluster.change("gslbs", NAMESPACE, "login", |gslb| {
            gslb["spec"]["strategy"]["type"] = json!("roundRobin");
        });
    };
    let cluster = world.clusters[1].clone();
    world.clusters[1].before_a_patch(move || theirs(&cluster));
    let error = moved(&backend, "core1", WITHIN).await.unwrap_err();
    assert!(
        error.is_conflict() && error.effect == Effect::None,
        "{error}"
    );
    let wanted = World::new();
    theirs(&wanted.clusters[1]);
    assert_eq!(world.wanted(), wanted.wanted());
}

#[tokio::test]
async fn a_lost_answer_of_the_first_object_does_not_stop_the_second() {
    let world = World::new();
    let backend = world.backend(&[geo_tag()]);
    let fault = Fault::new(Failure::SilenceAfter);
    world.first().fail(fault.verb("patch").times(1));
    let receipt = moved(&backend, "core1", WITHIN).await.unwrap();
    assert_eq!((receipt.did, world.patches()), (Did::Change, 2));
    assert!(
        receipt.evidence.concat().contains("was lost"),
        "{receipt:?}"
    );
    assert_eq!(
        backend.observe(WITHIN).await.unwrap().active(),
        Active::Site(site("core1"))
    );
}

#[tokio::test]
async fn an_object_or_a_resource_that_is_not_there_is_told() {
    let world = World::new();
    let backend = world.backend(&[weights()]);
    world.first().remove("httproutes", NAMESPACE, "login");
    let error = backend.observe(WITHIN).await.unwrap_err();
    assert!(
        error.to_string().contains("not found") && error.next.contains("name"),
        "{error}"
    );
    world.first().uninstall("httproutes");
    let error = backend.observe(WITHIN).await.unwrap_err();
    assert!(error.to_string().contains("no such resource"), "{error}");
    assert!(error.next.contains("api-resources"), "{}", error.next);
}

#[tokio::test]
async fn only_failover_has_a_primary() {
    let world = World::new();
    let backend = world.backend(&[geo_tag()]);
    world.clusters[1].change("gslbs", NAMESPACE, "login", |gslb| {
        gslb["spec"]["strategy"]["type"] = json!("geoip");
    });
    let seen = backend.observe(WITHIN).await.unwrap();
    let refusal = backend.plan(&seen, &site("core1")).unwrap_err();
    assert!(matches!(refusal, Refusal::Unknown { .. }), "{refusal:?}");
    let said = refusal.to_string();
    assert!(
        said.contains("`geoip`") && said.contains("Gslb prod/login at core2"),
        "{said}"
    );
}

#[tokio::test]
async fn a_route_has_settled_when_its_gateways_have_read_it() {
    let world = World::new();
    let backend = world.backend(&[weights()]);
    let receipt = moved(&backend, "core1", WITHIN).await.unwrap();
    let look = backend.settled(&receipt, WITHIN).await.unwrap();
    assert!(
        matches!(&look, Look::NotYet(seen) if seen.contains("has not read its generation 2")),
        "{look:?}"
    );
    world.reconcile();
    let look = backend.settled(&receipt, WITHIN).await.unwrap();
    assert!(matches!(look, Look::Settled(_)), "{look:?}");
    backend.rollback(&receipt, WITHIN).await.unwrap();
    let look = backend.settled(&receipt, WITHIN).await.unwrap();
    assert!(matches!(look, Look::NotYet(_)), "{look:?}");
}

#[tokio::test]
async fn a_service_has_settled_when_it_leads_to_ready_pods_that_it_selects() {
    let world = World::new();
    let backend = world.backend(&[selector()]);
    let receipt = moved(&backend, "core1", WITHIN).await.unwrap();
    let look = backend.settled(&receipt, WITHIN).await.unwrap();
    assert!(
        matches!(&look, Look::NotYet(seen) if seen.contains("does not select")),
        "{look:?}"
    );
    world.reconcile();
    let look = backend.settled(&receipt, WITHIN).await.unwrap();
    assert!(matches!(look, Look::Settled(_)), "{look:?}");
    world.clusters[1].change("endpointslices", NAMESPACE, "web-1", |slice| {
        slice["endpoints"][0]["conditions"]["ready"] = json!(false);
    });
    let look = backend.settled(&receipt, WITHIN).await.unwrap();
    assert!(
        matches!(&look, Look::NotYet(seen) if seen.contains("No pod")),
        "{look:?}"
    );
}

#[tokio::test]
async fn what_a_cluster_says_does_not_steer_a_terminal() {
    let world = World::new();
    let backend = world.backend(&[target()]);
    world
        .first()
        .change("ingresses", NAMESPACE, "login", |ingress| {
            ingress["metadata"]["annotations"] = json!({TARGET: "192.0.2.2\u{1b}[2J"});
        });
    let seen = backend.observe(WITHIN).await.unwrap();
    let told = format!(
        "{:?} {}",
        seen.routes[0].places[0].value,
        backend.plan(&seen, &site("core1")).unwrap_err()
    );
    assert!(!told.contains('\u{1b}') && told.contains("1b"), "{told}");
    // A blank that is not seen is no site's value either.
    world
        .first()
        .change("ingresses", NAMESPACE, "login", |ingress| {
            ingress["metadata"]["annotations"] = json!({TARGET: "192.0.2.2 "});
        });
    let seen = backend.observe(WITHIN).await.unwrap();
    assert!(matches!(seen.active(), Active::Unknown { .. }), "{seen:?}");
}
