//! The command that logs in.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use super::token::{Age, Expected};
use super::{CommonArgs, OutputArgs, SiteArgs};
use crate::settings::RequestTimeout;

const LOGIN_EXAMPLES: &str = "\
Examples:
  # In the browser of this machine, and what the token proves
  kubectl pgha login --issuer https://login.example --client-id 2551@prod --scope email --scope groups

  # On a machine without a browser: open the address on another one, and type the code there
  kubectl pgha login --issuer https://login.example --client-id 2551@prod --grant device

  # After a move: the login page itself works, whoever the issuer remembers
  kubectl pgha login --issuer https://login.example --client-id 2551@prod --fresh

Tokens are kept for the next time in a file of the user's own, and used or refreshed while that can be done without a person.
Without --fresh that is a proof of the session, and not of the login page. Exit code 3: nobody was logged in, or the token
is not proved.";

/// Log in at an OpenID Connect issuer, and check what the token proves
///
/// In the browser by a code with PKCE that comes back to an address of this machine alone, by a code that is typed at another
/// device, or as the client itself, without a person.
#[derive(Debug, Args)]
#[command(after_help = LOGIN_EXAMPLES)]
pub(crate) struct LoginArgs {
    /// The issuer, exactly as tokens name it
    #[arg(long, value_name = "URL")]
    pub(crate) issuer: String,

    /// The client as which to log in
    #[arg(long, value_name = "ID")]
    pub(crate) client_id: String,

    /// The file with the client's secret, for a client that has one
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) client_secret_file: Option<PathBuf>,

    /// What to ask for besides `openid`; can be given more than once. `offline_access` is what refreshes without a person
    #[arg(long, value_name = "SCOPE")]
    pub(crate) scope: Vec<String>,

    /// How to log in
    #[arg(long, value_name = "GRANT", default_value = "authcode")]
    pub(crate) grant: GrantKind,

    /// Have the person log in although a token is kept or the issuer remembers them
    #[arg(long)]
    pub(crate) fresh: bool,

    /// Where the browser brings the code, an address of this machine; 0 is any free port
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,

    /// Only print the address, do not open it
    #[arg(long)]
    pub(crate) no_browser: bool,

    /// How long the person may take
    #[arg(long, value_name = "DURATION", default_value = "3m")]
    pub(crate) timeout: RequestTimeout,

    /// Keep no token and use none that is kept
    #[arg(long)]
    pub(crate) no_cache: bool,

    /// The certificate authorities to trust for the issuer, in PEM [default: the system's]
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) certificate_authority: Option<PathBuf>,

    /// What a claim has to be, or to have among others; can be given more than once
    #[arg(long, value_name = "CLAIM=VALUE")]
    pub(crate) expect: Vec<Expected>,

    /// How long ago the person may have logged in, `15m` or `12h`
    #[arg(long, value_name = "DURATION")]
    pub(crate) max_auth_age: Option<Age>,

    /// How long one request may take, `5s` or `1m30s`; 0 is as long as it takes [default: 10s]
    #[arg(long, value_name = "DURATION")]
    pub(crate) request_timeout: Option<RequestTimeout>,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// A way to log in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ValueEnum)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(crate) enum GrantKind {
    /// A browser of this machine brings a code
    #[default]
    Authcode,
    /// The person types a code at another device
    Device,
    /// The client itself, without a person
    ClientCredentials,
}

impl LoginArgs {
    /// What every command takes, but no site.
    pub(crate) fn common(&self) -> CommonArgs {
        CommonArgs {
            site: SiteArgs {
                request_timeout: self.request_timeout,
                ..SiteArgs::default()
            },
            output: self.output.clone(),
        }
    }
}
