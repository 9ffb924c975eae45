//! By which hosts users come to a workload.

use std::collections::{BTreeMap, BTreeSet};

use kube::ResourceExt as _;
use serde_json::Value;

use super::{PoolerPart, Selector, Workload, WorkloadKind, items, text};
use crate::k8s::DynamicObject;

/// A host by which users come to workloads that were found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entrance {
    /// The host, as the object has it; empty for whatever comes.
    pub host: String,
    /// Whether the object says that it is reached over TLS. An `HTTPRoute` leaves that to its gateway.
    pub is_tls: bool,
    /// The object that leads there: `Ingress login`.
    pub object: String,
    /// The Service through which it does.
    pub service: String,
    /// The workloads, `deployment/zitadel`.
    pub workloads: BTreeSet<String>,
}

/// What an Ingress or a route says: its hosts, each with whether it is reached over TLS, and the Services behind them.
pub(super) struct Lead {
    object: String,
    hosts: BTreeMap<(String, bool), BTreeSet<String>>,
}

impl Lead {
    /// Reads an Ingress of `networking.k8s.io/v1`.
    pub(super) fn of_ingress(object: &DynamicObject) -> Option<Self> {
        let data = &object.data;
        let with_tls: BTreeSet<&str> = items(data, "/spec/tls")
            .flat_map(|tls| items(tls, "/hosts"))
            .filter_map(Value::as_str)
            .collect();
        let default = text(data, "/spec/defaultBackend/service/name");
        let mut hosts: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
        let mut add = |host: &str, service: &str| {
            let key = (host.to_owned(), with_tls.contains(host));
            hosts.entry(key).or_default().insert(service.to_owned());
        };
        for rule in items(data, "/spec/rules") {
            let host = text(rule, "/host").unwrap_or_default();
            let paths = items(rule, "/http/paths");
            let services = paths.filter_map(|path| text(path, "/backend/service/name"));
            for service in services.chain(default) {
                add(host, service);
            }
        }
        let has_rules = items(data, "/spec/rules").next().is_some();
        if let Some(service) = default.filter(|_| !has_rules) {
            add("", service);
        }
        Self::some("Ingress", object, hosts)
    }

    /// Reads an `HTTPRoute` of `gateway.networking.k8s.io`.
    pub(super) fn of_http_route(object: &DynamicObject) -> Option<Self> {
        Self::some("HTTPRoute", object, of_route(object, false))
    }

    /// Reads a `TLSRoute` of `gateway.networking.k8s.io`.
    pub(super) fn of_tls_route(object: &DynamicObject) -> Option<Self> {
        Self::some("TLSRoute", object, of_route(object, true))
    }

    fn some(
        kind: &str,
        object: &DynamicObject,
        hosts: BTreeMap<(String, bool), BTreeSet<String>>,
    ) -> Option<Self> {
        let object = format!("{kind} {}", object.name_any());
        (!hosts.is_empty()).then_some(Self { object, hosts })
    }
}

/// A backend is a Service of the route's own namespace unless it says otherwise (Gateway API, `BackendObjectReference`).
fn of_route(object: &DynamicObject, is_tls: bool) -> BTreeMap<(String, bool), BTreeSet<String>> {
    let own = object.namespace();
    let services: BTreeSet<String> = items(&object.data, "/spec/rules")
        .flat_map(|rule| items(rule, "/backendRefs"))
        .filter(|backend| text(backend, "/kind").is_none_or(|kind| kind == "Service"))
        .filter(|backend| text(backend, "/namespace").is_none_or(|it| Some(it) == own.as_deref()))
        .filter_map(|backend| Some(text(backend, "/name")?.to_owned()))
        .collect();
    if services.is_empty() {
        return BTreeMap::new();
    }
    let mut hosts: Vec<&str> = items(&object.data, "/spec/hostnames")
        .filter_map(Value::as_str)
        .collect();
    if hosts.is_empty() {
        hosts.push("");
    }
    let with_services = |host: &str| ((host.to_owned(), is_tls), services.clone());
    hosts.into_iter().map(with_services).collect()
}

