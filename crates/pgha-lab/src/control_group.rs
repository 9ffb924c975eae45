//! The control groups of the lab's containers.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::leftover::entries;
use crate::wait;

/// The control group that containerd makes for each container's, named after its namespace for Kubernetes.
const CONTROL_GROUP: &str = "k8s.io";

/// What tells how much processor time a group gets beside its neighbours: the file, the lab's value, the kernel's own.
///
/// All containers of both sites are in one group, which otherwise weighs as much as a single process of the machine: a
/// compiler beside the lab starves it until the probes kill its containers (kernel documentation, `cgroup-v1/`, `cgroup-v2`).
const WEIGHTS: [(&str, &str, &str); 2] = [
    ("cpu.shares", "16384", "1024"),
    ("cpu.weight", "1600", "100"),
];

/// Gives the group that all containers are put into the weight of many processes.
pub(crate) fn prepare_parent() -> Result<()> {
    for hierarchy in hierarchies() {
        let folder = hierarchy.join(CONTROL_GROUP);
        let has_weight = WEIGHTS
            .iter()
            .any(|(file, ..)| hierarchy.join(file).exists());
        // The root of version 2 has no weight of its own, its groups do.
        if has_weight || hierarchy.join("cgroup.controllers").exists() {
            fs::create_dir_all(&folder)?;
        }
        for (file, ours, _) in WEIGHTS {
            weigh(&folder.join(file), ours)?;
        }
    }
    Ok(())
}

/// Removes the group that all containers were in; where others use it, only the weight is taken back.
pub(crate) fn remove_parent() -> Result<()> {
    for hierarchy in hierarchies() {
        let folder = hierarchy.join(CONTROL_GROUP);
        if fs::remove_dir(&folder).is_ok() {
            continue;
        }
        for (file, _, default) in WEIGHTS {
            weigh(&folder.join(file), default)?;
        }
    }
    Ok(())
}

fn weigh(file: &Path, value: &str) -> Result<()> {
    if !file.exists() {
        return Ok(());
    }
    fs::write(file, value).with_context(|| format!("cannot write {}", file.display()))
}

/// Removes what is left of a container's groups.
pub(crate) fn remove(container: &OsStr) -> Result<()> {
    for hierarchy in hierarchies() {
        remove_folder(&hierarchy.join(CONTROL_GROUP).join(container))?;
    }
    Ok(())
}

/// Where control groups are made: a folder for each controller with version 1, one folder with version 2.
fn hierarchies() -> Vec<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    if root.join("cgroup.controllers").exists() {
        return vec![root.to_owned()];
    }
    entries(root)
        .into_iter()
        .filter(|folder| folder.join("cgroup.procs").exists())
        .collect()
}

fn remove_folder(folder: &Path) -> Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    for entry in entries(folder) {
        if entry.is_dir() {
            remove_folder(&entry)?;
        }
    }
    // The kernel takes a moment to forget a process that has just ended.
    wait::until(
        "a control group to be empty",
        Duration::from_secs(10),
        || fs::remove_dir(folder).with_context(|| format!("cannot remove {}", folder.display())),
    )
}
