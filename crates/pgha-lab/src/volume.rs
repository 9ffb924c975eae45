//! Storage of a site: folders of this machine as persistent volumes, without a provisioner.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::kubectl::Kubectl;
use crate::paths::Cache;
use crate::site::{STORAGE_CLASS, Site};

/// How many volumes each site has.
const COUNT: usize = 20;

/// The storage class and every volume, as one manifest; makes the folders.
pub fn manifest(site: Site, cache: &Cache) -> Result<Value> {
    let mut items = vec![json!({
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": STORAGE_CLASS,
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
    })];
    for number in 0..COUNT {
        let name = format!("volume-{number:02}");
        make_folder(&folder(site, cache, &name))?;
        items.push(volume(site, cache, &name));
    }
    Ok(json!({"apiVersion": "v1", "kind": "List", "items": items}))
}

/// The folder behind a volume.
pub fn folder(site: Site, cache: &Cache, name: &str) -> PathBuf {
    cache.data(site.place()).join("volumes").join(name)
}

/// Makes every volume whose claim is gone empty and free again; returns how many there were.
///
/// Kubernetes leaves this to a provisioner, which the lab does not have.
pub fn reset_released(site: Site, cache: &Cache) -> Result<usize> {
    let kubectl = Kubectl::new(site);
    let volumes = kubectl.get(&["persistentvolumes"])?;
    let released: Vec<&str> = volumes["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|volume| {
            matches!(
                volume["status"]["phase"].as_str(),
                Some("Released" | "Failed")
            )
        })
        .filter_map(|volume| volume["metadata"]["name"].as_str())
        .collect();
    for name in &released {
        kubectl.run(&["delete", "persistentvolume", name, "--wait"])?;
        let folder = folder(site, cache, name);
        fs::remove_dir_all(&folder)
            .with_context(|| format!("cannot empty {}", folder.display()))?;
        make_folder(&folder)?;
        kubectl.apply(&volume(site, cache, name).to_string())?;
    }
    Ok(released.len())
}

/// The pods' users differ, and what a pod asks for (`fsGroup`) does not reach a folder of the machine.
fn make_folder(folder: &PathBuf) -> Result<()> {
    fs::create_dir_all(folder)?;
    Ok(fs::set_permissions(
        folder,
        fs::Permissions::from_mode(0o777),
    )?)
}

fn volume(site: Site, cache: &Cache, name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "10Gi"},
            "accessModes": ["ReadWriteOnce", "ReadWriteMany"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": STORAGE_CLASS,
            "hostPath": {"path": folder(site, cache, name)},
        },
    })
}
