//! One request to the API, bounded in time and size, over a connection of its own; no redirect is followed.

use std::error::Error;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use pgha_model::effect::Effect;
use pgha_nlb::text::one_line;
use pgha_nlb::{CutoverError, Problem};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A zone that is longer than this is not read, in bytes.
const LARGEST_ANSWER: usize = 16 * 1024 * 1024;
/// No key is longer than this, in bytes.
const LARGEST_KEY: u64 = 4096;

type Cause = Box<dyn Error + Send + Sync>;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// One zone's place in the API of a server.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    url: Uri,
    path: String,
    at: String,
    key_file: PathBuf,
    ca_file: Option<PathBuf>,
}

impl Api {
    pub(crate) fn new(
        url: Uri,
        (server, zone): (&str, &str),
        key_file: PathBuf,
        ca_file: Option<PathBuf>,
    ) -> Self {
        let below = url.path().trim_end_matches('/');
        Self {
            path: format!("{below}/api/v1/servers/{server}/zones/{zone}"),
            at: format!("zone {zone} of {}", url.to_string().trim_end_matches('/')),
            url,
            key_file,
            ca_file,
        }
    }

    /// The zone and the server, for a person.
    pub(crate) fn at(&self) -> &str {
        &self.at
    }

    pub(crate) fn error(
        &self,
        tried: &'static str,
        problem: Problem,
        next: impl Into<Box<str>>,
    ) -> CutoverError {
        CutoverError::new(tried, self.at(), problem, next)
    }

    /// Asks for the zone.
    pub(crate) async fn get(
        &self,
        tried: &'static str,
        within: Duration,
    ) -> Result<Bytes, CutoverError> {
        let asked = self.ask(tried, Method::GET, Bytes::new(), within).await;
        asked.map_err(|error| error.leaving(Effect::None))
    }

    /// Changes the zone. An error's effect is none where the server was not asked, or said no.
    pub(crate) async fn patch(
        &self,
        tried: &'static str,
        body: &serde_json::Value,
        within: Duration,
    ) -> Result<(), CutoverError> {
        let body = Bytes::from(body.to_string());
        self.ask(tried, Method::PATCH, body, within).await.map(drop)
    }

    async fn ask(
        &self,
        tried: &'static str,
        method: Method,
        body: Bytes,
        within: Duration,
    ) -> Result<Bytes, CutoverError> {
        let unfit = |seen: String, next: &str| self.error(tried, Problem::Unfit { seen }, next);
        let key = self.key().map_err(|seen| {
            unfit(
                seen,
                "Put the key of the API into a file that only you may read.",
            )
        })?;
        let host = self
            .url
            .authority()
            .map_or("", |authority| authority.as_str());
        let request = Request::builder()
            .method(method)
            .uri(&self.path)
            .header(header::HOST, host)
            .header(header::USER_AGENT, "kubectl-pgha")
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::CONNECTION, "close")
            .header("x-api-key", &key)
            .body(Full::new(body));
        let request = request.map_err(|error| unfit(error.to_string(), "Correct the url."))?;
        let mut was_sent = false;
        let exchange = tokio::time::timeout(within, self.exchange(request, &mut was_sent)).await;
        let reach = "See that PowerDNS runs with `api=yes`, that `webserver-allow-from` lets this machine in, and that its \
                     certificate is trusted here.";
        let failed = match exchange {
            Ok(Ok(answer)) if answer.status().is_success() => return Ok(answer.into_body()),
            Ok(Ok(answer)) => return Err(self.refused(tried, &answer, &key)),
            Ok(Err(cause)) => self
                .error(tried, Problem::Unreachable, reach)
                .caused_by(cause),
            Err(_elapsed) => self.error(tried, Problem::NoAnswer { within }, reach),
        };
        Err(failed.leaving(if was_sent {
            Effect::Unknown
        } else {
            Effect::None
        }))
    }

    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
        was_sent: &mut bool,
    ) -> Result<Response<Bytes>, Cause> {
        let stream = self.connect().await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        *was_sent = true;
        let question = async move {
            let (head, body) = sender.send_request(request).await?.into_parts();
            let body = Limited::new(body, LARGEST_ANSWER).collect().await?;
            Ok(Response::from_parts(head, body.to_bytes()))
        };
        // Whatever ends the connection badly ends the question badly too, and with the better words.
        tokio::join!(question, connection).0
    }

    async fn connect(&self) -> Result<Box<dyn Stream>, Cause> {
        let is_tls = self.url.scheme_str() == Some("https");
        let host = self.url.host().unwrap_or_default().trim_matches(['[', ']']);
        let port = self.url.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let stream = TcpStream::connect((host, port)).await?;
        if !is_tls {
            return Ok(Box::new(stream));
        }
        let connector = TlsConnector::from(Arc::new(tls(self.ca_file.as_deref())?));
        let name = ServerName::try_from(host.to_owned())?;
        Ok(Box::new(connector.connect(name, stream).await?))
    }

    /// The key, read anew each time; or what is wrong with its file.
    fn key(&self) -> Result<HeaderValue, String> {
        let shown = self.key_file.display();
        let unread = |error: std::io::Error| format!("{shown} cannot be read: {error}");
        let file = File::open(&self.key_file).map_err(unread)?;
        let mode = file.metadata().map_err(unread)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(format!(
                "others may use {shown}: its mode is {:o}",
                mode & 0o777
            ));
        }
        let mut text = String::new();
        file.take(LARGEST_KEY)
            .read_to_string(&mut text)
            .map_err(unread)?;
        let key = HeaderValue::from_str(text.trim())
            .ok()
            .filter(|key| !key.is_empty());
        let mut key = key.ok_or_else(|| format!("{shown} holds no key, or more than one"))?;
        key.set_sensitive(true);
        Ok(key)
    }

    /// What is wrong with the file of the key, if anything.
    pub(crate) fn key_problem(&self) -> Option<String> {
        self.key().err()
    }

    /// The server's no. Its effect is none where it is clear that nothing was changed.
    fn refused(
        &self,
        tried: &'static str,
        answer: &Response<Bytes>,
        key: &HeaderValue,
    ) -> CutoverError {
        let status = answer.status();
        let said = words(answer.body(), key);
        let (problem, next) = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => (
                Problem::Denied {
                    said: format!("{status}: {said}"),
                },
                "See that `apiKeyFile` holds this server's `api-key`.",
            ),
            StatusCode::NOT_FOUND => (
                Problem::Unfit {
                    seen: format!("it knows no such server or zone ({status})"),
                },
                "Correct `server`, `zone` or `url` in the service's file.",
            ),
            _ => (
                Problem::Unfit {
                    seen: format!("it answers {status}: {said}"),
                },
                "Correct what PowerDNS says, and plan again.",
            ),
        };
        let error = self.error(tried, problem, next);
        let is_clear = status.is_client_error() && status != StatusCode::REQUEST_TIMEOUT;
        error.leaving(if is_clear {
            Effect::None
        } else {
            Effect::Unknown
        })
    }
}

