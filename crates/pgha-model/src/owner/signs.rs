//! The signs that GitOps tools and package managers leave on an object.

use serde_json::Value;

use super::{Owner, OwnerKind};

/// How a text of an object's becomes fit for a terminal.
pub type Clean = fn(&str) -> String;

/// How Argo CD's controller signs what it writes: by server-side apply, and by its client's own (`gitops-engine`,
/// `pkg/utils/kube/resource_ops.go`; measured with 3.2.11).
pub const ARGO_CD_MANAGERS: [&str; 2] = ["argocd-controller", "argocd-application-controller"];

/// Flux' two controllers, and the label group by which each signs (fluxcd/pkg, `ssa/manager.go`).
const FLUX: [(OwnerKind, &str); 2] = [
    (OwnerKind::FluxKustomization, "kustomize.toolkit.fluxcd.io"),
    (OwnerKind::FluxHelmRelease, "helm.toolkit.fluxcd.io"),
];

/// Everybody whose sign is on the object, the strongest sign first; `metadata` is the object's own, as JSON.
///
/// What is of another form than the tools write counts as not there.
pub fn signed(metadata: &Value, clean: Clean) -> Vec<Owner> {
    let signs = Signs { metadata, clean };
    let flux = FLUX
        .into_iter()
        .filter_map(|(kind, group)| signs.flux(kind, group));
    let others = [
        signs.argo_cd(),
        signs.helm(),
        signs.rancher_fleet(),
        signs.kapp(),
        signs.controller(),
    ];
    flux.chain(others.into_iter().flatten()).collect()
}

/// The application that the weakest sign names: a label that Argo CD uses where it tracks by labels, and that many write who
/// have nothing to do with it (Argo CD documentation, "Resource Tracking"). It means something only if that application says the
/// same.
pub fn label_tracked(metadata: &Value, clean: Clean) -> Option<String> {
    let signs = Signs { metadata, clean };
    signs.label("app.kubernetes.io/instance").map(clean)
}

/// Who was the last to write a field, where another manager than those given has it and they have not: `path` is of field names.
///
/// From `metadata.managedFields` (Kubernetes documentation, "Server-Side Apply", "Field management"): one who changes a field takes
/// it from whoever had it.
pub fn writer_of<'a>(metadata: &'a Value, path: &[&str], owners: &[&str]) -> Option<&'a str> {
    let entries = metadata.get("managedFields")?.as_array()?;
    let of = |entry: &'a Value| {
        let fields = entry.get("fieldsV1")?;
        let mut names = path.iter();
        names.try_fold(fields, |fields, name| fields.get(format!("f:{name}")))?;
        entry.get("manager")?.as_str()
    };
    let mut writers: Vec<&str> = entries.iter().filter_map(of).collect();
    if writers.iter().any(|writer| owners.contains(writer)) {
        return None;
    }
    writers.pop()
}

struct Signs<'a> {
    metadata: &'a Value,
    clean: Clean,
}

