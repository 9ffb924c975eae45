//! What a closer look at a side reads, and what it makes of what it may not read.

use pgha_core::survey::Depth;
use pgha_core::validate::inspect;
use pgha_model::check::inspection::{Inspection, Login};
use pgha_testkit::{Failure, FakeCluster, Fault};
use serde_json::{Value, json};

use crate::survey::{primary, survey};
use crate::{NAMESPACE, site};

async fn look(cluster: &FakeCluster) -> Inspection {
    let survey = survey(cluster, Depth::Leader).await;
    let object = cluster.object("postgresclusters", NAMESPACE, "zitadel");
    inspect(&site(cluster), "zitadel", &survey, &object.unwrap()).await
}

fn secret(name: &str, data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": NAMESPACE}, "data": data})
}

#[tokio::test]
async fn secrets_are_read_by_name_and_compared_without_their_values() {
    let built = |password: &str| {
        let cluster = primary()
            .object(|object| object["spec"]["users"] = json!([{"name": "app"}, {"name": "late"}]))
            .build();
        let data = json!({"password": password, "verifier": "djE=", "host": "aG9zdA=="});
        cluster.insert(secret("zitadel-pguser-app", &data));
        cluster
    };
    let (first, same, other) = (built("cGF0"), built("cGF0"), built("b3RoZXI="));
    let (a, b, c) = (look(&first).await, look(&same).await, look(&other).await);
    let secrets = a.secrets.as_seen().unwrap();
    assert_eq!(a.secrets, b.secrets);
    assert_ne!(a.secrets, c.secrets);
    assert_eq!(
        (secrets[0].login, secrets[0].name.as_str()),
        (Login::User, "zitadel-pguser-app")
    );
    let keys: Vec<_> = secrets[0].digests.as_ref().unwrap().keys().collect();
    assert_eq!(keys, ["password", "verifier"]);
    assert_eq!(secrets[1].digests, None, "a secret that is not there");
    let listed = first
        .requests()
        .iter()
        .any(|request| request.resource == "secrets" && request.verb != "get");
    assert!(!listed, "a list would return every secret of the namespace");
}

#[tokio::test]
async fn the_operators_pooler_is_seen_where_it_runs() {
    for (section, seen) in [
        (json!({"pgBouncer": {}}), Some("zitadel-pgbouncer")),
        (json!({"pgBouncer": {"replicas": 0}}), None),
        (Value::Null, None),
    ] {
        let cluster = primary().object(|object| object["spec"]["proxy"] = section.clone());
        let inspection = look(&cluster.build()).await;
        assert_eq!(inspection.operators_pooler.as_deref(), seen, "{section}");
    }
}

#[tokio::test]
async fn secrets_that_may_not_be_read_are_unseen() {
    let cluster = primary().build();
    cluster.fail(Fault::new(Failure::Forbidden).resource("secrets"));
    let inspection = look(&cluster).await;
    let because = inspection.secrets.seen().unwrap_err();
    assert!(
        because.contains("does not permit you to get secrets"),
        "{because}"
    );
}

#[tokio::test]
async fn what_is_forbidden_is_denied_by_the_review() {
    let cluster = primary().build();
    let all = look(&cluster).await;
    let allowed = all.permissions.as_seen().unwrap();
    assert!(
        allowed.iter().all(|permission| permission.allowed),
        "{allowed:?}"
    );
    cluster.fail(
        Fault::new(Failure::Forbidden)
            .verb("patch")
            .resource("endpoints"),
    );
    let inspection = look(&cluster).await;
    let denied: Vec<String> = inspection
        .permissions
        .as_seen()
        .unwrap()
        .iter()
        .filter(|permission| !permission.allowed)
        .map(|permission| format!("{} {}", permission.verb, permission.resource))
        .collect();
    assert_eq!(denied, ["patch endpoints zitadel-ha-config"]);
}

#[tokio::test]
async fn a_look_changes_nothing() {
    let cluster = primary().build();
    look(&cluster).await;
    let writes: Vec<_> = cluster
        .requests()
        .into_iter()
        .filter(|request| !matches!(request.verb, "get" | "list"))
        .filter(|request| request.resource != "selfsubjectaccessreviews")
        .map(|request| request.summary())
        .collect();
    assert_eq!(writes, [""; 0]);
}

#[tokio::test]
async fn members_that_cannot_be_entered_are_unseen_with_the_reason() {
    let cluster = primary().build();
    let inspection = look(&cluster).await;
    assert_eq!(inspection.members.len(), 2);
    for (pod, facts) in &inspection.members {
        assert!(
            facts
                .seen()
                .is_err_and(|because| because.contains(pod.as_str())),
            "{facts:?}"
        );
    }
    assert!(inspection.branches.seen().is_err());
}

#[tokio::test]
async fn a_limit_in_the_object_is_seen() {
    let cluster = primary()
        .object(|object| {
            object["spec"]["backups"]["pgbackrest"]["global"] =
                json!({"archive-push-queue-max": "5GB"});
        })
        .build();
    let inspection = look(&cluster).await;
    assert_eq!(inspection.queue_limit_in_object.as_deref(), Some("5GB"));
}
