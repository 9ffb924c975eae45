//! Answers, and the API server's own words for refusals (Kubernetes `apimachinery`, `pkg/api/errors`).

use http::{Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Bytes;
use serde_json::{Value, json};

use super::USER;
use super::request::Call;
use super::resource::{Resource, qualified};

/// An answer before it is an HTTP response.
pub(super) struct Answer {
    code: u16,
    content_type: &'static str,
    body: Vec<u8>,
}

impl Answer {
    pub(super) fn ok(object: &Value) -> Self {
        Self::json(200, object)
    }

    pub(super) fn created(object: &Value) -> Self {
        Self::json(201, object)
    }

    pub(super) fn text(code: u16, content_type: &'static str, text: &str) -> Self {
        Self {
            code,
            content_type,
            body: text.as_bytes().to_vec(),
        }
    }

    fn json(code: u16, value: &Value) -> Self {
        Self::text(code, "application/json", &value.to_string())
    }

    pub(super) const fn is_ok(&self) -> bool {
        self.code == 200
    }

    pub(super) fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Bytes::from(self.body)));
        *response.status_mut() =
            StatusCode::from_u16(self.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let content_type = header::HeaderValue::from_static(self.content_type);
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, content_type);
        response
    }
}

fn failure(code: u16, reason: &str, message: &str, details: Option<Value>) -> Answer {
    let mut status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {},
        "status": "Failure", "message": message, "reason": reason, "code": code});
    if let Some(details) = details {
        status["details"] = details;
    }
    Answer::json(code, &status)
}

fn details(name: &str, group: &str, kind: &str) -> Value {
    let mut details = json!({ "kind": kind });
    if !name.is_empty() {
        details["name"] = json!(name);
    }
    if !group.is_empty() {
        details["group"] = json!(group);
    }
    details
}

/// A path that no handler serves is answered in plain text.
pub(super) fn unknown_path() -> Answer {
    Answer::text(404, "text/plain; charset=utf-8", "404 page not found\n")
}

pub(super) fn not_found(resource: &Resource, name: &str) -> Answer {
    let message = format!("{} \"{name}\" not found", resource.qualified());
    failure(
        404,
        "NotFound",
        &message,
        Some(details(name, &resource.group, &resource.plural)),
    )
}

pub(super) fn already_exists(resource: &Resource, name: &str) -> Answer {
    let message = format!("{} \"{name}\" already exists", resource.qualified());
    failure(
        409,
        "AlreadyExists",
        &message,
        Some(details(name, &resource.group, &resource.plural)),
    )
}

pub(super) fn conflict(call: &Call) -> Answer {
    let name = call.name.as_deref().unwrap_or_default();
    let message = format!(
        "Operation cannot be fulfilled on {} \"{name}\": the object has been modified; please apply your changes to \
         the latest version and try again",
        qualified(&call.resource, &call.group)
    );
    failure(
        409,
        "Conflict",
        &message,
        Some(details(name, &call.group, &call.resource)),
    )
}

pub(super) fn forbidden(call: &Call, group: &str) -> Answer {
    let name = call.name.as_deref().unwrap_or_default();
    let object = if name.is_empty() {
        String::new()
    } else {
        format!(" \"{name}\"")
    };
    let place = match &call.namespace {
        Some(namespace) => format!("in the namespace \"{namespace}\""),
        None => "at the cluster scope".to_owned(),
    };
    let message = format!(
        "{}{object} is forbidden: User \"{USER}\" cannot {} resource \"{}\" in API group \"{group}\" {place}",
        qualified(&call.resource, group),
        call.verb,
        call.full_resource(),
    );
    failure(
        403,
        "Forbidden",
        &message,
        Some(details(name, group, &call.resource)),
    )
}

pub(super) fn unauthorized() -> Answer {
    failure(401, "Unauthorized", "Unauthorized", None)
}

pub(super) fn gone() -> Answer {
    let message = "The provided continue parameter is too old to display a consistent list result. You can start a \
                   new list without the continue parameter.";
    failure(410, "Expired", message, None)
}

pub(super) fn internal(message: &str) -> Answer {
    let details = json!({"causes": [{ "message": message }]});
    failure(
        500,
        "InternalError",
        &format!("Internal error occurred: {message}"),
        Some(details),
    )
}

pub(super) fn unavailable(message: &str) -> Answer {
    failure(503, "ServiceUnavailable", message, None)
}

pub(super) fn bad_request(message: &str) -> Answer {
    failure(400, "BadRequest", message, None)
}

pub(super) fn method_not_allowed() -> Answer {
    let message = "the server does not allow this method on the requested resource";
    failure(405, "MethodNotAllowed", message, Some(json!({})))
}

pub(super) fn unsupported_media_type() -> Answer {
    let message = "415: Unsupported Media Type";
    failure(415, "UnsupportedMediaType", message, Some(json!({})))
}

/// What is left of a deleted object.
pub(super) fn deleted(resource: &Resource, object: &Value) -> Answer {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let mut details = details(name, &resource.group, &resource.plural);
    details["uid"] = object["metadata"]["uid"].clone();
    Answer::ok(
        &json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
        "details": details}),
    )
}

/// A JSON patch that does not apply, a failed `test` included, is answered without naming the operation
/// (Kubernetes `apiserver`, `pkg/endpoints/handlers/patch.go`).
pub(super) fn patch_does_not_apply() -> Answer {
    let message = "the server rejected our request due to an error in our request";
    failure(422, "Invalid", message, Some(json!({})))
}
