use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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
use crate::engine::upkeep::inside;
use crate::exec::Commands;

const NAMESPACE: &str = "prod";
const LIMIT: Duration = Duration::from_secs(5);

fn site() -> PgoSite {
    PgoSite::primary("zitadel", NAMESPACE, clock::now())
}

async fn planned(cluster: &FakeCluster, inside: Option<Commands>) -> ShutdownRun {
    let mut client = SiteClient::from_client("core1", NAMESPACE, cluster.client(), LIMIT);
    if let Some(inside) = inside {
        client = client.with_commands(inside);
    }
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
    let run = Box::pin(planned(cluster, None)).await;
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

/// The control file of the fake's database, in this state.
fn control_data(state: &str) -> String {
    format!(
        "Database system identifier:           7710549851658973354\n\
         Database cluster state:               {state}\n\
         Latest checkpoint location:           0/7000028\n\
         Latest checkpoint's REDO location:    0/7000028\n\
         Latest checkpoint's REDO WAL file:    000000010000000000000007\n\
         Latest checkpoint's TimeLineID:       1\n\
         Bytes per WAL segment:                16777216"
    )
}

/// What a shutdown comes to whose leader says this at its end, and whether it wrote a checkpoint before.
async fn stopped_in(state: &'static str) -> (ShutdownOutcome, bool) {
    let site = site();
    let cluster = site.build();
    let has_checkpointed = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&has_checkpointed);
    let inside = inside::commands(move |_, asked| {
        seen.fetch_or(asked.starts_with("checkpoint"), Ordering::Relaxed);
        if asked.contains("pgha-stopping-us") {
            return format!("pgha-stopping-us: 1500\n{}", control_data(state));
        }
        String::new()
    });
    let run = Box::pin(planned(&cluster, Some(inside))).await;
    let (_interrupter, interrupt) = interrupter();
    let mut operate = |text: &str| {
        if text.starts_with("Still there") {
            operate(&cluster, &site, true);
        }
    };
    let outcome = Box::pin(run.run(interrupt, &mut operate)).await.unwrap();
    (outcome, has_checkpointed.load(Ordering::Relaxed))
}

#[tokio::test(start_paused = true)]
async fn the_leaders_own_word_proves_a_clean_stop() {
    let (outcome, has_checkpointed) = stopped_in("shut down").await;
    assert!(has_checkpointed);
    let end = outcome.end.unwrap();
    assert_eq!(
        (end.pod.as_str(), end.checkpoint.to_string()),
        (site().pod(0), "0/7000028".to_owned())
    );
    assert_eq!(outcome.unproved, Vec::<String>::new());
    let (outcome, _) = stopped_in("in production").await;
    assert_eq!(outcome.end, None);
    assert!(outcome.unproved[0].contains("is not proved"), "{outcome:?}");
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
