//! The commands that move a primary, at once or step by step.

use std::path::PathBuf;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use pgha_model::failover::AcceptedLoss;

use super::{BackupBeforeArgs, CommonArgs, ConfigMapArgs, DeadlineJobArgs, OwnersArgs, ReportArgs};
use crate::settings::RequestTimeout;

const SWITCHOVER_EXAMPLES: &str = "\
Examples:
  # What would be done, with the exact patches; nothing is changed
  kubectl pgha switchover zitadel --from core1 --to core2 --dry-run

  # Show the plan, ask, and move
  kubectl pgha switchover zitadel --from core1 --to core2

  # From a script: one JSON event a line, the outcome last
  kubectl pgha switchover zitadel --from core1 --to core2 --yes -o json

  # Database and users, as the service's file says (docs/traffic.md)
  kubectl pgha switchover zitadel -f zitadel.yaml --to core2

  # With a full backup before, and a page afterwards that says for each task of the run book what was done and what proved it
  kubectl pgha switchover zitadel -f zitadel.yaml --to core2 --backup --report move.html

  # What Flux or Argo CD owns: they are held, and let go by `release` once Git says the same (docs/gitops.md)
  kubectl pgha switchover zitadel --from core1 --to core2 --hold-owners

  # A file with `way: git`: Git says first what each side is to be, by two commits with the fence between them
  kubectl pgha switchover zitadel -f zitadel.yaml --to core2

  # The same, and Git says it right after the move, which takes nothing from its speed; with `way: mergeRequest` both changes are
  # proposed then, and each is waited for until somebody merges it (docs/change.md)
  kubectl pgha switchover zitadel -f zitadel.yaml --to core2 --fast

Ctrl-C while the backup before is made has it go on by itself, and ends with 5; nothing of the move has begun.
Ctrl-C before the source is stopped puts everything back and ends with 130; until the promotion is sent it goes back to
the source and ends with 4; after that the move goes on. A second Ctrl-C gives up waiting and ends with 5.

A command that dies between the fence and the promotion leaves nobody primary until `resume` or `abort` is run. With
--deadline-image a Job in the source's namespace watches the record of the move, and goes back to the source when that
has not changed for three times --timeout; nothing else is left to it once the promotion is decided.";

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

const FAILOVER_EXAMPLES: &str = "\
Examples:
  # core1 does not answer: what is known, what would be lost, what would be done; nothing is changed
  kubectl pgha failover zitadel --from core1 --to core2 --dry-run

  # Its members are down and its API server answers: at most the commits of 30 s may be lost
  kubectl pgha failover zitadel --from core1 --to core2 --accept-loss-of 30s

  # The whole site is gone, and somebody knows that it is
  kubectl pgha failover zitadel --from core1 --to core2 --site-is-down 'fire, power cut at 09:12' \
    --accept-loss-of ROWS-UNKNOWN

Where every member of both sides answers and this side is proved to hold everything, nothing is lost
and nothing need be accepted. Otherwise it says up to where this side holds the log and what may be
lost. It refuses while a member of the source takes writes, while log still comes to the target, and
while a member of the source may write unseen, unless --site-is-down says why it cannot.

Where the source's API server answers, the source is made a standby there, and stays one when its
members come back. Where it does not, nothing stops it when it comes back: keep it away from its
programs until `kubectl pgha rejoin` has made it a standby.

A failover that was interrupted is run again: it takes the unfinished one over.";

const REJOIN_EXAMPLES: &str = "\
Examples:
  # core1 is back after a failover to core2: make it a standby, and keep what only it holds
  kubectl pgha rejoin zitadel --from core1 --to core2

  # It holds log of its own: set its data aside and make a new copy from the repository
  kubectl pgha rejoin zitadel --from core1 --to core2 --rebuild --yes

