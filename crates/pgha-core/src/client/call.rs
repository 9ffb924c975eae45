//! A request to an API server that did not end well.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use pgha_model::effect::Effect;

use super::SiteClient;
use super::kubeconfig::said_of;
use crate::diagnose::{Diagnose, sanitised};

/// The request had no answer in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no answer within {} s", limit.as_secs_f64())]
pub struct DeadlinePassed {
    /// How long was waited.
    pub limit: Duration,
}

/// What kind of failure it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallKind {
    /// No connection to the API server, or it broke.
    Unreachable,
    /// The API server, or the program that was to get credentials, refused them.
    Unauthorized,
    /// The credentials are good and do not permit this.
    Forbidden {
        /// The verb that would be needed.
        verb: String,
        /// The resource, with its subresource: `pods/proxy`.
        resource: String,
        /// The namespace in which it would be needed.
        namespace: String,
    },
    /// There is no such object, or no such resource at all.
    NotFound,
    /// Somebody else changed the object in between.
    Conflict,
    /// A continuation is too old to go on from.
    Gone,
    /// No answer in time, from the API server or from what is behind it.
    Timeout,
    /// A patch rests on a value that is no longer there.
    TestFailed,
    /// The object would not be valid.
    Invalid,
    /// Anything else.
    Other,
}

/// A request to an API server that did not end well.
#[derive(Debug)]
pub struct CallError {
    /// What was asked, in Kubernetes' words: `get`, `list`, `patch`.
    pub verb: &'static str,
    /// Of what: `postgrescluster zitadel`.
    pub object: String,
    /// The kubeconfig context.
    pub site: String,
    /// What kind of failure it is.
    pub kind: CallKind,
    cause: Cause,
    reached: Reached,
}

/// The client's error in words of its own. Its `Display` is printed instead of [`kube::Error`]'s, which repeats its
/// sources and dumps structures.
#[derive(Debug)]
struct Cause {
    text: String,
    original: kube::Error,
}

/// How far the request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reached {
    /// Not out of this machine.
    Nothing,
    /// An API server, which answered that it did nothing.
    Refusal,
    /// Unknown.
    Perhaps,
}

impl CallError {
    /// Whether the same request may be answered in a moment.
    pub(crate) const fn may_pass(&self) -> bool {
        matches!(
            self.kind,
            CallKind::Unreachable | CallKind::Timeout | CallKind::Conflict | CallKind::Other
        )
    }

    /// Whether what the request rests on had changed in between: nothing was applied.
    pub(crate) const fn is_outdated(&self) -> bool {
        matches!(self.kind, CallKind::Conflict | CallKind::TestFailed)
    }

    /// Wraps the client's error; `verb` and `object` say what was attempted.
    pub fn new(
        site: &SiteClient,
        verb: &'static str,
        object: impl Into<String>,
        error: kube::Error,
    ) -> Self {
        Self {
            verb,
            object: sanitised(&object.into()),
            site: sanitised(&site.context),
            kind: kind_of(&error, verb, &site.namespace),
            reached: reached(&error),
            cause: Cause {
                text: sanitised(&text_of(&error)),
                original: error,
            },
        }
    }

    /// Whether the resource itself is unknown to the API server, its CRD not installed.
    ///
    /// The API server answers an unknown path in plain text, and an unknown object with a `Status`.
    pub fn is_unknown_resource(&self) -> bool {
        status_of(&self.cause.original).is_some_and(|status| {
            status.code == 404
                && status.details.is_none()
                && status.message.contains("page not found")
        })
    }

    /// Whether the request itself was not liked, whatever it asks for: 400, or 413 for its body (RFC 9110, 15.5).
    pub fn is_bad_request(&self) -> bool {
        status_of(&self.cause.original).is_some_and(|status| matches!(status.code, 400 | 413))
    }

    fn is_read(&self) -> bool {
        matches!(self.verb, "get" | "list" | "watch")
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            verb,
            object,
            site,
            kind,
            ..
        } = self;
        match kind {
            CallKind::Unreachable => {
                write!(
                    f,
                    "cannot reach the API server of `{site}` to {verb} {object}"
                )
            }
            CallKind::Unauthorized => {
                write!(f, "`{site}` refuses the credentials (to {verb} {object})")
            }
            CallKind::Forbidden {
                verb,
                resource,
                namespace,
            } => write!(
                f,
                "`{site}` does not permit you to {verb} {resource} in namespace `{namespace}`"
            ),
            CallKind::NotFound => write!(f, "`{site}` has no {object}"),
            CallKind::Conflict => {
                write!(
                    f,
                    "cannot {verb} {object} at `{site}`: it changed in between"
                )
            }
            CallKind::Gone => {
                write!(
                    f,
                    "cannot {verb} {object} at `{site}`: the list is too old to go on"
                )
            }
            CallKind::Timeout => write!(f, "`{site}` did not answer in time (to {verb} {object})"),
            CallKind::TestFailed => write!(
                f,
                "cannot {verb} {object} at `{site}`: a value that the patch rests on has changed"
            ),
            CallKind::Invalid => write!(f, "`{site}` calls the {object} invalid"),
            CallKind::Other => write!(f, "cannot {verb} {object} at `{site}`"),
        }
    }
}

impl Error for CallError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.cause)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Cause {}

impl Diagnose for CallError {
    fn effect(&self) -> Effect {
        if !self.is_read() && self.reached == Reached::Perhaps {
            Effect::Unknown
        } else {
            Effect::None
        }
    }

