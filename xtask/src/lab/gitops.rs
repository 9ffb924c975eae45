//! `cargo xtask lab gitops`.

use anyhow::Result;
use clap::Subcommand;
use pgha_lab::gitops::{self, Deployer, Platform};
use pgha_lab::progress::Progress;
use pgha_lab::site::Site;

/// Run a git host and Flux or Argo CD beside the lab, and put clusters into their hands
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Build and start the git host and, at each site, what applies; the first build takes a quarter of an hour
    Up {
        /// What applies: flux or argo
        #[arg(default_value_t = Deployer::Flux)]
        deployer: Deployer,
    },
    /// End them and remove what is theirs; what they applied stays
    Down,
    /// Write a Holos-like platform for a cluster as it is, push it, and have it applied at both sites
    Adopt {
        /// The name of the cluster, which both sites have
        cluster: String,
        /// What applies: flux or argo
        #[arg(default_value_t = Deployer::Flux)]
        deployer: Deployer,
    },
    /// Take a cluster out of the hands of what applies it and remove its platform; the cluster stays as it is
    Release {
        /// The name of the cluster
        cluster: String,
    },
    /// Render a cluster's platform with another primary, or as it is now; nothing is committed
    Render {
        /// The name of the cluster
        cluster: String,
        /// The site that the platform names as primary: core1 or core2
        #[arg(long, value_name = "SITE")]
        primary: Option<Site>,
    },
    /// Have what was pushed fetched and applied at one site, and wait until it is
    Reconcile {
        /// The name of the cluster
        cluster: String,
        /// The site: core1 or core2
        site: Site,
    },
}

/// Runs one of the subcommands.
pub(crate) fn run(command: Command, progress: &Progress) -> Result<()> {
    match command {
        Command::Up { deployer } => gitops::up(deployer, progress),
        Command::Down => gitops::down(progress),
        Command::Adopt { cluster, deployer } => {
            let platform = Platform::adopt(&cluster, deployer, progress)?;
            show(&platform);
            Ok(())
        }
        Command::Release { cluster } => Platform::release(&cluster, progress),
        Command::Render { cluster, primary } => {
            let platform = Platform::open(&cluster)?;
            if let Some(site) = primary {
                platform.name_primary(site)?;
            }
            platform.render()?;
            show(&platform);
            Ok(())
        }
        Command::Reconcile { cluster, site } => Platform::open(&cluster)?.reconcile(site),
    }
}

#[expect(clippy::print_stdout, reason = "the result of `lab gitops`")]
fn show(platform: &Platform) {
    println!("{}", platform.folder().display());
}
