//! Steps of an application that are about objects other than a workload's count.

use std::time::Duration;

use pgha_core::application::{ApplicationError, obstacles, permissions, start, stop};
use pgha_core::client::SiteClient;
use pgha_core::settle::pause;
use pgha_model::application::{AppStep, Application};
use pgha_testkit::{Failure, FakeCluster, Fault};
use serde_json::{Value, json};

use crate::{NAMESPACE, site};

const LIMIT: Duration = Duration::from_secs(20);
const KEPT: &str = "setup-pgha-kept";

fn steps(text: Value) -> Vec<AppStep> {
    serde_json::from_value(text).unwrap()
}

fn with(objects: &[Value]) -> FakeCluster {
    let cluster = FakeCluster::new();
    cluster
        .insert(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}));
    for object in objects {
        cluster.insert(object.clone());
    }
    cluster
}

type Came = (Result<String, ApplicationError>, Vec<String>);

async fn enter(site: &SiteClient, steps: &[AppStep]) -> Came {
    let application = Application {
        steps: steps.to_vec(),
        counts: Vec::new(),
    };
    let mut told = Vec::new();
    let mut tell = |text| told.push(text);
    let came = start(site, &application, LIMIT, &mut tell).await;
    (came, told)
}

async fn leave(site: &SiteClient, steps: &[AppStep]) -> Came {
    let application = Application {
        steps: steps.to_vec(),
        counts: Vec::new(),
    };
    let mut told = Vec::new();
    let mut tell = |text| told.push(text);
    let came = stop(site, &application, LIMIT, &mut tell).await;
    (came, told)
}

fn service(app: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "login", "namespace": NAMESPACE},
        "spec": {"selector": {"app": app}, "ports": [{"port": 443}]},
    })
}

fn selection() -> Vec<AppStep> {
    steps(json!([{"select": {
        "object": "svc/login", "primary": {"app": "login"}, "standby": {"app": "page", "tier": "x"},
    }}]))
}

#[tokio::test(start_paused = true)]
async fn a_service_leads_to_the_page_until_the_application_is_back() {
    let cluster = with(&[service("login")]);
    let site = site(&cluster);
    let selector =
        || cluster.object("services", NAMESPACE, "login").unwrap()["spec"]["selector"].clone();
    let (left, told) = leave(&site, &selection()).await;
    assert_eq!(left.unwrap(), "All of it is as it is to be.");
    assert_eq!(
        told,
        ["service/login leads to the pods with app=page,tier=x."]
    );
    assert_eq!(selector(), json!({"app": "page", "tier": "x"}));
    assert_eq!(leave(&site, &selection()).await.1, Vec::<String>::new());
    assert!(enter(&site, &selection()).await.0.is_ok());
    assert_eq!(selector(), json!({"app": "login"}));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_leads_elsewhere_is_told_before_and_not_taken() {
    let cluster = with(&[service("canary")]);
    let site = site(&cluster);
    let said = "service/login leads to the pods with app=canary: somebody else decides on it";
    assert_eq!(obstacles(&site, &selection()).await.unwrap(), [said]);
    let error = leave(&site, &selection()).await.0.unwrap_err();
    assert_eq!(error.to_string(), said);
    let after = cluster.object("services", NAMESPACE, "login").unwrap();
    assert_eq!(after["spec"]["selector"], json!({"app": "canary"}));
}

fn deployment(generation: i64, new: i64, ready: i64) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "portal", "namespace": NAMESPACE, "generation": generation},
        "spec": {"replicas": 2, "template": {"metadata": {"labels": {"app": "portal"}}}},
        "status": {"observedGeneration": generation, "replicas": 2, "updatedReplicas": new, "readyReplicas": ready},
    })
}

fn restart() -> Vec<AppStep> {
    steps(json!([{"restart": {"object": "deployment/portal"}}]))
}