    fn hint(&self) -> Option<String> {
        let Self { site, .. } = self;
        match &self.kind {
            CallKind::Unreachable | CallKind::Timeout if self.effect() == Effect::Unknown => Some(
                "Look at both sites with `kubectl pgha status` before anything else.".to_owned(),
            ),
            CallKind::Unreachable => Some(format!("Try `kubectl --context {site} version`.")),
            CallKind::Unauthorized => Some(format!(
                "Renew your login, then try `kubectl --context {site} auth whoami`."
            )),
            CallKind::Forbidden {
                verb,
                resource,
                namespace,
            } => Some(format!(
                "Ask for a Role with `{verb}` on `{resource}` in namespace `{namespace}` at {site}."
            )),
            CallKind::Timeout => Some("Give it longer with `--request-timeout`.".to_owned()),
            CallKind::NotFound
            | CallKind::Conflict
            | CallKind::Gone
            | CallKind::TestFailed
            | CallKind::Invalid
            | CallKind::Other => None,
        }
    }
}

fn kind_of(error: &kube::Error, verb: &str, namespace: &str) -> CallKind {
    if let Some(status) = status_of(error) {
        return kind_of_status(status, verb, namespace);
    }
    let is_transport = matches!(
        error,
        kube::Error::Service(_) | kube::Error::HyperError(_) | kube::Error::ReadEvents(_)
    );
    if is_in_chain::<DeadlinePassed>(error) {
        CallKind::Timeout
    } else if is_in_chain::<kube::client::AuthError>(error) {
        CallKind::Unauthorized
    } else if is_transport {
        CallKind::Unreachable
    } else {
        CallKind::Other
    }
}

fn status_of(error: &kube::Error) -> Option<&kube::core::Status> {
    if let kube::Error::Api(status) = error {
        Some(status)
    } else {
        None
    }
}

fn kind_of_status(status: &kube::core::Status, verb: &str, namespace: &str) -> CallKind {
    match (status.code, status.reason.as_str()) {
        (401, _) | (_, "Unauthorized") => CallKind::Unauthorized,
        (403, _) | (_, "Forbidden") => {
            let details = status.details.as_ref();
            let kind = details
                .map(|details| details.kind.clone())
                .unwrap_or_default();
            let (verb, resource) = denied(&status.message)
                .map_or((verb, kind.as_str()), |(verb, resource)| (verb, resource));
            CallKind::Forbidden {
                verb: sanitised(verb),
                resource: sanitised(resource),
                namespace: sanitised(namespace),
            }
        }
        (404, _) | (_, "NotFound") => CallKind::NotFound,
        (409, _) | (_, "Conflict" | "AlreadyExists") => CallKind::Conflict,
        (410, _) | (_, "Gone" | "Expired") => CallKind::Gone,
        (504, _) | (_, "Timeout" | "ServerTimeout") => CallKind::Timeout,
        (422, _) if has_no_causes(status) => CallKind::TestFailed,
        (422, _) | (_, "Invalid") => CallKind::Invalid,
        (_, _) => CallKind::Other,
    }
}

/// A patch that does not apply is answered with 422 and no causes, an object that fails validation with one cause a
/// field (Kubernetes `apiserver`, `endpoints/handlers/patch.go` and `apimachinery`, `api/errors`).
fn has_no_causes(status: &kube::core::Status) -> bool {
    status
        .details
        .as_ref()
        .is_none_or(|details| details.causes.is_empty())
}

/// The verb and the resource in the API server's sentence `… cannot get resource "pods/proxy" in API group …`.
fn denied(message: &str) -> Option<(&str, &str)> {
    let (_, rest) = message.split_once(" cannot ")?;
    let (verb, rest) = rest.split_once(" resource \"")?;
    let (resource, _) = rest.split_once('"')?;
    Some((verb, resource))
}

fn reached(error: &kube::Error) -> Reached {
    if let Some(status) = status_of(error) {
        return if status.code < 500 {
            Reached::Refusal
        } else {
            Reached::Perhaps
        };
    }
    let never_built = matches!(
        error,
        kube::Error::BuildRequest(_) | kube::Error::HttpError(_)
    );
    if never_built || is_in_chain::<kube::client::AuthError>(error) || never_connected(error) {
        Reached::Nothing
    } else {
        Reached::Perhaps
    }
}

fn never_connected(error: &kube::Error) -> bool {
    links(error).any(|link| {
        let refused = link
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
        let connecting = link
            .downcast_ref::<hyper_util::client::legacy::Error>()
            .is_some_and(hyper_util::client::legacy::Error::is_connect);
        refused || connecting
    })
}

fn is_in_chain<E: Error + 'static>(error: &kube::Error) -> bool {
    links(error).any(<dyn Error>::is::<E>)
}

/// The error and its sources. A boxed source is a link of its own, which `downcast_ref` sees.
fn links<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&link| link.source())
}

/// What went wrong in one line: the API server's own message, or the innermost cause.
fn text_of(error: &kube::Error) -> String {
    let Some(status) = status_of(error) else {
        if let Some(refused) = links(error).find_map(<dyn Error>::downcast_ref) {
            return said_of(refused);
        }
        return links(error)
            .last()
            .map_or_else(|| error.to_string(), ToString::to_string);
    };
    if status.message.is_empty() {
        format!("status {} {}", status.code, status.reason)
    } else {
        status.message.clone()
    }
}
