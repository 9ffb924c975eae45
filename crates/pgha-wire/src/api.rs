//! An API of JSON that lies below a URL, and what became of a question to it.
//!
//! A failed question says what it left behind: nothing where the API was not asked or said no, else it cannot be told.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::Full;
use hyper::body::Bytes;
use pgha_model::effect::Effect;
use pgha_nlb::text::one_line;
use pgha_nlb::{BackendId, CutoverError, Finding, Problem, Written};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;

use crate::{Server, read_secret};

/// An API, each of whose questions gets a connection of its own.
#[derive(Clone, Debug)]
pub struct Api {
    server: Server,
    authority: String,
    below: String,
    at: String,
    ca_file: Option<PathBuf>,
    key_file: PathBuf,
    auth: Auth,
    kind: Kind,
}

/// How an API is shown who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// Not by a header.
    Nothing,
    /// By the secret in this one, after these words.
    Header(HeaderName, &'static str),
}

/// What is known of an API of one product.
#[derive(Clone, Copy)]
pub struct Kind {
    /// Whose it is, as messages name it: `PowerDNS' API`.
    pub name: &'static str,
    /// What it is asked for, as messages name it: `zone`.
    pub what: &'static str,
    /// More of an answer is not read, in bytes.
    pub largest: usize,
    /// What it says is wrong in an answer, where it says so in its own way.
    pub said: fn(&Value) -> Option<String>,
    /// What to do where the file of its key is no good, as a full sentence.
    pub key: &'static str,
    /// What to do where it is not reached.
    pub reach: &'static str,
    /// What to do where it does not take the key.
    pub denied: &'static str,
    /// What to do where it knows nothing of that name.
    pub missing: &'static str,
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// What an API is asked. It may hold secrets, and is never shown.
pub struct Question<'a> {
    /// What for, in messages: `read the zone`.
    pub tried: &'static str,
    /// How.
    pub method: Method,
    /// What, below the path of the URL: `/zones/x?page=1`.
    pub path: &'a str,
    /// A header of its own.
    pub header: Option<(HeaderName, String)>,
    /// A document.
    pub body: Option<Value>,
    /// How long it may take.
    pub within: Duration,
}

impl<'a> Question<'a> {
    /// What lies at a path.
    pub const fn get(tried: &'static str, path: &'a str, within: Duration) -> Self {
        Self {
            tried,
            method: Method::GET,
            path,
            header: None,
            body: None,
            within,
        }
    }

    /// The same path, and what is to be there.
    #[must_use]
    pub fn with(self, method: Method, body: Value) -> Self {
        let body = Some(body);
        Self {
            method,
            body,
            ..self
        }
    }
}

impl Api {
    /// The API at a URL. `at` says where that is to a person. `ca_file` has those who are believed to sign its certificate; without
    /// it the system's are.
    ///
    /// # Errors
    /// It is no URL of HTTP, or says more than where something is.
    pub fn new(
        url: &str,
        (key_file, ca_file): (PathBuf, Option<PathBuf>),
        at: String,
        (auth, kind): (Auth, Kind),
    ) -> Result<Self, String> {
        let uri: Uri = url.parse().map_err(|error| format!("its url: {error}"))?;
        let server = Server::of(&uri).map_err(|because| format!("its url: {because}"))?;
        if uri.query().is_some() {
            return Err("its url holds a question".to_owned());
        }
        Ok(Self {
            authority: uri
                .authority()
                .map_or_else(String::new, ToString::to_string),
            below: uri.path().trim_end_matches('/').to_owned(),
            at,
            server,
            ca_file,
            key_file,
            auth,
            kind,
        })
    }

    /// Where it is, for a person.
    pub fn at(&self) -> &str {
        &self.at
    }

    /// Refuses an API to which the key would go over a network without TLS.
    ///
    /// # Errors
    /// It is such an API; why that is no good.
    pub fn refuse_clear(&self) -> Result<(), String> {
        if self.is_clear() {
            let host = &self.server.host;
            return Err(format!(
                "the key would go to {host} in the clear: use https://"
            ));
        }
        Ok(())
    }

    /// Whether what is sent to it can be seen on a network.
    pub fn is_clear(&self) -> bool {
        self.server.is_clear()
    }

    /// A failure of a call that changed nothing.
    pub fn error(
        &self,
        tried: &'static str,
        problem: Problem,
        next: impl Into<Box<str>>,
    ) -> CutoverError {
        CutoverError::new(tried, self.at(), problem, next)
    }

    /// The same, of what was seen.
    pub fn unfit(&self, tried: &'static str, seen: impl Into<String>, next: &str) -> CutoverError {
        let seen = seen.into();
        self.error(tried, Problem::Unfit { seen }, next)
    }

    /// The key, read anew each time.
    ///
    /// # Errors
    /// Its file is no good.
    pub fn key(&self, tried: &'static str) -> Result<String, CutoverError> {
        let key = read_secret(&self.key_file);
        key.map_err(|seen| self.unfit(tried, seen, self.kind.key))
    }

