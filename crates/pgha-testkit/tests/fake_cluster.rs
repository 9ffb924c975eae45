//! The fake API server under the real client.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test that calls them"
)]

use std::time::Duration;

use kube::api::{Api, ApiResource, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use pgha_testkit::{Failure, FakeCluster, Fault};
use serde_json::{Value, json};

const NAMESPACE: &str = "prod";

fn resource(group: &str, version: &str, kind: &str, plural: &str) -> ApiResource {
    let api_version = if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    };
    ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version,
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    }
}

fn endpoints(cluster: &FakeCluster) -> Api<DynamicObject> {
    let resource = resource("", "v1", "Endpoints", "endpoints");
    Api::namespaced_with(cluster.client(), NAMESPACE, &resource)
}

fn postgresclusters(cluster: &FakeCluster) -> Api<DynamicObject> {
    let group = "postgres-operator.crunchydata.com";
    let resource = resource(group, "v1beta1", "PostgresCluster", "postgresclusters");
    Api::namespaced_with(cluster.client(), NAMESPACE, &resource)
}

fn pods(cluster: &FakeCluster) -> Api<DynamicObject> {
    Api::namespaced_with(
        cluster.client(),
        NAMESPACE,
        &resource("", "v1", "Pod", "pods"),
    )
}

fn lock(leader: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "c-ha",
        "namespace": NAMESPACE, "labels": {"app": "c"}, "annotations": {"leader": leader}}})
}

fn with_lock() -> FakeCluster {
    let cluster = FakeCluster::new();
    cluster.insert(lock("a-0"));
    cluster
}

fn as_pgha() -> PatchParams {
    PatchParams {
        field_manager: Some("pgha".to_owned()),
        ..PatchParams::default()
    }
}

fn json_patch(operations: Value) -> Patch<()> {
    Patch::Json(serde_json::from_value(operations).unwrap())
}

fn api_error(error: kube::Error) -> kube::core::Status {
    let kube::Error::Api(status) = error else {
        panic!("not an answer of the API server: {error:?}");
    };
    *status
}

fn leader(cluster: &FakeCluster) -> Value {
    cluster.object("endpoints", NAMESPACE, "c-ha").unwrap()["metadata"]["annotations"]["leader"]
        .clone()
}

#[tokio::test]
async fn a_json_patch_whose_test_fails_changes_nothing() {
    let cluster = with_lock();
    let leader_path = "/metadata/annotations/leader";
    let patch = |seen: &str| {
        json_patch(json!([{"op": "test", "path": leader_path, "value": seen},
            {"op": "replace", "path": leader_path, "value": "b-0"}]))
    };
    let error = endpoints(&cluster)
        .patch("c-ha", &as_pgha(), &patch("x-0"))
        .await
        .unwrap_err();
    let status = api_error(error);
    assert_eq!((status.code, status.reason.as_str()), (422, "Invalid"));
    assert_eq!(leader(&cluster), "a-0");
    endpoints(&cluster)
        .patch("c-ha", &as_pgha(), &patch("a-0"))
        .await
        .unwrap();
    assert_eq!(leader(&cluster), "b-0");
    let logged = &cluster.requests()[1];
    assert_eq!(logged.summary(), "patch endpoints c-ha");
    assert_eq!(logged.field_manager.as_deref(), Some("pgha"));
}

#[tokio::test]
async fn a_merge_patch_moves_revision_and_generation_only_when_it_changes_something() {
    let cluster = FakeCluster::new();
    cluster.insert(
        json!({"apiVersion": "postgres-operator.crunchydata.com/v1beta1",
        "kind": "PostgresCluster", "spec": {"paused": false}, "status": {"x": 1},
        "metadata": {"name": "c", "namespace": NAMESPACE, "generation": 3}}),
    );
    let api = postgresclusters(&cluster);
    let before = api.get("c").await.unwrap();
    let patch = |patch: Value| Patch::Merge(patch);
    let same = patch(json!({"spec": {"paused": false}, "status": {"x": 2}}));
    let same = api.patch("c", &as_pgha(), &same).await.unwrap();
    assert_eq!(same.metadata, before.metadata);
    assert_eq!(same.data["status"]["x"], 1);
    let annotated = patch(json!({"metadata": {"annotations": {"a": "b"}}}));
    let annotated = api.patch("c", &as_pgha(), &annotated).await.unwrap();
    assert_eq!(annotated.metadata.generation, Some(3));
    assert_ne!(
        annotated.metadata.resource_version,
        before.metadata.resource_version
    );
    let changed = api
        .patch("c", &as_pgha(), &patch(json!({"spec": {"paused": true}})))
        .await;
    assert_eq!(changed.unwrap().metadata.generation, Some(4));
    let status = patch(json!({"status": {"x": 2}, "spec": {"paused": false}}));
    let status = api.patch_status("c", &as_pgha(), &status).await.unwrap();
    assert_eq!(
        (&status.data["status"]["x"], &status.data["spec"]["paused"]),
        (&json!(2), &json!(true))
    );
}

