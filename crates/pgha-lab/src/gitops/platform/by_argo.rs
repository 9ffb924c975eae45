//! A platform in the hands of Argo CD: one Application that a person has applied, and it applies the other.

use anyhow::Result;
use serde_json::{Value, json};

use super::{Platform, object, on_object, postgres_name, root_name};
use crate::gitops::argo;
use crate::site::Site;

/// The annotations by which Argo CD knows what it applied.
const MARKS: [&str; 2] = [
    "argocd.argoproj.io/tracking-id-",
    "kubectl.kubernetes.io/last-applied-configuration-",
];

/// What the managers of fields that Argo CD writes are called by (Argo CD documentation, "Server-Side Apply").
const WRITER: &str = "argocd-";

pub(super) fn roots(site: Site, cluster: &str) -> Vec<Value> {
    let folder = format!("{}/argo", Platform::rendered(site));
    vec![argo::application(
        &root_name(cluster),
        cluster,
        &folder,
        argo::NAMESPACE,
    )]
}

pub(super) fn fetch(site: Site, cluster: &str) -> Result<()> {
    for name in names(cluster) {
        argo::refresh(site, &name)?;
    }
    Ok(())
}

pub(super) fn await_applied(site: Site, cluster: &str, commit: &str) -> Result<()> {
    for name in names(cluster) {
        argo::await_synced(site, &name, commit)?;
    }
    Ok(())
}

/// Lets a pair go: an Application without a finalizer leaves what it applied. Marks stay where Argo CD is gone, and mean it is elsewhere.
pub(super) fn release(site: Site, cluster: &str) -> Result<()> {
    if argo::is_served(site)? {
        for name in names(cluster) {
            argo::delete(site, &name)?;
        }
    }
    on_object(site, cluster, "annotate", &MARKS)?;
    forget_writer(site, cluster)
}

/// Whoever wrote a field is named as its manager for as long as the object lives, and Argo CD's name alone is a sign of it. Only its
/// entries go: Flux takes what nobody is named for as its own, and whatever of that is not in Git away.
fn forget_writer(site: Site, cluster: &str) -> Result<()> {
    let Some(object) = object(site, cluster)? else {
        return Ok(());
    };
    let entries = object["metadata"]["managedFields"].as_array();
    let managers = entries.into_iter().flatten().map(|it| &it["manager"]);
    let is_its = |manager: &Value| manager.as_str().is_some_and(|it| it.starts_with(WRITER));
    let its = managers.enumerate().filter(|(_, manager)| is_its(manager));
    let mut changes = Vec::new();
    for (index, manager) in its.collect::<Vec<_>>().into_iter().rev() {
        let path = format!("/metadata/managedFields/{index}");
        changes.push(json!({ "op": "test", "path": format!("{path}/manager"), "value": manager }));
        changes.push(json!({ "op": "remove", "path": path }));
    }
    if changes.is_empty() {
        return Ok(());
    }
    let patch = format!("--patch={}", Value::from(changes));
    on_object(site, cluster, "patch", &["--type=json", &patch])
}

/// What applies the other comes first.
fn names(cluster: &str) -> [String; 2] {
    [root_name(cluster), postgres_name(cluster)]
}