First of all the side that returns is made a standby by its configuration: it may be a second
primary. Then both histories are compared. What only that side holds is copied to a folder here:
the segments, each compared by its SHA-256, and the list of the transactions that were committed
there. Without --rebuild it stops there, with 4; the side stays a standby that does not follow.

--rebuild renames the old data on its own volume and lets Patroni make a new copy beside it, so
there must be room for both; nothing is deleted. A side that follows already is left alone.

A side that came back as a second primary has left the history of a timeline of its own in the
repository, and whoever asks that for the latest timeline is lost, a new copy first of all. With
--rebuild the primary is then stopped and promoted past it: some seconds without writes.";

const RESUME_EXAMPLES: &str = "\
Examples:
  # The tool that moved zitadel from core1 to core2 was killed: see how far it came, ask, and go on
  kubectl pgha resume zitadel --from core1 --to core2

  # At once, although its deadline has not passed: it can then write nothing any more
  kubectl pgha resume zitadel --from core1 --to core2 --take-over --yes

Where nothing had happened yet the whole move is planned and carried out again; where the source was
stopped, the target is promoted if it is proved to hold everything; where the target is primary
already, what was left of the move is finished. Without an unfinished move there is nothing to do,
and it ends with 0.";

const ABORT_EXAMPLES: &str = "\
Examples:
  # The tool that moved zitadel from core1 to core2 was killed: go back to core1
  kubectl pgha abort zitadel --from core1 --to core2

Where nothing had happened yet, holds and settings are put back; where the source was stopped, it is
made primary again, on a new timeline, if it is proved to hold everything. Once the target was told
to become primary there is no way back but another move, and it is refused with 3. Without an
unfinished move there is nothing to do, and it ends with 0.";

/// The two sides that a command goes between.
#[derive(Debug, Args)]
pub(crate) struct BetweenArgs {
    /// The operator's Postgres cluster, of the same name and namespace at both sites; with --file the service of that file
    pub(crate) cluster: String,

    /// The service's file: --from and --to are sites of it, and where the primary moves, its users follow. A file, a folder of
    /// files, or configmap/NAME or configmap/NAMESPACE/NAME in a cluster [default: ./pgha.yaml, if it has this service and these
    /// sites, unless --from and --to are two contexts or --namespace is given]
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::AnyPath)]
    pub(crate) file: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) config_map: ConfigMapArgs,

    /// The kubeconfig context of the site that the move goes from [with a file of two sites: the other one]
    #[arg(long, value_name = "CONTEXT", help_heading = "Site options")]
    pub(crate) from: Option<String>,

    /// The kubeconfig context of the site that it goes to
    #[arg(long, value_name = "CONTEXT", help_heading = "Site options")]
    pub(crate) to: String,
}

/// Go on with a move that was left unfinished
///
/// Takes the move over, so that its tool can write nothing any more, puts both sides in order, and goes on from what it
/// sees there.
#[derive(Debug, Args)]
#[command(after_help = RESUME_EXAMPLES)]
pub(crate) struct ResumeArgs {
    #[command(flatten)]
    pub(crate) deadline: DeadlineJobArgs,

    #[command(flatten)]
    pub(crate) report: ReportArgs,

    #[command(flatten)]
    pub(crate) over: TakeOverArgs,
}

/// Take back a move that was left unfinished
///
/// Takes the move over, so that its tool can write nothing any more, puts both sides in order, and makes the source
/// primary again where it is not.
#[derive(Debug, Args)]
#[command(after_help = ABORT_EXAMPLES)]
pub(crate) struct AbortArgs {
    #[command(flatten)]
    pub(crate) over: TakeOverArgs,
}

/// What `resume` and `abort` have in common.
#[derive(Debug, Args)]
pub(crate) struct TakeOverArgs {
    #[command(flatten)]
    pub(crate) between: BetweenArgs,

    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,

    /// Take it over although its tool may still be at work
    #[arg(long)]
    pub(crate) take_over: bool,

