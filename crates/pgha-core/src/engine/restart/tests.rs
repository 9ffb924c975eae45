use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use pgha_model::effect::Effect;
use pgha_model::site::Part;
use pgha_testkit::pgo::PgoSite;

use super::*;
use crate::client::SiteClient;
use crate::engine::interrupter;
use crate::engine::upkeep::inside;
use crate::exec::Commands;

const NAMESPACE: &str = "prod";
const LIMIT: Duration = Duration::from_secs(5);

/// What was done in the containers, and since when each member's server runs.
#[derive(Default)]
struct Servers {
    restarted: Vec<String>,
    started: BTreeMap<String, i64>,
    /// Patroni answers, and restarts nothing.
    refuses: bool,
}

/// Answers the statements of `psql` and the restarts of `patronictl`.
fn commands(servers: &Arc<Mutex<Servers>>, primary: &str) -> Commands {
    let (servers, primary) = (Arc::clone(servers), primary.to_owned());
    inside::commands(move |pod, asked| {
        let mut servers = servers.lock().unwrap();
        if let Some(member) = asked.strip_prefix("patronictl restart --force zitadel-ha ") {
            servers.restarted.push(member.to_owned());
            if !servers.refuses {
                *servers.started.entry(member.to_owned()).or_default() += 1_000_000;
            }
            return String::new();
        }
        if asked.contains("pg_postmaster_start_time") {
            let started = servers.started.get(pod).copied().unwrap_or_default();
            let in_recovery = if pod == primary { "f" } else { "t" };
            return format!("{started}|{in_recovery}");
        }
        if asked.contains("pg_logical_emit_message") {
            return "0/7000028".to_owned();
        }
        "1".to_owned()
    })
}

async fn restart(
    servers: &Arc<Mutex<Servers>>,
    change: impl Fn(&PgoSite, &pgha_testkit::FakeCluster),
) -> Result<RestartOutcome, UpkeepError> {
    let site = PgoSite::primary("zitadel", NAMESPACE, clock::now());
    let cluster = site.build();
    let client = SiteClient::from_client("core1", NAMESPACE, cluster.client(), LIMIT);
    let client = client.with_commands(commands(servers, site.pod(0)));
    let opened = Box::pin(Side::open(client, "zitadel", Part::Source)).await;
    let opened = opened.unwrap();
    let identity = |index: usize| {
        let pod = cluster.object("pods", NAMESPACE, site.pod(index)).unwrap();
        LeaderIdentity {
            pod: site.pod(index).to_owned(),
            uid: pod["metadata"]["uid"].as_str().unwrap().to_owned(),
        }
    };
    let plan = RestartPlan {
        place: opened.facts.survey.place.clone(),
        is_primary: true,
        members: vec![identity(1), identity(0)],
        warnings: Vec::new(),
    };
    change(&site, &cluster);
    let (_interrupter, interrupt) = interrupter();
    let run = RestartRun::new(plan, opened, LIMIT);
    Box::pin(run.run(interrupt, &mut |_| ())).await
}

#[tokio::test(start_paused = true)]
async fn every_member_is_restarted_the_leader_last_and_a_primary_commits() {
    let servers = Arc::<Mutex<Servers>>::default();
    let outcome = restart(&servers, |_, _| ()).await.unwrap();
    let pods: Vec<_> = outcome
        .restarted
        .iter()
        .map(|one| one.pod.clone())
        .collect();
    assert_eq!(servers.lock().unwrap().restarted, pods);
    assert_eq!(outcome.leader, pods[1]);
    assert!(outcome.restarted.iter().all(|one| one.since > one.before));
    assert_eq!(outcome.committed, Some("0/7000028".parse().unwrap()));
}

#[tokio::test(start_paused = true)]
async fn a_member_that_patroni_does_not_restart_leaves_the_leader_alone() {
    let servers = Arc::<Mutex<Servers>>::default();
    servers.lock().unwrap().refuses = true;
    let error = restart(&servers, |_, _| ()).await.unwrap_err();
    assert_eq!(error.effect, Effect::Applied);
    assert_eq!(servers.lock().unwrap().restarted.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_member_that_was_replaced_or_another_leader_is_not_restarted() {
    let servers = Arc::<Mutex<Servers>>::default();
    let replaced = restart(&servers, |site, cluster| {
        cluster.change("pods", NAMESPACE, site.pod(1), |pod| {
            pod["metadata"]["uid"] = "another".into();
        });
    });
    assert_eq!(replaced.await.unwrap_err().effect, Effect::None);
    let taken_over = restart(&servers, |site, cluster| {
        cluster.change("endpoints", NAMESPACE, "zitadel-ha", |lock| {
            lock["metadata"]["annotations"]["leader"] = site.pod(1).into();
        });
    });
    assert_eq!(taken_over.await.unwrap_err().effect, Effect::None);
    assert!(servers.lock().unwrap().restarted.is_empty());
}

#[test]
fn a_start_is_read_to_the_microsecond() {
    let started = read_started("1764500000123456|t\n").unwrap();
    assert_eq!(started.at.as_microsecond(), 1_764_500_000_123_456);
    assert!(started.in_recovery);
    assert_eq!(read_started("never|t"), None);
    assert_eq!(read_started(""), None);
}
