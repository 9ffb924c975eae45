//! `cargo xtask bench`: figures side by side, in one run.

mod cli;
mod gitops;
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
    /// Measure for how long nobody can write when a move is interrupted after the fence, beside a move that comes through
    Undo {
        /// How many pairs for each kind of standby
        #[arg(long, default_value_t = 3)]
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
    /// Measure the write gap of a pair that Flux or Argo CD owns: directly, with Git afterwards, and with Git first
    ///
    /// The three ways take turns on one pair in the hands of Flux; Argo CD has it after that. Beside each move stands how long those
    /// who apply the repository took for a commit right before it.
    Gitops {
        /// How many moves in each way
        #[arg(long, default_value_t = 3)]
        runs: u32,
        /// Where to write the runs
        #[arg(long, value_name = "FILE")]
        json: PathBuf,
    },
    /// Measure what users notice: of a cut-over, of a check of their login, and of a move behind a pooler
    ///
    /// haproxy-runtime: the cut-over of a real HAProxy under 1,000 requests a second, by pgha and by one line on HAProxy's own
    /// socket.
    ///
    /// token-check: `token-check` of a token whose issuer is on this machine, beside `--version`. pgha keeps no keys of an issuer
    /// and asks for them each time, so a program that verifies the same token by the same library, with the keys at hand, is
    /// measured too, beside an empty program.
    ///
    /// pooler-move: on the lab, which is brought up, the longest wait of clients of a real PgBouncer while the database moves by
    /// `switchover -f FILE`, beside the write gap of the same move.
    Traffic {
        /// How many runs of `haproxy-runtime` and `token-check`, each
        #[arg(long, default_value_t = 10)]
        runs: u32,
        /// How many moves behind a pooler, there and back; 0 needs no lab
        #[arg(long, default_value_t = 4, value_name = "N")]
        moves: u32,
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

/// Runs one of the benchmarks; what moves or reads clusters does so on the lab, which it brings up.
pub(crate) fn run(command: &Command) -> Result<()> {
    match command {
        Command::Move { pairs, moves, json } => {
            let kinds = moves::ALL_KINDS;
            let asked = moves::Asked {
                pairs: *pairs,
                kinds: &kinds,
                methods: moves::WITH_DOCUMENTED,
                moves: *moves,
            };
            moves::run(&asked, json)
        }
        Command::Undo { pairs, json } => {
            let [archive, _, streaming, _] = moves::ALL_KINDS;
            let asked = moves::Asked {
                pairs: *pairs,
                kinds: &[archive, streaming],
                methods: moves::WITH_UNDONE,
                moves: 0,
            };
            moves::run(&asked, json)
        }
        Command::Cli { runs, json } => cli::run(*runs, json),
        Command::Gitops { runs, json } => gitops::run(*runs, json),
        Command::Traffic { runs, moves, json } => traffic::run(*runs, *moves, json),
    }
}
