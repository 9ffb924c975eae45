//! The command that looks at a login's token.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{ArgGroup, Args};
use jiff::{SignedDuration, Timestamp};

use super::{CommonArgs, OutputArgs, SiteArgs};
use crate::settings::{RequestTimeout, go_duration};

const TOKEN_CHECK_EXAMPLES: &str = "\
Examples:
  # Whether kubectl's own token is a proof that a person can log in, and in which groups
  kubectl pgha token-check --from-kubeconfig oidc --issuer https://login.example --client-id 2551@prod \\
    --expect groups=prod-admin

  # Before a move, and after it: the same issuer, the same keys, the same subject
  kubectl pgha token-check --token-file ~/.kube/token.json --issuer https://login.example --client-id 2551@prod \\
    --save-baseline before.json
  kubectl pgha token-check --token-file ~/.kube/token.json --issuer https://login.example --client-id 2551@prod \\
    --baseline before.json --since 2026-11-21T14:00:00Z

  # Whether both sites' API servers let its bearer in, and as whom
  some-login | kubectl pgha token-check --token-file - --issuer https://login.example --client-id 2551@prod \\
    --apiserver core1 --apiserver core2

  # What a token says, without any proof that it is true
  kubectl pgha token-check --token-file token.txt --decode-only

Which proof a token is:
  fresh-login        the person has logged in since --since: the login page worked
  refreshed-session  it was issued since then for a login from before: the login page is not proved
  new-token          it was issued since then and does not say when the login was
  old-token          it is from before and still verifies: the issuer publishes the same key

A token is never an argument: arguments are seen by everybody on the machine. Exit code 3: the token is not proved.";

/// Check whether a token proves that a person can log in
///
/// Reads a JWT strictly, fetches the keys of the issuer that is named here and never of one that the token names, and checks
/// signature, issuer, audience, times and what else is expected.
#[derive(Debug, Args)]
#[command(
    after_help = TOKEN_CHECK_EXAMPLES,
    group = ArgGroup::new("input").required(true).args(["token_file", "from_kubeconfig", "from_cache"])
)]
pub(crate) struct TokenCheckArgs {
    /// The file with the token, by itself or as a program's credential for kubectl; `-` is stdin
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) token_file: Option<PathBuf>,

    /// The user of the kubeconfig whose token is taken; a program that brings it is started
    #[arg(long, value_name = "USER")]
    pub(crate) from_kubeconfig: Option<String>,

    /// The token that `login` has kept for this issuer and client
    #[arg(long, conflicts_with = "decode_only")]
    pub(crate) from_cache: bool,

    /// The issuer, exactly as tokens name it
    #[arg(long, value_name = "URL", required_unless_present = "decode_only")]
    pub(crate) issuer: Option<String>,

    /// The client for which the token has to be
    #[arg(long, value_name = "ID", required_unless_present = "decode_only")]
    pub(crate) client_id: Option<String>,

    /// The certificate authorities to trust for the issuer, in PEM [default: the system's]
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) certificate_authority: Option<PathBuf>,

    /// What a claim has to be, or to have among others; can be given more than once
    #[arg(long, value_name = "CLAIM=VALUE")]
    pub(crate) expect: Vec<Expected>,

    /// How long ago the person may have logged in, `15m` or `12h`
    #[arg(long, value_name = "DURATION")]
    pub(crate) max_auth_age: Option<Age>,

    /// When the move began, as in 2026-11-21T14:00:00Z [default: ten minutes ago]
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<Timestamp>,

    /// The kubeconfig context whose API server is asked whether it lets the token's bearer in; can be given more than once
    #[arg(long = "apiserver", value_name = "CONTEXT")]
    pub(crate) api_servers: Vec<String>,

    /// The file from before the move to compare with
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath, conflicts_with = "save_baseline")]
    pub(crate) baseline: Option<PathBuf>,

    /// Where to keep issuer, keys and subject for a comparison; a file that is there is not replaced
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) save_baseline: Option<PathBuf>,

    /// Only show what the token says: NOTHING is verified
    #[arg(
        long,
        conflicts_with_all = ["issuer", "client_id", "certificate_authority", "expect", "max_auth_age", "since",
            "api_servers", "baseline", "save_baseline"]
    )]
    pub(crate) decode_only: bool,

    /// The kubeconfig file [default: KUBECONFIG, then ~/.kube/config]
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    kubeconfig: Option<PathBuf>,

    /// How long one request may take, `5s` or `1m30s`; 0 is as long as it takes [default: 10s]
    #[arg(long, value_name = "DURATION")]
    request_timeout: Option<RequestTimeout>,

    #[command(flatten)]
    output: OutputArgs,
}

impl TokenCheckArgs {
    /// What every command takes. A token is of no namespace.
    pub(crate) fn common(&self) -> CommonArgs {
        CommonArgs {
            site: SiteArgs {
                namespace: None,
                kubeconfig: self.kubeconfig.clone(),
                request_timeout: self.request_timeout,
            },
            output: self.output.clone(),
        }
    }
}

/// A claim with what it has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) claim: String,
    pub(crate) value: String,
}

impl FromStr for Expected {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some((claim, value)) if !claim.is_empty() && !value.is_empty() => Ok(Self {
                claim: claim.to_owned(),
                value: value.to_owned(),
            }),
            _ => Err("not a claim and its value like groups=prod-admin"),
        }
    }
}

/// How old something may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Age(pub(crate) SignedDuration);

impl FromStr for Age {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        go_duration(text)
            .and_then(|age| SignedDuration::try_from(age).ok())
            .map(Self)
            .ok_or("not a duration like 15m or 12h")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expectation_has_a_claim_and_a_value() {
        let read = |text: &str| {
            let read = text.parse::<Expected>().ok()?;
            Some(format!("{} {}", read.claim, read.value))
        };
        assert_eq!(read("groups=a=b").as_deref(), Some("groups a=b"));
        for text in ["", "groups", "=a", "groups="] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn an_age_has_a_unit() {
        assert_eq!("12h".parse(), Ok(Age(SignedDuration::from_hours(12))));
        for text in ["", "12", "-1h", "soon"] {
            assert!(text.parse::<Age>().is_err(), "{text}");
        }
    }
}
