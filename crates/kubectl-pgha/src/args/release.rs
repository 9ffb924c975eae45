//! Letting go of the owners that a move has held.

use std::path::PathBuf;

use clap::Args;

use super::CommonArgs;
use crate::settings::RequestTimeout;

const RELEASE_EXAMPLES: &str = "\
Examples:
  # Who is held at both sites, and what is to be committed
  kubectl pgha release zitadel --context core1 --context core2 --dry-run

  # Wait until Git says the same, and let them go
  kubectl pgha release zitadel --context core1 --context core2 --yes

  # At the sites of a service's file
  kubectl pgha release zitadel -f zitadel.yaml

A move with --hold-owners leaves the Flux Kustomizations and Argo CD applications held that own what it has changed. They are let
go one site after the other, each as soon as its source says what the cluster is. Argo CD says that itself. Flux does not: when its
source has something new it takes a turn while the operator is paused, and where it puts spec.standby back it is held again and the
value restored; Postgres sees nothing of it. Ctrl-C while it waits leaves them held.";

/// Let the owners go that a move has held, once Git says what the cluster is
///
/// Prints what is to be committed, waits until that is in Git, and sees Flux or Argo CD take their turn without a change.
#[derive(Debug, Args)]
#[command(after_help = RELEASE_EXAMPLES)]
pub(crate) struct ReleaseArgs {
    /// The operator's Postgres cluster; with --file the service of that file
    pub(crate) cluster: String,

    /// The service's file: the owners at each of its sites. A file, a folder of files, or configmap/NAME or
    /// configmap/NAMESPACE/NAME in a cluster, that of --context [default: ./pgha.yaml, if it is there and of this service, and
    /// no flag says where to look]
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::AnyPath)]
    pub(crate) file: Option<PathBuf>,

    /// Show who is held and what is to be committed, and stop
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,

    /// How long to wait for Git; 0 is as long as it takes
    #[arg(long, value_name = "DURATION", default_value = "1h")]
    pub(crate) wait: RequestTimeout,

    /// How long each step may take
    #[arg(long, value_name = "DURATION", default_value = "1m")]
    pub(crate) timeout: RequestTimeout,

    /// The kubeconfig context of a site; can be given more than once [default: the current one]
    #[arg(
        long = "context",
        value_name = "CONTEXT",
        help_heading = "Site options"
    )]
    pub(crate) contexts: Vec<String>,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}
