//! Fills the volume of a pod, so that whatever writes there next is told that there is no space.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::kubectl::Kubectl;
use crate::paths::Cache;
use crate::program;
use crate::site::Site;
use crate::volume;

/// The file that takes the space.
const FILLER: &str = ".pgha-lab-filler";

/// Takes all the space that is left in the pod's first persistent volume.
///
/// # Errors
/// The pod has no persistent volume.
pub fn fill(site: Site, cache: &Cache, pod: &str) -> Result<()> {
    let folder = folder_of(site, cache, pod)?;
    let free = rustix::fs::statvfs(&folder)?;
    let bytes = free.f_bavail * free.f_frsize;
    // The file's own map takes some blocks too: what is left after it is written by hand.
    let mut fallocate = Command::new("fallocate");
    fallocate
        .arg("--length")
        .arg((bytes - bytes / 256).to_string())
        .arg(folder.join(FILLER));
    program::output(&mut fallocate)?;
    let mut rest = Command::new("dd");
    rest.args(["if=/dev/zero", "bs=4k", "conv=notrunc", "oflag=append"]);
    rest.arg(format!("of={}", folder.join(FILLER).display()));
    // It ends when there is no space left, which it calls a failure.
    drop(program::output(&mut rest));
    Ok(())
}

/// Gives the space back.
pub fn heal(site: Site, cache: &Cache, pod: &str) -> Result<()> {
    let filler = folder_of(site, cache, pod)?.join(FILLER);
    match fs::remove_file(&filler) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", filler.display()))
        }
        _ => Ok(()),
    }
}

fn folder_of(site: Site, cache: &Cache, pod: &str) -> Result<PathBuf> {
    let kubectl = Kubectl::new(site);
    let claim = kubectl.get(&["pod", pod])?["spec"]["volumes"]
        .as_array()
        .into_iter()
        .flatten()
        .find_map(|volume| volume["persistentVolumeClaim"]["claimName"].as_str())
        .with_context(|| format!("{pod} has no persistent volume"))?
        .to_owned();
    let claim = kubectl.get(&["persistentvolumeclaim", &claim])?;
    let name = claim["spec"]["volumeName"]
        .as_str()
        .context("the claim has no volume")?;
    Ok(volume::folder(site, cache, name))
}
