//! What stands around a cluster, read from a fake API server.

use pgha_core::client::{CallError, CallKind};
use pgha_core::operator::pgo_v5::PREFIX;
use pgha_core::surroundings::{
    MOST, PoolerPart, RECONCILE, Surroundings, WorkloadKind, look_around,
};
use pgha_testkit::{Failure, FakeCluster, Fault, LoggedRequest};
use serde_json::{Value, json};

use crate::survey::primary;
use crate::{NAMESPACE, site};

/// A template that uses the cluster by a Secret.
fn template(app: &str) -> Value {
    let secret = json!({"name": "zitadel-pguser-zitadel", "key": "password"});
    let env = json!([{"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": secret}}]);
    json!({"metadata": {"labels": {"app": app, "tier": "web"}},
        "spec": {"containers": [{"name": "app", "image": "app:1", "env": env}]}})
}

fn object(api_version: &str, kind: &str, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec})
}

fn deployment(name: &str) -> Value {
    let spec = json!({"replicas": 2, "template": template(name)});
    object("apps/v1", "Deployment", name, &spec)
}

fn service(name: &str, selector: &Value) -> Value {
    object("v1", "Service", name, &json!({"selector": selector}))
}

fn ingress(host: &str, service: &str) -> Value {
    let path = json!({"path": "/", "backend": {"service": {"name": service}}});
    let rules = json!([{"host": host, "http": {"paths": [path]}}]);
    let spec = json!({"rules": rules, "tls": [{"hosts": [host]}]});
    object("networking.k8s.io/v1", "Ingress", "login", &spec)
}

async fn look(cluster: &FakeCluster) -> Result<Surroundings, CallError> {
    look_around(&site(cluster), "zitadel").await
}

fn names(around: &Surroundings) -> Vec<String> {
    let objects = around.workloads.iter();
    objects
        .map(pgha_core::surroundings::Workload::object)
        .collect()
}

#[tokio::test]
async fn programs_of_the_cluster_are_found_by_what_they_refer_to() {
    let cluster = primary().build();
    cluster.insert(deployment("zitadel"));
    let mut held = deployment("api");
    held["metadata"]["annotations"] = json!({RECONCILE: "disabled"});
    held["metadata"]["labels"] = json!({"kapp.k14s.io/app": "7"});
    cluster.insert(held);
    let spec = json!({"template": template("queue")});
    cluster.insert(object("apps/v1", "StatefulSet", "queue", &spec));
    let spec = json!({"suspend": true, "jobTemplate": {"spec": {"template": template("report")}}});
    cluster.insert(object("batch/v1", "CronJob", "report", &spec));
    cluster.insert(object(
        "batch/v1",
        "Job",
        "setup",
        &json!({"template": template("setup")}),
    ));
    cluster.insert(object(
        "apps/v1",
        "Deployment",
        "other",
        &json!({"template": {"spec": {"containers": [{"name": "x"}]}}}),
    ));
    let around = look(&cluster).await.unwrap();
    assert_eq!(
        names(&around),
        [
            "job/setup",
            "statefulset/queue",
            "deployment/api",
            "deployment/zitadel",
            "cronjob/report"
        ]
    );
    let of = |name: &str| around.workloads.iter().find(|it| it.name == name).unwrap();
    assert_eq!(
        of("zitadel").uses,
        ["Secret zitadel-pguser-zitadel (env DB_PASSWORD of app)"]
    );
    assert_eq!(
        (
            of("zitadel").replicas,
            of("queue").replicas,
            of("report").replicas
        ),
        (Some(2), Some(1), None)
    );
    assert_eq!(
        (of("report").suspended, of("setup").suspended),
        (true, false)
    );
    assert_eq!(
        (
            of("api").owners[0].to_string(),
            of("api").reconcile.as_deref()
        ),
        ("kapp app 7".to_owned(), Some("disabled"))
    );
    assert_eq!(of("queue").kind, WorkloadKind::StatefulSet);
    assert_eq!(around.services.len(), 1);
    assert_eq!(around.operators_pooler, None);
    assert_eq!(around.unread, [""; 0]);
}

