use std::sync::atomic::{AtomicBool, Ordering};

use pgha_model::check::{Consent, PeerSight, StartFacts};
use pgha_model::effect::Effect;
use pgha_model::site::Part;
use pgha_model::startup::plan_startup;
use pgha_testkit::pgo::PgoSite;
use pgha_testkit::{Failure, FakeCluster, Fault};
use serde_json::{Map, json};

use super::*;
use crate::engine::interrupter;
use crate::engine::upkeep::inside;

const NAMESPACE: &str = "prod";
const LIMIT: Duration = Duration::from_secs(5);

/// A primary that is shut down.
fn down() -> (PgoSite, FakeCluster) {
    let site = PgoSite::primary("zitadel", NAMESPACE, clock::now());
    let site = site.object(|object| object["spec"]["shutdown"] = true.into());
    let cluster = site.build();
    for member in 0..2 {
        cluster.remove("pods", NAMESPACE, site.pod(member));
    }
    (site, cluster)
}

async fn open(cluster: &FakeCluster, context: &str) -> Side {
    let client = SiteClient::from_client(context, NAMESPACE, cluster.client(), LIMIT);
    let opened = Box::pin(Side::open(client, "zitadel", Part::Source)).await;
    opened.unwrap()
}

fn section() -> Map<String, Value> {
    json!({"repoName": "repo1"}).as_object().unwrap().clone()
}

async fn planned(cluster: &FakeCluster, peer: Option<&Side>, as_standby: bool) -> StartupRun {
    plan(open(cluster, "core1").await, peer, as_standby)
}

fn plan(side: Side, peer: Option<&Side>, as_standby: bool) -> StartupRun {
    let facts = StartFacts {
        side: &side.facts,
        record: Ok(()),
        peer: peer.map_or(PeerSight::Absent, |peer| PeerSight::Seen(&peer.facts)),
        section: &section(),
    };
    let plan = plan_startup(&facts, as_standby, Consent::default());
    let plan = plan.unwrap_or_else(|refusal| panic!("{refusal:?}"));
    StartupRun::new(plan, side, peer, LIMIT)
}

async fn run(run: StartupRun) -> Result<StartupOutcome, UpkeepError> {
    let (_interrupter, interrupt) = interrupter();
    Box::pin(run.run(interrupt, &mut |_| ())).await
}

fn spec(cluster: &FakeCluster) -> Value {
    let object = cluster.object("postgresclusters", NAMESPACE, "zitadel");
    object.unwrap()["spec"].clone()
}

fn config(cluster: &FakeCluster) -> Value {
    let store = cluster.object("endpoints", NAMESPACE, "zitadel-ha-config");
    let text = store.unwrap()["metadata"]["annotations"]["config"].clone();
    serde_json::from_str(text.as_str().unwrap()).unwrap()
}

fn writes(cluster: &FakeCluster) -> Vec<String> {
    let requests = cluster.requests().into_iter();
    let patches = requests.filter(|request| request.verb == "patch");
    patches.map(|request| request.resource.clone()).collect()
}

/// Nothing answers as Postgres here, so each start ends as one that was asked for and not seen.
#[tokio::test(start_paused = true)]
async fn patronis_configuration_is_a_standbys_before_the_object_is_started() {
    let (_, cluster) = down();
    let ended = run(planned(&cluster, None, true).await).await;
    assert_eq!(ended.unwrap_err().effect, Effect::Applied);
    assert_eq!(writes(&cluster), ["endpoints", "postgresclusters"]);
    assert_eq!(spec(&cluster)["shutdown"], false);
    assert_eq!(
        spec(&cluster)["standby"],
        json!({"enabled": true, "repoName": "repo1"})
    );
    let restore = "pgbackrest --stanza=db archive-get %f \"%p\" --repo=1";
    assert_eq!(
        config(&cluster)["standby_cluster"]["restore_command"],
        restore
    );
}

#[tokio::test(start_paused = true)]
async fn without_patronis_configuration_nothing_is_started() {
    let (_, cluster) = down();
    let planned = planned(&cluster, None, true).await;
    let refused = Fault::new(Failure::Forbidden).verb("patch");
    cluster.fail(refused.resource("endpoints"));
    let error = run(planned).await.unwrap_err();
    assert_eq!(error.effect, Effect::None);
    assert_eq!(spec(&cluster)["shutdown"], true);
}

#[tokio::test(start_paused = true)]
async fn a_configuration_that_is_taken_back_before_the_start_stops_it() {
    let (_, cluster) = down();
    let planned = planned(&cluster, None, true).await;
    let before = config(&cluster).to_string();
    let is_done = AtomicBool::new(false);
    let mut take_back = |text: &str| {
        if text.starts_with("Patroni's configuration") && !is_done.swap(true, Ordering::Relaxed) {
            cluster.change("endpoints", NAMESPACE, "zitadel-ha-config", |store| {
                store["metadata"]["annotations"]["config"] = before.clone().into();
            });
        }
    };
    let (_interrupter, interrupt) = interrupter();
    let ended = Box::pin(planned.run(interrupt, &mut take_back)).await;
    // The configuration was changed, whatever became of it.
    assert_eq!(ended.unwrap_err().effect, Effect::Applied);
    assert_eq!(spec(&cluster)["shutdown"], true);
}

