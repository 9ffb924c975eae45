//! A platform in the hands of Flux: one Kustomization that a person has applied, and it applies the others.

use anyhow::Result;
use serde_json::Value;

use super::{Platform, app_name, on_object, postgres_name, root_name};
use crate::gitops::flux;
use crate::kubectl::Kubectl;
use crate::site::Site;

/// The labels by which Flux knows what it applied.
const MARKS: [&str; 2] = [
    "kustomize.toolkit.fluxcd.io/name-",
    "kustomize.toolkit.fluxcd.io/namespace-",
];

pub(super) fn roots(site: Site, cluster: &str) -> Vec<Value> {
    let folder = format!("./{}/holos/components", Platform::rendered(site));
    vec![
        flux::repository(cluster),
        flux::kustomization(&root_name(cluster), cluster, &folder),
    ]
}

pub(super) fn fetch(site: Site, cluster: &str) -> Result<()> {
    flux::reconcile(site, &format!("gitrepository/{cluster}")).map(drop)
}

pub(super) fn await_applied(site: Site, cluster: &str, commit: &str) -> Result<()> {
    for name in names(cluster) {
        flux::await_applied(site, &name, commit)?;
    }
    Ok(())
}

/// Lets a pair go. Marks stay where Flux is gone, and mean it is elsewhere.
pub(super) fn release(site: Site, cluster: &str) -> Result<()> {
    if flux::is_served(site)? {
        let_go(site, cluster)?;
    }
    on_object(site, cluster, "label", &MARKS)
}

fn let_go(site: Site, cluster: &str) -> Result<()> {
    let objects = names(cluster).map(|name| format!("kustomization/{name}"));
    for object in &objects {
        let get = [object, "--namespace", flux::NAMESPACE];
        if Kubectl::new(site).find(&get)?.is_some() {
            // One that is not suspended takes what it applied with it.
            flux::suspend(site, object, true)?;
            flux::reconcile(site, object)?;
        }
    }
    for object in &objects {
        flux::delete(site, object)?;
    }
    flux::delete(site, &format!("gitrepository/{cluster}"))
}

/// What applies the others comes first.
fn names(cluster: &str) -> [String; 3] {
    [
        root_name(cluster),
        postgres_name(cluster),
        app_name(cluster),
    ]
}
