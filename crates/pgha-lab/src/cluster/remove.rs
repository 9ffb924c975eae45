//! Removes a pair with everything it left: volumes, Secrets, and its repository in the S3 store.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::manifest::{client_certificate, repository_path, server_certificate};
use super::{INSTANCE_SET, cluster_label};
use crate::kubectl::Kubectl;
use crate::paths::Cache;
use crate::progress::Progress;
use crate::site::{Place, S3_BUCKET, Site};
use crate::{volume, wait};

const DEADLINE: Duration = Duration::from_mins(2);

/// Removes the cluster from both sites; what is not there is fine.
///
/// # Errors
/// A site does not answer, or its operator does not let the cluster go within two minutes.
pub fn remove(name: &str, cache: &Cache, progress: &Progress) -> Result<()> {
    for site in Site::ALL {
        progress.part(&format!("{site}: remove {name}"), |_| {
            remove_from(site, name, cache)
        })?;
    }
    progress.part("S3: remove the repository", |_| {
        let bucket = cache.data(Place::Edge).join("s3").join(S3_BUCKET);
        let path = repository_path(name);
        let folder = Path::new(&path)
            .parent()
            .context("a repository at the root")?;
        let folder = bucket.join(folder.strip_prefix("/")?);
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).with_context(|| format!("removing {}", folder.display()))
            }
            _ => Ok(()),
        }
    })
}

fn remove_from(site: Site, name: &str, cache: &Cache) -> Result<()> {
    let kubectl = Kubectl::new(site);
    let timeout = format!("--timeout={}s", DEADLINE.as_secs());
    kubectl.run(&[
        "delete",
        "postgrescluster",
        name,
        "--ignore-not-found",
        &timeout,
    ])?;
    let label = cluster_label(name);
    kubectl.run(&[
        "delete",
        "secrets",
        "--selector",
        &label,
        "--ignore-not-found",
    ])?;
    for secret in [server_certificate(name), client_certificate(name)] {
        kubectl.run(&["delete", "secret", &secret, "--ignore-not-found"])?;
    }
    wait::until(
        &format!("the last of {name} to go from {site}"),
        DEADLINE,
        || {
            let rest = kubectl.get(&["pods,persistentvolumeclaims", "--selector", &label])?;
            let count = rest["items"].as_array().map_or(0, Vec::len);
            ensure!(count == 0, "{count} pods and claims are left");
            Ok(())
        },
    )?;
    let claims = format!("{name}-{INSTANCE_SET}-");
    wait::until("the volumes' claims to be forgotten", DEADLINE, || {
        let volumes = kubectl.get(&["persistentvolumes"])?;
        let volumes = volumes["items"]
            .as_array()
            .context("a list without items")?;
        let bound = volumes.iter().find(|volume| {
            let claim = volume["spec"]["claimRef"]["name"]
                .as_str()
                .unwrap_or_default();
            claim.starts_with(&claims) && volume["status"]["phase"] == "Bound"
        });
        ensure!(bound.is_none(), "one is still bound");
        Ok(())
    })?;
    volume::reset_released(site, cache).map(drop)
}