/// What becomes of a start as a primary when the other side, a standby as it was looked at, changes before the write.
async fn started_while(meanwhile: impl FnOnce(&FakeCluster)) -> (UpkeepError, FakeCluster) {
    let (_, cluster) = down();
    let standby = PgoSite::standby("zitadel", NAMESPACE, clock::now()).build();
    let peer = open(&standby, "core2").await;
    let planned = planned(&cluster, Some(&peer), false).await;
    meanwhile(&standby);
    (run(planned).await.unwrap_err(), cluster)
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_or_may_be_promoted_meanwhile_stops_it() {
    let promoted = |other: &FakeCluster| {
        let site = PgoSite::primary("zitadel", NAMESPACE, clock::now());
        let standby = serde_json::json!({"enabled": true, "repoName": "repo1"});
        let site = site.object(|object| object["spec"]["standby"] = standby);
        site.install(other);
    };
    let asked = |other: &FakeCluster| {
        other.change("postgresclusters", NAMESPACE, "zitadel", |object| {
            object["spec"]["standby"]["enabled"] = false.into();
        });
    };
    let gone = |other: &FakeCluster| other.remove("postgresclusters", NAMESPACE, "zitadel");
    let all: [&dyn Fn(&FakeCluster); 3] = [&promoted, &asked, &gone];
    let words = [
        "is primary now",
        "asks for a primary now",
        "is not seen any more",
    ];
    for (said, meanwhile) in words.into_iter().zip(all) {
        let (error, cluster) = Box::pin(started_while(meanwhile)).await;
        assert!(error.source.to_string().contains(said), "{error:?}");
        assert_eq!(error.effect, Effect::None);
        assert_eq!(spec(&cluster)["shutdown"], true);
    }
    let (error, cluster) = Box::pin(started_while(|_| ())).await;
    assert_eq!(error.effect, Effect::Applied);
    assert_eq!(spec(&cluster)["shutdown"], false);
}

#[tokio::test(start_paused = true)]
async fn members_are_waited_for_by_the_number_that_the_object_asks_for() {
    let (site, cluster) = down();
    let opened = open(&cluster, "core1").await;
    assert!(!is_up(&opened).await);
    PgoSite::install(
        &site.object(|object| object["spec"]["shutdown"] = false.into()),
        &cluster,
    );
    assert!(is_up(&opened).await);
    assert_eq!(
        wanted_members(&json!({"spec": {"instances": [{"replicas": 2}, {}]}})),
        3
    );
}

/// What a start comes to whose members come as `started` has them, and whose Postgres says this of each one's recovery.
async fn proved(
    started: &PgoSite,
    as_standby: bool,
    in_recovery: impl Fn(&str) -> bool + Send + Sync + 'static,
) -> Result<StartupOutcome, UpkeepError> {
    let (_, cluster) = down();
    let inside = inside::commands(move |pod, asked| {
        if asked.starts_with("select pg_is_in_recovery()") {
            return if in_recovery(pod) { "t" } else { "f" }.to_owned();
        }
        let commits = asked.contains("pg_logical_emit_message");
        if commits { "0/7000028" } else { "" }.to_owned()
    });
    let client = SiteClient::from_client("core1", NAMESPACE, cluster.client(), LIMIT);
    let opened = Side::open(client.with_commands(inside), "zitadel", Part::Source);
    let run = plan(Box::pin(opened).await.unwrap(), None, as_standby);
    let (_interrupter, interrupt) = interrupter();
    let mut operate = |text: &str| {
        if text.starts_with("The operator was asked") {
            started.install(&cluster);
        }
    };
    Box::pin(run.run(interrupt, &mut operate)).await
}

#[tokio::test(start_paused = true)]
async fn a_primary_has_committed_and_its_replicas_are_in_recovery() {
    let site = PgoSite::primary("zitadel", NAMESPACE, clock::now());
    let leader = site.pod(0).to_owned();
    let outcome = proved(&site, false, move |pod| pod != leader)
        .await
        .unwrap();
    assert_eq!((outcome.started_as, outcome.members), (StartAs::Primary, 2));
    assert_eq!(outcome.committed, Some("0/7000028".parse().unwrap()));
    let read_only = proved(&site, false, |_| true).await.unwrap_err();
    assert!(
        read_only
            .source
            .to_string()
            .contains("pg_is_in_recovery() = t"),
        "{read_only:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_standby_that_takes_writes_is_none() {
    let site = PgoSite::standby("zitadel", NAMESPACE, clock::now());
    let leader = site.pod(0).to_owned();
    let opened = proved(&site, true, move |pod| pod != leader)
        .await
        .unwrap_err();
    assert_eq!(opened.effect, Effect::Applied);
    assert!(
        opened
            .source
            .to_string()
            .contains("pg_is_in_recovery() = f"),
        "{opened:?}"
    );
}