    /// How long each step may take
    #[arg(long, value_name = "DURATION", default_value = "1m")]
    pub(crate) timeout: RequestTimeout,

    #[command(flatten)]
    pub(crate) owners: OwnersArgs,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
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
    #[command(flatten)]
    pub(crate) between: BetweenArgs,

    /// Show the plan with the exact patches, and stop
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,

    /// How long each step may take before the move is taken back
    #[arg(long, value_name = "DURATION", default_value = "1m")]
    pub(crate) timeout: RequestTimeout,

    /// Move at once with the owners held, then commit or propose what spec.change of the service's file says, and let them go
    #[arg(long, conflicts_with = "allow_managed")]
    pub(crate) fast: bool,

    #[command(flatten)]
    pub(crate) backup: BackupBeforeArgs,

    #[command(flatten)]
    pub(crate) report: ReportArgs,

    #[command(flatten)]
    pub(crate) deadline: DeadlineJobArgs,

    #[command(flatten)]
    pub(crate) owners: OwnersArgs,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
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
    pub(crate) common: CommonArgs,
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
    pub(crate) common: CommonArgs,
}

/// Make the other side primary when the primary's site is gone, knowing what may be lost
///
/// Says what is known of the source, when it was last seen, and the bound of what may be lost; fences what can still be
/// fenced; replays everything that was received; promotes the target.
#[derive(Debug, Args)]
#[command(after_help = FAILOVER_EXAMPLES)]
pub(crate) struct FailoverArgs {
    #[command(flatten)]
    pub(crate) between: BetweenArgs,

    /// Show the plan with the exact patches, and stop
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,

    /// What may be lost: a time like 30s, bytes of log like 16MiB, or ROWS-UNKNOWN
    #[arg(long, value_name = "LOSS")]
    pub(crate) accept_loss_of: Option<AcceptedLoss>,

    /// Why it is known that nothing at the source can write: it is kept in the record
    #[arg(long, value_name = "REASON", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) site_is_down: Option<String>,

    /// Take an unfinished move over although its tool may still be at work
    #[arg(long)]
    pub(crate) take_over: bool,

    /// How long each wait may last before everything is taken back
    #[arg(long, value_name = "DURATION", default_value = "1m")]
    pub(crate) timeout: RequestTimeout,

    #[command(flatten)]
    pub(crate) report: ReportArgs,

    #[command(flatten)]
    pub(crate) owners: OwnersArgs,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// Make the side that was failed over from a standby again, keeping what only it holds
///
/// Keeps it from being primary, compares both histories, copies away what only that side holds, and sees it follow.
#[derive(Debug, Args)]
#[command(after_help = REJOIN_EXAMPLES)]
pub(crate) struct RejoinArgs {
    #[command(flatten)]
    pub(crate) between: BetweenArgs,

    /// Set data that has left the service's history aside, and make a new copy
    #[arg(long)]
    pub(crate) rebuild: bool,

    /// Where to keep what only that side holds [default: ./CLUSTER-lost-tail-DATE]
    #[arg(long, value_name = "FOLDER", value_hint = clap::ValueHint::DirPath)]
    pub(crate) keep: Option<PathBuf>,

    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,

    /// Take an unfinished move over although its tool may still be at work
    #[arg(long)]
    pub(crate) take_over: bool,

    /// How long each wait may last; a new copy takes as long as it takes
    #[arg(long, value_name = "DURATION", default_value = "1m")]
    pub(crate) timeout: RequestTimeout,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
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

    #[command(flatten)]
    pub(crate) owners: OwnersArgs,

    /// The kubeconfig context of the site [default: the current one]
    #[arg(long, value_name = "CONTEXT", help_heading = "Site options")]
    pub(crate) context: Option<String>,

    /// The kubeconfig context of the other site [default: found among all contexts by the system identifier]
    #[arg(long, value_name = "CONTEXT", help_heading = "Site options")]
    pub(crate) peer: Option<String>,
}
