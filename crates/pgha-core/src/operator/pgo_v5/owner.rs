//! Who else writes an object: signs that GitOps tools and package managers leave on it.

use kube::ResourceExt as _;

use crate::diagnose::sanitised;
use crate::k8s::DynamicObject;

/// Everything that would write this object again, strongest sign first, in words for a person.
pub(super) fn managers_of(object: &DynamicObject) -> Vec<String> {
    let flux = [
        flux_owner(object, "kustomize.toolkit.fluxcd.io", "Kustomization"),
        flux_owner(object, "helm.toolkit.fluxcd.io", "HelmRelease"),
    ];
    let others = [
        argo_cd(object),
        helm(object),
        rancher_fleet(object),
        kapp(object),
        parent(object),
    ];
    flux.into_iter()
        .chain(others)
        .flatten()
        .map(|owner| sanitised(&owner))
        .collect()
}

/// Flux labels what it applies with `<group>/name` and `<group>/namespace` (fluxcd/pkg, `ssa/manager.go`), and leaves
/// alone what says `<group>/reconcile: disabled`.
fn flux_owner(object: &DynamicObject, group: &str, kind: &str) -> Option<String> {
    let name = label(object, &format!("{group}/name"))?;
    let namespace = label(object, &format!("{group}/namespace"))?;
    let switch = format!("{group}/reconcile");
    let is_disabled = [label(object, &switch), annotation(object, &switch)]
        .into_iter()
        .flatten()
        .any(|value| value == "disabled");
    (!is_disabled).then(|| format!("Flux {kind} {namespace}/{name}"))
}

/// Argo CD's tracking annotation is `application:group/Kind:namespace/name`; one that names another object was copied
/// along with a template and means nothing (Argo CD documentation, resource tracking).
fn argo_cd(object: &DynamicObject) -> Option<String> {
    if let Some(tracking) = annotation(object, "argocd.argoproj.io/tracking-id")
        && let Some((application, rest)) = tracking.split_once(':')
        && rest
            .rsplit_once(':')
            .is_some_and(|(_, tracked)| tracked == own_path(object))
    {
        return Some(format!("Argo CD application {application}"));
    }
    let applies = ["argocd-controller", "argocd-application-controller"];
    if !object
        .managed_fields()
        .iter()
        .filter_map(|entry| entry.manager.as_deref())
        .any(|manager| applies.contains(&manager))
    {
        return None;
    }
    let instance = label(object, "argocd.argoproj.io/instance")
        .or_else(|| label(object, "app.kubernetes.io/instance"));
    Some(instance.map_or_else(
        || "Argo CD".to_owned(),
        |application| format!("Argo CD application {application}"),
    ))
}

fn own_path(object: &DynamicObject) -> String {
    format!(
        "{}/{}",
        object.namespace().unwrap_or_default(),
        object.name_any()
    )
}

/// Helm marks what a release holds (Helm documentation, "Labels and Annotations").
fn helm(object: &DynamicObject) -> Option<String> {
    let release = annotation(object, "meta.helm.sh/release-name");
    let is_managed = label(object, "app.kubernetes.io/managed-by") == Some("Helm");
    match (
        release,
        annotation(object, "meta.helm.sh/release-namespace"),
    ) {
        (Some(name), Some(namespace)) => Some(format!("Helm release {namespace}/{name}")),
        (Some(name), None) => Some(format!("Helm release {name}")),
        (None, _) => is_managed.then(|| "Helm".to_owned()),
    }
}

fn rancher_fleet(object: &DynamicObject) -> Option<String> {
    annotation(object, "objectset.rio.cattle.io/id").map(|id| format!("Rancher Fleet {id}"))
}

fn kapp(object: &DynamicObject) -> Option<String> {
    label(object, "kapp.k14s.io/app").map(|app| format!("kapp app {app}"))
}

/// An object that owns this one renders it again.
fn parent(object: &DynamicObject) -> Option<String> {
    let owner = object
        .owner_references()
        .iter()
        .find(|owner| owner.controller == Some(true))?;
    Some(format!("{} {}", owner.kind, owner.name))
}

fn label<'a>(object: &'a DynamicObject, key: &str) -> Option<&'a str> {
    object.labels().get(key).map(String::as_str)
}

fn annotation<'a>(object: &'a DynamicObject, key: &str) -> Option<&'a str> {
    object.annotations().get(key).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn managers(mut metadata: Value) -> Vec<String> {
        metadata["name"] = json!("zitadel");
        metadata["namespace"] = json!("prod");
        let object = json!({"apiVersion": "a/v1", "kind": "K", "metadata": metadata});
        managers_of(&serde_json::from_value(object).unwrap())
    }

    #[test]
    fn flux_signs_by_labels() {
        let labels = json!({"kustomize.toolkit.fluxcd.io/name": "db",
            "kustomize.toolkit.fluxcd.io/namespace": "flux-system"});
        assert_eq!(
            managers(json!({"labels": labels})),
            ["Flux Kustomization flux-system/db"]
        );
        let disabled = json!({"kustomize.toolkit.fluxcd.io/reconcile": "disabled"});
        assert!(managers(json!({"labels": labels, "annotations": disabled})).is_empty());
        let release = json!({"helm.toolkit.fluxcd.io/name": "db",
            "helm.toolkit.fluxcd.io/namespace": "apps"});
        assert_eq!(
            managers(json!({"labels": release})),
            ["Flux HelmRelease apps/db"]
        );
    }

    #[test]
    fn argo_cd_signs_by_an_annotation_that_names_the_object() {
        let tracked =
            |id: &str| managers(json!({"annotations": {"argocd.argoproj.io/tracking-id": id}}));
        assert_eq!(
            tracked("db:g/PostgresCluster:prod/zitadel"),
            ["Argo CD application db"]
        );
        assert!(tracked("db:g/PostgresCluster:prod/another").is_empty());
        assert!(tracked("nonsense").is_empty());
    }

    #[test]
    fn argo_cd_signs_by_its_field_manager() {
        let fields = json!([{"manager": "argocd-controller", "operation": "Apply"}]);
        assert_eq!(managers(json!({"managedFields": fields})), ["Argo CD"]);
        let labels = json!({"app.kubernetes.io/instance": "db"});
        assert_eq!(
            managers(json!({"managedFields": fields, "labels": labels})),
            ["Argo CD application db"]
        );
        assert!(managers(json!({"labels": labels})).is_empty());
    }

    #[test]
    fn helm_and_the_others_sign_too() {
        let helm = json!({"labels": {"app.kubernetes.io/managed-by": "Helm"},
            "annotations": {"meta.helm.sh/release-name": "db", "meta.helm.sh/release-namespace": "prod"}});
        assert_eq!(managers(helm), ["Helm release prod/db"]);
        assert_eq!(
            managers(json!({"labels": {"kapp.k14s.io/app": "7"}})),
            ["kapp app 7"]
        );
        let owners = json!([{"apiVersion": "v1", "kind": "Database", "name": "db", "uid": "1", "controller": true}]);
        assert_eq!(
            managers(json!({"ownerReferences": owners})),
            ["Database db"]
        );
    }

    #[test]
    fn an_object_made_by_hand_has_no_manager() {
        let fields = json!([{"manager": "kubectl-client-side-apply", "operation": "Update"}]);
        assert!(managers(json!({"managedFields": fields})).is_empty());
    }
}
