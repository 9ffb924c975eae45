//! Owners that are held and let go, with a controller that acknowledges, and with one that does not.

use std::time::Duration;

use pgha_core::gitops::hold::{self, HoldError, Source, Turn};
use pgha_core::settle::pause;
use pgha_model::owner::{HOLD_ANNOTATION, HeldFor, Holds, Named, OwnerKind};
use pgha_model::record::Epoch;
use pgha_testkit::FakeCluster;
use serde_json::{Value, json};

use crate::site;

const LIMIT: Duration = Duration::from_secs(30);
/// For what never comes.
const SOON: Duration = Duration::from_millis(300);
const ASK_FLUX: &str = "reconcile.fluxcd.io/requestedAt";
const ASK_ARGO_CD: &str = "argocd.argoproj.io/refresh";

fn flux() -> (FakeCluster, Named) {
    let cluster = FakeCluster::new();
    let group = "kustomize.toolkit.fluxcd.io";
    cluster.install(group, "v1", "Kustomization", "kustomizations");
    cluster.insert(json!({"apiVersion": format!("{group}/v1"), "kind": "Kustomization",
        "metadata": {"name": "db", "namespace": "flux-system"}, "spec": {"interval": "1m", "timeout": "5m"}}));
    (cluster, named(OwnerKind::FluxKustomization, "flux-system"))
}

fn argo_cd(policy: &Value) -> (FakeCluster, Named) {
    let cluster = FakeCluster::new();
    cluster.install("argoproj.io", "v1alpha1", "Application", "applications");
    cluster.insert(
        json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
        "metadata": {"name": "db", "namespace": "argocd", "annotations": {"own": "kept"}},
        "spec": {"syncPolicy": policy}}),
    );
    (cluster, named(OwnerKind::ArgoCdApplication, "argocd"))
}

fn named(kind: OwnerKind, namespace: &str) -> Named {
    Named {
        kind,
        namespace: namespace.to_owned(),
        name: "db".to_owned(),
    }
}

fn mark(cluster: &str) -> HeldFor {
    HeldFor {
        cluster: cluster.to_owned(),
        epoch: Epoch(7),
        standby: false,
        may_differ: false,
    }
}

fn object(cluster: &FakeCluster, named: &Named) -> Value {
    let plural = plural(named);
    cluster
        .object(plural, &named.namespace, &named.name)
        .unwrap()
}

fn plural(named: &Named) -> &'static str {
    if named.kind == OwnerKind::ArgoCdApplication {
        "applications"
    } else {
        "kustomizations"
    }
}

fn holds(cluster: &FakeCluster, named: &Named) -> Option<Holds> {
    let object = object(cluster, named);
    Holds::from_text(object["metadata"]["annotations"][HOLD_ANNOTATION].as_str()?)
}

/// Answers each question as the controllers do, once nothing is under way.
async fn controller(cluster: &FakeCluster, named: &Named) {
    loop {
        let seen = object(cluster, named);
        let is_busy = seen["status"]["conditions"][0]["status"] == "True";
        if !is_busy {
            answer(cluster, named, &seen);
        }
        pause(Duration::from_millis(5)).await;
    }
}

fn answer(cluster: &FakeCluster, named: &Named, seen: &Value) {
    let annotations = &seen["metadata"]["annotations"];
    let is_new = annotations[ASK_FLUX] != seen["status"]["lastHandledReconcileAt"];
    if named.kind == OwnerKind::FluxKustomization && is_new {
        cluster.change(plural(named), &named.namespace, &named.name, |object| {
            object["status"]["lastHandledReconcileAt"] = annotations[ASK_FLUX].clone();
            object["status"]["observedGeneration"] = object["metadata"]["generation"].clone();
        });
    }
    if named.kind == OwnerKind::ArgoCdApplication && !annotations[ASK_ARGO_CD].is_null() {
        cluster.change(plural(named), &named.namespace, &named.name, |object| {
            let all = object["metadata"]["annotations"].as_object_mut().unwrap();
            all.remove(ASK_ARGO_CD);
        });
    }
}

/// Holds it for a cluster, beside a controller that answers.
async fn take(
    cluster: &FakeCluster,
    named: &Named,
    held_for: &str,
    limit: Duration,
) -> Result<(), HoldError> {
    let (core1, mark) = (site(cluster), mark(held_for));
    tokio::select! {
        done = hold::take(&core1, named, &mark, limit) => done,
        () = controller(cluster, named) => unreachable!("it never ends"),
    }
}

