//! An application that leaves a site and enters one, against what can happen on the way.

use std::time::Duration;

use pgha_core::application::{ApplicationError, denied, replicas, start, stop};
use pgha_core::client::SiteClient;
use pgha_model::application::{AppStep, Application, Count, Scale};
use pgha_testkit::{Failure, FakeCluster, Fault};
use serde_json::{Value, json};

use crate::{NAMESPACE, site};

const LIMIT: Duration = Duration::from_secs(20);

fn workload(name: &str, replicas: i64) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}},
    })
}

fn pod(app: &str, name: &str, is_ready: bool) -> Value {
    let ready = if is_ready { "True" } else { "False" };
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"app": app}},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]},
    })
}

/// A gateway before the application that it leads to, whose reconciliation is switched off where it does not run.
fn steps() -> Vec<AppStep> {
    let text = json!([
        {"scale": {"object": "deployment/zitadel"}},
        {"annotate": {"object": "deployment/zitadel", "key": "flux/reconcile", "standby": "disabled"}},
        {"scale": {"object": "deployment/gateway"}},
    ]);
    serde_json::from_value(text).unwrap()
}

fn application(replicas: u32) -> Application {
    let steps = steps();
    let scaled = steps
        .iter()
        .filter(|step| matches!(step, AppStep::Scale(_)));
    let counts = scaled.map(|step| Count {
        at: step.object().unwrap(),
        replicas,
    });
    Application {
        counts: counts.collect(),
        steps: steps.clone(),
    }
}

fn running() -> FakeCluster {
    let cluster = FakeCluster::new();
    cluster
        .insert(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}));
    cluster.insert(workload("zitadel", 2));
    cluster.insert(workload("gateway", 1));
    cluster
}

fn count(cluster: &FakeCluster, name: &str) -> Value {
    let object = cluster.object("deployments", NAMESPACE, name).unwrap();
    object["spec"]["replicas"].clone()
}

fn annotation(cluster: &FakeCluster) -> Value {
    let object = cluster.object("deployments", NAMESPACE, "zitadel").unwrap();
    object["metadata"]["annotations"]["flux/reconcile"].clone()
}

fn patches_of_scales(failure: Failure) -> Fault {
    Fault::new(failure)
        .verb("patch")
        .resource("deployments/scale")
}

async fn leave(site: &SiteClient) -> (Result<String, ApplicationError>, Vec<String>) {
    let mut told = Vec::new();
    let mut tell = |text| told.push(text);
    let left = stop(site, &application(2), LIMIT, &mut tell).await;
    (left, told)
}

