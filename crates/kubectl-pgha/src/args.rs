//! The command line. What is written here is the help.

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::settings::RequestTimeout;

const EXIT_CODES: &str = "\
Exit codes:
    0  done
    1  a bug in pgha
    2  the arguments or the kubeconfig are wrong
    3  refused, or something could not be seen; nothing was changed
    4  stopped part-way, safe to run again
    5  effect unknown or held: look before acting
  130  interrupted before anything was changed

Environment:
  KUBECONFIG            kubeconfig files, as for kubectl
  PGHA_REQUEST_TIMEOUT  what --request-timeout is when it is not given
  PGHA_COLOR            what --color is when it is not given
  PGHA_LOG              what to log on stderr, `pgha_core=debug`; wins over -v
  NO_COLOR              when set to anything, --color auto means never";

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

  # Every cluster that the current context shows
  kubectl pgha status -A

  # Whether a standby really receives: its position moves
  kubectl pgha status zitadel --context core1 --context core2 -w

Exit code 3: a site that was asked could not be seen, or something is wrong with a service (a line that begins with
FAIL). Warnings alone end with 0. With -w it ends on Ctrl-C, with 130.";

const SWITCHOVER_EXAMPLES: &str = "\
Examples:
  # What would be done, with the exact patches; nothing is changed
  kubectl pgha switchover zitadel --from core1 --to core2 --dry-run

  # Show the plan, ask, and move
  kubectl pgha switchover zitadel --from core1 --to core2

  # From a script: one JSON event a line, the outcome last
  kubectl pgha switchover zitadel --from core1 --to core2 --yes -o json

Ctrl-C before the source is stopped puts everything back and ends with 130; until the promotion is sent it goes back to
the source and ends with 4; after that the move goes on. A second Ctrl-C gives up waiting and ends with 5.";

const DEMOTE_EXAMPLES: &str = "\
Examples:
  # What would be done at core1, with the exact patches; nothing is changed
  kubectl pgha demote zitadel --context core1 --dry-run

  # Stop the primary at core1 and make its site a standby, then promote the other side
  kubectl pgha demote zitadel --context core1 --peer core2
  kubectl pgha promote zitadel --context core2 --peer core1

Nobody takes writes until a side is promoted: `switchover` does both steps at once, much faster.
Where this side says nothing of how to be a standby, its peer's spec.standby.repoName is taken. On
a standby there is nothing to do, and it ends with 0.

Ctrl-C or a failure before every member is seen at rest as a standby makes this side primary
again, on a new timeline, unless the other side has become primary meanwhile; it ends with 130
before the stop and with 4 after it. A second Ctrl-C gives up waiting and ends with 5.";

const PROMOTE_EXAMPLES: &str = "\
Examples:
  # Both sides are standbys: promote core2, if it is proved to hold everything that core1 has
  kubectl pgha promote zitadel --context core2 --peer core1

  # The other site is gone for good: promote what is here, knowing that the last commits may be lost
  kubectl pgha promote zitadel --context core2 --force
  kubectl pgha promote zitadel --context core2 --force --yes-i-accept-data-loss-of zitadel

The proof, read from Postgres on every member of both sides: each is in recovery and has nothing
left to replay; this side holds the log up to every end of the other side; and the bytes before
those ends are the same. For it each member writes a restart point (CHECKPOINT), which changes no
data. Where the other side holds more, the command that promotes it is named.

--force does without the other side and without the proof, leaves the other side alone, and says
what may be lost. It never promotes beside a side that answers as primary. On a primary there is
nothing to do, and it ends with 0.";

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

const VALIDATE_EXAMPLES: &str = "\
Examples:
  # Whether zitadel could be moved now, and what stands in the way
  kubectl pgha validate zitadel --from core1 --to core2

  # For a script: only the answer
  kubectl pgha validate zitadel --from core1 --to core2 -o json | jq .readyForSwitchover.ready

`switchover` makes the same checks and refuses by the same failures. Nothing is changed. Exit code 3: not ready.";

const SYNC_SECRETS_EXAMPLES: &str = "\
Examples:
  # Which passwords differ, and which of them log in; nothing is changed
  kubectl pgha sync-secrets zitadel --from core1 --to core2 --dry-run

  # Give the standby the passwords of the primary
  kubectl pgha sync-secrets zitadel --from core1 --to core2