/// The controller's work: it sees the change, then the pods are new, then they are ready.
async fn roll(cluster: &FakeCluster) {
    let annotation = || {
        let object = cluster.object("deployments", NAMESPACE, "portal").unwrap();
        object["spec"]["template"]["metadata"]["annotations"]["pgha.dev/restartedAt"].clone()
    };
    while annotation().is_null() {
        tokio::task::yield_now().await;
    }
    for status in [
        json!({"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2}),
        json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 1, "readyReplicas": 3}),
        json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 1}),
        json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2}),
    ] {
        cluster.change("deployments", NAMESPACE, "portal", |object| {
            object["metadata"]["generation"] = json!(2);
            object["status"] = status;
        });
        pause(Duration::from_secs(2)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_ends_when_every_pod_is_new_and_ready() {
    let cluster = with(&[deployment(1, 2, 2)]);
    let site = site(&cluster);
    let begun = tokio::time::Instant::now();
    let steps = restart();
    let ((came, told), ()) = tokio::join!(
        async {
            let came = enter(&site, &steps).await;
            assert!(
                begun.elapsed() >= Duration::from_secs(6),
                "{:?}",
                begun.elapsed()
            );
            came
        },
        roll(&cluster)
    );
    assert_eq!(came.unwrap(), "Every pod of deployment/portal is new.");
    assert_eq!(told, ["deployment/portal is restarted."]);
    let before = cluster.requests().len();
    assert!(leave(&site, &steps).await.0.is_ok());
    assert_eq!(
        cluster.requests().len(),
        before,
        "nothing of it is asked where it leaves"
    );
}

#[tokio::test(start_paused = true)]
async fn what_restarts_no_pod_is_told_before() {
    let paused = |change: &dyn Fn(&mut Value)| {
        let mut object = deployment(1, 2, 2);
        change(&mut object);
        with(&[object])
    };
    for (cluster, words) in [
        (
            paused(&|it| it["spec"]["paused"] = json!(true)),
            "is paused",
        ),
        (
            paused(&|it| it["spec"]["updateStrategy"] = json!({"type": "OnDelete"})),
            "OnDelete",
        ),
        (
            paused(&|it| it["spec"]["updateStrategy"] = json!({"rollingUpdate": {"partition": 1}})),
            "partition",
        ),
    ] {
        let said = obstacles(&site(&cluster), &restart()).await.unwrap();
        assert!(said[0].contains(words), "{said:?}");
    }
    let none = with(&[]);
    let missing = obstacles(&site(&none), &restart()).await.unwrap_err();
    assert!(
        missing.to_string().contains("deployment/portal"),
        "{missing}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_rollout_that_gave_up_is_not_waited_for_and_one_without_pods_not_begun() {
    let mut stuck = deployment(0, 1, 1);
    stuck["status"]["conditions"] =
        json!([{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]);
    stuck["status"]["observedGeneration"] = json!(9);
    let cluster = with(&[stuck]);
    let begun = tokio::time::Instant::now();
    let error = enter(&site(&cluster), &restart()).await.0.unwrap_err();
    assert!(
        error.to_string().contains("ProgressDeadlineExceeded"),
        "{error}"
    );
    assert!(begun.elapsed() < LIMIT);
    let mut none = deployment(1, 0, 0);
    none["spec"]["replicas"] = json!(0);
    let cluster = with(&[none]);
    let (came, told) = enter(&site(&cluster), &restart()).await;
    assert!(came.is_ok());
    assert_eq!(
        told,
        ["deployment/portal has no pods, and is not restarted."]
    );
}

fn job(uid: &str, status: &Value) -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {
            "name": "setup", "namespace": NAMESPACE, "uid": uid,
            "labels": {"app": "zitadel"}, "annotations": {"a": "b"},
        },
        "spec": {
            "backoffLimit": 3, "suspend": false,
            "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}},
            "template": {
                "metadata": {"labels": {
                    "app": "setup", "controller-uid": uid, "job-name": "setup",
                    "batch.kubernetes.io/controller-uid": uid, "batch.kubernetes.io/job-name": "setup",
                }},
                "spec": {"containers": [{"name": "setup", "image": "x", "env": [{"name": "K", "value": "v"}]}]},
            },
        },
        "status": status,
    })
}

fn complete() -> Value {
    json!({"conditions": [{"type": "Complete", "status": "True"}]})
}

fn failed() -> Value {
    json!({"failed": 4, "conditions": [
        {"type": "FailureTarget", "status": "True"},
        {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "Job has reached the limit"},
    ]})
}

fn again() -> Vec<AppStep> {
    steps(json!([{"job": {"object": "job/setup", "recreate": true}}]))
}

fn awaited() -> Vec<AppStep> {
    steps(json!([{"job": {"object": "job/setup"}}]))
}

/// The Job controller: what is new comes to its end.
async fn run_new(cluster: &FakeCluster, old: &str) {
    loop {
        let seen = cluster.object("jobs", NAMESPACE, "setup");
        if seen.is_some_and(|job| job["metadata"]["uid"] != old) {
            break;
        }
        tokio::task::yield_now().await;
    }
    cluster.change("jobs", NAMESPACE, "setup", |job| {
        job["status"] = json!({"active": 1});
    });
    pause(Duration::from_secs(3)).await;
    cluster.change("jobs", NAMESPACE, "setup", |job| job["status"] = complete());
}

fn is_made_again(cluster: &FakeCluster) {
    let made = cluster.object("jobs", NAMESPACE, "setup").unwrap();
    let of = job("old", &complete());
    assert_eq!(made["metadata"]["labels"], of["metadata"]["labels"]);
    assert_eq!(
        made["metadata"]["annotations"],
        of["metadata"]["annotations"]
    );
    let spec = &made["spec"];
    assert_eq!(
        spec["template"]["metadata"]["labels"],
        json!({"app": "setup"})
    );
    assert_eq!(spec["template"]["spec"], of["spec"]["template"]["spec"]);
    assert_eq!(
        (&spec["backoffLimit"], &spec["suspend"]),
        (&json!(3), &json!(false))
    );
    assert!(spec.get("selector").is_none(), "{spec}");
    assert!(cluster.object("jobs", NAMESPACE, KEPT).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_job_that_has_ended_is_made_again_and_awaited() {
    for status in [complete(), failed()] {
        let cluster = with(&[job("old", &status)]);
        let site = site(&cluster);
        let steps = again();
        let ((came, told), ()) = tokio::join!(enter(&site, &steps), run_new(&cluster, "old"));
        assert_eq!(came.unwrap(), "job/setup is complete.");
        assert_eq!(told, ["job/setup is made again."]);
        is_made_again(&cluster);
    }
}

/// Whoever is killed after any of its writes has lost nothing.
#[tokio::test(start_paused = true)]
async fn a_job_that_is_being_made_again_is_never_lost() {
    for writes in 0..4 {
        let cluster = with(&[job("old", &complete())]);
        let site = site(&cluster);
        let steps = again();
        let written = || {
            let is_write = |verb: &str| matches!(verb, "create" | "delete");
            let all = cluster.requests();
            all.iter()
                .filter(|it| it.resource == "jobs" && is_write(it.verb))
                .count()
        };
        let killed = async {
            while written() < writes {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            () = killed => {}
            _ = enter(&site, &steps) => panic!("nobody ran the Job"),
        }
        let is_kept = ["setup", KEPT]
            .iter()
            .any(|name| cluster.object("jobs", NAMESPACE, name).is_some());
        assert!(is_kept, "after {writes} writes");
        let seen = cluster.object("jobs", NAMESPACE, "setup");
        let is_new = seen.is_some_and(|job| job["metadata"]["uid"] != "old");
        let old = if is_new { "none" } else { "old" };
        let ((came, _), ()) = tokio::join!(enter(&site, &steps), run_new(&cluster, old));
        assert_eq!(
            came.unwrap(),
            "job/setup is complete.",
            "after {writes} writes"
        );
        is_made_again(&cluster);
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_somebody_else_makes_in_between_is_left_to_them() {
    let cluster = with(&[job("old", &complete())]);
    let site = site(&cluster);
    let steps = again();
    let meddler = async {
        while cluster.object("jobs", NAMESPACE, KEPT).is_none() {
            tokio::task::yield_now().await;
        }
        cluster.insert(job("theirs", &complete()));
    };
    let ((came, told), ()) = tokio::join!(enter(&site, &steps), meddler);
    assert!(came.is_ok());
    assert_eq!(told, Vec::<String>::new());
    let seen = cluster.object("jobs", NAMESPACE, "setup").unwrap();
    assert_eq!(seen["metadata"]["uid"], "theirs");
    assert!(cluster.object("jobs", NAMESPACE, KEPT).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_job_is_awaited_and_its_failure_is_told() {
    let cluster = with(&[]);
    let site = site(&cluster);
    let error = enter(&site, &awaited()).await.0.unwrap_err().to_string();
    assert!(
        error.contains("job/setup: it was not complete") && error.contains("no such Job"),
        "{error}"
    );
    cluster.insert(job("old", &failed()));
    let error = enter(&site, &awaited()).await.0.unwrap_err().to_string();
    assert_eq!(
        error,
        "job/setup failed: BackoffLimitExceeded: Job has reached the limit"
    );
    cluster.insert(job("old", &json!({"active": 1})));
    let steps = again();
    let ((came, told), ()) = tokio::join!(enter(&site, &steps), run_new(&cluster, "none"));
    assert_eq!(
        (came.unwrap().as_str(), told.len()),
        ("job/setup is complete.", 0),
        "one that runs is let run"
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_is_left_while_a_job_runs() {
    let cluster = with(&[job("old", &json!({"active": 2}))]);
    let site = site(&cluster);
    let error = leave(&site, &awaited()).await.0.unwrap_err().to_string();
    assert!(error.contains("2 of its pods run"), "{error}");
    cluster.change("jobs", NAMESPACE, "setup", |job| job["status"] = complete());
    assert_eq!(
        leave(&site, &again()).await.0.unwrap(),
        "No pod is left of job/setup."
    );
}

#[tokio::test(start_paused = true)]
async fn a_job_that_cannot_be_made_again_is_told_before() {
    let mut own = job("old", &complete());
    own["spec"]["manualSelector"] = json!(true);
    let cluster = with(&[own]);
    let said = obstacles(&site(&cluster), &again()).await.unwrap();
    assert!(said[0].contains("manualSelector"), "{said:?}");
    let long = format!("job/{}", "a".repeat(60));
    let long = steps(json!([{"job": {"object": long, "recreate": true}}]));
    let said = obstacles(&site(&cluster), &long).await.unwrap();
    assert!(said[0].contains("no room"), "{said:?}");
    let needed = permissions(&again());
    assert_eq!(needed.len(), 5, "{needed:?}");
}

/// What is beside it under that name is somebody's.
#[tokio::test(start_paused = true)]
async fn a_kept_job_that_is_none_is_not_touched() {
    let mut theirs = job("theirs", &complete());
    theirs["metadata"]["name"] = json!(KEPT);
    let cluster = with(&[job("old", &complete()), theirs]);
    let error = enter(&site(&cluster), &again())
        .await
        .0
        .unwrap_err()
        .to_string();
    assert!(error.contains("that pgha has not made"), "{error}");
    for name in ["setup", KEPT] {
        assert!(cluster.object("jobs", NAMESPACE, name).is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn a_removal_without_an_answer_is_gone_on_with() {
    let cluster = with(&[job("old", &complete())]);
    let site = site(&cluster);
    let steps = again();
    cluster.fail(
        Fault::new(Failure::SilenceAfter)
            .verb("delete")
            .resource("jobs"),
    );
    let error = enter(&site, &steps).await.0.unwrap_err();
    assert!(matches!(error, ApplicationError::Call(_)), "{error}");
    cluster.heal();
    assert!(cluster.object("jobs", NAMESPACE, KEPT).is_some());
    let ((came, _), ()) = tokio::join!(enter(&site, &steps), run_new(&cluster, "old"));
    assert!(came.is_ok());
    is_made_again(&cluster);
}