    /// Whether there is a key that nobody else may read.
    pub fn key_finding(&self, id: &BackendId, check: &str) -> Finding {
        match read_secret(&self.key_file) {
            Ok(_) => Finding::pass(id, check),
            Err(seen) => Finding::fail(id, check, &format!("{seen}."), self.kind.key),
        }
    }

    /// Asks once, with the key; no redirect is followed, and nothing is sent twice.
    ///
    /// # Errors
    /// There is no answer, or a no, or another one than a `T`. The effect is none where the API was not asked, or said no.
    pub async fn ask<T: DeserializeOwned>(
        &self,
        question: Question<'_>,
    ) -> Result<T, CutoverError> {
        let key = self.key(question.tried)?;
        self.ask_by((&self.auth, &key), question).await
    }

    /// The same by another way, and with another secret than the key.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub async fn ask_by<T: DeserializeOwned>(
        &self,
        (auth, secret): (&Auth, &str),
        question: Question<'_>,
    ) -> Result<T, CutoverError> {
        let Question { tried, within, .. } = question;
        let request = self.request((auth, secret), question);
        let request =
            request.map_err(|error| self.unfit(tried, error.to_string(), "Correct the url."))?;
        let mut was_sent = false;
        let exchange = async {
            let connection = self.server.open(self.ca_file.as_deref(), None).await?;
            was_sent = true;
            connection.ask(request, self.kind.largest).await
        };
        let failed = match tokio::time::timeout(within, exchange).await {
            Ok(Ok(answer)) if answer.status().is_success() => {
                return self.read(tried, answer.body());
            }
            Ok(Ok(answer)) => return Err(self.refused(tried, &answer, secret)),
            Ok(Err(cause)) => {
                let error = self.error(tried, Problem::Unreachable, self.kind.reach);
                error.caused_by(cause)
            }
            Err(_elapsed) => self.error(tried, Problem::NoAnswer { within }, self.kind.reach),
        };
        Err(failed.leaving(none_if(!was_sent)))
    }

    /// Looks at what lies at a path, which changes nothing however it ends.
    ///
    /// # Errors
    /// As [`ask`](Self::ask), with no effect.
    pub async fn get<T: DeserializeOwned>(
        &self,
        tried: &'static str,
        path: &str,
        within: Duration,
    ) -> Result<T, CutoverError> {
        let asked = self.ask(Question::get(tried, path, within)).await;
        asked.map_err(|error| error.leaving(Effect::None))
    }

    /// Asks for a change, whatever its answer holds beside its status.
    ///
    /// # Errors
    /// As [`ask`](Self::ask), where nothing was changed.
    pub async fn change<D>(&self, question: Question<'_>) -> Result<Written<D>, CutoverError> {
        match self.ask::<IgnoredAny>(question).await {
            Ok(_) => Ok(Written::Taken(Vec::new())),
            Err(error) if error.effect == Effect::None => Err(error),
            Err(error) => Ok(Written::Lost(error)),
        }
    }

    fn request(
        &self,
        (auth, secret): (&Auth, &str),
        question: Question<'_>,
    ) -> http::Result<Request<Full<Bytes>>> {
        let mut request = Request::builder()
            .method(question.method)
            .uri(format!("{}{}", self.below, question.path))
            .header(header::HOST, &self.authority)
            .header(header::USER_AGENT, "kubectl-pgha")
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::CONNECTION, "close");
        let shown = match auth {
            Auth::Nothing => None,
            Auth::Header(name, before) => Some((name.clone(), format!("{before}{secret}"))),
        };
        for (name, value) in shown.into_iter().chain(question.header) {
            let mut value = HeaderValue::try_from(value)?;
            value.set_sensitive(true);
            request = request.header(name, value);
        }
        let body = question.body.map(|body| body.to_string());
        request.body(Full::new(body.unwrap_or_default().into()))
    }

    fn read<T: DeserializeOwned>(
        &self,
        tried: &'static str,
        body: &[u8],
    ) -> Result<T, CutoverError> {
        let Kind { name, what, .. } = self.kind;
        let body = if body.is_empty() { b"null" } else { body };
        serde_json::from_slice(body).map_err(|error| {
            let seen = format!("its answer is no {what} of {name}: {error}");
            let next = format!("See that `url` is of {name}.");
            self.unfit(tried, seen, &next).leaving(Effect::Unknown)
        })
    }

    /// The API's no. Its effect is none where it is clear that nothing was changed.
    fn refused(&self, tried: &'static str, answer: &Response<Bytes>, secret: &str) -> CutoverError {
        let Kind { name, what, .. } = self.kind;
        let status = answer.status();
        let said = self.words(answer.body(), secret);
        let error = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let said = format!("{status}: {said}");
                self.error(tried, Problem::Denied { said }, self.kind.denied)
            }
            StatusCode::NOT_FOUND => {
                let seen = format!("it knows no such {what} ({status}): {said}");
                self.unfit(tried, seen, self.kind.missing)
            }
            StatusCode::TOO_MANY_REQUESTS => {
                let wait = answer.headers().get(header::RETRY_AFTER);
                let wait = wait.and_then(|wait| wait.to_str().ok()?.parse::<u32>().ok());
                let wait = wait.map_or_else(|| "some minutes".to_owned(), |s| format!("{s} s"));
                let next = format!("Wait {wait}, and do it again: {name} is asked too often.");
                self.unfit(tried, format!("it answers {status}: {said}"), &next)
            }
            _ => {
                let next = format!("Correct what {name} says, and plan again.");
                self.unfit(tried, format!("it answers {status}: {said}"), &next)
            }
        };
        let is_clear = status.is_client_error() && status != StatusCode::REQUEST_TIMEOUT;
        error.leaving(none_if(is_clear))
    }

    /// What an answer says is wrong, in one line and without the secret.
    fn words(&self, body: &[u8], secret: &str) -> String {
        let json = serde_json::from_slice::<Value>(body).ok();
        let said = json.as_ref().and_then(self.kind.said);
        let text = said.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
        match secret {
            "" => one_line(&text),
            secret => one_line(&text.replace(secret, "…")),
        }
    }
}

