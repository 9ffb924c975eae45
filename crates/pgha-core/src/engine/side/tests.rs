use pgha_model::owner::HOLD_ANNOTATION;
use pgha_testkit::pgo::PgoSite;
use pgha_testkit::{Failure, FakeCluster, Fault};

use super::*;

const NAMESPACE: &str = "prod-iam-zitadel";
const LIMIT: Duration = Duration::from_secs(5);

async fn held(cluster: &FakeCluster) -> Side {
    let core1 = SiteClient::from_client("core1", NAMESPACE, cluster.client(), LIMIT);
    let opened = Box::pin(Side::open(core1, "zitadel", Part::Source)).await;
    let mut side = opened.unwrap();
    let patch = side.hold_patch();
    side.send_object(&patch).await.unwrap();
    side
}

fn paused(cluster: &FakeCluster) -> Option<Value> {
    let object = cluster.object("postgresclusters", NAMESPACE, "zitadel");
    object.unwrap().pointer("/spec/paused").cloned()
}

#[tokio::test]
async fn a_release_writes_the_configuration_and_takes_the_hold_back() {
    let cluster = PgoSite::primary("zitadel", NAMESPACE, clock::now()).build();
    let mut side = held(&cluster).await;
    assert_eq!(paused(&cluster), Some(Value::Bool(true)));
    let wanted = serde_json::json!({"ttl": 31});
    Box::pin(side.release(&wanted, LIMIT)).await.unwrap();
    assert_eq!(paused(&cluster), None);
    assert_eq!(side.config(), wanted);
}

#[tokio::test]
async fn a_configuration_that_cannot_be_written_keeps_no_hold() {
    let cluster = PgoSite::primary("zitadel", NAMESPACE, clock::now()).build();
    let mut side = held(&cluster).await;
    cluster.fail(
        Fault::new(Failure::Forbidden)
            .verb("patch")
            .resource("endpoints"),
    );
    let wanted = serde_json::json!({"ttl": 31});
    assert!(Box::pin(side.release(&wanted, LIMIT)).await.is_err());
    assert_eq!(paused(&cluster), None);
}

/// GitOps, or a person, who puts the old value back while the operator is held.
#[tokio::test]
async fn an_object_that_was_put_back_meanwhile_stays_held() {
    let cluster = PgoSite::primary("zitadel", NAMESPACE, clock::now()).build();
    let mut side = held(&cluster).await;
    let as_standby = serde_json::json!({"standby_cluster": {"host": "10.0.0.1"}});
    let released = Box::pin(side.release(&as_standby, LIMIT)).await;
    let error = released.unwrap_err();
    assert!(matches!(error, StepError::BasisChanged { .. }), "{error:?}");
    assert_eq!(paused(&cluster), Some(Value::Bool(true)));
}

/// Puts an epoch on both objects, as a tool does that takes over.
async fn stamped(cluster: &FakeCluster, epoch: u64) -> Side {
    let mut side = held(cluster).await;
    side.stamp(Epoch(epoch)).await.unwrap();
    side
}

#[tokio::test]
async fn a_write_of_an_earlier_move_is_refused() {
    let cluster = PgoSite::primary("zitadel", NAMESPACE, clock::now()).build();
    let mut earlier = stamped(&cluster, 5).await;
    let later = stamped(&cluster, 6).await;
    assert_eq!(later.epoch, Some(Epoch(6)));
    let patch = earlier.standby_patch(&Map::new(), true);
    let object = earlier.send_object(&patch).await;
    assert!(object.is_err_and(|error| error.is_superseded()));
    let config = earlier.send_config(&serde_json::json!({"ttl": 31})).await;
    assert!(config.is_err_and(|error| error.is_superseded()));
    assert!(!later.object_says_standby());
}

#[tokio::test]
async fn an_epoch_is_never_put_back() {
    let cluster = PgoSite::primary("zitadel", NAMESPACE, clock::now()).build();
    let mut earlier = stamped(&cluster, 5).await;
    let later = stamped(&cluster, 6).await;
    let error = earlier.stamp(Epoch(5)).await;
    assert!(error.is_err_and(|error| error.is_superseded()));
    assert_eq!(later.stamped().await.unwrap(), Epoch(6));
}

