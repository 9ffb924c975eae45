//! A new password for a user.

use std::path::PathBuf;

use clap::Args;

use super::{CommonArgs, PairArgs, UpkeepArgs};

const RESET_EXAMPLES: &str = "\
Examples:
  # What would be done, and which programs read the Secret; nothing is changed
  kubectl pgha reset-password zitadel --user app --context core1 --peer core2 --dry-run

  # A new password, made by the operator, in the Secrets of both sites
  kubectl pgha reset-password zitadel --user app --context core1 --peer core2

  # One that a vault brings
  vault-client read … | kubectl pgha reset-password zitadel --user app --context core1 --peer core2 \\
    --password-file - --yes

  # Both sites are in the service's file
  kubectl pgha reset-password zitadel -f zitadel.yaml --site core1 --user app

Runs where the primary is: no password in a standby's Secret reaches Postgres. The other site's Secret gets
the same one, for its operator writes what is there into Postgres at its promotion.

Programs that read the Secret keep the old password until they read it again: restart them, by the
names in the plan. The operator sets the passwords of all users at once; where Postgres holds another
than a Secret says, that user's would change too, and the command refuses.

A password is never an argument, and is never shown: not by -o json, not in an error, not in a log.
Needs the Role of manifests/rbac/secrets.yaml at both sites.

Ctrl-C before the request is sent ends with 130; after that the operator goes on, and the exit code is
4: run `sync-secrets --dry-run` to see whose password Postgres holds.";

/// Give a user of Postgres a new password, the same at both sites
///
/// Waits until Postgres holds it and the other site's Secret has it, then logs in over TCP with the new one, and is refused
/// with the old one.
#[derive(Debug, Args)]
#[command(after_help = RESET_EXAMPLES)]
pub(crate) struct ResetPasswordArgs {
    /// The operator's Postgres cluster, of the same name and namespace at both sites; with --file the service of that file
    pub(crate) cluster: String,

    /// The user, one of spec.users
    #[arg(long, value_name = "USER")]
    pub(crate) user: String,

    /// The file with the new password, one line; `-` is stdin [default: the operator makes one]
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) password_file: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) upkeep: UpkeepArgs,

    /// Go on where the operator sets passwords of other users too, to what their Secrets say
    #[arg(long)]
    pub(crate) allow_others: bool,

    /// Change Secrets that GitOps or Helm owns, although the owner will revert it
    #[arg(long)]
    pub(crate) allow_managed: bool,

    #[command(flatten)]
    pub(crate) pair: PairArgs,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}
