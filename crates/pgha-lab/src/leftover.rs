//! Finds and removes what a lab left on the machine, whoever started it and however it ended.
//!
//! Everything that runs in the lab runs in one of its network namespaces, and everything it mounts is below its run
//! folder or its cache: both can be recognised without any record of the run.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::Signal;

use crate::control_group;
use crate::network;
use crate::node;
use crate::paths::{self, Cache};
use crate::process::Identity;
use crate::site::Site;
use crate::wait;

/// This process's table of mounts.
const MOUNTS: &str = "/proc/self/mountinfo";
/// Where kubelet links each container's log, whatever its configuration says.
const CONTAINER_LOG_LINKS: &str = "/var/log/containers";
/// Where libcni keeps the result of each pod's network, whatever its configuration says.
const CNI_RESULTS: &str = "/var/lib/cni/results";
/// Folders that the daemons make, inner ones first.
const FOLDERS: [&str; 6] = [
    CONTAINER_LOG_LINKS,
    CNI_RESULTS,
    "/var/lib/cni",
    "/run/containerd/s",
    "/run/containerd",
    NETNS,
];
/// Where `ip` keeps named network namespaces.
const NETNS: &str = "/run/netns";

/// Kills every process in the lab's network namespaces, the pods' included.
pub fn kill_processes() -> Result<()> {
    wait::until(
        "the lab's processes to end",
        Duration::from_secs(20),
        || {
            let alive = processes()?;
            for process in &alive {
                // It may end by itself in between.
                drop(process.signal(Signal::KILL));
            }
            ensure!(alive.is_empty(), "{} still run", alive.len());
            Ok(())
        },
    )
}

/// The processes in the lab's network namespaces.
pub fn processes() -> Result<Vec<Identity>> {
    let namespaces = lab_namespaces()?;
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let is_ours = fs::metadata(format!("/proc/{pid}/ns/net"))
            .is_ok_and(|metadata| namespaces.contains(&metadata.ino()));
        if is_ours && let Ok(identity) = Identity::of(pid) {
            found.extend(identity.is_alive().then_some(identity));
        }
    }
    Ok(found)
}

/// Removes what a site's containers left outside the run folder: shims' sockets, control groups, results of networking.
///
/// containerd's state names the containers, so this must come before the state is removed, and after they have ended.
pub fn remove_container_traces(state: &Path) -> Result<()> {
    let mut ids = BTreeSet::new();
    for task in entries(state.join("io.containerd.runtime.v2.task/k8s.io")) {
        if let Ok(address) = fs::read_to_string(task.join("address"))
            && let Some(socket) = address.trim().strip_prefix("unix://")
        {
            drop(fs::remove_file(socket));
        }
        ids.extend(task.file_name().map(OsStr::to_owned));
    }
    for kind in ["sandboxes", "containers"] {
        let known = entries(state.join("io.containerd.grpc.v1.cri").join(kind));
        ids.extend(
            known
                .iter()
                .filter_map(|folder| folder.file_name().map(OsStr::to_owned)),
        );
    }
    for result in entries(CNI_RESULTS) {
        let name = result.file_name().unwrap_or_default().to_string_lossy();
        if ids.iter().any(|id| name.contains(&*id.to_string_lossy())) {
            fs::remove_file(&result)?;
        }
    }
    for id in &ids {
        control_group::remove(id)?;
    }
    Ok(())
}

/// Removes links to logs that are gone, and the folders that the daemons made, unless others use them.
fn remove_stray_files() -> Result<()> {
    for entry in entries(CONTAINER_LOG_LINKS) {
        if fs::read_link(&entry).is_ok_and(|target| target.starts_with(paths::RUN)) {
            fs::remove_file(&entry)?;
        }
    }
    for folder in FOLDERS {
        // What others use is not empty, or busy.
        drop(fs::remove_dir(folder));
    }
    control_group::remove_parent()
}

/// Unmounts everything below a folder, the deepest first.
pub fn unmount_below(folder: &Path) -> Result<()> {
    let table = fs::read_to_string(MOUNTS).context("cannot list mounts")?;
    for point in mount_points_below(&table, folder).into_iter().rev() {
        unmount(&point, UnmountFlags::DETACH)
            .with_context(|| format!("cannot unmount {}", point.display()))?;
    }
    Ok(())
}

/// Everything of a lab but the cache: processes, namespaces, mounts, stray files. The run folder's own files stay.
pub fn remove_all(cache: &Cache) -> Result<()> {
    kill_processes()?;
    for site in Site::ALL {
        remove_container_traces(&node::containerd_state(site))?;
    }
    network::remove()?;
    for folder in [Path::new(paths::RUN), cache.root()] {
        unmount_below(folder)?;
    }
    // `ip` mounts the folder on itself for its first namespace.
    if entries(NETNS).is_empty() && is_mount_point(Path::new(NETNS))? {
        unmount(NETNS, UnmountFlags::empty()).with_context(|| format!("cannot unmount {NETNS}"))?;
    }
    remove_stray_files()
}

fn lab_namespaces() -> Result<BTreeSet<u64>> {
    let table = fs::read_to_string(MOUNTS).context("cannot list mounts")?;
    let mut files: Vec<PathBuf> = network::namespaces()
        .map(|name| Path::new(NETNS).join(name))
        .collect();
    files.extend(mount_points_below(&table, Path::new(paths::RUN)));
    let own = fs::metadata("/proc/self/ns/net")?.ino();
    let found: BTreeSet<u64> = files
        .iter()
        .filter(|file| file.is_file())
        .filter_map(|file| fs::metadata(file).ok())
        .map(|metadata| metadata.ino())
        .collect();
    if found.contains(&own) {
        bail!("this command runs inside the lab's network: run it from outside");
    }
    Ok(found)
}

fn is_mount_point(folder: &Path) -> Result<bool> {
    let table = fs::read_to_string(MOUNTS).context("cannot list mounts")?;
    Ok(mount_points(&table).any(|point| point == folder))
}

/// The mount points below a folder in a `mountinfo` (`proc(5)`: field 5, octal escapes), in order of mounting.
fn mount_points_below(table: &str, folder: &Path) -> Vec<PathBuf> {
    mount_points(table)
        .filter(|point| point.starts_with(folder) && point != folder)
        .collect()
}

fn mount_points(table: &str) -> impl Iterator<Item = PathBuf> {
    table
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(|point| PathBuf::from(point.replace("\\040", " ")))
}

pub(crate) fn entries(folder: impl AsRef<Path>) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mounts_below_the_folder_are_found() {
        let table = "22 1 8:1 / / rw - ext4 /dev/a rw\n\
                     30 22 0:4 net:[4] /run/pgha-lab/core1/net rw - nsfs nsfs rw\n\
                     31 22 0:5 / /run/pgha-lab/core1/a\\040b rw - tmpfs tmpfs rw\n\
                     32 22 0:6 / /run/pgha-labour rw - tmpfs tmpfs rw\n";
        assert_eq!(
            mount_points_below(table, Path::new("/run/pgha-lab")),
            [
                PathBuf::from("/run/pgha-lab/core1/net"),
                PathBuf::from("/run/pgha-lab/core1/a b")
            ]
        );
    }

    #[test]
    fn a_process_outside_the_lab_is_not_the_labs() {
        let own = Identity::of(std::process::id()).unwrap();
        assert!(!processes().unwrap().contains(&own));
    }
}
