//! Who owns the operator's object, by what the owners' own objects say.

use pgha_core::gitops::Closeness;
use pgha_core::survey::{Depth, survey_with_owners};
use pgha_model::owner::{Owner, Reverts};
use pgha_testkit::{Failure, FakeCluster, Fault};
use serde_json::{Value, json};

use crate::survey::primary;
use crate::{NAMESPACE, site};

const FLUX: &str = "kustomize.toolkit.fluxcd.io";
const OBJECT: &str = "prod-iam-zitadel_zitadel_postgres-operator.crunchydata.com_PostgresCluster";

async fn owners(cluster: &FakeCluster, closeness: Closeness) -> Vec<Owner> {
    let survey = survey_with_owners(&site(cluster), "zitadel", Depth::Leader, closeness).await;
    survey.unwrap().object.owners
}

fn with_flux(cluster: FakeCluster) -> FakeCluster {
    cluster.install(FLUX, "v1", "Kustomization", "kustomizations");
    cluster
}

fn with_argo_cd(cluster: FakeCluster) -> FakeCluster {
    cluster.install("argoproj.io", "v1alpha1", "Application", "applications");
    cluster.install("argoproj.io", "v1alpha1", "AppProject", "appprojects");
    cluster
}

/// A Kustomization that has applied the operator's object.
fn kustomization(name: &str, spec: &Value) -> Value {
    let mut spec = spec.clone();
    spec["interval"] = json!("10m0s");
    spec["sourceRef"] = json!({"kind": "GitRepository", "name": "platform"});
    json!({"apiVersion": format!("{FLUX}/v1"), "kind": "Kustomization",
        "metadata": {"name": name, "namespace": "flux-system"}, "spec": spec,
        "status": {"lastAppliedRevision": "main@sha1:1f", "inventory": {"entries": [{"id": OBJECT, "v": "v1beta1"}]}}})
}

/// An application that has the operator's object among what it manages.
fn application(namespace: &str, name: &str, policy: &Value) -> Value {
    json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
        "metadata": {"name": name, "namespace": namespace}, "spec": {"syncPolicy": policy},
        "status": {"sync": {"revision": "2f"}, "resources": [{"group": "postgres-operator.crunchydata.com",
            "kind": "PostgresCluster", "namespace": NAMESPACE, "name": "zitadel", "status": "OutOfSync"}]}})
}

fn reverts(owner: &Owner) -> &Reverts {
    &owner.state.as_seen().unwrap().reverts
}

#[tokio::test]
async fn a_kustomization_says_when_it_takes_a_change_back() {
    let cluster = with_flux(primary().managed_by_flux().build());
    cluster.insert(kustomization("databases", &json!({})));
    let owner = owners(&cluster, Closeness::Signed).await.remove(0);
    let within = Reverts::Within {
        interval: "10m0s".to_owned(),
    };
    assert_eq!(reverts(&owner), &within);
    assert_eq!(owner.evidence.len(), 2, "{owner:?}");
    let state = owner.state.as_seen().unwrap();
    assert_eq!(
        state.source.as_deref(),
        Some("GitRepository flux-system/platform")
    );
    assert_eq!(state.revision.as_deref(), Some("main@sha1:1f"));
    assert!(!owner.is_held());
}

#[tokio::test]
async fn a_suspended_kustomization_is_held_once_its_turn_has_ended() {
    let cluster = with_flux(primary().managed_by_flux().build());
    cluster.insert(kustomization("databases", &json!({"suspend": true})));
    assert!(owners(&cluster, Closeness::Signed).await[0].is_held());
    cluster.change("kustomizations", "flux-system", "databases", |object| {
        object["status"]["conditions"] = json!([{"type": "Reconciling", "status": "True"}]);
    });
    assert!(!owners(&cluster, Closeness::Signed).await[0].is_held());
}