/// What an answer says is wrong, in one line and without the key.
fn words(body: &[u8], key: &HeaderValue) -> String {
    let json = serde_json::from_slice::<serde_json::Value>(body).ok();
    let error = json.as_ref().and_then(|json| json.get("error")?.as_str());
    let text = error.map_or_else(|| String::from_utf8_lossy(body).into_owned(), str::to_owned);
    one_line(&text.replace(key.to_str().unwrap_or_default(), "…"))
}

/// Who is believed, and that only HTTP/1.1 is spoken.
fn tls(ca_file: Option<&Path>) -> Result<ClientConfig, Cause> {
    let mut roots = RootCertStore::empty();
    let certificates = match ca_file {
        Some(path) => CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| format!("{}: {error}", path.display()))?,
        // What the system has and nobody can read is as good as not there.
        None => rustls_native_certs::load_native_certs().certs,
    };
    if roots.add_parsable_certificates(certificates).0 == 0 {
        return Err("there is no certificate authority to believe".into());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_says_is_one_line_without_the_key() {
        let key = HeaderValue::from_static("s3cret");
        for (body, said) in [
            (
                r#"{"error": "RRset x IN A:\nno s3cret\u001b[2J"}"#,
                "RRset x IN A: | no …\\u{1b}[2J",
            ),
            ("Unauthorized", "Unauthorized"),
            (r#"{"error": 7}"#, r#"{"error": 7}"#),
            ("", ""),
        ] {
            assert_eq!(words(body.as_bytes(), &key), said);
        }
        let long = words("x".repeat(LARGEST_ANSWER).as_bytes(), &key);
        assert!(long.chars().count() < 1000, "{}", long.len());
    }

    #[test]
    fn only_a_file_of_the_users_own_holds_a_key() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        let url = Uri::from_static("http://127.0.0.1:1/dns/");
        let api = Api::new(url, ("localhost", "x."), file.clone(), None);
        assert!(api.path.starts_with("/dns/api/v1/"), "{}", api.path);
        assert!(api.key().unwrap_err().contains("cannot be read"));
        for (text, mode, words) in [
            ("s3cret\n", 0o640, "mode is 640"),
            ("s3cret\n", 0o604, "mode is 604"),
            (" \n", 0o600, "holds no key"),
            ("s3cret\nother\n", 0o600, "more than one"),
        ] {
            std::fs::write(&file, text).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            let said = api.key().unwrap_err();
            assert!(said.contains(words) && !said.contains("s3cret"), "{said}");
        }
        std::fs::write(&file, "s3cret\n").unwrap();
        assert_eq!(api.key().unwrap(), "s3cret");
        assert!(!format!("{:?}", api.key().unwrap()).contains("s3cret"));
    }
}
