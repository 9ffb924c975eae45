//! What a change sends and says, in which order, and what is left of it when something comes between.

use std::sync::{Arc, Mutex};

use pgha_model::effect::Effect;
use pgha_nlb::conformance::moved;
use pgha_nlb::{Active, Cutover as _, Did, Look, Problem, Refusal};
use pgha_testkit::{Failure, FakeCluster, Fault};
use serde_json::{Value, json};

use crate::world::{KEY, NAMESPACE, REPLICAS, Spot, WITHIN, World, latch, scale, set, site, value};

/// A route of each kind, where its objects say whether an endpoint answers, and what they say then.
fn kinds() -> [(Value, Spot, Value); 2] {
    [(scale(), REPLICAS, json!(2)), (latch(), KEY, json!("on"))]
}

/// What a cluster says when the other one is about to be patched.
fn said_before_a_patch(of: &FakeCluster, patched: &FakeCluster, spot: Spot) -> Arc<Mutex<Value>> {
    let said = Arc::new(Mutex::new(Value::Null));
    let (told, of) = (Arc::clone(&said), of.clone());
    patched.before_a_patch(move || *told.lock().unwrap() = value(&of, spot));
    said
}

fn patch_of(cluster: &FakeCluster) -> (String, Value) {
    let requests = cluster.requests();
    let patch = requests.iter().find(|it| it.verb == "patch").unwrap();
    assert_eq!(patch.field_manager.as_deref(), Some("pgha"));
    (patch.resource.clone(), patch.body.clone().unwrap())
}

#[tokio::test]
async fn the_new_sites_endpoint_answers_before_the_old_ones_is_taken_away_and_so_it_is_back() {
    let both = kinds()
        .into_iter()
        .chain(kinds().map(|(mut route, spot, says)| {
            route["in"].as_array_mut().unwrap().reverse();
            (route, spot, says)
        }));
    for (route, spot, on) in both {
        let world = World::new();
        let [core1, core2] = &world.clusters;
        let backend = world.backend(&[route]);
        let seen = backend.observe(WITHIN).await.unwrap();
        let plan = backend.plan(&seen, &site("core1")).unwrap();
        let at = |change: &pgha_nlb::Change| change.at.rsplit_once(" at ").unwrap().1.to_owned();
        let order: Vec<_> = plan.changes.iter().map(at).collect();
        assert!(
            order[0].starts_with("one:") && order[1].starts_with("two:"),
            "{order:?}"
        );
        let there = said_before_a_patch(core1, core2, spot);
        let receipt = backend.apply(&plan, WITHIN).await.unwrap();
        assert_eq!(*there.lock().unwrap(), on);
        let back = said_before_a_patch(core2, core1, spot);
        backend.rollback(&receipt, WITHIN).await.unwrap();
        assert_eq!(*back.lock().unwrap(), on);
        assert_eq!(world.wanted(), World::new().wanted());
    }
}

#[tokio::test]
async fn every_routes_new_endpoint_comes_before_any_old_one_goes() {
    let world = World::new();
    let backend = world.backend(&[latch(), scale()]);
    let seen = backend.observe(WITHIN).await.unwrap();
    let plan = backend.plan(&seen, &site("core1")).unwrap();
    let lines: Vec<_> = plan
        .changes
        .iter()
        .map(|it| (it.at.as_str(), it.to.as_str()))
        .collect();
    let wanted = [
        ("ConfigMap tools/health at one: key state", "on"),
        ("Deployment tools/health at one: replicas", "2"),
        ("ConfigMap tools/health at two: key state", "off"),
        ("Deployment tools/health at two: replicas", "0"),
    ];
    assert_eq!(lines, wanted);
    assert!(
        plan.diff
            .contains("+Deployment tools/health at one: replicas = 2"),
        "{}",
        plan.diff
    );
}

