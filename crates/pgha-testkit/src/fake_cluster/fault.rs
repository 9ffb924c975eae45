//! What can go wrong with a request, by rule.

use std::time::Duration;

use super::request::Call;

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// 409: somebody else changed the object. Nothing is applied.
    Conflict,
    /// 401: the credentials are refused.
    Unauthorized,
    /// 403: the user is not permitted to.
    Forbidden,
    /// 410: a list's continuation is too old.
    Gone,
    /// 500, with this message. Nothing is applied.
    Internal(&'static str),
    /// Nothing is applied, and no answer ever comes.
    SilenceBefore,
    /// The request is applied, and no answer ever comes.
    SilenceAfter,
    /// There is no connection. Behind a loopback port the connection breaks instead.
    ConnectionRefused,
    /// The connection breaks, and nothing is applied.
    ConnectionLostBefore,
    /// The request is applied, and the connection breaks.
    ConnectionLostAfter,
    /// The request is applied at once, and its answer takes this long.
    Late(Duration),
}

/// A rule: which requests go wrong, and how.
#[derive(Clone, Debug)]
pub struct Fault {
    failure: Failure,
    verb: Option<String>,
    resource: Option<String>,
    namespace: Option<String>,
    name: Option<String>,
    left: Option<u32>,
}

impl Fault {
    /// This goes wrong with every request, until [`super::FakeCluster::heal`].
    pub fn new(failure: Failure) -> Self {
        Self {
            failure,
            verb: None,
            resource: None,
            namespace: None,
            name: None,
            left: None,
        }
    }

    /// Only with this verb of Kubernetes'.
    #[must_use]
    pub fn verb(mut self, verb: &str) -> Self {
        self.verb = Some(verb.to_owned());
        self
    }

    /// Only with this resource, its subresource included: `pods` is not `pods/proxy`.
    #[must_use]
    pub fn resource(mut self, resource: &str) -> Self {
        self.resource = Some(resource.to_owned());
        self
    }

    /// Only in this namespace.
    #[must_use]
    pub fn namespace(mut self, namespace: &str) -> Self {
        self.namespace = Some(namespace.to_owned());
        self
    }

    /// Only with the object of this name. The name of a `pods/proxy` request is the pod's.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// Only so often.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.left = Some(times);
        self
    }

    fn meets(&self, call: &Call) -> bool {
        let is = |wanted: &Option<String>, value: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| value == Some(wanted))
        };
        self.left != Some(0)
            && is(&self.verb, Some(call.verb))
            && is(&self.resource, Some(&call.full_resource()))
            && is(&self.namespace, call.namespace.as_deref())
            && is(&self.name, call.name.as_deref().map(bare_name))
    }
}

/// The pod in `https:pod:8008`.
pub(super) fn bare_name(name: &str) -> &str {
    let without_scheme = name
        .strip_prefix("https:")
        .or_else(|| name.strip_prefix("http:"));
    let name = without_scheme.unwrap_or(name);
    name.split_once(':').map_or(name, |(pod, _)| pod)
}

/// The rules in the order in which they were made; the first that meets a request wins.
#[derive(Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// How this request goes wrong, and one time less from now on.
    pub(super) fn strike(&mut self, call: &Call) -> Option<Failure> {
        let fault = self.0.iter_mut().find(|fault| fault.meets(call))?;
        fault.left = fault.left.map(|left| left.saturating_sub(1));
        Some(fault.failure.clone())
    }

    /// Whether such a request would be answered with 403.
    pub(super) fn forbids(&self, call: &Call) -> bool {
        self.0
            .iter()
            .any(|fault| fault.failure == Failure::Forbidden && fault.meets(call))
    }
}
