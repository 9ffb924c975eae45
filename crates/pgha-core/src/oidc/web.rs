//! Requests to an issuer: bounded in time and size, and never led elsewhere.
//!
//! The client is kube's, for the sake of its tree: its TLS, its trust in the system's authorities, its proxies and its HTTP
//! are here already. It follows no redirect.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use pgha_model::effect::Effect;
use serde_json::json;
use tokio::time::timeout;

use super::json::JsonError;
use super::jwks::KeySetError;
use crate::client::{EnvironmentProxy, USER_AGENT};
use crate::diagnose::{Diagnose, sanitised};

/// Bytes of a document beyond which it is not read.
const LONGEST_DOCUMENT: usize = 1 << 20;

/// How issuers are reached.
#[derive(Clone, Debug)]
pub struct Web {
    /// How long one request may take, body included.
    pub limit: Duration,
    /// A file with the certificate authorities to trust, in PEM, instead of the system's.
    pub authorities: Option<PathBuf>,
    /// The environment's proxy.
    pub proxy: EnvironmentProxy,
}

/// Why an issuer could not be asked, or does not answer as one. Nothing was changed by it.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    /// The address is none of an issuer's.
    #[error("`{url}` is not an issuer's address: {because}")]
    Address {
        /// The address.
        url: String,
        /// What is wrong with it.
        because: &'static str,
    },
    /// The certificate authorities or the proxy cannot be used.
    #[error("no connection to {url} can be prepared: {because}")]
    Unprepared {
        /// Where to.
        url: String,
        /// What is wrong.
        because: String,
    },
    /// There was no answer.
    #[error("cannot reach {url}: {because}")]
    Unreachable {
        /// What was asked for.
        url: String,
        /// The innermost cause.
        because: String,
    },
    /// There was no answer in time.
    #[error("{url} did not answer within {} s", limit.as_secs_f64())]
    Late {
        /// What was asked for.
        url: String,
        /// How long was waited.
        limit: Duration,
    },
    /// The answer leads elsewhere.
    #[error("{url} leads elsewhere ({status}), where nobody is followed")]
    Redirect {
        /// What was asked for.
        url: String,
        /// The answer's status.
        status: StatusCode,
    },
    /// The answer is an error.
    #[error("{url} answers with {status}")]
    Status {
        /// What was asked for.
        url: String,
        /// The answer's status.
        status: StatusCode,
    },
    /// The answer is larger than any such document.
    #[error("{url} answers with more than {LONGEST_DOCUMENT} bytes")]
    TooLong {
        /// What was asked for.
        url: String,
    },
    /// The document about the issuer is not one.
    #[error("the document at {url} {source}")]
    Json {
        /// What was asked for.
        url: String,
        /// What is wrong with it.
        source: JsonError,
    },
    /// The document about the issuer lacks something.
    #[error("the document at {url} has no usable `{member}`")]
    Member {
        /// What was asked for.
        url: String,
        /// What is missing.
        member: &'static str,
    },
    /// The document is about another issuer.
    #[error("the document at {url} is about the issuer `{says}`")]
    OtherIssuer {
        /// What was asked for.
        url: String,
        /// Whom it is about.
        says: String,
    },
    /// The issuer signs with nothing that is accepted.
    #[error("{issuer} signs with no algorithm that is accepted")]
    NoAlgorithm {
        /// The issuer.
        issuer: String,
    },
    /// The keys are not to be read.
    #[error("the keys at {url} cannot be read: {source}")]
    Keys {
        /// What was asked for.
        url: String,
        /// What is wrong with them.
        source: KeySetError,
    },
}

impl Diagnose for IssuerError {
    fn effect(&self) -> Effect {
        Effect::None
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Unreachable { .. } | Self::Late { .. } => {
                "See whether the address is reachable from here, and whether its certificate is trusted here."
            }
            Self::Redirect { .. } | Self::OtherIssuer { .. } => {
                "Give the issuer exactly as its own document and its tokens name it, to the last slash."
            }
            Self::Status { .. } => {
                "An issuer has its document at .well-known/openid-configuration below its address."
            }
            Self::Unprepared { .. }
            | Self::Address { .. }
            | Self::TooLong { .. }
            | Self::Json { .. }
            | Self::Member { .. }
            | Self::NoAlgorithm { .. }
            | Self::Keys { .. } => return None,
        };
        Some(hint.to_owned())
    }
}

/// What came back.
pub(super) struct Answer {
    pub(super) body: Vec<u8>,
    /// The issuer's clock, to the second.
    pub(super) date: Option<Timestamp>,
}