#[tokio::test]
async fn a_kustomization_is_held_once_it_has_acknowledged_it_and_let_go_as_it_was() {
    let (cluster, named) = flux();
    let core1 = site(&cluster);
    take(&cluster, &named, "prod/db", LIMIT).await.unwrap();
    let seen = object(&cluster, &named);
    assert_eq!(seen["spec"]["suspend"], true);
    let handled = &seen["status"]["lastHandledReconcileAt"];
    assert_eq!(*handled, seen["metadata"]["annotations"][ASK_FLUX]);
    let marks = holds(&cluster, &named).unwrap();
    assert_eq!((marks.before, marks.by), (None, vec![mark("prod/db")]));
    assert!(hold::let_go(&core1, &named, "prod/db").await.unwrap());
    assert_eq!(object(&cluster, &named)["spec"].get("suspend"), None);
    assert_eq!(holds(&cluster, &named), None);
}

#[tokio::test]
async fn an_application_keeps_its_policy_and_its_annotations() {
    let (cluster, named) = argo_cd(&json!({"automated": {"selfHeal": true, "enabled": true}}));
    let core1 = site(&cluster);
    take(&cluster, &named, "prod/db", LIMIT).await.unwrap();
    let policy = |cluster: &FakeCluster| object(cluster, &named)["spec"]["syncPolicy"].clone();
    let held = json!({"automated": {"selfHeal": true, "enabled": false}});
    assert_eq!(policy(&cluster), held);
    assert!(hold::let_go(&core1, &named, "prod/db").await.unwrap());
    let before = json!({"automated": {"selfHeal": true, "enabled": true}});
    assert_eq!(policy(&cluster), before);
    assert_eq!(
        object(&cluster, &named)["metadata"]["annotations"]["own"],
        "kept"
    );
}

#[tokio::test]
async fn an_application_that_is_not_automated_is_left_as_it_is() {
    let (cluster, named) = argo_cd(&json!({}));
    take(&cluster, &named, "prod/db", LIMIT).await.unwrap();
    assert_eq!(object(&cluster, &named)["spec"]["syncPolicy"], json!({}));
    assert_eq!(holds(&cluster, &named), None);
}

#[tokio::test]
async fn a_controller_that_is_down_or_at_work_has_not_acknowledged_anything() {
    let (cluster, named) = flux();
    let core1 = site(&cluster);
    let down = hold::take(&core1, &named, &mark("prod/db"), SOON).await;
    let Err(HoldError::Silent { seen, .. }) = down else {
        panic!("{down:?}");
    };
    assert!(seen.contains("it is down, or stuck"), "{seen}");
    // Its mark tells who is to let it go.
    assert!(holds(&cluster, &named).is_some());
    cluster.change("kustomizations", "flux-system", "db", |object| {
        object["status"]["conditions"] = json!([{"type": "Reconciling", "status": "True"}]);
    });
    let busy = take(&cluster, &named, "prod/db", SOON).await;
    let Err(HoldError::Silent { seen, .. }) = busy else {
        panic!("{busy:?}");
    };
    assert!(
        seen.contains("still at a turn, which may last 5m"),
        "{seen}"
    );
}

#[tokio::test]
async fn an_owner_of_two_clusters_is_let_go_by_the_last() {
    let (cluster, named) = flux();
    let core1 = site(&cluster);
    for name in ["prod/a", "prod/b"] {
        take(&cluster, &named, name, LIMIT).await.unwrap();
    }
    assert!(!hold::let_go(&core1, &named, "prod/a").await.unwrap());
    assert_eq!(object(&cluster, &named)["spec"]["suspend"], true);
    assert!(hold::let_go(&core1, &named, "prod/b").await.unwrap());
    assert_eq!(object(&cluster, &named)["spec"].get("suspend"), None);
}

#[tokio::test]
async fn a_writer_in_between_is_not_overwritten() {
    let (cluster, named) = flux();
    let other = cluster.clone();
    cluster.before_a_patch(move || {
        other.change("kustomizations", "flux-system", "db", |object| {
            object["metadata"]["annotations"] = json!({"theirs": "kept"});
        });
    });
    take(&cluster, &named, "prod/db", LIMIT).await.unwrap();
    let annotations = &object(&cluster, &named)["metadata"]["annotations"];
    assert_eq!(annotations["theirs"], "kept");
    assert!(holds(&cluster, &named).is_some());
}

