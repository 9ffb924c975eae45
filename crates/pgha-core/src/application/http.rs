//! What is asked over HTTP.

use std::path::Path;
use std::time::Duration;

use http::{HeaderValue, Method, Request as HttpRequest, Response, Uri, header};
use http_body_util::Full;
use hyper::body::Bytes;
use pgha_model::application::{Call, Request, Wait};
use pgha_wire::{Server, read_secret, tls};

use super::{ApplicationError, LOOK};
use crate::client::USER_AGENT;
use crate::clock;
use crate::diagnose::sanitised;
use crate::settle::{Look, Settlement, await_until};

/// No answer takes longer.
const ANSWER: Duration = Duration::from_secs(10);

/// More of a body than this is not searched, in bytes.
const LARGEST_BODY: usize = 1024 * 1024;

/// One question, with all that it needs.
struct Question<'a> {
    method: Method,
    url: String,
    server: Server,
    connect_to: Option<&'a str>,
    ca_file: Option<&'a Path>,
    token_file: Option<&'a Path>,
    body: Option<String>,
}

impl<'a> Question<'a> {
    fn new(method: &str, url: &str) -> Result<Self, String> {
        let parsed: Uri = url.parse().map_err(|error| format!("{url}: {error}"))?;
        let server = Server::of(&parsed).map_err(|because| format!("{url}: {because}"))?;
        Ok(Self {
            method: method
                .parse()
                .map_err(|error| format!("{method}: {error}"))?,
            url: url.to_owned(),
            server,
            connect_to: None,
            ca_file: None,
            token_file: None,
            body: None,
        })
    }

    fn of_call(call: &'a Call, request: &Request) -> Result<Self, String> {
        let question = Self::new(request.method.name(), &request.url.to_string())?;
        Ok(Self {
            ca_file: call.ca_file.as_deref(),
            token_file: call.token_file.as_deref(),
            body: request.json.as_ref().map(ToString::to_string),
            ..question
        })
    }

    fn of_wait(wait: &'a Wait) -> Result<Self, String> {
        Ok(Self {
            connect_to: wait.connect_to.as_deref(),
            ca_file: wait.ca_file.as_deref(),
            ..Self::new("GET", &wait.url.to_string())?
        })
    }

    fn token(&self) -> Result<Option<String>, String> {
        self.token_file.map(read_secret).transpose()
    }

    async fn ask(&self) -> Result<Response<Bytes>, String> {
        let exchange = async {
            let connection = self.server.open(self.ca_file, self.connect_to).await?;
            connection.ask(self.request()?, LARGEST_BODY).await
        };
        match tokio::time::timeout(ANSWER, exchange).await {
            Ok(answer) => answer.map_err(|because| sanitised(&because)),
            Err(_elapsed) => Err(format!("No answer within {} s.", ANSWER.as_secs())),
        }
    }

    fn request(&self) -> Result<HttpRequest<Full<Bytes>>, String> {
        let uri: Uri = self.url.parse().map_err(|_| "The URL cannot be asked.")?;
        let target = uri.path_and_query().map_or("/", |path| path.as_str());
        let host = uri.authority().map_or("", |authority| authority.as_str());
        let mut request = HttpRequest::builder()
            .method(self.method.clone())
            .uri(target)
            .header(header::HOST, host)
            .header(header::USER_AGENT, USER_AGENT)
            .header(header::CONNECTION, "close");
        if let Some(token) = self.token()? {
            let value = HeaderValue::try_from(format!("Bearer {token}"));
            // Its words could quote the token.
            let mut value = value.map_err(|_| "The token is none.")?;
            value.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, value);
        }
        if self.body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = Bytes::from(self.body.clone().unwrap_or_default());
        let request = request.body(Full::new(body));
        request.map_err(|error| format!("The request cannot be written: {error}."))
    }
}

/// Asks for what a side wants, until it is answered by a yes; anything that may pass is asked again. What was answered, as a full
/// sentence.
pub(super) async fn call(
    call: &Call,
    request: &Request,
    limit: Duration,
) -> Result<String, ApplicationError> {
    let what = request.to_string();
    let failed = |because: String| ApplicationError::Web {
        what: what.clone(),
        because,
    };
    let question = Question::of_call(call, request).map_err(failed)?;
    let settlement = await_until(clock::monotonic() + limit, LOOK, async || {
        let status = match question.ask().await {
            Ok(answer) => answer.status(),
            Err(because) => return Ok(Look::NotYet(because)),
        };
        let seen = format!("It answers {}.", status.as_u16());
        if status.is_success() {
            Ok(Look::Settled(format!(
                "{what} answered {}.",
                status.as_u16()
            )))
        } else if status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429) {
            Ok(Look::NotYet(seen))
        } else {
            Err(failed(seen))
        }
    });
    in_time(&what, limit, settlement.await?)
}

/// Asks until the answer is as wanted. What was answered, as a full sentence.
pub(super) async fn wait(wait: &Wait, limit: Duration) -> Result<String, ApplicationError> {
    let what = format!("GET {}", wait.url);
    let failed = |because: String| ApplicationError::Web {
        what: what.clone(),
        because,
    };
    let question = Question::of_wait(wait).map_err(failed)?;
    let settlement = await_until(clock::monotonic() + limit, LOOK, async || {
        Ok::<_, ApplicationError>(match question.ask().await {
            Ok(answer) => judge(wait, &answer),
            Err(because) => Look::NotYet(because),
        })
    });
    in_time(&what, limit, settlement.await?)
}

fn judge(wait: &Wait, answer: &Response<Bytes>) -> Look<String, String> {
    let status = answer.status().as_u16();
    if status != wait.status {
        return Look::NotYet(format!("It answers {status}, not {}.", wait.status));
    }
    let body = String::from_utf8_lossy(answer.body());
    match &wait.contains {
        Some(words) if !body.contains(words.as_str()) => {
            Look::NotYet(format!("It answers {status} without `{words}`."))
        }
        Some(_) | None => Look::Settled(format!("{} answers {status}.", wait.url)),
    }
}

fn in_time(
    what: &str,
    limit: Duration,
    settlement: Settlement<String, String>,
) -> Result<String, ApplicationError> {
    match settlement {
        Settlement::Settled(said) => Ok(said),
        Settlement::TimedOut { last_seen } => {
            let seen = last_seen.unwrap_or_else(|| "No answer.".to_owned());
            let because = format!("Not as wanted within {} s. {seen}", limit.as_secs());
            Err(ApplicationError::Web {
                what: what.to_owned(),
                because,
            })
        }
    }
}

/// Why a call could not be made, as a clause; nobody is asked.
pub(super) fn cannot_call(call: &Call) -> Option<String> {
    let both = [call.primary.as_ref(), call.standby.as_ref()];
    let mut requests = both.into_iter().flatten();
    requests.find_map(|request| unready(Question::of_call(call, request)))
}

/// Why an answer could not be waited for, as a clause; nobody is asked.
pub(super) fn cannot_wait(wait: &Wait) -> Option<String> {
    unready(Question::of_wait(wait))
}

fn unready(question: Result<Question<'_>, String>) -> Option<String> {
    let checked = question.and_then(|question| {
        if question.token()?.is_some() && question.server.is_clear() {
            let url = &question.url;
            return Err(format!(
                "{url}: the token would go there in the clear: use https://"
            ));
        }
        tls(question.ca_file).map(drop)
    });
    checked.err().map(|because| sanitised(&because))
}