Why: a site's operator writes the passwords of its own Secrets into Postgres at its first promotion, and not again at a
later one. With different Secrets a move changes every password, and the move back does not undo it. Needs get, list and
patch on secrets at both sites. No value is ever shown.";

const COMPLETION_EXAMPLES: &str = "\
Examples:
  # For `kubectl pgha` in every shell in which kubectl itself completes: a program on the PATH that kubectl asks
  kubectl pgha completion kubectl > ~/.local/bin/kubectl_complete-pgha
  chmod +x ~/.local/bin/kubectl_complete-pgha

  # For the program `kubectl-pgha` when it is called by that name
  source <(kubectl pgha completion bash)
  source <(kubectl pgha completion zsh)
  kubectl pgha completion fish | source
  kubectl pgha completion powershell | Out-String | Invoke-Expression";

/// Move a Postgres service between Kubernetes clusters, and see where it stands
#[derive(Debug, Parser)]
#[command(
    name = "kubectl-pgha",
    bin_name = "kubectl pgha",
    version,
    after_help = EXIT_CODES,
    disable_help_subcommand = true,
    max_term_width = 100
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Leader(LeaderArgs),
    Status(StatusArgs),
    Validate(ValidateArgs),
    Switchover(SwitchoverArgs),
    Demote(DemoteArgs),
    Promote(PromoteArgs),
    Backup(BackupArgs),
    SyncSecrets(SyncSecretsArgs),
    Completion(CompletionArgs),
    #[command(name = "__complete", hide = true)]
    Complete(CompleteArgs),
}

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
    pub(crate) site: SiteArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
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
    /// Only the clusters of this name [default: all]
    pub(crate) cluster: Option<String>,

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
    pub(crate) site: SiteArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Check whether both sides are ready for a switchover, and for a failover
///
/// Every check passes, warns or fails, with what was seen and what to do. It looks at Kubernetes, Patroni, inside every
/// member's Postgres, into the repositories, at secrets by digest and never by value, and at permissions.
#[derive(Debug, Args)]
#[command(after_help = VALIDATE_EXAMPLES)]
pub(crate) struct ValidateArgs {
    /// The operator's Postgres cluster, of the same name and namespace at both sites
    pub(crate) cluster: String,

    /// The kubeconfig context of the site that is primary now
    #[arg(long, value_name = "CONTEXT", help_heading = "Site options")]
    pub(crate) from: String,

    /// The kubeconfig context of the site that would become primary
    #[arg(long, value_name = "CONTEXT", help_heading = "Site options")]
    pub(crate) to: String,

    /// Warn of objects that GitOps or Helm owns, as `switchover --allow-managed` takes them
    #[arg(long)]
    pub(crate) allow_managed: bool,

    #[command(flatten)]
    pub(crate) site: SiteArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Move the primary from one site to the other, losing no committed write
///
/// Stops the primary at the source cleanly, proves that every member of the target holds everything the source wrote,
/// promotes the target, and sees the old side follow. Before the promotion every failure is taken back to the source.
/// After it each user of the target logs in over TCP, through the service and the pooler: what fails is told, and the exit
/// code is 5 when nobody can. Every member of a side needs the same version of Patroni.
#[derive(Debug, Args)]
#[command(after_help = SWITCHOVER_EXAMPLES)]
pub(crate) struct SwitchoverArgs {
    /// The operator's Postgres cluster, of the same name and namespace at both sites
    pub(crate) cluster: String,

    /// The kubeconfig context of the site that is primary now
    #[arg(long, value_name = "CONTEXT", help_heading = "Site options")]
    pub(crate) from: String,

    /// The kubeconfig context of the site that becomes primary
    #[arg(long, value_name = "CONTEXT", help_heading = "Site options")]
    pub(crate) to: String,

    /// Show the plan with the exact patches, and stop
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,

    /// How long each step may take before the move is taken back
    #[arg(long, value_name = "DURATION", default_value = "1m")]
    pub(crate) timeout: RequestTimeout,

    /// Change objects that GitOps or Helm owns, although the owner will revert it
    #[arg(long)]
    pub(crate) allow_managed: bool,

