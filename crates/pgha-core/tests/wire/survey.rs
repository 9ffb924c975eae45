//! What a survey of a healthy site reads, and what it costs.

use std::time::Duration;

use pgha_core::clock;
use pgha_core::survey::{Depth, Scope, fetch_live_status, list_clusters, survey_site};
use pgha_model::leader::judge_leader;
use pgha_model::member::Role;
use pgha_model::survey::SiteSurvey;
use pgha_testkit::pgo::{Kind, PgoSite, pair};
use pgha_testkit::{Failure, FakeCluster, Fault};
use serde_json::json;

use crate::{NAMESPACE, site};

pub(crate) fn primary() -> PgoSite {
    PgoSite::primary("zitadel", NAMESPACE, clock::now())
}

pub(crate) fn standby() -> PgoSite {
    PgoSite::standby("zitadel", NAMESPACE, clock::now())
}

pub(crate) async fn survey(cluster: &FakeCluster, depth: Depth) -> SiteSurvey {
    survey_site(&site(cluster), "zitadel", depth).await.unwrap()
}

pub(crate) fn disagreements(survey: &SiteSurvey) -> Vec<String> {
    judge_leader(survey, clock::now()).disagreements
}

#[tokio::test]
async fn four_requests_are_enough_to_know_the_leader() {
    let cluster = primary().build();
    let survey = survey(&cluster, Depth::Leader).await;
    let mut requests: Vec<String> = cluster
        .requests()
        .iter()
        .map(pgha_testkit::LoggedRequest::summary)
        .collect();
    requests.sort();
    assert_eq!(
        requests,
        [
            "get pods/proxy https:zitadel-pgha1-abcd-0:8008",
            "get postgresclusters zitadel",
            "list endpoints",
            "list pods",
        ]
    );
    assert_eq!(disagreements(&survey), [""; 0]);
    let leader = survey.lock_holder().unwrap();
    let live = leader.live.as_seen().unwrap();
    assert_eq!((&live.role, live.timeline.unwrap().0), (&Role::Primary, 1));
    assert_eq!(live.written.unwrap().as_bytes(), 0x0500_0028);
    assert_eq!(
        live.system_identifier.as_deref(),
        Some("7710549851658973354")
    );
    assert_eq!(live.receivers.len(), 1);
    let other = survey
        .members
        .iter()
        .find(|member| member.pod != leader.pod)
        .unwrap();
    assert_eq!(other.live.seen(), Err("it was not asked"));
    assert_eq!(other.status.as_seen().unwrap().role, Role::Replica);
}

#[tokio::test]
async fn lists_are_selected_as_the_operator_selects_them() {
    let cluster = primary().build();
    survey(&cluster, Depth::Leader).await;
    let prefix = "postgres-operator.crunchydata.com";
    let selector = |resource: &str| {
        let requests = cluster.requests();
        let list = requests
            .iter()
            .find(|request| request.resource == resource)
            .unwrap();
        list.query["labelSelector"].clone()
    };
    assert_eq!(
        selector("pods"),
        format!("{prefix}/cluster=zitadel,{prefix}/instance")
    );
    let patroni = format!("{prefix}/cluster=zitadel,{prefix}/patroni=zitadel-ha");
    assert_eq!(selector("endpoints"), patroni);
    assert!(
        cluster
            .requests()
            .iter()
            .all(|request| !request.query.contains_key("resourceVersion"))
    );
}

#[tokio::test]
async fn a_primary_is_read_with_its_pods_and_its_lock() {
    let now = clock::now();
    let cluster = PgoSite::primary("zitadel", NAMESPACE, now)
        .manual_backup("one")
        .build();
    let survey = survey(&cluster, Depth::Members).await;
    let object = &survey.object;
    assert_eq!((object.operator, object.generation), ("pgo-v5", Some(3)));
    assert!(!object.standby && !object.paused && !object.shutdown && !object.pause_acknowledged);
    assert!(object.owners.is_empty() && object.pending_switchover.is_none());
    assert_eq!(object.requested_backup.as_deref(), Some("one"));
    let backup = object.manual_backup.as_ref().unwrap();
    assert_eq!(
        (backup.id.as_str(), backup.finished, backup.succeeded),
        ("one", true, 1)
    );
    assert_eq!(object.last_backup, backup.completed_at);
    assert_eq!(object.repos[0].name, "repo1");
    assert_eq!(object.conditions[0].kind, "PGBackRestReplicaRepoReady");
    let lock = survey.lock.as_seen().unwrap();
    assert_eq!(lock.holder.as_deref(), Some("zitadel-pgha1-abcd-0"));
    assert_eq!((lock.ttl_seconds, lock.transitions), (Some(30), Some(3)));
    assert_eq!(
        lock.renewed_at.unwrap().as_microsecond(),
        now.as_microsecond()
    );
    let member = survey.lock_holder().unwrap();
    assert_eq!(member.node.as_deref(), Some("core1-node"));
    assert_eq!(
        (member.phase.as_str(), member.ready, member.terminating),
        ("Running", true, false)
    );
    assert_eq!(member.role_label.as_deref(), Some("master"));
    assert!(
        survey
            .members
            .iter()
            .all(|member| member.live.as_seen().is_some())
    );
}

