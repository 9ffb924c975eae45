//! The commands that keep a service ready for a move: backups and passwords.

use clap::{Args, ValueEnum};

use super::CommonArgs;
use crate::settings::RequestTimeout;

const BACKUP_EXAMPLES: &str = "\
Examples:
  # A full backup of the primary, with pgBackRest's log on stderr
  kubectl pgha backup zitadel --context core1 --type full

  # The same, read back and compared with its checksums
  kubectl pgha backup zitadel --context core1 --type full --verify

  # Into the second repository, without waiting for the end
  kubectl pgha backup zitadel --context core1 --repo repo2 --no-wait

Ctrl-C before the request is sent ends with 130; after that the backup goes on by itself, and the exit code is 5. A
backup that failed ends with 4 after its first failed pod.";

const SYNC_SECRETS_EXAMPLES: &str = "\
Examples:
  # Which passwords differ, and which of them log in; nothing is changed
  kubectl pgha sync-secrets zitadel --from core1 --to core2 --dry-run

  # Give the standby the passwords of the primary
  kubectl pgha sync-secrets zitadel --from core1 --to core2

Why: a site's operator writes the passwords of its own Secrets into Postgres at its first promotion, and not again at a
later one. With different Secrets a move changes every password, and the move back does not undo it. Needs get, list and
patch on secrets at both sites. No value is ever shown.";

/// Make a backup now, and wait until it is there
///
/// Refuses wherever the operator would keep the request without a word: on a standby, paused, shut down, before the first
/// backup, while another backup or a switchover is under way. Succeeds only by the request's own id.
#[derive(Debug, Args)]
#[command(after_help = BACKUP_EXAMPLES)]
pub(crate) struct BackupArgs {
    /// The operator's Postgres cluster
    pub(crate) cluster: String,

    /// The repository, repo1 to repo4 [default: that of the request before, else the first]
    #[arg(long, value_name = "REPO")]
    pub(crate) repo: Option<String>,

    /// What to copy [default: that of the request before, else incr]
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) kind: Option<BackupKind>,

    /// End when the operator has taken the request up
    #[arg(long, conflicts_with = "verify")]
    pub(crate) no_wait: bool,

    /// Read the repository back afterwards, with `pgbackrest verify`: as long as a restore takes
    #[arg(long)]
    pub(crate) verify: bool,

    /// How long to wait for the end; 0 is as long as it takes
    #[arg(long, value_name = "DURATION", default_value = "1h")]
    pub(crate) timeout: RequestTimeout,

    /// Change an object that GitOps or Helm owns, although the owner may revert it
    #[arg(long)]
    pub(crate) allow_managed: bool,

    /// The kubeconfig context of the site [default: the current one]
    #[arg(long, value_name = "CONTEXT", help_heading = "Site options")]
    pub(crate) context: Option<String>,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// Beside a move: the backup before it.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct BackupBeforeArgs {
    /// Make a full backup of the source first, and move only once it is there [default: if the service's file has spec.backup]
    #[arg(long, conflicts_with = "no_backup")]
    pub(crate) backup: bool,

    /// Make none, although the service's file has spec.backup
    #[arg(long)]
    pub(crate) no_backup: bool,

    /// How long to wait for the backup's end; 0 is as long as it takes [default: what the service's file says, else 1h]
    #[arg(long, value_name = "DURATION", conflicts_with = "no_backup")]
    pub(crate) backup_timeout: Option<RequestTimeout>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum BackupKind {
    /// Everything
    Full,
    /// What changed since the last full backup
    Diff,
    /// What changed since the last backup
    Incr,
}

impl From<BackupKind> for pgha_model::backup::BackupType {
    fn from(kind: BackupKind) -> Self {
        match kind {
            BackupKind::Full => Self::Full,
            BackupKind::Diff => Self::Diff,
            BackupKind::Incr => Self::Incr,
        }
    }
}

/// Make both sites agree on the passwords of Postgres' roles
///
/// Compares the Secrets of the users, of PgBouncer and of the monitoring by fingerprint, and with what Postgres itself
/// holds. Copies password and verifier together from one site to the other, and reads them back.
#[derive(Debug, Args)]
#[command(after_help = SYNC_SECRETS_EXAMPLES)]
pub(crate) struct SyncSecretsArgs {
    /// The operator's Postgres cluster, of the same name and namespace at both sites
    pub(crate) cluster: String,

    /// The kubeconfig context of the site whose passwords are right
    #[arg(long, value_name = "CONTEXT", help_heading = "Site options")]
    pub(crate) from: String,

    /// The kubeconfig context of the site that gets them
    #[arg(long, value_name = "CONTEXT", help_heading = "Site options")]
    pub(crate) to: String,

    /// Show what would be copied, and stop
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,

    /// Change Secrets that GitOps or Helm owns, although the owner will revert it
    #[arg(long)]
    pub(crate) allow_managed: bool,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}
