//! The commands that look and change nothing.

use std::path::PathBuf;

use clap::Args;

use super::common::or_html;
use super::{BetweenArgs, CommonArgs, OwnersArgs};

const LEADER_EXAMPLES: &str = "\
Examples:
  # Who leads zitadel, by the current context, and what says so
  kubectl pgha leader zitadel

  # At a named site, for a script
  kubectl exec -it -c database $(kubectl pgha leader zitadel --context core1 -o name) -- psql

Exit code 3: no leader, or the evidence disagrees. The evidence is shown all the same.";

const STATUS_EXAMPLES: &str = "\
Examples:
  # Both sides of one service
  kubectl pgha status zitadel --context core1 --context core2

  # The same, of the sites in the service's file
  kubectl pgha status -f pgha.yaml

  # Every cluster that the current context shows
  kubectl pgha status -A

  # Whether a standby really receives: its position moves
  kubectl pgha status zitadel --context core1 --context core2 -w

Exit code 3: a site that was asked could not be seen, or something is wrong with a service (a line that begins with
FAIL). Warnings alone end with 0. With -w it ends on Ctrl-C, with 130.";

const VALIDATE_EXAMPLES: &str = "\
Examples:
  # Whether zitadel could be moved now, and what stands in the way
  kubectl pgha validate zitadel --from core1 --to core2

  # With the service's file: also whether its application, clients of poolers and users could follow
  kubectl pgha validate zitadel -f pgha.yaml --to core2

  # For a script: only the answer
  kubectl pgha validate zitadel --from core1 --to core2 -o json | jq .readyForSwitchover.ready

`switchover` makes the same checks and refuses by the same failures. Nothing is changed. Exit code 3: not ready.";

const HISTORY_EXAMPLES: &str = "\
Examples:
  # What was done to zitadel, by the records of both sites
  kubectl pgha history zitadel --context core1 --context core2

  # One move: its steps, how long each took, and what proved it
  kubectl pgha history zitadel 7 --context core1 --context core2

  # The same as one page for an incident report, which needs no network
  kubectl pgha history zitadel 7 --context core1 --context core2 -o html > move-7.html

  # For a script: the record as it is kept
  kubectl pgha history zitadel 7 -o json | jq '.moves[0].record'

The records are in the ConfigMap CLUSTER-pgha of each site: get on configmaps is needed. Where the copies of a move differ,
the one with an ending, then the one with more events is shown, and the difference is told. Exit code 3: a site that was
asked could not be seen, or there is no such record, or it cannot be read.";

/// Show who leads a cluster, and what says so
///
/// Compares Patroni's lock and its age, the pod's own status, Patroni's configuration, the operator's object, and the
/// answer of the member itself. Where they disagree, the disagreement is shown.
#[derive(Debug, Args)]
#[command(after_help = LEADER_EXAMPLES)]
pub(crate) struct LeaderArgs {
    /// The operator's Postgres cluster
    pub(crate) cluster: String,

    /// The kubeconfig context of the site [default: the current one]
    #[arg(long, value_name = "CONTEXT", help_heading = "Site options")]
    pub(crate) context: Option<String>,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// Show which side of each service is primary, and whether the others follow
///
/// Below the table: what is wrong, and what stands in the way of a move.
///
/// Every site is asked at the same time. Clusters with one system identifier are sides of one service: the lag is
/// between what the primary's leader has written and what the standby's leader has replayed.
#[derive(Debug, Args)]
#[command(after_help = STATUS_EXAMPLES)]
pub(crate) struct StatusArgs {
    /// Only the clusters of this name [default: all]; with --file the service of that file
    pub(crate) cluster: Option<String>,

    /// The service's file: its cluster at each of its sites. A file, a folder of files, or configmap/NAME or
    /// configmap/NAMESPACE/NAME in a cluster, that of --context [default: ./pgha.yaml, if it is there and of this service, and
    /// no flag says where to look]
    #[arg(
        short,
        long,
        value_name = "FILE",
        value_hint = clap::ValueHint::AnyPath,
        conflicts_with = "all_namespaces"
    )]
    pub(crate) file: Option<PathBuf>,

    /// Look in every namespace
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    pub(crate) all_namespaces: bool,

    /// Look again every two seconds, and show how far each side moved
    #[arg(short, long)]
    pub(crate) watch: bool,

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

/// Check whether both sides are ready for a switchover, and for a failover
///
/// Every check passes, warns or fails, with what was seen and what to do. It looks at Kubernetes, Patroni, inside every
/// member's Postgres, into the repositories, at secrets by digest and never by value, and at permissions.
#[derive(Debug, Args)]
#[command(after_help = VALIDATE_EXAMPLES)]
pub(crate) struct ValidateArgs {
    #[command(flatten)]
    pub(crate) between: BetweenArgs,

    #[command(flatten)]
    pub(crate) owners: OwnersArgs,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// Show the past moves of a cluster, or one of them step by step
///
/// Each site keeps the records of the last 20 moves. What they say is shown and nothing else is asked; `status` shows where
/// things stand now. `-o name` prints the IDs.
#[derive(Debug, Args)]
#[command(after_help = HISTORY_EXAMPLES, mut_arg("output", |arg| arg.value_parser(or_html())))]
pub(crate) struct HistoryArgs {
    /// The operator's Postgres cluster; with --file the service of that file
    pub(crate) cluster: String,

    /// The service's file: the records at each of its sites. A file, a folder of files, or configmap/NAME or
    /// configmap/NAMESPACE/NAME in a cluster, that of --context [default: ./pgha.yaml, if it is there and of this service, and
    /// no flag says where to look]
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::AnyPath)]
    pub(crate) file: Option<PathBuf>,

    /// Only this move, with its steps [default: a list of all]
    pub(crate) id: Option<u64>,

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
