//! What an answer says about where it is from.

use http::HeaderMap;
use pgha_nlb::probe::Answer;
use pgha_nlb::text::one_line;
use pgha_nlb::{SiteName, SiteValues};

use crate::Evidence;

/// What came back.
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
    /// SHA-256 of the server's public key, over TLS.
    pub(crate) key: Option<String>,
    pub(crate) nonce: String,
}

impl Evidence {
    pub(crate) fn check(&self, is_tls: bool) -> Result<(), &'static str> {
        let is_digest =
            |value: &str| value.len() == 64 && value.bytes().all(|b| b.is_ascii_hexdigit());
        match self {
            Self::Header { name, .. } if http::HeaderName::try_from(name).is_err() => {
                Err("a header has a name that no header can have")
            }
            Self::Key { .. } if !is_tls => Err("a key is only there over https"),
            Self::Key { values } if !values.iter().all(|(_, value)| is_digest(value)) => {
                Err("a key is 64 hexadecimal digits, the SHA-256 of the subject public key info")
            }
            Self::Body { values } if values.iter().any(|(_, value)| value.is_empty()) => {
                Err("an empty text is in every body")
            }
            Self::Header { .. } | Self::Key { .. } | Self::Body { .. } => Ok(()),
        }
    }

    /// Every site that it names, with what it names it by.
    fn sites<'a>(&'a self, response: &Response) -> Vec<(&'a SiteName, String)> {
        match self {
            Self::Header { name, values } => {
                let seen = response.headers.get_all(name).iter();
                let seen = seen.filter_map(|value| value.to_str().ok());
                let named = seen.filter_map(|seen| Some((values.site(seen)?, seen)));
                named
                    .map(|(site, seen)| (site, format!("header {name} is `{}`", one_line(seen))))
                    .collect()
            }
            Self::Key { values } => {
                let Some(key) = &response.key else {
                    return Vec::new();
                };
                let named = matching(values, |value| value.eq_ignore_ascii_case(key));
                named
                    .map(|(site, _)| (site, format!("the certificate's key is {key}")))
                    .collect()
            }
            Self::Body { values } => {
                let named = matching(values, |value| {
                    response
                        .body
                        .contains(&value.replace("{nonce}", &response.nonce))
                });
                named
                    .map(|(site, value)| (site, format!("the body holds `{value}`")))
                    .collect()
            }
        }
    }
}

fn matching(
    values: &SiteValues,
    is_it: impl Fn(&str) -> bool,
) -> impl Iterator<Item = (&SiteName, &str)> {
    values.iter().filter(move |(_, value)| is_it(value))
}

/// Which site it is from.
pub(crate) fn judge(evidence: &[Evidence], response: &Response) -> Answer {
    let named: Vec<_> = evidence
        .iter()
        .flat_map(|evidence| evidence.sites(response))
        .collect();
    let Some((site, _)) = named.first() else {
        return Answer::Unrecognised {
            seen: format!(
                "Status {}, and nothing in it tells the site.",
                response.status
            ),
        };
    };
    if let Some((other, _)) = named.iter().find(|(other, _)| other != site) {
        let told: Vec<_> = named.iter().map(|(_, how)| how.as_str()).collect();
        return Answer::Contradiction {
            seen: format!("It tells {site} and {other}: {}.", told.join(", ")),
        };
    }
    let told: Vec<_> = named.iter().map(|(_, how)| how.as_str()).collect();
    Answer::Site {
        site: (*site).clone(),
        how: format!("Status {}; {}.", response.status, told.join(", ")),
    }
}