#[tokio::test]
async fn a_standby_is_read_with_its_configuration() {
    let cluster = standby().timeline(2, &[(1, 83_886_240)]).build();
    let survey = survey(&cluster, Depth::Leader).await;
    assert_eq!(disagreements(&survey), [""; 0]);
    assert!(survey.object.standby);
    let store = survey.store.as_seen().unwrap();
    assert!(store.standby && !store.paused);
    assert!(store.config.starts_with('{'));
    assert_eq!(
        store.system_identifier.as_deref(),
        Some("7710549851658973354")
    );
    let fork = store.history.as_seen().unwrap().0[0].clone();
    assert_eq!(
        (fork.timeline.0, fork.at.to_string()),
        (1, "0/50000A0".to_owned())
    );
    let live = survey.lock_holder().unwrap().live.as_seen().unwrap();
    assert_eq!(live.role, Role::StandbyLeader);
    assert_eq!(
        live.replication_state.as_deref(),
        Some("in archive recovery")
    );
    assert_eq!(live.replayed, live.written);
}

#[tokio::test]
async fn a_streaming_standby_is_seen_at_its_source() {
    let (primary, standby) = pair(Kind::StreamingStandby, "zitadel", NAMESPACE, clock::now());
    let source = survey(&primary.build(), Depth::Leader).await;
    let target = survey(&standby.build(), Depth::Leader).await;
    let receiver = standby.pod(0);
    let live = source.lock_holder().unwrap().live.as_seen().unwrap();
    assert!(
        live.receivers
            .iter()
            .any(|row| row.application_name == receiver)
    );
    assert_eq!(source.system_identifier(), target.system_identifier());
    assert!(!source.object.standby && source.object.standby_section.is_some());
}

#[tokio::test]
async fn an_old_patroni_is_read_too() {
    let survey = survey(&primary().patroni("3.3.8").build(), Depth::Leader).await;
    let live = survey.lock_holder().unwrap().live.as_seen().unwrap();
    assert_eq!(
        (&live.role, live.patroni.unwrap().to_string()),
        (&Role::Primary, "3.3.8".to_owned())
    );
    assert_eq!(disagreements(&survey), [""; 0]);
}

#[tokio::test]
async fn the_port_of_patroni_comes_from_the_object() {
    let site = primary().object(|object| object["spec"]["patroni"]["port"] = json!(9008));
    let cluster = site.build();
    let answer = r#"{"state":"running","role":"primary"}"#;
    cluster.answer_proxy(site.pod(0), 9008, "/patroni", 200, answer);
    let survey = survey(&cluster, Depth::Leader).await;
    assert_eq!(
        survey
            .lock_holder()
            .unwrap()
            .live
            .as_seen()
            .unwrap()
            .timeline,
        None
    );
}

#[tokio::test(start_paused = true)]
async fn everything_that_can_be_read_at_once_is() {
    let cluster = primary().build();
    let second = Duration::from_secs(1);
    cluster.fail(Fault::new(Failure::Late(second)));
    let started = clock::monotonic();
    let survey = survey(&cluster, Depth::Members).await;
    assert_eq!(clock::monotonic() - started, 2 * second);
    assert!(
        survey
            .members
            .iter()
            .all(|member| member.live.as_seen().is_some())
    );
}

