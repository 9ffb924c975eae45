//! A platform in the hands of Argo CD: one Application that a person has applied, and it applies the other.

use anyhow::Result;
use serde_json::Value;

use super::{Platform, on_object, postgres_name, root_name};
use crate::gitops::argo;
use crate::site::Site;

/// The annotations by which Argo CD knows what it applied.
const MARKS: [&str; 2] = [
    "argocd.argoproj.io/tracking-id-",
    "kubectl.kubernetes.io/last-applied-configuration-",
];

/// Whoever wrote a field is named as its manager for as long as the object lives, and Argo CD's name alone is a sign of it. One empty
/// entry in the place of all takes them away (Kubernetes documentation, "Server-Side Apply", "Clearing managedFields").
const FORGET_WRITERS: [&str; 2] = [
    "--type=json",
    r#"--patch=[{"op":"replace","path":"/metadata/managedFields","value":[{}]}]"#,
];

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
    on_object(site, cluster, "patch", &FORGET_WRITERS)
}

/// What applies the other comes first.
fn names(cluster: &str) -> [String; 2] {
    [root_name(cluster), postgres_name(cluster)]
}