#[tokio::test]
async fn a_workload_is_changed_by_its_scale_and_each_patch_rests_on_what_was_seen() {
    let world = World::new();
    let [core1, core2] = &world.clusters;
    let version = core1.object("deployments", NAMESPACE, "health").unwrap();
    let version = version["metadata"]["resourceVersion"].clone();
    moved(&world.backend(&[scale(), latch()]), "core1", WITHIN)
        .await
        .unwrap();
    let up = json!([{"op": "test", "path": "/metadata/resourceVersion", "value": version},
        {"op": "add", "path": "/spec/replicas", "value": 2}]);
    assert_eq!(patch_of(core1), ("deployments/scale".to_owned(), up));
    let down = json!([{"op": "test", "path": "/spec/replicas", "value": 2},
        {"op": "add", "path": "/spec/replicas", "value": 0}]);
    assert_eq!(patch_of(core2), ("deployments/scale".to_owned(), down));
    let world = World::new();
    moved(&world.backend(&[latch()]), "core1", WITHIN)
        .await
        .unwrap();
    let off = json!([{"op": "test", "path": "/data/state", "value": "on"},
        {"op": "replace", "path": "/data/state", "value": "off"}]);
    assert_eq!(patch_of(&world.clusters[1]), ("configmaps".to_owned(), off));
}

#[tokio::test]
async fn what_another_writer_does_between_the_look_and_the_patch_is_not_overwritten() {
    for (route, spot, _) in kinds() {
        for number in [0, 1] {
            let world = World::new();
            let backend = world.backend(std::slice::from_ref(&route));
            let theirs = if spot.resource == KEY.resource {
                json!("maintenance")
            } else {
                json!(7)
            };
            let (cluster, deed) = (world.clusters[number].clone(), theirs.clone());
            world.clusters[number].before_a_patch(move || set(&cluster, spot, deed));
            let error = moved(&backend, "core1", WITHIN).await.unwrap_err();
            assert!(
                error.is_conflict() && error.effect == Effect::None,
                "{error}"
            );
            let wanted = World::new();
            set(&wanted.clusters[number], spot, theirs);
            assert_eq!(world.wanted(), wanted.wanted());
        }
    }
}

#[tokio::test]
async fn an_answer_that_was_lost_is_replaced_by_what_is_there() {
    for (route, _, _) in kinds() {
        for (number, failure) in [
            (0, Failure::ConnectionLostAfter),
            (0, Failure::SilenceAfter),
            (1, Failure::SilenceAfter),
        ] {
            let world = World::new();
            let backend = world.backend(std::slice::from_ref(&route));
            world.clusters[number].fail(Fault::new(failure).verb("patch").times(1));
            let receipt = moved(&backend, "core1", WITHIN).await.unwrap();
            assert_eq!((receipt.did, world.patches()), (Did::Change, 2));
            let told = receipt.evidence.concat();
            assert!(told.contains("was lost"), "{told}");
            backend.rollback(&receipt, WITHIN).await.unwrap();
            assert_eq!(world.wanted(), World::new().wanted());
        }
    }
}

#[tokio::test]
async fn a_change_that_came_half_way_is_taken_back() {
    for (route, _, _) in kinds() {
        for (failure, effect) in [
            (Failure::Forbidden, Effect::None),
            (Failure::Conflict, Effect::None),
            (Failure::SilenceBefore, Effect::Unknown),
        ] {
            let world = World::new();
            let backend = world.backend(std::slice::from_ref(&route));
            world.clusters[1].fail(Fault::new(failure).verb("patch").times(1));
            let error = moved(&backend, "core1", WITHIN).await.unwrap_err();
            assert_eq!((error.effect, world.patches()), (effect, 3), "{error}");
            assert_eq!(world.wanted(), World::new().wanted());
        }
    }
}

#[tokio::test]
async fn a_change_that_came_half_way_and_stays_there_is_split_and_refused() {
    let world = World::new();
    let backend = world.backend(&[scale()]);
    let up = world.clusters[0].clone();
    world.clusters[1].before_a_patch(move || up.fail(Fault::new(Failure::Forbidden).verb("patch")));
    world.clusters[1].fail(Fault::new(Failure::Forbidden).verb("patch"));
    let error = moved(&backend, "core1", WITHIN).await.unwrap_err();
    assert_eq!(error.effect, Effect::Unknown, "{error}");
    let seen = backend.observe(WITHIN).await.unwrap();
    let refusal = backend.plan(&seen, &site("core1")).unwrap_err();
    assert!(matches!(refusal, Refusal::Split { .. }), "{refusal}");
    let told = refusal.to_string();
    for at in ["one: replicas = 2", "two: replicas = 2"] {
        assert!(told.contains(at), "{told}");
    }
}

