//! `cargo xtask bench`: figures side by side, in one run.

mod cli;
mod moves;

use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;

/// Measure moves and commands; each figure stands beside the one it is compared with
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Measure the write gap: the documented procedure and pgha, interleaved
    Move {
        /// How many pairs of moves for each kind of standby and load
        #[arg(long, default_value_t = 1)]
        pairs: u32,
        /// Where to write the runs
        #[arg(long, value_name = "FILE")]
        json: PathBuf,
    },
    /// Measure `leader`, `status` and `--version` beside kubectl and an empty program
    Cli {
        /// How many runs of each
        #[arg(long, default_value_t = 10)]
        runs: u32,
        /// Where to write the runs
        #[arg(long, value_name = "FILE")]
        json: PathBuf,
    },
}

/// Runs one of the benchmarks on the lab, which it brings up.
pub(crate) fn run(command: &Command) -> Result<()> {
    match command {
        Command::Move { pairs, json } => moves::run(*pairs, json),
        Command::Cli { runs, json } => cli::run(*runs, json),
    }
}