/// None of what the operator makes is the application, nor what pgha and a `CronJob` make of a Job that is.
#[tokio::test]
async fn what_the_operator_and_others_derive_is_left_out() {
    let cluster = primary()
        .object(|object| {
            object["spec"]["proxy"] = json!({"pgBouncer": {"port": 6432}});
        })
        .build();
    let mut own = deployment("zitadel-pgbouncer");
    own["metadata"]["labels"] =
        json!({format!("{PREFIX}/cluster"): "zitadel", format!("{PREFIX}/role"): "pgbouncer"});
    cluster.insert(own);
    let mut kept = object(
        "batch/v1",
        "Job",
        "setup-pgha-kept",
        &json!({"template": template("setup")}),
    );
    kept["metadata"]["annotations"] = json!({"pgha.dev/kept": "{}"});
    cluster.insert(kept);
    let mut run = object(
        "batch/v1",
        "Job",
        "report-1",
        &json!({"template": template("report")}),
    );
    run["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "batch/v1", "kind": "CronJob", "name": "report", "uid": "1"}]);
    cluster.insert(run);
    let around = look(&cluster).await.unwrap();
    assert_eq!(names(&around), [""; 0]);
    assert_eq!(
        around.operators_pooler.as_deref(),
        Some("zitadel-pgbouncer")
    );
    let ports: Vec<_> = around.services.iter().map(|it| it.port).collect();
    assert_eq!(ports, [5432, 6432]);
}

#[tokio::test]
async fn a_pooler_is_found_also_where_it_is_not_seen_to_lead() {
    let cluster = primary().build();
    let spec = json!({"template": {"spec": {"containers": [{"name": "p", "image": "bitnami/pgbouncer:1"}]}}});
    cluster.insert(object("apps/v1", "Deployment", "edge", &spec));
    let around = look(&cluster).await.unwrap();
    let pooler = &around.workloads[0];
    assert_eq!(
        (pooler.pooler, pooler.uses.as_slice()),
        (PoolerPart::Whole, &[][..])
    );
}

#[tokio::test]
async fn hosts_are_those_whose_services_select_the_pods() {
    let cluster = primary().build();
    cluster.insert(deployment("zitadel"));
    cluster.insert(service("login", &json!({"app": "zitadel"})));
    cluster.insert(service("other", &json!({"app": "other"})));
    cluster.insert(service("outside", &Value::Null));
    cluster.insert(ingress("login.example.org", "login"));
    for (version, kind, plural) in [
        ("v1", "HTTPRoute", "httproutes"),
        ("v1alpha2", "TLSRoute", "tlsroutes"),
    ] {
        cluster.install("gateway.networking.k8s.io", version, kind, plural);
        let backends = json!([{"backendRefs": [{"name": "login"}, {"name": "outside"}]}]);
        let spec = json!({"hostnames": [format!("{plural}.example.org")], "rules": backends});
        cluster.insert(object(
            &format!("gateway.networking.k8s.io/{version}"),
            kind,
            "login",
            &spec,
        ));
    }
    let around = look(&cluster).await.unwrap();
    let entrances: Vec<String> = around
        .entrances
        .iter()
        .map(|it| {
            format!(
                "{} {} {} {} {:?}",
                it.host, it.is_tls, it.object, it.service, it.workloads
            )
        })
        .collect();
    assert_eq!(
        entrances,
        [
            r#"httproutes.example.org false HTTPRoute login login {"deployment/zitadel"}"#,
            r#"login.example.org true Ingress login login {"deployment/zitadel"}"#,
            r#"tlsroutes.example.org true TLSRoute login login {"deployment/zitadel"}"#,
        ]
    );
    cluster.remove("deployments", NAMESPACE, "zitadel");
    assert_eq!(look(&cluster).await.unwrap().entrances, []);
}

#[tokio::test]
async fn what_is_not_permitted_is_told_and_the_rest_is_read() {
    let cluster = primary().build();
    cluster.insert(deployment("zitadel"));
    for kind in ["ingresses", "jobs", "httproutes"] {
        cluster.fail(Fault::new(Failure::Forbidden).resource(kind));
    }
    let around = look(&cluster).await.unwrap();
    assert_eq!(names(&around), ["deployment/zitadel"]);
    let said = around.unread.join("\n");
    assert_eq!(around.unread.len(), 3, "{said}");
    for kind in ["ingresses", "jobs", "httproutes"] {
        let words =
            format!("`core1` does not permit you to list {kind} in namespace `{NAMESPACE}`");
        assert!(said.contains(&words), "{said}");
    }
}

#[tokio::test]
async fn what_does_not_answer_is_an_error() {
    let cluster = primary().build();
    cluster.fail(Fault::new(Failure::ConnectionRefused).resource("services"));
    let error = look(&cluster).await.unwrap_err();
    assert_eq!(error.kind, CallKind::Unreachable, "{error}");
}

#[tokio::test]
async fn a_long_list_is_read_in_pages_and_a_huge_one_not_to_its_end() {
    let cluster = primary().build();
    cluster.insert(deployment("zitadel"));
    for number in 0..=MOST {
        let spec = json!({"template": {}});
        cluster.insert(object(
            "batch/v1",
            "Job",
            &format!("job-{number:05}"),
            &spec,
        ));
    }
    let around = look(&cluster).await.unwrap();
    let said = format!(
        "namespace `{NAMESPACE}` at `core1` has more than {MOST} jobs, of which the first {MOST} were looked at"
    );
    assert_eq!(around.unread, [said]);
    let is_of_jobs = |request: &&LoggedRequest| request.resource == "jobs";
    let requests = cluster.requests();
    assert_eq!(requests.iter().filter(is_of_jobs).count(), MOST / 500);
    cluster.remove("jobs", NAMESPACE, "job-00000");
    assert_eq!(look(&cluster).await.unwrap().unread, [""; 0]);
}

/// Reads only, of lists but for the cluster itself, and of no Secret.
#[tokio::test]
async fn nothing_but_lists_is_asked_for_and_no_secret() {
    let cluster = primary().build();
    look(&cluster).await.unwrap();
    let mut requests: Vec<String> = cluster
        .requests()
        .iter()
        .map(LoggedRequest::summary)
        .collect();
    requests.sort();
    requests.dedup();
    assert_eq!(
        requests,
        [
            "get postgresclusters zitadel",
            "list cronjobs",
            "list deployments",
            "list httproutes",
            "list ingresses",
            "list jobs",
            "list services",
            "list statefulsets",
            "list tlsroutes",
        ]
    );
}