/// The hosts that lead to Services which select the pods of the application; poolers have no users of HTTP.
pub(super) fn enter(
    leads: Vec<Lead>,
    selectors: &[Selector],
    workloads: &[Workload],
) -> Vec<Entrance> {
    let mut entrances = Vec::new();
    for lead in leads {
        for ((host, is_tls), services) in lead.hosts {
            for service in services {
                let workloads = behind(&service, selectors, workloads);
                if !workloads.is_empty() {
                    entrances.push(Entrance {
                        host: host.clone(),
                        is_tls,
                        object: lead.object.clone(),
                        service,
                        workloads,
                    });
                }
            }
        }
    }
    entrances
}

fn behind(service: &str, selectors: &[Selector], workloads: &[Workload]) -> BTreeSet<String> {
    let Some((_, selector)) = selectors.iter().find(|(name, _)| name == service) else {
        return BTreeSet::new();
    };
    let runs = |it: &&Workload| {
        matches!(
            it.kind,
            WorkloadKind::Deployment | WorkloadKind::StatefulSet
        ) && it.pooler != PoolerPart::Whole
    };
    let is_selected = |it: &&Workload| {
        let mut wanted = selector.iter();
        wanted.all(|(key, value)| it.labels.get(key) == Some(value))
    };
    let selected = workloads.iter().filter(runs).filter(is_selected);
    selected.map(Workload::object).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(spec: &Value) -> DynamicObject {
        let object = json!({"apiVersion": "a/v1", "kind": "K", "metadata": {"name": "login", "namespace": "prod"},
            "spec": spec});
        serde_json::from_value(object).unwrap()
    }

    fn hosts(lead: Option<Lead>) -> Vec<(String, bool, String)> {
        let hosts = lead.into_iter().flat_map(|lead| lead.hosts);
        hosts
            .map(|((host, is_tls), services)| {
                let services: Vec<_> = services.into_iter().collect();
                (host, is_tls, services.join(","))
            })
            .collect()
    }

    fn says(host: &str, is_tls: bool, services: &str) -> (String, bool, String) {
        (host.to_owned(), is_tls, services.to_owned())
    }

    #[test]
    fn an_ingress_names_hosts_and_services() {
        let path = |service: &str| json!({"path": "/", "backend": {"service": {"name": service, "port": {"number": 80}}}});
        let spec = json!({
        "tls": [{"hosts": ["login.example.org"], "secretName": "x"}],
        "defaultBackend": {"service": {"name": "page"}},
        "rules": [
            {"host": "login.example.org", "http": {"paths": [path("login"), path("api")]}},
            {"host": "old.example.org"},
            {"http": {"paths": [path("login")]}},
        ]});
        assert_eq!(
            hosts(Lead::of_ingress(&object(&spec))),
            [
                says("", false, "login,page"),
                says("login.example.org", true, "api,login,page"),
                says("old.example.org", false, "page"),
            ]
        );
        let only = json!({"defaultBackend": {"service": {"name": "page"}}});
        assert_eq!(
            hosts(Lead::of_ingress(&object(&only))),
            [says("", false, "page")]
        );
        assert!(Lead::of_ingress(&object(&json!({"rules": [7]}))).is_none());
    }

    #[test]
    fn a_route_names_hosts_and_services_of_its_own_namespace() {
        let backends = json!([{"name": "login"}, {"name": "bucket", "kind": "Bucket"},
            {"name": "other", "namespace": "test"}, {"name": "api", "namespace": "prod", "kind": "Service"}]);
        let spec =
            json!({"hostnames": ["login.example.org"], "rules": [{"backendRefs": backends}]});
        assert_eq!(
            hosts(Lead::of_http_route(&object(&spec))),
            [says("login.example.org", false, "api,login")]
        );
        let bare = json!({"rules": [{"backendRefs": [{"name": "login"}]}]});
        assert_eq!(
            hosts(Lead::of_tls_route(&object(&bare))),
            [says("", true, "login")]
        );
        assert!(Lead::of_http_route(&object(&json!({"hostnames": ["x"]}))).is_none());
    }
}
