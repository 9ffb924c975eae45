//! The command line. What is written here and below is the help.

mod common;
mod deadline;
mod init;
mod keep;
mod lint;
mod login;
mod look;
mod moving;
mod owners;
mod release;
mod report;
mod reset;
mod token;
mod traffic;
mod upgrade;
mod upkeep;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use self::common::{
    ColorChoice, CommonArgs, ConfigMapArgs, Format, OutputArgs, SiteArgs,
};
pub(crate) use self::deadline::{DeadlineArgs, DeadlineJobArgs};
pub(crate) use self::init::InitArgs;
pub(crate) use self::keep::{BackupArgs, BackupBeforeArgs, SyncSecretsArgs};
pub(crate) use self::lint::LintArgs;
pub(crate) use self::login::{GrantKind, LoginArgs};
pub(crate) use self::look::{HistoryArgs, LeaderArgs, StatusArgs, ValidateArgs};
pub(crate) use self::moving::{
    AbortArgs, BetweenArgs, DemoteArgs, FailoverArgs, PromoteArgs, RejoinArgs, ResumeArgs,
    StepArgs, SwitchoverArgs, TakeOverArgs,
};
pub(crate) use self::owners::OwnersArgs;
pub(crate) use self::release::ReleaseArgs;
pub(crate) use self::report::ReportArgs;
pub(crate) use self::reset::ResetPasswordArgs;
pub(crate) use self::token::{Age, Expected, TokenCheckArgs};
pub(crate) use self::traffic::{
    MoveArgs, PlanArgs, PrepareArgs, RollbackArgs, ServiceArgs, ShowArgs, TrafficArgs,
    TrafficCommand, VerifyArgs,
};
pub(crate) use self::upgrade::UpgradeArgs;
pub(crate) use self::upkeep::{PairArgs, RestartArgs, ShutdownArgs, StartupArgs, UpkeepArgs};

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
  KUBERC                kubectl's preferences, for its policy on programs that bring credentials; off for none
  HTTPS_PROXY           the proxy to API servers whose context names none; NO_PROXY excepts servers
  XDG_STATE_HOME        where `traffic` keeps what its rollback needs, and `login` its tokens
  PGHA_REQUEST_TIMEOUT  what --request-timeout is when it is not given
  PGHA_COLOR            what --color is when it is not given
  PGHA_LOG              what to log on stderr, `pgha_core=debug`; wins over -v
  NO_COLOR              when set to anything, --color auto means never";

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
    Failover(FailoverArgs),
    Rejoin(RejoinArgs),
    Resume(ResumeArgs),
    Abort(AbortArgs),
    Release(ReleaseArgs),
    History(HistoryArgs),
    Backup(BackupArgs),
    Shutdown(ShutdownArgs),
    Startup(StartupArgs),
    Restart(RestartArgs),
    Upgrade(UpgradeArgs),
    ResetPassword(ResetPasswordArgs),
    SyncSecrets(SyncSecretsArgs),
    Traffic(TrafficArgs),
    Login(LoginArgs),
    TokenCheck(TokenCheckArgs),
    Init(InitArgs),
    Lint(LintArgs),
    Completion(CompletionArgs),
    #[command(hide = true)]
    Deadline(DeadlineArgs),
    /// Let the clients of poolers go on when the tool that has them wait is gone; reads which from its input
    #[command(hide = true)]
    PoolerGuard,
    #[command(name = "__complete", hide = true)]
    Complete(CompleteArgs),
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        super::Cli::command().debug_assert();
    }
}
