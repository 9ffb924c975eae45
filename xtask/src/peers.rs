//! `cargo xtask peers`: the products that traffic backends are tested against.

use std::path::PathBuf;

use anyhow::{Result, bail};
use pgha_lab::image;
use pgha_lab::paths::Cache;
use pgha_lab::progress::Progress;

use crate::part;

/// The variable that names their root file system to tests.
pub(crate) const VARIABLE: &str = "PGHA_PEERS";

/// Prints the root file system that tests enter.
pub(crate) fn run() -> Result<()> {
    let Some(root) = ensure()? else {
        bail!("only root can make a root file system, and enter it");
    };
    part::say(&root.display().to_string());
    Ok(())
}

/// The root file system, made when there is none; `None` where nobody could enter it.
pub(crate) fn ensure() -> Result<Option<PathBuf>> {
    if !pgha_lab::host::is_root() {
        part::say("== peers: left out, they need root");
        return Ok(None);
    }
    let progress = Progress::to_stderr();
    let cache = Cache::of_user()?;
    let root = progress.part("peers", |part| image::ensure_peers(&cache, part))?;
    Ok(Some(root))
}
