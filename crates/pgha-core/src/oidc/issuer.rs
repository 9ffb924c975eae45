//! An issuer: the document about it, its keys, and its clock.

use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use http::Uri;
use jiff::SignedDuration;
use serde_json::{Map, Value};

use super::algorithm::Algorithm;
use super::claims::IdToken;
use super::json;
use super::jwks::{KeyError, KeySet};
use super::verify::{Expectations, Verdict, verify};
use super::web::{IssuerError, Web, shown};
use crate::clock::{self, Instant};
use crate::diagnose::sanitised;

/// Keys are not fetched again more often than this because a token names one that is not there: anybody can make a token
/// that does.
const REFETCH_INTERVAL: Duration = Duration::from_secs(10);

/// Where an issuer is. It is compared to the byte with what tokens say, so it is kept as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerUrl(String);

impl FromStr for IssuerUrl {
    type Err = IssuerError;

    /// An issuer is an https address without query, fragment and user (OpenID Connect Discovery 1.0, section 3). Plain http
    /// is for this machine alone.
    fn from_str(text: &str) -> Result<Self, IssuerError> {
        let wrong = |because| {
            let url = sanitised(text);
            IssuerError::Address { url, because }
        };
        let url: Uri = text.parse().map_err(|_| wrong("it is no URL"))?;
        if text.contains(['?', '#']) {
            return Err(wrong("it has a query or a fragment"));
        }
        if url
            .authority()
            .is_none_or(|host| host.as_str().contains('@'))
        {
            return Err(wrong("it has a user in it, or no host"));
        }
        if !is_private(&url, true) {
            return Err(wrong(
                "it is not https, which only an address of this machine may leave away",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl IssuerUrl {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where the document about it is (section 4 there).
    fn document(&self) -> Result<Uri, IssuerError> {
        let base = self.0.strip_suffix('/').unwrap_or(&self.0);
        let url = format!("{base}/.well-known/openid-configuration");
        url.parse().map_err(|_| IssuerError::Address {
            url: sanitised(&url),
            because: "it is no URL",
        })
    }
}

/// Whether nobody on the way can read or change what is sent there.
fn is_private(url: &Uri, may_be_local: bool) -> bool {
    match url.scheme_str() {
        Some("https") => true,
        Some("http") => may_be_local && url.host().is_some_and(is_this_machine),
        _ => false,
    }
}

fn is_this_machine(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Where an issuer logs people in; what it does not offer is `None`.
#[derive(Clone, Debug, Default)]
pub(super) struct Endpoints {
    pub(super) authorization: Option<Uri>,
    pub(super) token: Option<Uri>,
    pub(super) device: Option<Uri>,
    /// It says in its answers who it is (RFC 9207).
    pub(super) names_itself: bool,
}

/// An issuer that was asked.
#[derive(Clone, Debug)]
pub struct Issuer {
    web: Web,
    url: IssuerUrl,
    keys_at: Uri,
    algorithms: Vec<Algorithm>,
    keys: KeySet,
    refetched: Option<Instant>,
    endpoints: Endpoints,
    /// How far its clock is ahead of ours, to the second; `None` when its answer has no date.
    pub clock_offset: Option<SignedDuration>,
}

impl Issuer {
    /// Reads the document about the issuer, then its keys. Only what was configured decides where to look: never a token.
    pub async fn discover(web: Web, url: IssuerUrl) -> Result<Self, IssuerError> {
        let document = url.document()?;
        let answer = web.get(&document).await?;
        let clock_offset = answer.date.map(|date| date.duration_since(clock::now()));
        let members = json::object(&answer.body).map_err(|source| IssuerError::Json {
            url: shown(&document),
            source,
        })?;
        check_name(&members, &url, &document)?;
        let algorithms = algorithms(&members, &url, &document)?;
        let keys_at = address(&members, "jwks_uri", &url, &document)?;
        let keys = fetch_keys(&web, &keys_at).await?;
        let endpoint = |member| address(&members, member, &url, &document).ok();
        let endpoints = Endpoints {
            authorization: endpoint("authorization_endpoint"),
            token: endpoint("token_endpoint"),
            device: endpoint("device_authorization_endpoint"),
            names_itself: members.get("authorization_response_iss_parameter_supported")
                == Some(&Value::Bool(true)),
        };
        tracing::debug!("{} publishes {} keys", url.0, keys.keys.len());
        Ok(Self {
            web,
            url,
            keys_at,
            algorithms,
            keys,
            refetched: None,
            endpoints,
            clock_offset,
        })
    }

    /// Its address, as it was configured.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    pub(super) const fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    pub(super) const fn web(&self) -> &Web {
        &self.web
    }

    /// Its keys, as they were read last.
    pub const fn keys(&self) -> &KeySet {
        &self.keys
    }

    /// The algorithms that both it and we accept.
    pub fn algorithms(&self) -> &[Algorithm] {
        &self.algorithms
    }

    /// Checks a token. When it names a key that is not known, the keys are read once more: they may have been changed.
    pub async fn verify(
        &mut self,
        token: &IdToken,
        expected: &Expectations,
    ) -> Result<Verdict, IssuerError> {
        let id = token.compact.header.key_id.as_deref();
        let found = self.keys.find(id, token.algorithm);
        if matches!(found, Err(KeyError::Missing { .. })) && self.may_refetch() {
            self.refetched = Some(clock::monotonic());
            self.keys = fetch_keys(&self.web, &self.keys_at).await?;
        }
        let now = clock::now();
        Ok(verify(token, &self.algorithms, &self.keys, expected, now))
    }

    fn may_refetch(&self) -> bool {
        let since = |refetched| clock::monotonic().duration_since(refetched);
        self.refetched
            .is_none_or(|refetched| since(refetched) >= REFETCH_INTERVAL)
    }
}

async fn fetch_keys(web: &Web, url: &Uri) -> Result<KeySet, IssuerError> {
    let answer = web.get(url).await?;
    KeySet::read(&answer.body).map_err(|source| IssuerError::Keys {
        url: shown(url),
        source,
    })
}

fn check_name(
    members: &Map<String, Value>,
    configured: &IssuerUrl,
    document: &Uri,
) -> Result<(), IssuerError> {
    let says = text(members, "issuer", document)?;
    if says == configured.0 {
        return Ok(());
    }
    Err(IssuerError::OtherIssuer {
        url: shown(document),
        says: sanitised(says),
    })
}

fn algorithms(
    members: &Map<String, Value>,
    issuer: &IssuerUrl,
    document: &Uri,
) -> Result<Vec<Algorithm>, IssuerError> {
    let member = "id_token_signing_alg_values_supported";
    let named = members.get(member).and_then(Value::as_array);
    let named = named.ok_or_else(|| missing(member, document))?;
    let named = named.iter().filter_map(Value::as_str);
    let algorithms: Vec<Algorithm> = named.filter_map(Algorithm::named).collect();
    if algorithms.is_empty() {
        let issuer = sanitised(&issuer.0);
        return Err(IssuerError::NoAlgorithm { issuer });
    }
    Ok(algorithms)
}

/// An address out of the document: as well guarded as the issuer's own.
fn address(
    members: &Map<String, Value>,
    member: &'static str,
    issuer: &IssuerUrl,
    document: &Uri,
) -> Result<Uri, IssuerError> {
    let may_be_local = issuer.0.starts_with("http:");
    text(members, member, document)?
        .parse()
        .ok()
        .filter(|url: &Uri| url.host().is_some() && is_private(url, may_be_local))
        .ok_or_else(|| missing(member, document))
}

fn text<'a>(
    members: &'a Map<String, Value>,
    member: &'static str,
    document: &Uri,
) -> Result<&'a str, IssuerError> {
    let text = members.get(member).and_then(Value::as_str);
    text.ok_or_else(|| missing(member, document))
}

fn missing(member: &'static str, document: &Uri) -> IssuerError {
    let url = shown(document);
    IssuerError::Member { url, member }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_https_or_on_this_machine() {
        for text in [
            "https://login.example",
            "https://login.example/realms/a/",
            "http://127.0.0.1:8080",
            "http://[::1]:8080/a",
            "http://localhost",
        ] {
            assert_eq!(text.parse::<IssuerUrl>().unwrap().as_str(), text);
        }
        for text in [
            "",
            "login.example",
            "/login",
            "http://login.example",
            "http://127.0.0.1.example",
            "http://localhost.example",
            "ftp://127.0.0.1",
            "https://login.example?a=b",
            "https://login.example/#a",
            "https://jane:secret@login.example",
            "https://a b",
        ] {
            assert!(text.parse::<IssuerUrl>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_document_is_below_the_issuer() {
        for issuer in ["https://login.example/a", "https://login.example/a/"] {
            let issuer: IssuerUrl = issuer.parse().unwrap();
            assert_eq!(
                issuer.document().unwrap().to_string(),
                "https://login.example/a/.well-known/openid-configuration"
            );
        }
    }
}
