use pgha_model::check::Consent;
use pgha_model::effect::Effect;
use pgha_model::shutdown::plan_shutdown;
use pgha_model::site::Part;
use pgha_testkit::FakeCluster;
use pgha_testkit::pgo::PgoSite;
use serde_json::json;

use super::*;
use crate::client::SiteClient;
use crate::engine::interrupter;

const NAMESPACE: &str = "prod";
const LIMIT: Duration = Duration::from_secs(5);

fn site() -> PgoSite {
    PgoSite::primary("zitadel", NAMESPACE, clock::now())
}

async fn planned(cluster: &FakeCluster) -> ShutdownRun {
    let client = SiteClient::from_client("core1", NAMESPACE, cluster.client(), LIMIT);
    let side = Box::pin(Side::open(client, "zitadel", Part::Source)).await;
    let side = side.unwrap();
    let plan = plan_shutdown(&side.facts, Ok(()), None, Consent::default());
    // The credentials of the fake are not reviewed; what it refuses is not what is tested here.
    let plan = plan.unwrap_or_else(|refusal| panic!("{refusal:?}"));
    ShutdownRun::new(plan, side, LIMIT)
}

/// Does what an operator does when `spec.shutdown` is set: the pods go.
fn operate(cluster: &FakeCluster, site: &PgoSite, frees_lock: bool) {
    for member in 0..2 {
        cluster.remove("pods", NAMESPACE, site.pod(member));
    }
    if frees_lock {
        cluster.change("endpoints", NAMESPACE, "zitadel-ha", |lock| {
            lock["metadata"]["annotations"]["leader"] = "".into();
        });
    }
}

fn shutdown(cluster: &FakeCluster) -> Option<Value> {
    let object = cluster.object("postgresclusters", NAMESPACE, "zitadel");
    object.unwrap().pointer("/spec/shutdown").cloned()
}

async fn run(
    cluster: &FakeCluster,
    mut meanwhile: impl FnMut(&str) + Send,
) -> Result<ShutdownOutcome, UpkeepError> {
    let run = Box::pin(planned(cluster)).await;
    let (_interrupter, interrupt) = interrupter();
    Box::pin(run.run(interrupt, &mut meanwhile)).await
}

#[tokio::test(start_paused = true)]
async fn it_ends_when_no_pod_is_left_and_says_what_was_not_proved() {
    let site = site();
    let cluster = site.build();
    let job = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "zitadel-backup-abcd-x",
        "namespace": NAMESPACE, "uid": "j", "labels": {"postgres-operator.crunchydata.com/cluster": "zitadel"},
        "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": "zitadel-backup-abcd", "uid": "k"}]}});
    cluster.insert(job);
    let mut told = Vec::new();
    let outcome = run(&cluster, |text| {
        told.push(text.to_owned());
        if text.starts_with("Still there") {
            operate(&cluster, &site, true);
        }
    });
    let outcome = outcome.await.unwrap();
    assert_eq!(shutdown(&cluster), Some(true.into()));
    assert_eq!((outcome.members, outcome.lock_released), (2, Some(true)));
    // Nothing can be run in the containers of the fake.
    assert_eq!(outcome.end, None);
    assert!(
        outcome.unproved[0].contains("could not be watched"),
        "{outcome:?}"
    );
    assert_eq!(told.len(), 2, "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_was_not_let_go_is_told() {
    let site = site();
    let cluster = site.build();
    let outcome = run(&cluster, |_| operate(&cluster, &site, false))
        .await
        .unwrap();
    assert_eq!(outcome.lock_released, Some(false));
    assert!(
        outcome.unproved[1].contains("has not let its lock go"),
        "{outcome:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_still_runs_when_the_time_is_over_is_named() {
    let cluster = site().build();
    let error = run(&cluster, |_| ()).await.unwrap_err();
    assert_eq!(error.effect, Effect::Applied);
    assert!(
        error.source.to_string().contains(site().pod(0)),
        "{}",
        error.source
    );
}

#[tokio::test(start_paused = true)]
async fn whoever_takes_it_back_is_told_of() {
    let cluster = site().build();
    let ended = run(&cluster, |_| {
        cluster.change("postgresclusters", NAMESPACE, "zitadel", |object| {
            object["spec"]["shutdown"] = false.into();
        });
    });
    let error = ended.await.unwrap_err();
    assert!(
        error
            .source
            .to_string()
            .contains("taken spec.shutdown back"),
        "{error:?}"
    );
}

#[test]
fn the_watch_is_for_either_kind_of_stop() {
    assert_ne!(watch_for_any_stop(), WATCH_FOR_SHUTDOWN);
}