impl<'a> Signs<'a> {
    fn label(&self, key: &str) -> Option<&'a str> {
        self.metadata.get("labels")?.get(key)?.as_str()
    }

    fn annotation(&self, key: &str) -> Option<&'a str> {
        self.metadata.get("annotations")?.get(key)?.as_str()
    }

    fn text(&self, key: &str) -> &'a str {
        let text = self.metadata.get(key).and_then(Value::as_str);
        text.unwrap_or_default()
    }

    fn owner(
        &self,
        kind: OwnerKind,
        namespace: Option<&str>,
        name: Option<&str>,
        evidence: impl Into<String>,
    ) -> Owner {
        let clean = |text: Option<&str>| text.map(self.clean);
        Owner::by_sign(kind, clean(namespace), clean(name), evidence)
    }

    /// Flux labels what it applies with `<group>/name` and `<group>/namespace`, and leaves alone what says `<group>/reconcile:
    /// disabled` or, live, `<group>/ssa: Ignore` (Flux documentation, "Kustomization", "Controlling the apply behavior").
    fn flux(&self, kind: OwnerKind, group: &str) -> Option<Owner> {
        let name = self.label(&format!("{group}/name"))?;
        let namespace = self.label(&format!("{group}/namespace"));
        let evidence = format!("label {group}/name");
        let mut owner = self.owner(kind, namespace, Some(name), evidence);
        let switches = [("reconcile", "disabled"), ("ssa", "Ignore")];
        owner.exempt = switches.into_iter().find_map(|(switch, off)| {
            let key = format!("{group}/{switch}");
            let values = [self.label(&key), self.annotation(&key)];
            let is_off = values
                .into_iter()
                .flatten()
                .any(|value| value.eq_ignore_ascii_case(off));
            is_off.then(|| format!("{key}: {off}"))
        });
        Some(owner)
    }

    /// Argo CD's tracking annotation is `application:group/Kind:namespace/name`; one that names another object was copied along
    /// with a template and means nothing (Argo CD documentation, "Resource Tracking"). The application of another namespace than Argo
    /// CD's is `namespace_name`.
    fn argo_cd(&self) -> Option<Owner> {
        let key = "argocd.argoproj.io/tracking-id";
        let kind = OwnerKind::ArgoCdApplication;
        if let Some(tracking) = self.annotation(key)
            && let Some((application, rest)) = tracking.split_once(':')
            && rest
                .rsplit_once(':')
                .is_some_and(|(_, tracked)| tracked == self.path())
        {
            let (namespace, name) = match application.split_once('_') {
                Some((namespace, name)) => (Some(namespace), name),
                None => (None, application),
            };
            return Some(self.owner(kind, namespace, Some(name), format!("annotation {key}")));
        }
        let manager = self
            .managers()
            .find(|manager| ARGO_CD_MANAGERS.contains(manager))?;
        let label = ["argocd.argoproj.io/instance", "app.kubernetes.io/instance"]
            .into_iter()
            .find_map(|key| self.label(key));
        Some(self.owner(kind, None, label, format!("field manager {manager}")))
    }

    fn path(&self) -> String {
        format!("{}/{}", self.text("namespace"), self.text("name"))
    }

    /// The managers that have written what an object is to be. What a controller writes of its own objects, as Argo CD's does of an
    /// `Application`, is no sign (seen with 3.2.11: `status`, `operation`, and an annotation that it takes away).
    fn managers(&self) -> impl Iterator<Item = &'a str> {
        let entries = self.metadata.get("managedFields").and_then(Value::as_array);
        let entries = entries.map(Vec::as_slice).unwrap_or_default();
        let is_desired =
            |field: &String| !["f:metadata", "f:status", "f:operation"].contains(&field.as_str());
        entries.iter().filter_map(move |entry| {
            let fields = entry.get("fieldsV1")?.as_object()?;
            let manager = entry.get("manager")?.as_str()?;
            fields.keys().any(is_desired).then_some(manager)
        })
    }

    /// Helm marks what a release holds (Helm documentation, "Labels and Annotations"). Flux signs what it had Helm install, too.
    fn helm(&self) -> Option<Owner> {
        if self.label("helm.toolkit.fluxcd.io/name").is_some() {
            return None;
        }
        let key = "meta.helm.sh/release-name";
        let kind = OwnerKind::HelmRelease;
        match self.annotation(key) {
            Some(name) => {
                let namespace = self.annotation("meta.helm.sh/release-namespace");
                Some(self.owner(kind, namespace, Some(name), format!("annotation {key}")))
            }
            None if self.label("app.kubernetes.io/managed-by") == Some("Helm") => {
                Some(self.owner(kind, None, None, "label app.kubernetes.io/managed-by"))
            }
            None => None,
        }
    }

    fn rancher_fleet(&self) -> Option<Owner> {
        let key = "objectset.rio.cattle.io/id";
        let id = self.annotation(key)?;
        let evidence = format!("annotation {key}");
        Some(self.owner(OwnerKind::RancherFleet, None, Some(id), evidence))
    }

    fn kapp(&self) -> Option<Owner> {
        let key = "kapp.k14s.io/app";
        let app = self.label(key)?;
        Some(self.owner(OwnerKind::KappApp, None, Some(app), format!("label {key}")))
    }

    /// An object that owns this one renders it again.
    fn controller(&self) -> Option<Owner> {
        let references = self.metadata.get("ownerReferences")?.as_array()?;
        let is_controller =
            |reference: &&Value| reference.get("controller") == Some(&Value::Bool(true));
        let owner = references.iter().find(is_controller)?;
        let of = |key: &str| owner.get(key).and_then(Value::as_str).unwrap_or_default();
        let name = format!("{} {}", of("kind"), of("name"));
        Some(self.owner(OwnerKind::Controller, None, Some(&name), "owner reference"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn owners(mut metadata: Value) -> Vec<Owner> {
        metadata["name"] = json!("zitadel");
        metadata["namespace"] = json!("prod");
        signed(&metadata, str::to_owned)
    }

    fn names(metadata: Value) -> Vec<String> {
        owners(metadata).iter().map(Owner::to_string).collect()
    }

    #[test]
    fn flux_signs_by_labels() {
        let labels = json!({"kustomize.toolkit.fluxcd.io/name": "db",
            "kustomize.toolkit.fluxcd.io/namespace": "flux-system"});
        assert_eq!(
            names(json!({"labels": labels})),
            ["Flux Kustomization flux-system/db"]
        );
        let release = json!({"helm.toolkit.fluxcd.io/name": "db", "app.kubernetes.io/managed-by": "Helm",
            "helm.toolkit.fluxcd.io/namespace": "apps"});
        assert_eq!(
            names(json!({"labels": release})),
            ["Flux HelmRelease apps/db"]
        );
    }

    #[test]
    fn what_flux_is_told_to_leave_alone_is_said() {
        let labels = json!({"kustomize.toolkit.fluxcd.io/name": "db",
            "kustomize.toolkit.fluxcd.io/namespace": "flux-system"});
        for (switch, value) in [("reconcile", "disabled"), ("ssa", "ignore")] {
            let key = format!("kustomize.toolkit.fluxcd.io/{switch}");
            let found = owners(json!({"labels": labels, "annotations": {key: value}}));
            assert!(found[0].is_held(), "{switch}");
        }
        let found = owners(json!({"labels": labels,
            "annotations": {"kustomize.toolkit.fluxcd.io/reconcile": "enabled"}}));
        assert!(!found[0].is_held());
    }

    #[test]
    fn argo_cd_signs_by_an_annotation_that_names_the_object() {
        let tracked =
            |id: &str| names(json!({"annotations": {"argocd.argoproj.io/tracking-id": id}}));
        assert_eq!(
            tracked("db:g/PostgresCluster:prod/zitadel"),
            ["Argo CD application db"]
        );
        assert_eq!(
            tracked("team_db:g/PostgresCluster:prod/zitadel"),
            ["Argo CD application team/db"]
        );
        assert!(tracked("db:g/PostgresCluster:prod/another").is_empty());
        assert!(tracked("nonsense").is_empty());
    }

    #[test]
    fn argo_cd_signs_by_its_field_manager() {
        let written =
            |field: &str| json!([{"manager": "argocd-controller", "fieldsV1": {field: {}}}]);
        let fields = written("f:spec");
        assert_eq!(names(json!({"managedFields": fields})), ["Argo CD"]);
        for of_its_own in ["f:status", "f:operation", "f:metadata"] {
            assert!(names(json!({"managedFields": written(of_its_own)})).is_empty());
        }
        let labels = json!({"app.kubernetes.io/instance": "db"});
        assert_eq!(
            names(json!({"managedFields": fields, "labels": labels})),
            ["Argo CD application db"]
        );
        assert!(names(json!({"labels": labels})).is_empty());
        assert_eq!(
            label_tracked(&json!({"labels": labels}), str::to_owned).as_deref(),
            Some("db")
        );
    }

    #[test]
    fn helm_and_the_others_sign_too() {
        let helm = json!({"labels": {"app.kubernetes.io/managed-by": "Helm"},
            "annotations": {"meta.helm.sh/release-name": "db", "meta.helm.sh/release-namespace": "prod"}});
        assert_eq!(names(helm), ["Helm release prod/db"]);
        let labelled = json!({"labels": {"app.kubernetes.io/managed-by": "Helm"}});
        assert_eq!(names(labelled), ["Helm"]);
        assert_eq!(
            names(json!({"labels": {"kapp.k14s.io/app": "7"}})),
            ["kapp app 7"]
        );
        assert_eq!(
            names(json!({"annotations": {"objectset.rio.cattle.io/id": "default-db"}})),
            ["Rancher Fleet default-db"]
        );
        let owners = json!([{"apiVersion": "v1", "kind": "Database", "name": "db", "uid": "1", "controller": true}]);
        assert_eq!(names(json!({"ownerReferences": owners})), ["Database db"]);
    }

    #[test]
    fn an_object_made_by_hand_has_no_owner() {
        let fields = json!([{"manager": "kubectl-client-side-apply", "operation": "Update"}]);
        assert!(names(json!({"managedFields": fields})).is_empty());
        assert!(signed(&json!("nonsense"), str::to_owned).is_empty());
    }

    #[test]
    fn who_took_a_field_from_its_owner_is_named() {
        let field = json!({"f:spec": {"f:standby": {"f:enabled": {}}}});
        let with = |managers: &[&str]| {
            let entries: Vec<Value> = managers
                .iter()
                .map(|manager| json!({"manager": manager, "fieldsV1": field}))
                .collect();
            json!({"managedFields": entries})
        };
        let standby = ["spec", "standby"];
        let flux = ["kustomize-controller"];
        assert_eq!(
            writer_of(&with(&["kubectl-edit"]), &standby, &flux),
            Some("kubectl-edit")
        );
        let both = with(&["kustomize-controller", "kubectl-edit"]);
        assert_eq!(writer_of(&both, &standby, &flux), None);
        assert_eq!(writer_of(&json!({}), &standby, &flux), None);
    }
}