#[tokio::test]
async fn an_old_resource_version_is_a_conflict() {
    let cluster = with_lock();
    let api = endpoints(&cluster);
    let seen = api.get("c-ha").await.unwrap();
    cluster.change("endpoints", NAMESPACE, "c-ha", |lock| {
        lock["metadata"]["annotations"]["leader"] = json!("b-0");
    });
    let error = api
        .replace("c-ha", &PostParams::default(), &seen)
        .await
        .unwrap_err();
    let status = api_error(error);
    assert_eq!(status.code, 409);
    assert!(
        status
            .message
            .starts_with("Operation cannot be fulfilled on endpoints \"c-ha\"")
    );
}

#[tokio::test]
async fn lists_are_selected_by_label_and_can_be_metadata_only() {
    let cluster = with_lock();
    let selected = |labels: &str| ListParams::default().labels(labels);
    let api = endpoints(&cluster);
    assert_eq!(api.list(&selected("app=c")).await.unwrap().items.len(), 1);
    assert!(api.list(&selected("app=d")).await.unwrap().items.is_empty());
    let metadata = api.list_metadata(&selected("app in (c)")).await.unwrap();
    assert_eq!(metadata.items[0].metadata.name.as_deref(), Some("c-ha"));
}

#[tokio::test]
async fn a_list_comes_in_pages() {
    let cluster = FakeCluster::new();
    for name in ["a", "b", "c", "d"] {
        let metadata = json!({"name": name, "namespace": NAMESPACE});
        cluster.insert(json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata}));
    }
    let api = pods(&cluster);
    let mut params = ListParams::default().limit(2);
    let mut pages = Vec::new();
    loop {
        let page = api.list(&params).await.unwrap();
        pages.push(page.items.len());
        match page.metadata.continue_ {
            Some(token) => params = params.continue_token(&token),
            None => break,
        }
    }
    assert_eq!(pages, [2, 2]);
    let all = api.list(&ListParams::default().limit(4)).await.unwrap();
    assert_eq!((all.items.len(), all.metadata.continue_), (4, None));
}

#[tokio::test]
async fn objects_are_created_once_and_deleted() {
    let cluster = FakeCluster::new();
    let api = endpoints(&cluster);
    let missing = api
        .create(
            &PostParams::default(),
            &serde_json::from_value(lock("a-0")).unwrap(),
        )
        .await
        .unwrap_err();
    assert_eq!(api_error(missing).message, "namespaces \"prod\" not found");
    let namespace =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    cluster.insert(namespace);
    let object: DynamicObject = serde_json::from_value(lock("a-0")).unwrap();
    api.create(&PostParams::default(), &object).await.unwrap();
    let again = api
        .create(&PostParams::default(), &object)
        .await
        .unwrap_err();
    assert_eq!(api_error(again).reason, "AlreadyExists");
    api.delete("c-ha", &kube::api::DeleteParams::default())
        .await
        .unwrap();
    let status = api_error(api.get("c-ha").await.unwrap_err());
    assert_eq!(status.message, "endpoints \"c-ha\" not found");
}

#[tokio::test]
async fn what_is_not_served_is_answered_in_plain_text() {
    let cluster = FakeCluster::new();
    cluster.uninstall("postgresclusters");
    let status = api_error(postgresclusters(&cluster).get("c").await.unwrap_err());
    assert_eq!(
        (status.code, status.message.as_str()),
        (404, "404 page not found")
    );
    assert!(status.details.is_none());
}

