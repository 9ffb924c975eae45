//! `cargo xtask bench`: figures side by side, in one run.

mod cli;
mod moves;
mod traffic;

use std::path::{Path, PathBuf};

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
        /// How many moves of pgha alone after them, archive-only and streaming in turn
        #[arg(long, default_value_t = 0, value_name = "N")]
        moves: u32,
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
    /// Measure the cut-over of a real HAProxy under 1,000 requests a second: pgha beside one line on HAProxy's own socket
    Traffic {
        /// How many runs of each
        #[arg(long, default_value_t = 10)]
        runs: u32,
        /// Where to write the runs
        #[arg(long, value_name = "FILE")]
        json: PathBuf,
    },
}

/// One pair of moves, archive-only and idle, by the plugin of this tree as the tests have it: that both ways can still be
/// measured, and what they must end in; the figures are for nobody.
pub(crate) fn one_pair(programs: &Path) -> Result<()> {
    moves::one_pair(programs)
}

/// Runs one of the benchmarks; those of clusters on the lab, which they bring up.
pub(crate) fn run(command: &Command) -> Result<()> {
    match command {
        Command::Move { pairs, moves, json } => {
            let kinds = moves::ALL_KINDS;
            let asked = moves::Asked {
                pairs: *pairs,
                kinds: &kinds,
                moves: *moves,
            };
            moves::run(&asked, json)
        }
        Command::Cli { runs, json } => cli::run(*runs, json),
        Command::Traffic { runs, json } => traffic::run(*runs, json),
    }
}