#[tokio::test]
async fn a_standby_section_is_on_unless_it_says_otherwise() {
    let table = [
        (json!(null), false, false),
        (json!({"enabled": false, "repoName": "repo1"}), false, true),
        (json!({"enabled": true, "repoName": "repo1"}), true, true),
        (json!({"repoName": "repo1"}), true, true),
        (json!({"enabled": null, "repoName": "repo1"}), true, true),
    ];
    for (section, standby, is_there) in table {
        let site = primary().object(|object| object["spec"]["standby"] = section.clone());
        let survey = survey(&site.build(), Depth::Leader).await;
        assert_eq!(survey.object.standby, standby, "{section}");
        assert_eq!(
            survey.object.standby_section.is_some(),
            is_there,
            "{section}"
        );
    }
}

#[tokio::test]
async fn a_section_without_host_port_or_command_makes_no_standby() {
    let table = [
        (json!({}), false),
        (json!({"create_replica_methods": ["pgbackrest"]}), false),
        (
            json!({"host": "", "port": 0, "restore_command": null}),
            false,
        ),
        (json!({"port": 5432}), true),
        (json!({"restore_command": "cp"}), true),
    ];
    for (section, standby) in table {
        let site = primary().config(|config| config["standby_cluster"] = section.clone());
        let survey = survey(&site.build(), Depth::Leader).await;
        assert_eq!(
            survey.store.as_seen().unwrap().standby,
            standby,
            "{section}"
        );
    }
}

#[tokio::test]
async fn what_the_operator_was_told_is_read() {
    let site = primary()
        .paused()
        .managed_by_flux()
        .managed_by_argo_cd()
        .managed_by_helm();
    let site = site.object(|object| {
        object["spec"]["shutdown"] = json!(true);
        object["spec"]["patroni"]["switchover"] = json!({"enabled": true});
        object["metadata"]["annotations"]["postgres-operator.crunchydata.com/trigger-switchover"] =
            json!("again");
        object["status"]["patroni"]["switchover"] = json!("once");
        object["spec"]["patroni"]["dynamicConfiguration"] =
            json!({"standby_cluster": {"host": "elsewhere"}});
    });
    let object = survey(&site.build(), Depth::Leader).await.object;
    assert!(object.paused && object.pause_acknowledged && object.shutdown);
    assert!(object.hidden_standby_section);
    assert_eq!(object.pending_switchover.as_deref(), Some("again"));
    let owners: Vec<String> = object.owners.iter().map(ToString::to_string).collect();
    assert_eq!(
        owners,
        [
            "Flux Kustomization flux-system/databases",
            "Argo CD application databases",
            "Helm release prod/databases"
        ]
    );
}

#[tokio::test]
async fn the_newest_backup_is_found_among_all() {
    let site = primary().object(|object| {
        object["status"]["pgbackrest"]["scheduledBackups"] = json!([
            {"cronJobName": "a", "type": "full", "completionTime": "2026-11-20T10:00:00Z"},
            {"cronJobName": "b", "type": "incr", "completionTime": "2026-11-21T01:00:00+01:00"},
            {"cronJobName": "c", "type": "incr", "completionTime": "next year"},
            {"cronJobName": "d", "type": "incr"},
        ]);
    });
    let object = survey(&site.build(), Depth::Leader).await.object;
    assert_eq!(
        object.last_backup.as_deref(),
        Some("2026-11-21T01:00:00+01:00")
    );
}

#[tokio::test]
async fn clusters_are_listed_by_name_here_or_everywhere() {
    let cluster = FakeCluster::new();
    for (name, namespace) in [
        ("zitadel", NAMESPACE),
        ("hippo", NAMESPACE),
        ("other", "apps"),
    ] {
        PgoSite::primary(name, namespace, clock::now()).install(&cluster);
    }
    let names = async |scope| {
        let places = list_clusters(&site(&cluster), scope).await.unwrap();
        places
            .iter()
            .map(|place| format!("{}/{}", place.namespace, place.cluster))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(Scope::Namespace).await,
        ["prod-iam-zitadel/hippo", "prod-iam-zitadel/zitadel"]
    );
    assert_eq!(names(Scope::AllNamespaces).await.len(), 3);
}

/// What stands before an API server may refuse a question with a body: it is asked once more without.
#[tokio::test]
async fn a_question_that_is_not_liked_with_a_body_is_asked_without() {
    let primary = primary();
    let cluster = primary.build();
    cluster.answer_proxy(primary.pod(0), 8008, "/patroni", 400, "no body, please");
    let site = site(&cluster);
    let answer = fetch_live_status(&site, primary.pod(0), 8008).await;
    assert!(answer.is_err());
    assert_eq!(cluster.requests().len(), 2);
}