#[tokio::test(start_paused = true)]
async fn what_depends_on_others_stops_before_them() {
    let cluster = running();
    let (left, told) = leave(&site(&cluster)).await;
    let evidence = left.unwrap();
    assert_eq!(
        evidence,
        "No pod is left of deployment/zitadel, deployment/gateway."
    );
    assert_eq!(
        told,
        [
            "deployment/gateway is scaled from 1 to 0.",
            "deployment/zitadel has the annotation flux/reconcile: disabled.",
            "deployment/zitadel is scaled from 2 to 0.",
        ]
    );
    assert_eq!(
        (count(&cluster, "zitadel"), annotation(&cluster)),
        (json!(0), json!("disabled"))
    );
    let (again, told) = leave(&site(&cluster)).await;
    assert_eq!((again.is_ok(), told), (true, Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn pods_that_stay_are_named_and_those_that_have_ended_do_not_count() {
    let cluster = running();
    let mut ended = pod("gateway", "gateway-old", false);
    ended["status"]["phase"] = json!("Failed");
    cluster.insert(ended);
    assert!(leave(&site(&cluster)).await.0.is_ok());
    let cluster = running();
    cluster.insert(pod("gateway", "gateway-1", true));
    let (left, _) = leave(&site(&cluster)).await;
    let error = left.unwrap_err().to_string();
    assert!(
        error.contains("deployment/gateway: its pods were not gone within 20 s"),
        "{error}"
    );
    assert!(error.contains("pod gateway-1 is still there"), "{error}");
    assert_eq!(count(&cluster, "zitadel"), 2, "what it needs runs on");
}

/// The record of a move must not be silent for longer than one step may take.
#[tokio::test(start_paused = true)]
async fn all_of_it_stops_within_the_limit() {
    let cluster = running();
    cluster.insert(pod("gateway", "gateway-1", true));
    cluster.insert(pod("zitadel", "zitadel-1", true));
    let begun = tokio::time::Instant::now();
    let goes = async {
        while begun.elapsed() < LIMIT * 3 / 4 {
            tokio::task::yield_now().await;
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        cluster.remove("pods", NAMESPACE, "gateway-1");
    };
    let site = site(&cluster);
    let ((left, _), ()) = tokio::join!(leave(&site), goes);
    let error = left.unwrap_err().to_string();
    assert!(error.contains("pod zitadel-1 is still there"), "{error}");
    assert!(begun.elapsed() < LIMIT * 5 / 4, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn whoever_puts_a_count_back_is_not_fought() {
    let cluster = running();
    cluster.insert(pod("gateway", "gateway-1", true));
    let site = site(&cluster);
    let meddler = async {
        while count(&cluster, "gateway") != 0 {
            tokio::task::yield_now().await;
        }
        cluster.change("deployments", NAMESPACE, "gateway", |object| {
            object["spec"]["replicas"] = json!(1);
        });
    };
    let ((left, _), ()) = tokio::join!(leave(&site), meddler);
    let error = left.unwrap_err();
    assert!(
        matches!(error, ApplicationError::PutBack { replicas: 1, .. }),
        "{error}"
    );
    assert_eq!(count(&cluster, "gateway"), 1);
}

#[tokio::test(start_paused = true)]
async fn an_application_is_entered_in_order_to_its_counts() {
    let cluster = FakeCluster::new();
    cluster
        .insert(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}));
    cluster.insert(workload("zitadel", 0));
    cluster.insert(workload("gateway", 3));
    cluster.change("deployments", NAMESPACE, "zitadel", |object| {
        object["metadata"]["annotations"] = json!({"flux/reconcile": "disabled", "other": "x"});
    });
    for (app, name) in [
        ("zitadel", "a"),
        ("zitadel", "b"),
        ("gateway", "c"),
        ("gateway", "d"),
    ] {
        cluster.insert(pod(app, name, true));
    }
    let site = site(&cluster);
    let mut told = Vec::new();
    let mut tell = |text| told.push(text);
    let entered = start(&site, &application(2), LIMIT, &mut tell).await;
    // The gateway ran already, with a count of its own that is not reached.
    let error = entered.unwrap_err().to_string();
    assert!(
        error.contains("deployment/gateway: its pods were not ready"),
        "{error}"
    );
    assert!(error.contains("2 of 3 pods are ready"), "{error}");
    assert_eq!(
        (count(&cluster, "zitadel"), count(&cluster, "gateway")),
        (json!(2), json!(3))
    );
    assert_eq!(annotation(&cluster), Value::Null);
    cluster.insert(pod("gateway", "e", true));
    let mut tell = |_: String| {};
    let entered = start(&site, &application(2), LIMIT, &mut tell)
        .await
        .unwrap();
    assert_eq!(
        entered,
        "Every pod is ready of deployment/zitadel, deployment/gateway."
    );
    assert_eq!(told[0], "deployment/zitadel is scaled from 0 to 2.");
}

#[tokio::test]
async fn what_is_not_permitted_or_not_there_is_said_before() {
    let cluster = running();
    let site = site(&cluster);
    assert_eq!(denied(&site, &steps()).await.unwrap(), Vec::<String>::new());
    cluster.fail(patches_of_scales(Failure::Forbidden));
    let denied = denied(&site, &steps()).await.unwrap();
    assert_eq!(
        denied,
        [
            "patch deployments/scale gateway",
            "patch deployments/scale zitadel"
        ]
    );
    let gone = Scale {
        object: "deployment/nothing".parse().unwrap(),
        namespace: None,
        count: None,
    };
    let error = replicas(&site, &gone).await.unwrap_err().to_string();
    assert_eq!(error, "`core1` has no scale of deployment/nothing");
}

/// What took hold without an answer is seen, not done twice.
#[tokio::test(start_paused = true)]
async fn a_count_whose_answer_was_lost_is_not_reported_as_harmless() {
    let cluster = running();
    cluster.fail(patches_of_scales(Failure::SilenceAfter));
    let (left, _) = leave(&site(&cluster)).await;
    assert!(matches!(left, Err(ApplicationError::Call(_))), "{left:?}");
    cluster.heal();
    assert_eq!(count(&cluster, "gateway"), 0);
    assert!(leave(&site(&cluster)).await.0.is_ok());
}