#[tokio::test]
async fn a_permission_that_is_missing_changes_nothing() {
    let world = World::new();
    let fault = Fault::new(Failure::Forbidden).verb("patch");
    world.clusters[0].fail(fault.resource("deployments/scale"));
    let error = moved(&world.backend(&[scale()]), "core1", WITHIN)
        .await
        .unwrap_err();
    assert!(matches!(error.problem, Problem::Denied { .. }), "{error}");
    assert_eq!((error.effect, world.patches()), (Effect::None, 1));
    assert_eq!(world.wanted(), World::new().wanted());
}

#[tokio::test]
async fn an_endpoint_that_answers_nowhere_or_says_neither_is_refused() {
    for (route, spot, value, words) in [
        (scale(), REPLICAS, json!(0), "at no site"),
        (latch(), KEY, json!("off"), "at no site"),
        (
            latch(),
            KEY,
            json!("maintenance"),
            "`maintenance`, which is neither",
        ),
        (latch(), KEY, json!("on\n"), "`\"on\\n\"`, which is neither"),
        (
            latch(),
            Spot {
                path: "/data",
                ..KEY
            },
            json!({}),
            "no key state",
        ),
    ] {
        let world = World::new();
        set(&world.clusters[1], spot, value);
        let backend = world.backend(&[route]);
        let seen = backend.observe(WITHIN).await.unwrap();
        let refusal = backend.plan(&seen, &site("core1")).unwrap_err();
        assert!(matches!(refusal, Refusal::Unknown { .. }), "{refusal}");
        assert!(refusal.to_string().contains(words), "{refusal}");
    }
}

#[tokio::test]
async fn any_pod_answers_and_a_rollback_brings_back_as_many_as_there_were() {
    let world = World::new();
    set(&world.clusters[1], REPLICAS, json!(5));
    let (before, backend) = (world.wanted(), world.backend(&[scale()]));
    let seen = backend.observe(WITHIN).await.unwrap();
    assert!(backend.plan(&seen, &site("core2")).unwrap().is_empty());
    let receipt = moved(&backend, "core1", WITHIN).await.unwrap();
    let counts = world.clusters.each_ref().map(|it| value(it, REPLICAS));
    assert_eq!(counts, [json!(2), json!(0)]);
    backend.rollback(&receipt, WITHIN).await.unwrap();
    assert_eq!(world.wanted(), before);
}

#[tokio::test]
async fn a_move_has_settled_when_the_new_pods_are_ready_and_the_old_ones_are_gone() {
    let world = World::new();
    let [core1, core2] = &world.clusters;
    let backend = world.backend(&[scale()]);
    let receipt = moved(&backend, "core1", WITHIN).await.unwrap();
    let status = |cluster: &FakeCluster, status: Value| {
        cluster.change("deployments", NAMESPACE, "health", |it| {
            it["status"] = status;
        });
    };
    let generation = |number: u64| {
        core1.change("deployments", NAMESPACE, "health", |it| {
            it["metadata"]["generation"] = json!(number);
        });
    };
    let assert_not_yet = async |words: &str| match backend.settled(&receipt, WITHIN).await {
        Ok(Look::NotYet(seen)) => assert!(seen.contains(words), "{words}: {seen}"),
        other => panic!("{words}: {other:?}"),
    };
    assert_not_yet("at one: 0 of 2 pods are ready").await;
    status(core1, json!({"replicas": 2, "readyReplicas": 1}));
    assert_not_yet("at one: 1 of 2 pods are ready").await;
    status(
        core1,
        json!({"replicas": 2, "readyReplicas": 2, "observedGeneration": 3}),
    );
    assert_not_yet("at two: 2 pods are still there").await;
    status(core2, json!({"observedGeneration": 1}));
    generation(4);
    assert_not_yet("generation 4 was not seen").await;
    generation(3);
    let look = backend.settled(&receipt, WITHIN).await.unwrap();
    assert!(
        matches!(&look, Look::Settled(told) if told.contains("has 2 ready pods")),
        "{look:?}"
    );
    backend.rollback(&receipt, WITHIN).await.unwrap();
    assert_not_yet("does not say so").await;
}

#[tokio::test]
async fn a_latch_has_settled_when_the_objects_say_so() {
    let world = World::new();
    let backend = world.backend(&[latch()]);
    let receipt = moved(&backend, "core1", WITHIN).await.unwrap();
    let look = backend.settled(&receipt, WITHIN).await.unwrap();
    assert!(
        matches!(&look, Look::Settled(told) if told.contains("only a probe")),
        "{look:?}"
    );
    let seen = backend.observe(WITHIN).await.unwrap();
    assert_eq!(seen.active(), Active::Site(site("core1")));
}