#[tokio::test]
async fn a_parent_that_names_the_hold_undoes_it() {
    let cluster = with_flux(primary().managed_by_flux().build());
    let mut child = kustomization("databases", &json!({"suspend": true}));
    child["metadata"]["labels"] = json!({"kustomize.toolkit.fluxcd.io/name": "flux-system",
        "kustomize.toolkit.fluxcd.io/namespace": "flux-system"});
    let applied = |fields: Value| {
        json!([{"manager": "kustomize-controller", "operation": "Apply", "apiVersion": "v1",
            "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": fields}}])
    };
    child["metadata"]["managedFields"] = applied(json!({"f:interval": {}}));
    cluster.insert(child);
    // Flux' bootstrap has the root apply itself.
    let mut root = kustomization("flux-system", &json!({}));
    root["metadata"]["labels"] = json!({"kustomize.toolkit.fluxcd.io/name": "flux-system",
        "kustomize.toolkit.fluxcd.io/namespace": "flux-system"});
    cluster.insert(root);
    let owner = owners(&cluster, Closeness::Signed).await.remove(0);
    assert_eq!(owner.parents.len(), 1, "{:?}", owner.parents);
    assert!(owner.is_held() && !owner.parents[0].undoes_hold);
    cluster.change("kustomizations", "flux-system", "databases", |object| {
        object["metadata"]["managedFields"] = applied(json!({"f:suspend": {}}));
    });
    let owner = owners(&cluster, Closeness::Signed).await.remove(0);
    assert!(!owner.is_held(), "{}", owner.told());
}

#[tokio::test]
async fn two_kustomizations_that_claim_one_object_are_both_told() {
    let cluster = with_flux(primary().managed_by_flux().build());
    cluster.insert(kustomization("databases", &json!({"suspend": true})));
    cluster.insert(kustomization("staging", &json!({})));
    let mut other = kustomization("other", &json!({}));
    other["status"]["inventory"] = json!({"entries": []});
    cluster.insert(other);
    let found = owners(&cluster, Closeness::Claimants).await;
    let names: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(
        names,
        [
            "Flux Kustomization flux-system/databases",
            "Flux Kustomization flux-system/staging"
        ]
    );
    assert!(found[0].is_held() && !found[1].is_held());
    assert_eq!(owners(&cluster, Closeness::Signed).await.len(), 1);
}

#[tokio::test]
async fn an_owner_that_cannot_be_read_is_taken_for_one_that_reverts() {
    let cluster = with_flux(primary().managed_by_flux().build());
    let owner = owners(&cluster, Closeness::Claimants).await.remove(0);
    let because = "`core1` has no such object: Flux may run in another cluster";
    assert_eq!(owner.state.seen(), Err(because));
    assert!(!owner.is_held());
    cluster.insert(kustomization("databases", &json!({"suspend": true})));
    cluster.fail(Fault::new(Failure::Forbidden).resource("kustomizations"));
    let owner = owners(&cluster, Closeness::Claimants).await.remove(0);
    assert!(owner.state.seen().unwrap_err().contains("does not permit"));
    assert!(!owner.is_held());
    let told = owner.told();
    assert!(
        told.contains("Whether others claim the object too was not seen: "),
        "{told}"
    );
}

#[tokio::test]
async fn a_helm_release_reverts_only_where_it_detects_drift() {
    let cluster = primary().build();
    cluster.install(
        "helm.toolkit.fluxcd.io",
        "v2",
        "HelmRelease",
        "helmreleases",
    );
    cluster.change("postgresclusters", NAMESPACE, "zitadel", |object| {
        object["metadata"]["labels"]["helm.toolkit.fluxcd.io/name"] = json!("db");
        object["metadata"]["labels"]["helm.toolkit.fluxcd.io/namespace"] = json!("apps");
    });
    cluster.insert(json!({"apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease",
        "metadata": {"name": "db", "namespace": "apps"},
        "spec": {"interval": "5m", "chart": {"spec": {"sourceRef": {"kind": "HelmRepository", "name": "charts"}}}}}));
    let owner = owners(&cluster, Closeness::Signed).await.remove(0);
    assert_eq!(reverts(&owner), &Reverts::NextChange);
    cluster.change("helmreleases", "apps", "db", |object| {
        object["spec"]["driftDetection"] = json!({"mode": "enabled"});
    });
    let owner = owners(&cluster, Closeness::Signed).await.remove(0);
    let within = Reverts::Within {
        interval: "5m".to_owned(),
    };
    assert_eq!(reverts(&owner), &within);
    assert_eq!(owner.to_string(), "Flux HelmRelease apps/db");
}

