//! `cargo xtask bench traffic`.

mod cutover;
mod issuer;
mod pooler;
mod report;
mod token;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use pgha_judge::bench::{TrafficFile, TrafficRun};
use pgha_lab::progress::Progress;

/// What every part of it needs.
struct Bench {
    /// The release build of `kubectl-pgha`.
    plugin: PathBuf,
    /// The root file system with real products.
    peers: PathBuf,
    progress: Progress,
}

/// Measures everything, the moves on the lab last, and writes the file after each run, so that an interrupted one keeps what it has.
pub(super) fn run(runs: u32, moves: u32, file: &Path) -> Result<()> {
    let progress = Progress::to_stderr();
    let plugin = progress.part("kubectl pgha", |_| crate::demo::build_plugin())?;
    let peers = crate::peers::ensure()?.context("only root can run real products here")?;
    let bench = Bench {
        plugin,
        peers,
        progress,
    };
    let mut all = TrafficFile::default();
    let mut keep = |run: TrafficRun| -> Result<()> {
        all.runs.push(run);
        Ok(fs::write(file, serde_json::to_vec_pretty(&all)?)?)
    };
    cutover::run(&bench, runs, &mut keep)?;
    token::run(&bench, runs, &mut keep)?;
    pooler::run(&bench, moves, &mut keep)?;
    report::show(&all);
    Ok(())
}

/// Where a run goes once it is measured.
type Keep<'a> = dyn FnMut(TrafficRun) -> Result<()> + 'a;