#[tokio::test]
async fn a_rule_forbids_what_it_names_and_nothing_else() {
    let cluster = with_lock();
    cluster.fail(
        Fault::new(Failure::Forbidden)
            .verb("list")
            .resource("endpoints"),
    );
    let error = endpoints(&cluster)
        .list(&ListParams::default())
        .await
        .unwrap_err();
    assert_eq!(
        api_error(error).message,
        "endpoints is forbidden: User \"jane\" cannot list resource \"endpoints\" in API group \"\" in the \
         namespace \"prod\""
    );
    endpoints(&cluster).get("c-ha").await.unwrap();
    cluster.heal();
    endpoints(&cluster)
        .list(&ListParams::default())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_rule_strikes_as_often_as_it_says() {
    let cluster = with_lock();
    cluster.fail(Fault::new(Failure::Conflict).verb("patch").times(1));
    let patch = Patch::Merge(json!({"metadata": {"annotations": {"leader": "b-0"}}}));
    let error = endpoints(&cluster)
        .patch("c-ha", &as_pgha(), &patch)
        .await
        .unwrap_err();
    assert_eq!(api_error(error).reason, "Conflict");
    endpoints(&cluster)
        .patch("c-ha", &as_pgha(), &patch)
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn silence_comes_before_or_after_the_change() {
    for (failure, expected) in [
        (Failure::SilenceBefore, "a-0"),
        (Failure::SilenceAfter, "b-0"),
    ] {
        let cluster = with_lock();
        cluster.fail(Fault::new(failure).verb("patch"));
        let api = endpoints(&cluster);
        let patch = Patch::Merge(json!({"metadata": {"annotations": {"leader": "b-0"}}}));
        let params = as_pgha();
        let answer = api.patch("c-ha", &params, &patch);
        assert!(
            tokio::time::timeout(Duration::from_mins(1), answer)
                .await
                .is_err()
        );
        assert_eq!(leader(&cluster), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_takes_its_time() {
    let cluster = with_lock();
    cluster.fail(Fault::new(Failure::Late(Duration::from_secs(7))));
    let started = tokio::time::Instant::now();
    endpoints(&cluster).get("c-ha").await.unwrap();
    assert_eq!(started.elapsed(), Duration::from_secs(7));
}

#[tokio::test]
async fn a_pods_port_answers_what_was_scripted() {
    let cluster = FakeCluster::new();
    cluster.insert(json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "a-0", "namespace": NAMESPACE}, "status": {"podIP": "10.0.0.7"}}));
    let ask = async |pod: &str| {
        let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/https:{pod}:8008/proxy/patroni");
        let request = http::Request::get(path).body(Vec::new()).unwrap();
        cluster.client().request_text(request).await
    };
    let refused = api_error(ask("a-0").await.unwrap_err());
    assert_eq!(
        refused.message,
        "error trying to reach service: dial tcp 10.0.0.7:8008: connect: connection refused"
    );
    cluster.answer_proxy("a-0", 8008, "/patroni", 200, "{}");
    assert_eq!(ask("a-0").await.unwrap(), "{}");
    assert_eq!(
        api_error(ask("b-0").await.unwrap_err()).message,
        "pods \"b-0\" not found"
    );
    assert!(pods(&cluster).get("a-0").await.is_ok());
}

#[tokio::test]
async fn an_access_review_knows_what_is_forbidden() {
    let cluster = FakeCluster::new();
    cluster.fail(
        Fault::new(Failure::Forbidden)
            .verb("create")
            .resource("pods/exec"),
    );
    let review = async |subresource: &str| {
        let body = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {"verb": "create", "resource": "pods",
                "subresource": subresource, "namespace": NAMESPACE}}});
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let request = http::Request::post(path)
            .body(body.to_string().into_bytes())
            .unwrap();
        let answer: Value = cluster.client().request(request).await.unwrap();
        answer["status"]["allowed"].clone()
    };
    assert_eq!(review("exec").await, false);
    assert_eq!(review("proxy").await, true);
}

#[tokio::test]
async fn a_served_cluster_answers_on_loopback_until_it_is_dropped() {
    let cluster = with_lock();
    let served = cluster.serve().unwrap();
    let config = kube::Config::new(served.url().parse().unwrap());
    let client = kube::Client::try_from(config).unwrap();
    let endpoints: Api<DynamicObject> = Api::namespaced_with(
        client,
        NAMESPACE,
        &resource("", "v1", "Endpoints", "endpoints"),
    );
    assert!(endpoints.get("c-ha").await.is_ok());
    drop(served);
    assert!(endpoints.get("c-ha").await.is_err());
}
