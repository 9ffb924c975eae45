//! One signed request to a service of AWS', bounded in time and size, over a connection of its own.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::Full;
use hyper::body::Bytes;
use pgha_model::effect::Effect;
use pgha_nlb::{CutoverError, Problem};
use pgha_wire::Server;

use crate::credentials::{Keys, Purse};
use crate::xml::Node;

/// A longer answer is not read, in bytes.
const LARGEST_ANSWER: usize = 4 * 1024 * 1024;
/// What AWS says when it has too much to do, or a change of a zone is under way.
const PATIENCE: [&str; 5] = [
    "PriorRequestNotComplete",
    "RequestLimitExceeded",
    "Throttling",
    "ThrottlingException",
    "TooManyRequests",
];
/// What to do then.
pub(crate) const BUSY: &str =
    "AWS asks for patience: wait a minute, and run the same command again.";
const CLOCK: &str =
    "See that this machine's clock is right, and that the secret belongs to the access key.";
const CORRECT: &str = "Correct what AWS says, and plan again.";
const KEYS: &str =
    "See `credentials` in the service's file: docs/traffic.md shows where keys come from.";
const REACH: &str =
    "See that the endpoint is reached from here, and that its certificate is trusted.";
const DENIED: &str = "Renew the credentials, or let them do what docs/traffic.md lists.";

/// One service in one region.
pub(crate) struct Api {
    /// `route53` or `elasticloadbalancing`: what a signature names.
    pub(crate) service: &'static str,
    /// What the bodies of its requests are.
    pub(crate) content: &'static str,
    pub(crate) region: String,
    pub(crate) url: Uri,
    pub(crate) server: Server,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) purse: Purse,
    /// What it is asked about, for a person.
    pub(crate) at: String,
}

impl Api {
    fn error(&self, tried: &'static str, problem: Problem, next: &str) -> CutoverError {
        CutoverError::new(tried, self.at.as_str(), problem, next)
    }

    pub(crate) fn unfit(&self, tried: &'static str, seen: String) -> CutoverError {
        self.error(tried, Problem::Unfit { seen }, CORRECT)
    }

    /// Asks a question; an error changed nothing.
    pub(crate) async fn read(
        &self,
        tried: &'static str,
        what: (Method, &str, String),
        within: Duration,
    ) -> Result<String, CutoverError> {
        let answer = self.ask(tried, what, within).await;
        answer.map_err(|error| error.leaving(Effect::None))
    }

    /// Sends one request. An error's effect is none where AWS was not asked, or said no.
    pub(crate) async fn ask(
        &self,
        tried: &'static str,
        what: (Method, &str, String),
        within: Duration,
    ) -> Result<String, CutoverError> {
        let mut was_sent = false;
        let exchange = async {
            let keys = self.purse.keys().await;
            let no_keys = |seen| self.error(tried, Problem::Unfit { seen }, KEYS);
            let keys = keys.map_err(no_keys)?;
            let request = self.signed(what, &keys);
            let request = request.map_err(|seen| self.unfit(tried, seen))?;
            let answer = self.exchange(request, &mut was_sent).await;
            let unreached = |cause| {
                self.error(tried, Problem::Unreachable, REACH)
                    .caused_by(cause)
            };
            Ok((answer.map_err(unreached)?, keys))
        };
        let failed = match tokio::time::timeout(within, exchange).await {
            Ok(Ok((answer, keys))) => {
                let text = String::from_utf8_lossy(answer.body());
                if answer.status().is_success() {
                    return Ok(text.into_owned());
                }
                return Err(self.refused(tried, answer.status(), &keys.out_of(&text)));
            }
            Ok(Err(error)) => error,
            Err(_elapsed) => self.error(tried, Problem::NoAnswer { within }, REACH),
        };
        let effect = if was_sent {
            Effect::Unknown
        } else {
            Effect::None
        };
        Err(failed.leaving(effect))
    }

    fn signed(
        &self,
        (method, path, body): (Method, &str, String),
        keys: &Keys,
    ) -> Result<Request<Full<Bytes>>, String> {
        let told = |error: &dyn std::fmt::Display| format!("the request cannot be signed: {error}");
        let host = self
            .url
            .authority()
            .map_or("", http::uri::Authority::as_str);
        let scheme = self.url.scheme_str().unwrap_or("https");
        let uri = format!("{scheme}://{host}{path}");
        let identity = keys.to_sign_with().into();
        let seconds = Duration::from_secs((self.purse.around.clock)());
        let params = SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(self.service)
            .time(SystemTime::UNIX_EPOCH + seconds)
            .settings(SigningSettings::default())
            .build();
        let params = params.map_err(|error| told(&error))?.into();
        let body = Bytes::from(body);
        let (verb, signable) = (method.as_str(), SignableBody::Bytes(&body));
        let signable = SignableRequest::new(verb, &uri, [].into_iter(), signable);
        let signed = sign(signable.map_err(|error| told(&error))?, &params);
        let (instructions, _) = signed.map_err(|error| told(&error))?.into_parts();
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in [
            (header::HOST, host),
            (header::USER_AGENT, "kubectl-pgha"),
            (header::CONNECTION, "close"),
            (header::CONTENT_TYPE, self.content),
        ] {
            request = request.header(name, value);
        }
        for signed in instructions.into_parts().0 {
            let mut value = HeaderValue::from_str(signed.value()).map_err(|error| told(&error))?;
            value.set_sensitive(true);
            request = request.header(signed.name(), value);
        }
        request.body(Full::new(body)).map_err(|error| told(&error))
    }

    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
        was_sent: &mut bool,
    ) -> Result<Response<Bytes>, String> {
        let connection = self.server.open(self.ca_file.as_deref(), None).await?;
        *was_sent = true;
        connection.ask(request, LARGEST_ANSWER).await
    }

    /// AWS' no. Its effect is none where it is clear that nothing was changed.
    fn refused(&self, tried: &'static str, status: StatusCode, text: &str) -> CutoverError {
        let node = Node::read(text).unwrap_or_default();
        let says = |name: &str| Some(node.find(name)?.text()?.into_owned());
        let kind = || Some(node.nodes.first()?.name.clone());
        let code = says("Code").or_else(kind).unwrap_or_default();
        let said = says("Message").unwrap_or_else(|| text.to_owned());
        let said = format!("{status}, {code}: {said}");
        let is_denied = [401, 403].contains(&status.as_u16());
        let next = match code.as_str() {
            _ if status == StatusCode::TOO_MANY_REQUESTS => BUSY,
            code if PATIENCE.contains(&code) => BUSY,
            "RequestTimeTooSkewed" | "SignatureDoesNotMatch" | "RequestExpired" => CLOCK,
            _ if is_denied => DENIED,
            _ => CORRECT,
        };
        let problem = if is_denied {
            Problem::Denied { said }
        } else {
            let seen = format!("it answers {said}");
            Problem::Unfit { seen }
        };
        let is_clear = status.is_client_error() && status != StatusCode::REQUEST_TIMEOUT;
        let effect = if is_clear {
            Effect::None
        } else {
            Effect::Unknown
        };
        self.error(tried, problem, next).leaving(effect)
    }
}
