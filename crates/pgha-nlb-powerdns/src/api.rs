//! One request to the API, bounded in time and size, over a connection of its own; no redirect is followed.

use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::Full;
use hyper::body::Bytes;
use pgha_model::effect::Effect;
use pgha_nlb::text::one_line;
use pgha_nlb::{CutoverError, Problem};
use pgha_wire::{Connection, Server, read_key, tls};

/// A zone that is longer than this is not read, in bytes.
const LARGEST_ANSWER: usize = 16 * 1024 * 1024;

/// One zone's place in the API of a server.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    server: Server,
    host: String,
    path: String,
    at: String,
    key_file: PathBuf,
    ca_file: Option<PathBuf>,
}

impl Api {
    pub(crate) fn new(
        (url, server): (&Uri, Server),
        (id, zone): (&str, &str),
        key_file: PathBuf,
        ca_file: Option<PathBuf>,
    ) -> Self {
        let below = url.path().trim_end_matches('/');
        Self {
            path: format!("{below}/api/v1/servers/{id}/zones/{zone}"),
            at: format!("zone {zone} of {}", url.to_string().trim_end_matches('/')),
            host: url
                .authority()
                .map_or_else(String::new, ToString::to_string),
            server,
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
        let request = Request::builder()
            .method(method)
            .uri(&self.path)
            .header(header::HOST, &self.host)
            .header(header::USER_AGENT, "kubectl-pgha")
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::CONNECTION, "close")
            .header("x-api-key", &key)
            .body(Full::new(body));
        let request = request.map_err(|error| unfit(error.to_string(), "Correct the url."))?;
        let mut was_sent = false;
        let exchange = async {
            let connection = self.connect().await?;
            was_sent = true;
            connection.ask(request, LARGEST_ANSWER).await
        };
        let reach = "See that PowerDNS runs with `api=yes`, that `webserver-allow-from` lets this machine in, and that its \
                     certificate is trusted here.";
        let failed = match tokio::time::timeout(within, exchange).await {
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

    async fn connect(&self) -> Result<Connection, String> {
        let Server { host, port, is_tls } = &self.server;
        let tls = is_tls.then(|| tls(self.ca_file.as_deref())).transpose()?;
        let address = format!("{host}:{port}");
        self.server.connect(&address, tls.as_ref()).await
    }

    /// The key, read anew each time; or what is wrong with its file.
    fn key(&self) -> Result<HeaderValue, String> {
        let text = read_key(&self.key_file)?;
        let key = HeaderValue::from_str(text.trim()).ok();
        let mut key = key.filter(|key| !key.is_empty()).ok_or_else(|| {
            let shown = self.key_file.display();
            format!("the key file {shown} holds no key, or more than one")
        })?;
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
    fn a_file_with_one_line_holds_a_key() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        let url = Uri::from_static("http://127.0.0.1:1/dns/");
        let server = Server::of(&url).unwrap();
        let api = Api::new((&url, server), ("localhost", "x."), file.clone(), None);
        assert!(api.path.starts_with("/dns/api/v1/"), "{}", api.path);
        assert!(api.key().unwrap_err().contains("cannot be read"));
        for (text, words) in [
            (" \n", "holds no key"),
            ("s3cret\nother\n", "more than one"),
        ] {
            std::fs::write(&file, text).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
            let said = api.key().unwrap_err();
            assert!(said.contains(words) && !said.contains("s3cret"), "{said}");
        }
        std::fs::write(&file, "s3cret\n").unwrap();
        assert_eq!(api.key().unwrap(), "s3cret");
        assert!(!format!("{:?}", api.key().unwrap()).contains("s3cret"));
    }
}