/// What comes of a turn beside a controller that answers.
async fn resume(cluster: &FakeCluster, named: &Named, held_for: &str) -> Turn {
    let (core1, object) = (site(cluster), json!({}));
    let turn = tokio::select! {
        done = hold::resume(&core1, named, held_for, &object, LIMIT) => done,
        () = controller(cluster, named) => unreachable!("it never ends"),
    };
    turn.unwrap()
}

/// Compares as Argo CD does, and applies a while after that.
async fn argo_cd_that_syncs(cluster: &FakeCluster, named: &Named, becomes: &str) {
    let status = |status: &str| json!([{"kind": "PostgresCluster", "namespace": "prod", "name": "zitadel", "status": status}]);
    loop {
        let seen = object(cluster, named);
        if !seen["metadata"]["annotations"][ASK_ARGO_CD].is_null() {
            answer(cluster, named, &seen);
            for told in ["OutOfSync", becomes] {
                cluster.change(plural(named), &named.namespace, &named.name, |object| {
                    object["status"]["resources"] = status(told);
                });
                pause(Duration::from_millis(300)).await;
            }
        }
        pause(Duration::from_millis(5)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn argo_cd_has_applied_a_commit_once_it_says_so_of_the_object() {
    let subject =
        json!({"kind": "PostgresCluster", "metadata": {"namespace": "prod", "name": "zitadel"}});
    for becomes in ["Synced", "OutOfSync"] {
        let (cluster, named) = argo_cd(&json!({"automated": {"selfHeal": true}}));
        take(&cluster, &named, "prod/a", LIMIT).await.unwrap();
        let (core1, asked) = (site(&cluster), ("prod/a", &subject));
        let turn = tokio::select! {
            turn = hold::apply(&core1, &named, asked, Duration::from_secs(3)) => turn.unwrap(),
            () = argo_cd_that_syncs(&cluster, &named, becomes) => unreachable!("it never ends"),
        };
        assert_eq!(turn == Turn::Taken, becomes == "Synced", "{turn:?}");
        assert!(holds(&cluster, &named).is_some(), "the mark stays");
    }
}

#[tokio::test]
async fn a_turn_that_failed_tells_nothing_and_keeps_its_mark() {
    let (cluster, named) = flux();
    take(&cluster, &named, "prod/db", LIMIT).await.unwrap();
    assert_eq!(resume(&cluster, &named, "prod/db").await, Turn::Taken);
    assert_eq!(object(&cluster, &named)["spec"].get("suspend"), None);
    assert!(holds(&cluster, &named).is_some());
    cluster.change("kustomizations", "flux-system", "db", |object| {
        let message = "kustomization path not found";
        object["status"]["conditions"] = json!([{"type": "Ready", "status": "False",
            "reason": "ArtifactFailed", "message": message}]);
    });
    let turn = resume(&cluster, &named, "prod/db").await;
    let told = "ArtifactFailed: kustomization path not found".to_owned();
    assert_eq!(turn, Turn::Failed(told));
}

#[tokio::test]
async fn an_owner_that_another_cluster_needs_held_takes_no_turn() {
    let (cluster, named) = flux();
    for name in ["prod/a", "prod/b"] {
        take(&cluster, &named, name, LIMIT).await.unwrap();
    }
    let turn = resume(&cluster, &named, "prod/a").await;
    assert!(matches!(turn, Turn::Failed(_)), "{turn:?}");
    assert_eq!(object(&cluster, &named)["spec"]["suspend"], true);
    assert_eq!(holds(&cluster, &named).unwrap().by.len(), 2);
    let (core1, seen) = (site(&cluster), json!({}));
    let source = hold::ask_source(&core1, &named, ("prod/a", &seen), LIMIT).await;
    let Source::SaysOtherwise(because) = source.unwrap() else {
        panic!("its source was asked");
    };
    assert!(because.contains("held for prod/b too"), "{because}");
    // A person lets it work: that is not undone, and each takes its own mark away.
    cluster.change("kustomizations", "flux-system", "db", |object| {
        object["spec"]["suspend"] = json!(false);
    });
    let source = hold::ask_source(&core1, &named, ("prod/a", &seen), LIMIT).await;
    assert_eq!(source.unwrap(), Source::AtWork);
    assert_eq!(resume(&cluster, &named, "prod/a").await, Turn::Taken);
    assert!(hold::let_go(&core1, &named, "prod/a").await.unwrap());
    assert_eq!(object(&cluster, &named)["spec"]["suspend"], false);
    assert_eq!(holds(&cluster, &named).unwrap().by.len(), 1);
}
