//! What a request asks for, read from its method and its path.

use std::collections::BTreeMap;

use http::Method;
use serde_json::Value;

/// One request as it was logged.
#[derive(Clone, Debug, PartialEq)]
pub struct LoggedRequest {
    /// Kubernetes' verb: `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`.
    pub verb: &'static str,
    /// The path without the query.
    pub path: String,
    /// The resource with its subresource, `pods/proxy`.
    pub resource: String,
    /// The object's name.
    pub name: Option<String>,
    /// The parameters of the query, decoded.
    pub query: BTreeMap<String, String>,
    /// The header of that name.
    pub user_agent: Option<String>,
    /// The parameter of that name.
    pub field_manager: Option<String>,
    /// The body, when it was JSON.
    pub body: Option<Value>,
}

/// A request in Kubernetes' words.
#[derive(Clone, Debug, Default)]
pub(super) struct Call {
    pub(super) verb: &'static str,
    pub(super) group: String,
    pub(super) version: String,
    pub(super) namespace: Option<String>,
    pub(super) resource: String,
    pub(super) name: Option<String>,
    pub(super) subresource: Option<String>,
    /// What follows the subresource, with its leading slash: the path behind a proxy.
    pub(super) rest: String,
    pub(super) query: BTreeMap<String, String>,
}

impl LoggedRequest {
    pub(super) fn of(head: &http::request::Parts, call: &Call, body: &[u8]) -> Self {
        let agent = head.headers.get(http::header::USER_AGENT);
        Self {
            verb: call.verb,
            path: head.uri.path().to_owned(),
            resource: call.full_resource(),
            name: call.name.clone(),
            query: call.query.clone(),
            user_agent: agent
                .and_then(|agent| agent.to_str().ok())
                .map(str::to_owned),
            field_manager: call.query.get("fieldManager").cloned(),
            body: serde_json::from_slice(body).ok(),
        }
    }

    /// Verb and resource in one line, `patch endpoints zitadel-ha-config`.
    pub fn summary(&self) -> String {
        let name = self.name.as_deref().unwrap_or_default();
        format!("{} {} {name}", self.verb, self.resource)
            .trim_end()
            .to_owned()
    }
}

impl Call {
    pub(super) fn parse(head: &http::request::Parts) -> Self {
        let query = parse_query(head.uri.query().unwrap_or_default());
        let mut call = Self {
            query,
            ..Self::default()
        };
        let mut words = head.uri.path().trim_start_matches('/').split('/');
        match words.next() {
            Some("api") => call.version = decoded(words.next()),
            Some("apis") => {
                call.group = decoded(words.next());
                call.version = decoded(words.next());
            }
            _ => {}
        }
        let words: Vec<&str> = words.collect();
        call.read_names(&words);
        call.verb = call.verb_of(&head.method);
        call
    }

    /// `namespaces/X` alone is the namespace; `namespaces/X/pods` is what is in it.
    fn read_names(&mut self, words: &[&str]) {
        let words = match words {
            ["namespaces", namespace, inside @ ..] if !inside.is_empty() => {
                self.namespace = Some(decoded(Some(namespace)));
                inside
            }
            other => other,
        };
        self.resource = decoded(words.first().copied());
        self.name = words.get(1).map(|name| decoded(Some(name)));
        self.subresource = words.get(2).map(|name| decoded(Some(name)));
        self.rest = words
            .get(3..)
            .map(|rest| format!("/{}", rest.join("/")))
            .unwrap_or_default();
    }

    fn verb_of(&self, method: &Method) -> &'static str {
        let is_watch = self
            .query
            .get("watch")
            .is_some_and(|watch| watch == "true" || watch == "1");
        match method.as_str() {
            "GET" if is_watch => "watch",
            "GET" if self.name.is_none() => "list",
            "GET" | "HEAD" => "get",
            "POST" => "create",
            "PUT" => "update",
            "PATCH" => "patch",
            "DELETE" => "delete",
            _ => "unknown",
        }
    }

    /// What a `SelfSubjectAccessReview` asks about.
    pub(super) fn of_review(review: &Value) -> Self {
        let attribute = |name: &str| {
            let pointer = format!("/spec/resourceAttributes/{name}");
            review
                .pointer(&pointer)
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let verbs = [
            "get", "list", "watch", "create", "update", "patch", "delete",
        ];
        let asked = attribute("verb").unwrap_or_default();
        Self {
            verb: verbs
                .into_iter()
                .find(|verb| *verb == asked)
                .unwrap_or("unknown"),
            group: attribute("group").unwrap_or_default(),
            namespace: attribute("namespace"),
            resource: attribute("resource").unwrap_or_default(),
            subresource: attribute("subresource"),
            name: attribute("name"),
            ..Self::default()
        }
    }

    /// The resource with its subresource.
    pub(super) fn full_resource(&self) -> String {
        match &self.subresource {
            Some(subresource) => format!("{}/{subresource}", self.resource),
            None => self.resource.clone(),
        }
    }
}

fn parse_query(query: &str) -> BTreeMap<String, String> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(Some(key)), decoded(Some(&value.replace('+', " "))))
        })
        .collect()
}

/// Resolves `%` escapes; bytes that are not UTF-8 are replaced.
fn decoded(text: Option<&str>) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.unwrap_or_default().as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        let escape = tail
            .first_chunk::<2>()
            .and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = escape.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (first, byte) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            (_, _) => bytes.push(*first),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(method: &str, uri: &str) -> Call {
        let request = http::Request::builder()
            .method(method)
            .uri(uri)
            .body(())
            .unwrap();
        Call::parse(&request.into_parts().0)
    }

    #[test]
    fn a_path_names_resource_and_object() {
        let list = call(
            "GET",
            "/api/v1/namespaces/prod/pods?labelSelector=a%2Fb%3Dc%2Cd",
        );
        assert_eq!((list.verb, list.resource.as_str()), ("list", "pods"));
        assert_eq!(list.query["labelSelector"], "a/b=c,d");
        let patch = call(
            "PATCH",
            "/apis/g.example/v1/namespaces/prod/things/x/status",
        );
        assert_eq!((patch.verb, patch.group.as_str()), ("patch", "g.example"));
        assert_eq!(patch.full_resource(), "things/status");
        let namespace = call("GET", "/api/v1/namespaces/prod");
        assert_eq!(
            (namespace.resource.as_str(), namespace.verb),
            ("namespaces", "get")
        );
        assert_eq!(namespace.name.as_deref(), Some("prod"));
    }

    #[test]
    fn a_proxy_keeps_the_path_behind_it() {
        let proxy = call(
            "GET",
            "/api/v1/namespaces/p/pods/https:a-0:8008/proxy/patroni",
        );
        assert_eq!(proxy.name.as_deref(), Some("https:a-0:8008"));
        assert_eq!(proxy.rest, "/patroni");
        assert_eq!(proxy.full_resource(), "pods/proxy");
    }
}
