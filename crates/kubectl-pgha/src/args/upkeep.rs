//! The commands of every day: stop one side, start it, restart its members.

use std::path::PathBuf;

use clap::Args;

use super::CommonArgs;
use crate::settings::RequestTimeout;

const SHUTDOWN_EXAMPLES: &str = "\
Examples:
  # What would be done, with the exact patch; nothing is changed
  kubectl pgha shutdown zitadel --context core1 --dry-run

  # Stop everything of the cluster at core1, and wait until nothing runs
  kubectl pgha shutdown zitadel --context core1

Volumes, Services and Secrets stay; `kubectl pgha startup` brings the cluster back. Where another
site has a standby of it, nobody takes writes meanwhile: `switchover` moves the primary there first.

The leader is watched until its own control data says that it was shut down. Its pod may be gone
before that is heard: then the result says that a clean stop is not proved, and still ends with 0.

Ctrl-C before the request is sent ends with 130; after that the operator goes on stopping, and the
exit code is 4. The same command again waits for the rest.";

const STARTUP_EXAMPLES: &str = "\
Examples:
  # Start zitadel at core1 as what its object says, unless core2 is or may be primary
  kubectl pgha startup zitadel --context core1 --peer core2

  # core2 was promoted meanwhile: start core1 as its standby, read-only from the first moment
  kubectl pgha startup zitadel --context core1 --peer core2 --as-standby

  # Both sites are in the service's file
  kubectl pgha startup zitadel -f zitadel.yaml --site core1

  # A cluster that has no other side
  kubectl pgha startup keycloak --context core1 --alone

Whatever starts as a primary opens read-write, and nothing else looks at the other side before. So a
side starts as a primary only where the other one is seen to be a standby, or there is none. Where it
is to be a standby, Patroni's configuration is made one before any pod is there: spec.standby alone
comes too late, and the first member opens read-write on a timeline of its own.

Each start of a primary is a promotion: its timeline rises by one.

Ctrl-C before the request is sent ends with 130; after that the operator goes on starting, and the
exit code is 4. The same command again waits for the rest.";

/// Start a cluster that was shut down, and prove by Postgres what it is
///
/// Refuses while the other side is or may be primary, unless this side starts as a standby. Waits until every member runs; a
/// primary has then committed a transaction, and of a standby it says whether it was seen to follow.
#[derive(Debug, Args)]
#[command(after_help = STARTUP_EXAMPLES)]
pub(crate) struct StartupArgs {
    /// The operator's Postgres cluster, of the same name and namespace at both sites; with --file the service of that file
    pub(crate) cluster: String,

    #[command(flatten)]
    pub(crate) upkeep: UpkeepArgs,

    /// Start it as a standby, whatever its object says
    #[arg(long)]
    pub(crate) as_standby: bool,

    /// Change an object that GitOps or Helm owns, although the owner will revert it
    #[arg(long)]
    pub(crate) allow_managed: bool,

    #[command(flatten)]
    pub(crate) pair: PairArgs,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

const RESTART_EXAMPLES: &str = "\
Examples:
  # Which members would be restarted, and in which order; nothing is changed
  kubectl pgha restart zitadel --context core1 --dry-run

  # Restart the Postgres of every member at core1, the leader last
  kubectl pgha restart zitadel --context core1

Patroni restarts each member in its pod, as the operator has it do for settings that need it: no pod is
replaced, no object is written, and no owner has anything to take back. The leader keeps its lock, so
nobody fails over; connections to a member end when it restarts, and no commit is lost.

Ctrl-C before the first member ends with 130; after that the members that were not reached yet stay as
they are, and the exit code is 4. The same command again restarts all of them.";

/// Restart the Postgres of every member, the leader last
///
/// Goes on to the next member only when Postgres of the one before says that it was started anew, and every member runs again.
#[derive(Debug, Args)]
#[command(after_help = RESTART_EXAMPLES)]
pub(crate) struct RestartArgs {
    /// The operator's Postgres cluster
    pub(crate) cluster: String,

    #[command(flatten)]
    pub(crate) upkeep: UpkeepArgs,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// Stop everything of a cluster, and wait until nothing of it runs
///
/// Refuses where the operator would take the request and stop nothing, in the middle of a move or a backup, and where GitOps
/// or Helm would take it back. Writes a checkpoint first, and says what the leader's own control data said at its end.
#[derive(Debug, Args)]
#[command(after_help = SHUTDOWN_EXAMPLES)]
pub(crate) struct ShutdownArgs {
    /// The operator's Postgres cluster
    pub(crate) cluster: String,

    #[command(flatten)]
    pub(crate) upkeep: UpkeepArgs,

    /// Change an object that GitOps or Helm owns, although the owner will revert it
    #[arg(long)]
    pub(crate) allow_managed: bool,

    /// The kubeconfig context of the other site [default: found among all contexts by the system identifier]
    #[arg(long, value_name = "CONTEXT", help_heading = "Site options")]
    pub(crate) peer: Option<String>,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// What the commands of every day have in common.
#[derive(Clone, Debug, Args)]
pub(crate) struct UpkeepArgs {
    /// Show the plan, with the exact patches where there are any, and stop
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,

    /// How long to wait until it is done; 0 is as long as it takes
    #[arg(long, value_name = "DURATION", default_value = "5m")]
    pub(crate) timeout: RequestTimeout,

    /// The kubeconfig context of the site [default: the current one]
    #[arg(long, value_name = "CONTEXT", help_heading = "Site options")]
    pub(crate) context: Option<String>,
}

/// The other side of a command of every day that needs to know it.
#[derive(Clone, Debug, Args)]
pub(crate) struct PairArgs {
    /// There is no other side; one that is found all the same is looked at
    #[arg(long, conflicts_with_all = ["peer", "file"])]
    pub(crate) alone: bool,

    /// The service's file, which names both sites: a file, a folder of files, or configmap/NAME or configmap/NAMESPACE/NAME in the
    /// cluster of --context
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::AnyPath, requires = "site")]
    pub(crate) file: Option<PathBuf>,

    /// The site of --file where it is done
    #[arg(
        long,
        value_name = "SITE",
        requires = "file",
        help_heading = "Site options"
    )]
    pub(crate) site: Option<String>,

    /// The kubeconfig context of the other site [default: found among all contexts by the system identifier]
    #[arg(
        long,
        value_name = "CONTEXT",
        help_heading = "Site options",
        conflicts_with = "file"
    )]
    pub(crate) peer: Option<String>,
}
