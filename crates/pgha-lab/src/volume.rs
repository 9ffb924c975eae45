//! Storage of a site: persistent volumes without a provisioner, each a small file system of its own, so that one can be
//! full without the machine being full.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use rustix::mount::{UnmountFlags, unmount};
use serde_json::{Value, json};

use crate::kubectl::Kubectl;
use crate::paths::Cache;
use crate::program;
use crate::site::{STORAGE_CLASS, Site};

/// How many volumes each site has.
const COUNT: usize = 20;

/// The size of each; its file takes only what is written.
const SIZE_BYTES: u64 = 4 << 30;

/// Makes every volume of a site, empty. There must be none of them yet.
pub fn make(site: Site, cache: &Cache) -> Result<()> {
    names().try_for_each(|name| make_one(&folder(site, cache, &name)))
}

/// The storage class and every volume, as one manifest.
pub fn manifest(site: Site, cache: &Cache) -> Value {
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
    items.extend(names().map(|name| object(site, cache, &name)));
    json!({"apiVersion": "v1", "kind": "List", "items": items})
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
        unmount(&folder, UnmountFlags::empty())
            .with_context(|| format!("cannot unmount {}", folder.display()))?;
        make_one(&folder)?;
        kubectl.apply(&object(site, cache, name).to_string())?;
    }
    Ok(released.len())
}

fn names() -> impl Iterator<Item = String> {
    (0..COUNT).map(|number| format!("volume-{number:02}"))
}

fn make_one(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    let file = folder.with_extension("ext4");
    if file.exists() {
        // Whatever still has the old file open must not see the new one change under it.
        fs::remove_file(&file)?;
    }
    File::create_new(&file)?.set_len(SIZE_BYTES)?;
    // Nothing is reserved for root and nothing written ahead: 50 ms for each volume.
    let options = "lazy_itable_init=1,lazy_journal_init=1,nodiscard";
    let mut mkfs = Command::new("mkfs.ext4");
    program::output(mkfs.args(["-q", "-F", "-m", "0", "-E", options]).arg(&file))?;
    program::output(
        Command::new("mount")
            .args(["-o", "loop"])
            .arg(&file)
            .arg(folder),
    )?;
    fs::remove_dir(folder.join("lost+found"))?;
    // The pods' users differ, and what a pod asks for (`fsGroup`) does not reach a folder of the machine.
    Ok(fs::set_permissions(
        folder,
        fs::Permissions::from_mode(0o777),
    )?)
}

fn object(site: Site, cache: &Cache, name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "4Gi"},
            "accessModes": ["ReadWriteOnce", "ReadWriteMany"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": STORAGE_CLASS,
            "hostPath": {"path": folder(site, cache, name)},
        },
    })
}
