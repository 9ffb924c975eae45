//! `cargo xtask lab writer`.

use std::time::Duration;

use anyhow::{Result, ensure};
use clap::{Args, Subcommand};
use pgha_judge::{Question, Ruling};
use pgha_lab::progress::Progress;
use pgha_lab::writer::{self, Audit, Load};

use super::build_program;

/// Write rows to a cluster, and judge afterwards what became of them
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start writing numbered rows to whichever site accepts them
    ///
    /// A probe writes a row each 5 ms through the service of both sites and measures the write gap;
    /// each member is tried every 20 ms. Load connections come on top.
    Start {
        /// The cluster
        cluster: String,
        /// Load connections beside the probe
        #[arg(long, default_value_t = 0)]
        connections: u32,
        /// Rows a second of all load connections together
        #[arg(long, default_value_t = 200)]
        rate: u32,
    },
    /// End the writer; its ledger stays
    Stop {
        /// The cluster
        cluster: String,
    },
    /// Show what the writer counts
    Status {
        /// The cluster
        cluster: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Read both sites and judge: what is missing, the write gap, whether both sides took writes
    Audit(AuditArgs),
}

/// How to judge
#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// The cluster
    cluster: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// The number of moves between sites that the run must show
    #[arg(long, value_name = "COUNT")]
    expect_moves: Option<usize>,
    /// The seconds within which the standbys must have replayed everything
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    follow_within: u64,
    /// Leave the write-ahead logs out
    #[arg(long)]
    no_wal: bool,
    /// Judge again what was read the last time
    #[arg(long)]
    again: bool,
}

/// Runs one of the subcommands.
pub(crate) fn run(command: Command, progress: &Progress) -> Result<()> {
    match command {
        Command::Start {
            cluster,
            connections,
            rate,
        } => {
            let program = progress.part("writer", |_| build_program("pgha-writer"))?;
            writer::start(&cluster, &program, Load { connections, rate })?;
            progress.line(&format!(
                "the writer runs: cargo xtask lab writer audit {cluster}"
            ));
            Ok(())
        }
        Command::Stop { cluster } => writer::stop(&cluster),
        Command::Status { cluster, json } => {
            let status = writer::status(&cluster)?;
            show(&if json {
                serde_json::to_string(&status)?
            } else {
                status.to_string()
            });
            Ok(())
        }
        Command::Audit(args) => audit(&args),
    }
}

fn audit(args: &AuditArgs) -> Result<()> {
    let question = Question {
        expected_moves: args.expect_moves,
        ..Question::default()
    };
    let asked = Audit {
        question,
        follow_within: Duration::from_secs(args.follow_within),
        reads_wal: !args.no_wal,
        is_repeated: args.again,
    };
    let verdict = writer::audit(&args.cluster, &asked)?;
    show(&if args.json {
        serde_json::to_string_pretty(&verdict)?
    } else {
        verdict.to_string()
    });
    ensure!(
        verdict.ruling == Ruling::Pass,
        "the verdict is: {}",
        verdict.ruling
    );
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the result of `lab writer`")]
fn show(text: &str) {
    println!("{text}");
}
