//! Sites that are not healthy, not there, or not to be seen.

use pgha_core::clock;
use pgha_core::diagnose::Diagnose as _;
use pgha_core::survey::{Depth, Scope, SurveyError, list_clusters, survey_site};
use pgha_model::effect::Effect;
use pgha_model::member::Role;
use pgha_testkit::pgo::{PgoSite, forked_pair};
use pgha_testkit::{Failure, FakeCluster, Fault};
use serde_json::json;

use crate::survey::{disagreements, primary, standby, survey};
use crate::{NAMESPACE, site};

async fn refused(cluster: &FakeCluster) -> SurveyError {
    survey_site(&site(cluster), "zitadel", Depth::Leader)
        .await
        .unwrap_err()
}

#[tokio::test]
async fn a_stale_lock_is_seen_by_its_age() {
    let survey = survey(&primary().lock_age_seconds(120).build(), Depth::Leader).await;
    let disagreements = disagreements(&survey);
    assert_eq!(disagreements.len(), 1);
    assert!(disagreements[0].starts_with("Patroni's lock of zitadel-pgha1-abcd-0 is stale"));
}

#[tokio::test]
async fn without_a_leader_nobody_is_asked() {
    let cluster = primary().without_leader().build();
    let survey = survey(&cluster, Depth::Leader).await;
    assert_eq!(survey.lock.as_seen().unwrap().holder, None);
    assert_eq!(disagreements(&survey), ["No member holds Patroni's lock."]);
    assert_eq!(cluster.requests().len(), 3);
}

#[tokio::test]
async fn two_leaders_are_both_seen() {
    let survey = survey(&primary().two_leaders().build(), Depth::Members).await;
    let leaders = survey.members.iter().filter(|member| {
        member
            .live
            .as_seen()
            .is_some_and(|status| status.role == Role::Primary)
    });
    assert_eq!(leaders.count(), 2);
    assert!(!disagreements(&survey).is_empty());
}

#[tokio::test]
async fn a_forked_pair_is_seen_by_history_and_position() {
    let (primary, wedged) = forked_pair("zitadel", NAMESPACE, clock::now());
    let primary = survey(&primary.build(), Depth::Leader).await;
    let wedged = survey(&wedged.build(), Depth::Leader).await;
    let history = primary.store.as_seen().unwrap().history.as_seen().unwrap();
    let live = wedged.lock_holder().unwrap().live.as_seen().unwrap();
    let fork = history.fork_of(live.timeline.unwrap()).unwrap();
    assert!(live.replayed.unwrap() > fork);
}

#[tokio::test]
async fn a_lock_holder_without_a_pod_is_told() {
    let site = primary();
    let cluster = site.build();
    cluster.remove("pods", NAMESPACE, site.pod(0));
    let survey = survey(&cluster, Depth::Leader).await;
    assert!(survey.lock_holder().is_none());
    assert!(disagreements(&survey)[0].ends_with("there is no such pod."));
}

#[tokio::test]
async fn a_pod_that_does_not_run_is_not_asked() {
    let site = primary();
    let cluster = site.build();
    cluster.change("pods", NAMESPACE, site.pod(1), |pod| {
        pod["status"] = json!({"phase": "Pending"});
        pod["spec"] = json!({});
        pod["metadata"]["deletionTimestamp"] = json!("2026-11-21T10:00:00Z");
    });
    let survey = survey(&cluster, Depth::Members).await;
    let member = survey
        .members
        .iter()
        .find(|member| member.pod == site.pod(1))
        .unwrap();
    assert_eq!(member.live.seen(), Err("the pod is Pending"));
    assert!(!member.ready && member.terminating && member.node.is_none());
}

#[tokio::test]
async fn a_member_that_does_not_answer_is_unseen_with_the_reason() {
    let survey = survey(&primary().without_live_answers().build(), Depth::Leader).await;
    let because = survey.lock_holder().unwrap().live.seen().unwrap_err();
    assert_eq!(
        because,
        "cannot get pods/proxy of zitadel-pgha1-abcd-0 at `core1`: error trying to reach service: \
         dial tcp 10.101.128.7:8008: connect: connection refused"
    );
}

#[tokio::test]
async fn a_forbidden_proxy_is_unseen_with_the_permission_it_needs() {
    let cluster = primary().build();
    cluster.fail(Fault::new(Failure::Forbidden).resource("pods/proxy"));
    let survey = survey(&cluster, Depth::Members).await;
    for member in &survey.members {
        let because = member.live.seen().unwrap_err();
        let expected =
            "`core1` does not permit you to get pods/proxy in namespace `prod-iam-zitadel`";
        assert!(because.starts_with(expected), "{because}");
    }
}

#[tokio::test]
async fn forbidden_endpoints_leave_lock_and_store_unseen() {
    let cluster = primary().build();
    cluster.fail(Fault::new(Failure::Forbidden).resource("endpoints"));
    let survey = survey(&cluster, Depth::Leader).await;
    assert!(survey.lock.seen().unwrap_err().contains("list endpoints"));
    assert!(survey.store.as_seen().is_none());
    assert!(disagreements(&survey)[0].starts_with("Patroni's lock could not be read"));
}