#[tokio::test(start_paused = true)]
async fn a_hold_that_no_operator_acknowledges_is_none() {
    let cluster = PgoSite::primary("zitadel", NAMESPACE, clock::now()).build();
    let core1 = SiteClient::from_client("core1", NAMESPACE, cluster.client(), LIMIT);
    let opened = Box::pin(Side::open(core1, "zitadel", Part::Source)).await;
    let silent = opened.unwrap().hold(LIMIT).await;
    assert!(
        matches!(silent, Err(StepError::OperatorSilent { .. })),
        "{silent:?}"
    );
}

/// A primary whose owner a move of it has held when its object asked for this.
async fn owned(standby_then: bool) -> (FakeCluster, Side) {
    marked(serde_json::json!({"standby": standby_then})).await
}

async fn marked(mut mark: Value) -> (FakeCluster, Side) {
    let primary = PgoSite::primary("zitadel", NAMESPACE, clock::now());
    let cluster = primary.managed_by_flux().build();
    let group = "kustomize.toolkit.fluxcd.io";
    cluster.install(group, "v1", "Kustomization", "kustomizations");
    mark["cluster"] = serde_json::json!(format!("{NAMESPACE}/zitadel"));
    mark["epoch"] = serde_json::json!(3);
    let mark = serde_json::json!({"before": false, "by": [mark]}).to_string();
    cluster.insert(
        serde_json::json!({"apiVersion": format!("{group}/v1"), "kind": "Kustomization",
        "metadata": {"name": "databases", "namespace": "flux-system", "annotations": {HOLD_ANNOTATION: mark}},
        "spec": {"suspend": true, "interval": "10m"}}),
    );
    let mut side = held(&cluster).await;
    side.hold_owners(LIMIT).await.unwrap();
    (cluster, side)
}

fn suspended(cluster: &FakeCluster) -> Value {
    let owner = cluster.object("kustomizations", "flux-system", "databases");
    owner.unwrap()["spec"]["suspend"].clone()
}

#[tokio::test]
async fn a_side_that_is_what_it_was_lets_its_owners_go() {
    let (cluster, mut side) = owned(false).await;
    side.let_owners_go().await.unwrap();
    assert_eq!(
        (suspended(&cluster), side.told_left()),
        (Value::Bool(false), None)
    );
}

#[tokio::test]
async fn a_side_that_was_changed_keeps_its_owners_and_says_what_lets_them_go() {
    let (cluster, mut side) = owned(true).await;
    side.let_owners_go().await.unwrap();
    assert_eq!(suspended(&cluster), Value::Bool(true));
    let told = side.told_left().unwrap();
    assert!(
        told.contains("Flux Kustomization flux-system/databases"),
        "{told}"
    );
    assert!(told.contains("kubectl pgha release zitadel"), "{told}");
}

/// As whoever takes a move over that is to go on: the promotion is still to come.
#[tokio::test]
async fn a_side_that_is_about_to_be_changed_keeps_its_owners() {
    let (cluster, mut side) = owned(false).await;
    side.keep_owners();
    side.let_owners_go().await.unwrap();
    assert_eq!(
        (suspended(&cluster), side.told_left()),
        (Value::Bool(true), None)
    );
}

/// What is as before says nothing of its source where the move has changed that too.
#[tokio::test]
async fn a_side_whose_source_may_differ_keeps_its_owners_until_that_is_seen() {
    let mark = serde_json::json!({"standby": false, "mayDiffer": true});
    let (cluster, mut side) = marked(mark).await;
    side.let_owners_go().await.unwrap();
    assert_eq!(suspended(&cluster), Value::Bool(true));
    assert!(side.told_left().is_some());
}

/// The owner's turn would wake the operator.
#[tokio::test]
async fn an_object_that_names_its_pause_is_not_moved_through_git() {
    let cluster = PgoSite::primary("zitadel", NAMESPACE, clock::now()).build();
    let open = async || {
        let core1 = SiteClient::from_client("core1", NAMESPACE, cluster.client(), LIMIT);
        Box::pin(Side::open(core1, "zitadel", Part::Source))
            .await
            .unwrap()
    };
    assert!(open().await.through_git().is_ok());
    cluster.change("postgresclusters", NAMESPACE, "zitadel", |object| {
        object["spec"]["paused"] = Value::Bool(false);
    });
    let refused = open().await.through_git().map(drop).unwrap_err();
    assert!(refused.to_string().contains("spec.paused"), "{refused}");
}
