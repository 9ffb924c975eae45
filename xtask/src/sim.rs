//! `cargo xtask sim`: moves in a simulated world, each with the faults of its seed.

use std::process::Command;

use anyhow::{Result, bail, ensure};

use crate::lab;

/// Seeds of a test run.
pub(crate) const SEEDS: u64 = 10_000;

/// Run moves in a simulated world, each with the faults that its seed draws, and judge what is left of each
#[derive(Debug, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "flags, each with its own name"
)]
pub(crate) struct Args {
    /// How many schedules
    #[arg(long, default_value_t = SEEDS)]
    seeds: u64,

    /// The first one's seed: with `--seeds 1` a schedule runs again exactly
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// Show what happened in each schedule, not only in those that fail
    #[arg(long)]
    trace: bool,

    /// Take the tests out of every patch: shows that the search finds what they are for
    #[arg(long)]
    ignore_tests: bool,

    /// Compare docs/testing.md with each fault at each write, and judge what each ends in
    #[arg(long)]
    page: bool,

    /// Write docs/testing.md
    #[arg(long, requires = "page")]
    write: bool,

    /// Show one schedule of docs/testing.md: the pair, the fault's place in the table and the number of the write
    #[arg(long, value_name = "PAIR-FAULT-WRITE")]
    strike: Option<String>,
}

/// The page that is made of the matrix.
pub(crate) const PAGE: &str = "docs/testing.md";

/// Runs the schedules and fails when one of them does.
pub(crate) fn run(args: &Args) -> Result<()> {
    if args.page {
        let mut words = vec!["--page", PAGE];
        words.extend(args.write.then_some("--write"));
        ensure!(
            command().args(words).status()?.success(),
            "a fault does not end as it should, or {PAGE} is stale"
        );
        return Ok(());
    }
    if let Some(strike) = &args.strike {
        ensure!(
            command().args(["--strike", strike]).status()?.success(),
            "the schedule failed"
        );
        return Ok(());
    }
    let mut words = vec![
        "--seeds".to_owned(),
        args.seeds.to_string(),
        "--seed".to_owned(),
        args.seed.to_string(),
    ];
    let flags = [
        (args.trace, "--trace"),
        (args.ignore_tests, "--ignore-tests"),
    ];
    words.extend(
        flags
            .iter()
            .filter(|(given, _)| *given)
            .map(|(_, flag)| (*flag).to_owned()),
    );
    if !command().args(words).status()?.success() {
        bail!("a schedule failed: run it again with `cargo xtask sim --seeds 1 --seed SEED`");
    }
    Ok(())
}

/// The simulation, built as it needs to be.
pub(crate) fn command() -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(lab::workspace());
    command.args([
        "run",
        "--quiet",
        "--locked",
        "--package",
        "pgha-sim",
        "--profile",
        "sim",
        "--",
    ]);
    command
}