#[tokio::test]
async fn what_decides_everything_must_be_readable() {
    for resource in ["postgresclusters", "pods"] {
        let cluster = primary().build();
        cluster.fail(Fault::new(Failure::Forbidden).resource(resource));
        let error = refused(&cluster).await;
        assert!(matches!(error, SurveyError::Call(_)), "{error}");
        assert!(error.to_string().contains(resource), "{error}");
        assert_eq!(error.effect(), Effect::None);
    }
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_is_not_there_is_told_apart_from_a_missing_cluster() {
    for failure in [
        Failure::ConnectionRefused,
        Failure::SilenceBefore,
        Failure::Unauthorized,
    ] {
        let cluster = primary().build();
        cluster.fail(Fault::new(failure));
        assert!(matches!(refused(&cluster).await, SurveyError::Call(_)));
    }
}

#[tokio::test]
async fn what_is_missing_is_told_apart() {
    let cluster = FakeCluster::new();
    assert_eq!(
        refused(&cluster).await.to_string(),
        "`core1` has no namespace `prod-iam-zitadel`"
    );
    PgoSite::primary("hippo", NAMESPACE, clock::now()).install(&cluster);
    assert_eq!(
        refused(&cluster).await.to_string(),
        "`core1` has no Postgres cluster `zitadel` in namespace `prod-iam-zitadel`"
    );
    cluster.uninstall("postgresclusters");
    assert!(matches!(
        refused(&cluster).await,
        SurveyError::NotInstalled { .. }
    ));
    let listed = list_clusters(&site(&cluster), Scope::Namespace).await;
    assert!(matches!(listed, Err(SurveyError::NotInstalled { .. })));
}

#[tokio::test]
async fn a_namespace_that_may_not_be_read_counts_as_there() {
    let cluster = FakeCluster::new();
    cluster.fail(Fault::new(Failure::Forbidden).resource("namespaces"));
    assert!(matches!(
        refused(&cluster).await,
        SurveyError::NoCluster { .. }
    ));
}

#[tokio::test]
async fn another_operators_cluster_is_named() {
    let cluster = FakeCluster::new();
    cluster.install("postgresql.cnpg.io", "v1", "Cluster", "clusters");
    cluster.insert(
        json!({"apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster",
        "metadata": {"name": "zitadel", "namespace": NAMESPACE}}),
    );
    assert_eq!(
        refused(&cluster).await.to_string(),
        "`zitadel` in namespace `prod-iam-zitadel` at `core1` is a cluster of CloudNativePG, not of Crunchy PGO v5"
    );
}

#[tokio::test]
async fn nonsense_in_annotations_is_unseen_and_never_a_panic() {
    let values = [
        "",
        "null",
        "{",
        "[]",
        "7",
        "\u{1b}[2J",
        "{\"role\":7}",
        "99999999999999999999999999",
        "[[1e99,-1,\"x\"]]",
        "{\"role\":\"primary\",\"timeline\":99999999999}",
        "\u{0}",
    ];
    for value in values {
        let site = primary();
        let cluster = site.build();
        for name in ["zitadel-ha", "zitadel-ha-config"] {
            cluster.change("endpoints", NAMESPACE, name, |object| {
                let annotations = object["metadata"]["annotations"].as_object_mut().unwrap();
                for key in [
                    "config",
                    "history",
                    "initialize",
                    "ttl",
                    "transitions",
                    "renewTime",
                    "acquireTime",
                ] {
                    annotations.insert(key.to_owned(), json!(value));
                }
            });
        }
        cluster.change("pods", NAMESPACE, site.pod(1), |pod| {
            pod["metadata"]["annotations"]["status"] = json!(value);
        });
        cluster.answer_proxy(site.pod(1), 8008, "/patroni", 200, value);
        let survey = survey(&cluster, Depth::Members).await;
        let member = survey
            .members
            .iter()
            .find(|member| member.pod == site.pod(1))
            .unwrap();
        assert!(member.status.as_seen().is_none(), "{value:?}");
        assert!(member.live.as_seen().is_none(), "{value:?}");
        assert_eq!(survey.lock.as_seen().unwrap().renewed_at, None, "{value:?}");
        assert!(
            !survey.store.as_seen().is_some_and(|store| store.standby),
            "{value:?}"
        );
        disagreements(&survey);
    }
}

#[tokio::test]
async fn control_characters_of_a_cluster_never_reach_a_survey_raw() {
    let evil = "x\u{1b}]0;owned\u{7}\r";
    let site = standby();
    let site = site.object(|object| {
        object["metadata"]["labels"]["kapp.k14s.io/app"] = json!(evil);
        object["status"]["pgbackrest"]["manualBackup"] = json!({"id": evil});
        object["status"]["conditions"][0]["message"] = json!(evil);
        object["status"]["patroni"]["systemIdentifier"] = json!(evil);
    });
    let cluster = site.build();
    cluster.change("endpoints", NAMESPACE, "zitadel-ha", |lock| {
        lock["metadata"]["annotations"]["leader"] = json!(evil);
    });
    let status = json!({"state": evil, "role": evil, "replication_state": evil,
        "database_system_identifier": evil, "postmaster_start_time": evil,
        "replication": [{"application_name": evil, "state": evil, "sync_state": evil}]});
    cluster.change("pods", NAMESPACE, site.pod(0), |pod| {
        pod["metadata"]["annotations"]["status"] = json!(status.to_string());
        pod["metadata"]["labels"]["postgres-operator.crunchydata.com/role"] = json!(evil);
        pod["spec"]["nodeName"] = json!(evil);
        pod["status"]["phase"] = json!(evil);
    });
    cluster.answer_proxy(site.pod(1), 8008, "/patroni", 200, status.to_string());
    let mut survey = survey(&cluster, Depth::Members).await;
    let verdict = judge_text(&survey);
    // A patch tests these two as they are.
    survey.object.standby_section = None;
    let shown = format!("{}{verdict}", serde_json::to_string(&survey).unwrap());
    assert!(shown.contains("owned"));
    assert!(
        !shown.contains("\\u001b") && !shown.contains("\\u0007") && !shown.contains("\\r"),
        "{shown}"
    );
    assert!(!shown.chars().any(char::is_control));
}

fn judge_text(survey: &pgha_model::survey::SiteSurvey) -> String {
    disagreements(survey).join(" ")
}
