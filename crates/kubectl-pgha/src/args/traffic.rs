//! The command that moves users.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::{CommonArgs, ConfigMapArgs, OutputArgs, SiteArgs};
use crate::settings::RequestTimeout;

const TRAFFIC_EXAMPLES: &str = "\
Examples:
  # Where every load balancer and name leads, and who answers a new user
  kubectl pgha traffic show -f zitadel.yaml

  # What a move of the users would change, as a diff; nothing is changed
  kubectl pgha traffic plan -f zitadel.yaml --to core1

  # Lower the lifetimes of DNS names to what the file says, as long before the move as they are now
  kubectl pgha traffic prepare -f zitadel.yaml

  # Move them once core1's Postgres is primary, and wait until new users are answered by core1
  kubectl pgha traffic move -f zitadel.yaml --to core1

  # Whether they are; and take the last move back
  kubectl pgha traffic verify -f zitadel.yaml --to core1
  kubectl pgha traffic rollback -f zitadel.yaml

The file says how users come in (docs/traffic.md shows each backend):
  apiVersion: pgha.dev/v1alpha1
  kind: Service
  metadata: { name: zitadel }
  spec:
    sites:
      - { name: core1, context: core1-admin, namespace: prod-iam-zitadel, cluster: zitadel }
      - { name: core2, context: core2-admin, namespace: prod-iam-zitadel, cluster: zitadel }
    traffic:
      - haproxyRuntime: { id: lb, socket: { unix: /run/haproxy.sock }, routes: [ ... ] }
      - probe: { route: https, url: 'https://login.example/', family: v4, evidence: [ ... ] }";

/// Move the users of a service to a site, and prove who answers them
#[derive(Debug, Args)]
#[command(after_help = TRAFFIC_EXAMPLES, disable_help_subcommand = true)]
pub(crate) struct TrafficArgs {
    #[command(subcommand)]
    pub(crate) command: TrafficCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TrafficCommand {
    /// Show where each route leads, and who answers a new user
    Show(ShowArgs),
    /// Show what a move would change; nothing is changed
    Plan(PlanArgs),
    /// Lower beforehand how long names are remembered, so that a later move takes effect sooner; moves nobody
    Prepare(PrepareArgs),
    /// Move the users, all backends or none, and wait until new users are answered by the site
    Move(MoveArgs),
    /// Check that new users are answered by a site
    Verify(VerifyArgs),
    /// Take the last move of the users back
    Rollback(RollbackArgs),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct ServiceArgs {
    /// The service, where the file is not of one alone
    pub(crate) service: Option<String>,

    /// The service's file; relative paths in it begin where it lies. A file, a folder of files, or configmap/NAME or
    /// configmap/NAMESPACE/NAME in a cluster [default: ./pgha.yaml]
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::AnyPath)]
    pub(crate) file: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) config_map: ConfigMapArgs,

    /// How long one exchange with a load balancer, or one answer to a probe, may take
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    pub(crate) exchange_timeout: RequestTimeout,

    #[command(flatten)]
    pub(crate) site: SiteArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    pub(crate) service: ServiceArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// The site that users shall reach, as the file names it
    #[arg(long, value_name = "SITE")]
    pub(crate) to: String,

    #[command(flatten)]
    pub(crate) service: ServiceArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PrepareArgs {
    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,

    #[command(flatten)]
    pub(crate) service: ServiceArgs,
}

#[derive(Debug, Args)]
pub(crate) struct MoveArgs {
    /// The site that users shall reach, as the file names it
    #[arg(long, value_name = "SITE")]
    pub(crate) to: String,

    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,

    /// Move them although that site's Postgres is not seen to be the only primary
    #[arg(long)]
    pub(crate) allow_standby: bool,

    /// How long it may take until new users are answered by the site; 0 is as long as it takes
    #[arg(long, value_name = "DURATION", default_value = "2m")]
    pub(crate) timeout: RequestTimeout,

    /// How many new users in a row, on each probe, have to be answered by the site
    #[arg(long, value_name = "NUMBER", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) samples: u32,

    /// Where it is kept what `rollback` needs [default: a file for each service in ~/.local/state/pgha/traffic]
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) record: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) service: ServiceArgs,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The site that has to answer, as the file names it
    #[arg(long, value_name = "SITE")]
    pub(crate) to: String,

    /// How many new users, on each probe, have to be answered by it
    #[arg(long, value_name = "NUMBER", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) samples: u32,

    #[command(flatten)]
    pub(crate) service: ServiceArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RollbackArgs {
    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,

    /// Take them back although they are where Postgres is primary, and nowhere else
    #[arg(long)]
    pub(crate) allow_standby: bool,

    /// Where `move` has kept what is needed [default: as for `move`]
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) record: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) service: ServiceArgs,
}

impl ServiceArgs {
    /// How long one exchange may take.
    pub(crate) const fn within(&self) -> Duration {
        self.exchange_timeout.0
    }

    /// What every command takes.
    pub(crate) fn common(&self) -> CommonArgs {
        CommonArgs {
            site: self.site.clone(),
            output: self.output.clone(),
        }
    }
}
