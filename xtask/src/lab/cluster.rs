//! `cargo xtask lab cluster`.

use anyhow::Result;
use clap::Subcommand;
use pgha_lab::cluster::{self, Pair, Patroni, Standby};
use pgha_lab::paths::Cache;
use pgha_lab::progress::Progress;

/// Make, remove and list Postgres clusters
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a primary in core1 and its standby in core2, and wait until the standby replays
    Create {
        /// The name of the cluster in both sites
        name: String,
        /// How the standby gets its WAL: archive or streaming; none makes a primary alone
        #[arg(long, value_name = "KIND")]
        standby: Standby,
        /// Which Patroni runs: 4.1 or 3.3
        #[arg(long, value_name = "VERSION")]
        patroni: Patroni,
        /// Members of each side
        #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=5))]
        instances: u32,
    },
    /// Remove a cluster from both sites, with its volumes and its repository
    Delete {
        /// The name of the cluster
        name: String,
    },
    /// List the clusters of both sites and what their members report
    List,
}

/// Runs one of the subcommands.
pub(crate) fn run(command: Command, progress: &Progress) -> Result<()> {
    match command {
        Command::Create {
            name,
            standby,
            patroni,
            instances,
        } => cluster::create(
            &Pair {
                name,
                standby,
                patroni,
                instances,
            },
            progress,
        ),
        Command::Delete { name } => cluster::remove(&name, &Cache::in_use()?, progress),
        Command::List => {
            show(&cluster::list()?);
            Ok(())
        }
    }
}

#[expect(clippy::print_stdout, reason = "the result of `lab cluster list`")]
fn show(rows: &[cluster::Row]) {
    for row in rows {
        println!("{} {}", row.site, row.name);
        for member in &row.members {
            println!("  {member}");
        }
    }
}