    #[command(flatten)]
    pub(crate) site: SiteArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Make a primary side a standby, by itself: nobody takes writes until a side is promoted
///
/// Stops the primary cleanly, pushes the last segment of its log to the repository, and sees every member at rest as a
/// standby. Says where the log ended: what a later `promote` of either side compares.
#[derive(Debug, Args)]
#[command(after_help = DEMOTE_EXAMPLES)]
pub(crate) struct DemoteArgs {
    /// The operator's Postgres cluster, of the same name and namespace at both sites
    pub(crate) cluster: String,

    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,

    #[command(flatten)]
    pub(crate) step: StepArgs,

    #[command(flatten)]
    pub(crate) site: SiteArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Make a standby side primary, by itself, if nothing can be lost
///
/// Looks at the other side, and refuses while that is or may be primary, or when it is not proved that this side holds
/// everything that the other side has.
#[derive(Debug, Args)]
#[command(after_help = PROMOTE_EXAMPLES)]
pub(crate) struct PromoteArgs {
    /// The operator's Postgres cluster, of the same name and namespace at both sites
    pub(crate) cluster: String,

    /// Do not ask
    #[arg(short, long, conflicts_with = "force")]
    pub(crate) yes: bool,

    /// Promote without the other side and without a proof; asks for the cluster's name
    #[arg(long)]
    pub(crate) force: bool,

    /// Do not ask: the cluster's name, for --force from a script
    #[arg(long, value_name = "CLUSTER", requires = "force")]
    pub(crate) yes_i_accept_data_loss_of: Option<String>,

    #[command(flatten)]
    pub(crate) step: StepArgs,

    #[command(flatten)]
    pub(crate) site: SiteArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// What the steps of one side have in common.
#[derive(Clone, Debug, Args)]
pub(crate) struct StepArgs {
    /// Show the plan with the exact patches, and stop
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// How long each wait may last before everything is taken back
    #[arg(long, value_name = "DURATION", default_value = "1m")]
    pub(crate) timeout: RequestTimeout,

    /// Change an object that GitOps or Helm owns, although the owner will revert it
    #[arg(long)]
    pub(crate) allow_managed: bool,

    /// The kubeconfig context of the site [default: the current one]
    #[arg(long, value_name = "CONTEXT", help_heading = "Site options")]
    pub(crate) context: Option<String>,

    /// The kubeconfig context of the other site [default: found among all contexts by the system identifier]
    #[arg(long, value_name = "CONTEXT", help_heading = "Site options")]
    pub(crate) peer: Option<String>,
}

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
    pub(crate) site: SiteArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
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
    pub(crate) site: SiteArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Print what makes a shell complete commands, flags, contexts and clusters
#[derive(Debug, Args)]
#[command(after_help = COMPLETION_EXAMPLES)]
pub(crate) struct CompletionArgs {
    /// For whom
    pub(crate) shell: Shell,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
    Powershell,
    /// The program `kubectl_complete-pgha`, which kubectl's own completion asks
    Kubectl,
}

/// Answer kubectl's completion: candidates, then a line `:DIRECTIVE`
#[derive(Debug, Args)]
pub(crate) struct CompleteArgs {
    /// The words after `kubectl pgha`; the last one is incomplete
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) words: Vec<String>,
}

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Site options")]
pub(crate) struct SiteArgs {
    /// The Kubernetes namespace [default: the context's]
    #[arg(short, long, value_name = "NAMESPACE")]
    pub(crate) namespace: Option<String>,

    /// The kubeconfig file [default: KUBECONFIG, then ~/.kube/config]
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) kubeconfig: Option<std::path::PathBuf>,

    /// How long one request may take, `5s` or `1m30s`; 0 is as long as it takes [default: 10s]
    #[arg(long, value_name = "DURATION")]
    pub(crate) request_timeout: Option<RequestTimeout>,
}

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Output options")]
pub(crate) struct OutputArgs {
    /// What to print
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: Format,

    /// Whether to colour the output [default: auto]
    #[arg(long, value_name = "WHEN")]
    pub(crate) color: Option<ColorChoice>,

    /// Log what is done on stderr; twice for more
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Table,
    /// For people, with more columns
    Wide,
    /// For programs
    Json,
    /// For programs
    Yaml,
    /// Only the name, as kubectl takes it
    Name,
}

impl Format {
    /// Whether people read the result.
    pub(crate) const fn is_text(self) -> bool {
        matches!(self, Self::Table | Self::Wide)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    /// When a person reads it at a terminal
    Auto,
    Always,
    Never,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        super::Cli::command().debug_assert();
    }
}