impl Web {
    /// Fetches a document.
    pub(super) async fn get(&self, url: &Uri) -> Result<Answer, IssuerError> {
        let request = Request::builder()
            .method(Method::GET)
            .uri(url)
            .header(header::ACCEPT, "application/json")
            .body(Vec::new())
            .map_err(|error| unprepared(url, &error))?;
        let answer = self.send(request).await?;
        let status = answer.status();
        if status != StatusCode::OK {
            let url = shown(url);
            return Err(IssuerError::Status { url, status });
        }
        let (head, body) = answer.into_parts();
        let date = head.headers.get(header::DATE);
        let date = date.and_then(|date| rfc2822::parse(date.to_str().ok()?).ok());
        Ok(Answer {
            body,
            date: date.map(|date| date.timestamp()),
        })
    }

    /// Sends a request with an absolute address, and reads the whole answer, whatever its status; no redirect is followed.
    pub(super) async fn send(
        &self,
        request: Request<Vec<u8>>,
    ) -> Result<http::Response<Vec<u8>>, IssuerError> {
        let url = request.uri().clone();
        let (mut head, body) = request.into_parts();
        let path = url.path_and_query().map_or("/", |path| path.as_str());
        head.uri = path.parse().map_err(|error| unprepared(&url, &error))?;
        let request = Request::from_parts(head, Body::from(body));
        let whole = async {
            let client = self.client(&url).await?;
            let answer = client.send(request).await;
            let answer = answer.map_err(|error| unreachable(&url, &error))?;
            read(&url, answer).await
        };
        let late = |_elapsed| IssuerError::Late {
            url: shown(&url),
            limit: self.limit,
        };
        timeout(self.limit, whole).await.map_err(late)?
    }

    /// A client of its own for each request: a connection that was kept could lead to the place from before a move.
    async fn client(&self, url: &Uri) -> Result<Client, IssuerError> {
        let mut cluster = json!({"server": origin(url)});
        if let Some(path) = &self.authorities {
            cluster["certificate-authority"] = json!(path);
        }
        let kubeconfig: Kubeconfig = serde_json::from_value(json!({
            "clusters": [{"name": "issuer", "cluster": cluster}],
            "users": [{"name": "nobody", "user": {}}],
            "contexts": [{"name": "issuer", "context": {"cluster": "issuer", "user": "nobody"}}],
            "current-context": "issuer",
        }))
        .map_err(|error| unprepared(url, &error))?;
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
        let mut config = config.map_err(|error| unprepared(url, &error))?;
        let proxy = self.proxy.to(url).map(str::parse).transpose();
        config.proxy_url = proxy.map_err(|error| unprepared(url, &error))?;
        config.default_retry = false;
        config.connect_timeout = Some(self.limit);
        let agent = http::HeaderValue::from_static(USER_AGENT);
        config.headers.push((header::USER_AGENT, agent));
        Client::try_from(config).map_err(|error| unprepared(url, &error))
    }
}

async fn read(
    url: &Uri,
    answer: http::Response<Body>,
) -> Result<http::Response<Vec<u8>>, IssuerError> {
    let (head, body) = answer.into_parts();
    let status = head.status;
    if status.is_redirection() {
        let url = shown(url);
        return Err(IssuerError::Redirect { url, status });
    }
    let body = Limited::new(body, LONGEST_DOCUMENT).collect().await;
    let body = body.map_err(|error| {
        if error.is::<LengthLimitError>() {
            return IssuerError::TooLong { url: shown(url) };
        }
        unreachable(url, error.as_ref())
    })?;
    Ok(http::Response::from_parts(head, body.to_bytes().to_vec()))
}

fn origin(url: &Uri) -> String {
    let scheme = url.scheme_str().unwrap_or("https");
    let authority = url.authority().map_or("", |authority| authority.as_str());
    format!("{scheme}://{authority}")
}

pub(super) fn shown(url: &Uri) -> String {
    sanitised(&url.to_string())
}

fn unprepared(url: &Uri, error: &(dyn Error + 'static)) -> IssuerError {
    IssuerError::Unprepared {
        url: shown(url),
        because: innermost(error),
    }
}

fn unreachable(url: &Uri, error: &(dyn Error + 'static)) -> IssuerError {
    IssuerError::Unreachable {
        url: shown(url),
        because: innermost(error),
    }
}

/// The cause that all others only pass on.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let links = std::iter::successors(Some(error), |&link| link.source());
    let text = links.last().map_or_else(String::new, ToString::to_string);
    sanitised(&text)
}
