//! The commands of every day: stop one side, start it, restart its members.

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