#[tokio::test]
async fn an_application_says_when_it_takes_a_change_back() {
    let policies = [
        (json!(null), Reverts::ByHand),
        (json!({"automated": {}}), Reverts::NextChange),
        (json!({"automated": {"selfHeal": true}}), Reverts::AtOnce),
    ];
    for (policy, expected) in policies {
        let cluster = with_argo_cd(primary().managed_by_argo_cd().build());
        cluster.insert(application("argocd", "databases", &policy));
        let owner = owners(&cluster, Closeness::Signed).await.remove(0);
        assert_eq!(reverts(&owner), &expected, "{policy}");
        assert!(owner.told().contains("out of sync already"));
    }
    let off = json!({"automated": {"enabled": false, "selfHeal": true}});
    let cluster = with_argo_cd(primary().managed_by_argo_cd().build());
    cluster.insert(application("argocd", "databases", &off));
    assert!(owners(&cluster, Closeness::Signed).await[0].is_held());
    cluster.change("applications", "argocd", "databases", |object| {
        object["operation"] = json!({"sync": {}});
    });
    let owner = owners(&cluster, Closeness::Signed).await.remove(0);
    assert!(!owner.is_held(), "an operation is under way: {owner:?}");
}

#[tokio::test]
async fn the_sync_windows_of_a_project_are_told() {
    let project = |window: &Value| {
        json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject",
            "metadata": {"name": "default", "namespace": "argocd"}, "spec": {"syncWindows": [window]}})
    };
    let mut window = json!({"kind": "deny", "schedule": "0 22 * * *", "duration": "1h", "applications": ["data*"]});
    let cluster = with_argo_cd(primary().managed_by_argo_cd().build());
    let policy = json!({"automated": {"selfHeal": true}});
    cluster.insert(application("argocd", "databases", &policy));
    cluster.insert(project(&window));
    let owner = owners(&cluster, Closeness::Signed).await.remove(0);
    let told = owner.told();
    assert!(told.contains("deny `0 22 * * *` for 1h"), "{told}");
    window["applications"] = json!(["other"]);
    cluster.insert(project(&window));
    let owner = owners(&cluster, Closeness::Signed).await.remove(0);
    assert_eq!(owner.windows, None);
    cluster.fail(Fault::new(Failure::Forbidden).resource("appprojects"));
    let owner = owners(&cluster, Closeness::Signed).await.remove(0);
    assert!(owner.told().contains("sync windows was not seen"));
}

#[tokio::test]
async fn an_application_is_found_where_argo_cd_is() {
    let cluster = with_argo_cd(primary().managed_by_argo_cd().build());
    cluster.insert(application("gitops", "databases", &json!(null)));
    let owner = owners(&cluster, Closeness::Signed).await.remove(0);
    assert_eq!(owner.to_string(), "Argo CD application gitops/databases");
    let elsewhere = primary().managed_by_argo_cd().build();
    let owner = owners(&elsewhere, Closeness::Signed).await.remove(0);
    let because = owner.state.seen().unwrap_err();
    assert!(because.contains("may run in another cluster"), "{because}");
}

#[tokio::test]
async fn a_label_alone_is_a_sign_only_if_its_application_says_the_same() {
    let labelled = || {
        let site = primary().object(|object| {
            object["metadata"]["labels"]["app.kubernetes.io/instance"] = json!("databases");
        });
        site.build()
    };
    assert!(owners(&labelled(), Closeness::Claimants).await.is_empty());
    let cluster = with_argo_cd(labelled());
    let mut stranger = application("argocd", "databases", &json!(null));
    stranger["status"]["resources"] = json!([]);
    cluster.insert(stranger);
    assert!(owners(&cluster, Closeness::Claimants).await.is_empty());
    cluster.insert(application("argocd", "databases", &json!(null)));
    let owner = owners(&cluster, Closeness::Claimants).await.remove(0);
    assert_eq!(owner.to_string(), "Argo CD application argocd/databases");
}

#[tokio::test]
async fn an_object_that_nobody_signed_costs_no_request() {
    let cluster = primary().build();
    assert!(owners(&cluster, Closeness::Claimants).await.is_empty());
    assert_eq!(cluster.requests().len(), 4);
}

#[tokio::test]
async fn claimants_are_not_looked_for_among_any_number() {
    let cluster = with_flux(primary().managed_by_flux().build());
    cluster.insert(kustomization("databases", &json!({"suspend": true})));
    for number in 0..500 {
        let mut other = kustomization(&format!("other-{number}"), &json!({}));
        other["status"] = json!({});
        cluster.insert(other);
    }
    let owner = owners(&cluster, Closeness::Claimants).await.remove(0);
    let told = owner.told();
    assert!(told.contains("has more than 500 of them"), "{told}");
}