const fn none_if(is_clear: bool) -> Effect {
    if is_clear {
        Effect::None
    } else {
        Effect::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: Kind = Kind {
        name: "the API",
        what: "zone",
        largest: 1024,
        said: |answer| answer["error"].as_str().map(str::to_owned),
        key: "Write the key.",
        reach: "Reach it.",
        denied: "Get a key.",
        missing: "Name it.",
    };

    fn api(url: &str) -> Result<Api, String> {
        let auth = Auth::Header(header::AUTHORIZATION, "Bearer ");
        Api::new(url, ("key".into(), None), "zone x".to_owned(), (auth, KIND))
    }

    #[test]
    fn a_question_lies_below_the_url_and_shows_nothing_secret() {
        let api = api("https://proxy.example:8443/dns/").unwrap();
        for (auth, shown) in [(&api.auth, Some("Bearer s3cret")), (&Auth::Nothing, None)] {
            let question = Question::get("ask", "/zones/x?page=1", Duration::from_secs(1));
            let request = api.request((auth, "s3cret"), question).unwrap();
            assert_eq!(request.uri(), "/dns/zones/x?page=1");
            assert_eq!(request.headers()[header::HOST], "proxy.example:8443");
            let header = request.headers().get(header::AUTHORIZATION);
            assert_eq!(header.map(|it| it.to_str().unwrap()), shown);
            let told = format!("{request:?}");
            assert!(!told.contains("s3cret"), "{told}");
        }
    }

    #[test]
    fn only_what_goes_over_a_network_without_tls_is_in_the_clear() {
        for (url, is_clear) in [
            ("http://127.0.0.1:8081", false),
            ("http://[::1]", false),
            ("http://localhost", false),
            ("http://127.0.0.1.example", true),
            ("http://192.0.2.53", true),
            ("https://192.0.2.53", false),
        ] {
            let api = api(url).unwrap();
            assert_eq!(api.is_clear(), is_clear, "{url}");
            assert_eq!(api.refuse_clear().is_err(), is_clear, "{url}");
        }
    }

    #[test]
    fn a_url_that_says_more_is_refused() {
        for (url, words) in [
            ("dns.example/x", "its url"),
            ("https://me:key@dns.example", "user name"),
            ("https://dns.example/?key=x", "question"),
        ] {
            assert!(api(url).unwrap_err().contains(words), "{url}");
        }
    }

    #[test]
    fn what_it_says_is_one_line_without_the_secret() {
        let api = api("https://dns.example").unwrap();
        for (body, said) in [
            (
                r#"{"error": "RRset x IN A:\nno s3cret\u001b[2J"}"#,
                "RRset x IN A: | no …\\u{1b}[2J",
            ),
            ("Unauthorized", "Unauthorized"),
            (r#"{"error": 7}"#, r#"{"error": 7}"#),
            ("", ""),
        ] {
            assert_eq!(api.words(body.as_bytes(), "s3cret"), said);
        }
        let long = api.words("x".repeat(1 << 24).as_bytes(), "s3cret");
        assert!(long.chars().count() < 1000, "{}", long.len());
    }

    #[test]
    fn only_a_no_that_is_clear_left_nothing() {
        let api = api("https://dns.example").unwrap();
        for (status, effect, next) in [
            (401, Effect::None, "Get a key."),
            (404, Effect::None, "Name it."),
            (408, Effect::Unknown, "Correct what the API says"),
            (422, Effect::None, "Correct what the API says"),
            (429, Effect::None, "Wait 7 s"),
            (502, Effect::Unknown, "Correct what the API says"),
        ] {
            let answer = Response::builder()
                .status(status)
                .header("retry-after", "7");
            let error = api.refused("ask", &answer.body(Bytes::new()).unwrap(), "s3cret");
            assert_eq!(error.effect, effect, "{status}");
            assert!(error.next.contains(next), "{status}: {}", error.next);
        }
    }
}
