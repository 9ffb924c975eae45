//! Who would write an object again, by the signs that they leave on it: pure.

use kube::ResourceExt as _;
use kube::api::DynamicObject;
use pgha_nlb::text::one_line;

/// How Flux signs (fluxcd/pkg, `ssa/manager.go`).
const FLUX: [(&str, &str); 2] = [
    ("kustomize.toolkit.fluxcd.io", "Kustomization"),
    ("helm.toolkit.fluxcd.io", "HelmRelease"),
];

/// How Argo CD writes.
const ARGO_CD: [&str; 2] = ["argocd-controller", "argocd-application-controller"];

/// Everybody who would, strongest sign first.
pub(crate) fn owners_of(object: &DynamicObject) -> Vec<String> {
    let (labels, annotations) = (object.labels(), object.annotations());
    let mut owners = Vec::new();
    for (group, kind) in FLUX {
        let switch = format!("{group}/reconcile");
        let switches = [labels.get(&switch), annotations.get(&switch)];
        let is_off = switches
            .into_iter()
            .flatten()
            .any(|value| value == "disabled");
        let name = labels.get(&format!("{group}/name")).filter(|_| !is_off);
        owners.extend(name.map(|name| format!("Flux {kind} {name}")));
    }
    // An id that names another object was copied with a template (Argo CD documentation, resource tracking).
    let path = format!(
        ":{}/{}",
        object.namespace().unwrap_or_default(),
        object.name_any()
    );
    let tracking = annotations.get("argocd.argoproj.io/tracking-id");
    let tracked = tracking
        .filter(|id| id.ends_with(&path))
        .and_then(|id| id.split(':').next());
    let mut managers = object
        .managed_fields()
        .iter()
        .filter_map(|entry| entry.manager.as_deref());
    if let Some(application) = tracked {
        owners.push(format!("Argo CD application {application}"));
    } else if managers.any(|manager| ARGO_CD.contains(&manager)) {
        owners.push("Argo CD".to_owned());
    }
    let release = annotations.get("meta.helm.sh/release-name");
    owners.extend(release.map(|release| format!("Helm release {release}, at its next upgrade")));
    let mut parents = object.owner_references().iter();
    let parent = parents.find(|owner| owner.controller == Some(true));
    owners.extend(parent.map(|owner| format!("{} {}", owner.kind, owner.name)));
    owners.iter().map(|owner| one_line(owner)).collect()
}
