//! Asks over HTTP and TLS as a new user does, and says which site answered and how that is known.
//!
//! Every sample looks the name up anew, opens a connection of its own, makes a full TLS handshake and sends one request. It
//! believes no address and no status code, only what the settings name as evidence; evidence that names two sites is a
//! contradiction.

mod connect;
mod evidence;
mod sample;

use std::path::PathBuf;
use std::sync::Arc;

use http::Uri;
use pgha_nlb::{RouteName, SiteValues};
use pgha_wire::Server;
use rustls::ClientConfig;
use serde::Deserialize;

pub use connect::spki_sha256;

/// What is asked, and what tells the sites apart.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// The route by which the user comes who is asked as.
    pub route: RouteName,
    /// `https://login.ois.run/` or `http://…`. `{nonce}` in it becomes a random word, a new one for each sample.
    pub url: String,
    /// Over which protocol of the Internet.
    pub family: Family,
    /// `address:port` to connect to in place of what the name leads to; the name in the request stays.
    #[serde(default)]
    pub connect_to: Option<String>,
    /// Who is believed to sign the server's certificate; the system's store when it is left out.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// The evidence, at least one piece.
    pub evidence: Vec<Evidence>,
}

/// A protocol of the Internet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// What tells the sites apart.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Evidence {
    /// A header of the response.
    Header {
        /// Its name.
        name: String,
        /// Its value at each site.
        values: SiteValues,
    },
    /// The public key of the server's certificate.
    Key {
        /// SHA-256 of each site's subject public key info, in hexadecimal digits.
        values: SiteValues,
    },
    /// A text in the response's body. `{nonce}` in it is the one of the URL: who echoes it is no cache.
    Body {
        /// The text of each site.
        values: SiteValues,
    },
}

/// Settings that no probe can be made from.
#[derive(Debug, thiserror::Error)]
#[error("{field} of a probe: {because}")]
pub struct BadSettings {
    /// The setting.
    pub field: &'static str,
    /// What is wrong.
    pub because: String,
}

/// A probe of one address and one protocol.
#[derive(Clone)]
pub struct HttpProbe {
    settings: Settings,
    server: Server,
    tls: Option<Arc<ClientConfig>>,
}

impl HttpProbe {
    /// A probe; reads the certificates that are believed, and asks nothing yet.
    ///
    /// # Errors
    /// The URL is none of HTTP, there is no evidence, or a key is no key.
    pub fn new(settings: Settings) -> Result<Self, BadSettings> {
        let bad = |field, because: &str| {
            let because = because.to_owned();
            BadSettings { field, because }
        };
        let uri: Uri = settings
            .url
            .replace("{nonce}", "0")
            .parse()
            .map_err(|error| {
                let error: http::uri::InvalidUri = error;
                bad("url", &error.to_string())
            })?;
        let server = Server::of(&uri).map_err(|because| bad("url", because))?;
        if settings.evidence.is_empty() {
            return Err(bad(
                "evidence",
                "without it no answer tells which site it is from",
            ));
        }
        for evidence in &settings.evidence {
            evidence
                .check(server.is_tls)
                .map_err(|because| bad("evidence", because))?;
        }
        let ca_file = settings.ca_file.as_deref();
        let tls = server.is_tls.then(|| pgha_wire::tls(ca_file)).transpose();
        let tls = tls.map_err(|because| bad("caFile", &because))?;
        Ok(Self {
            settings,
            server,
            tls,
        })
    }
}

impl HttpProbe {
    /// The route by which it comes.
    pub const fn route(&self) -> &RouteName {
        &self.settings.route
    }
}

impl std::fmt::Debug for HttpProbe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("HttpProbe").field(&self.settings).finish()
    }
}
