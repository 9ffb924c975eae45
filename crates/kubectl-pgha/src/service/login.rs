//! The login that shows after a move that people can use the service, as its file says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pgha_core::oidc::IssuerUrl;
use serde::Deserialize;
use serde_saphyr::Spanned;

use super::Service;
use super::mistake::at;
use crate::args::GrantKind;
use crate::failure::Failure;

/// Somebody logs in once users have arrived, and the token is checked.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct LoginSettings {
    /// The OpenID Connect issuer, exactly as tokens name it.
    pub(crate) issuer: String,
    /// The client as which to log in.
    pub(crate) client_id: String,
    /// Who logs in, and how.
    #[serde(default)]
    pub(crate) grant: GrantKind,
    /// What to ask for besides `openid`.
    #[serde(default)]
    pub(crate) scopes: Vec<String>,
    /// The file with the client's secret, for a client that has one, relative to this file.
    #[serde(default)]
    pub(crate) client_secret_file: Option<PathBuf>,
    /// The certificate authorities to trust for the issuer, in PEM, relative to this file [default: the system's].
    #[serde(default)]
    pub(crate) ca_file: Option<PathBuf>,
    /// What claims have to be, or to have among others. A client's own token has none.
    #[serde(default)]
    pub(crate) expect: BTreeMap<String, String>,
    /// How long the person may take.
    #[serde(default = "three_minutes")]
    pub(crate) timeout_seconds: u64,
}

const fn three_minutes() -> u64 {
    180
}

/// What a document says, with its files in the folder.
///
/// # Errors
/// It contradicts itself: where, and what was expected.
pub(super) fn read(
    login: Option<Spanned<LoginSettings>>,
    folder: &Path,
) -> Result<Option<Spanned<LoginSettings>>, String> {
    let Some(mut login) = login else {
        return Ok(None);
    };
    let settings = &mut login.value;
    let wrong = |because: String| at(login.referenced, format!("spec.login: {because}"));
    if let Err(error) = settings.issuer.parse::<IssuerUrl>() {
        return Err(wrong(error.to_string()));
    }
    if settings.grant == GrantKind::ClientCredentials {
        if settings.client_secret_file.is_none() {
            let because = "a client logs in with its secret, expected `clientSecretFile`";
            return Err(wrong(because.to_owned()));
        }
        if !settings.expect.is_empty() {
            let because =
                "a client's own token has no claims that are checked, expected no `expect`";
            return Err(wrong(because.to_owned()));
        }
    }
    let files = [&mut settings.client_secret_file, &mut settings.ca_file];
    for file in files.into_iter().flatten() {
        *file = folder.join(&file);
    }
    Ok(Some(login))
}

impl Service {
    /// The login after a move, if there is one.
    ///
    /// # Errors
    /// Its file is in a cluster, and names a secret of this machine: whoever may write there would have it sent to where they want.
    pub(crate) fn login(&self) -> Result<Option<&LoginSettings>, Failure> {
        let Some(login) = &self.login else {
            return Ok(None);
        };
        if !self.origin.is_remote || login.value.client_secret_file.is_none() {
            return Ok(Some(&login.value));
        }
        let because = "a secret that a ConfigMap names is not sent from this machine";
        let refused = self.mistaken(login.referenced, because);
        Err(refused.hinting("Keep what names a secret in a file, and name that with --file."))
    }
}
