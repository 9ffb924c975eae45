//! Two clusters with objects that lead users to core2, and the backend for a field of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pgha_nlb::SiteName;
use pgha_nlb_kubernetes::{Kubernetes, Open, Opened, Whereabouts};
use pgha_testkit::FakeCluster;
use serde_json::{Value, json};

pub(crate) const WITHIN: Duration = Duration::from_millis(500);
pub(crate) const NAMESPACE: &str = "prod";
pub(crate) const TARGET: &str = "external-dns.kubernetes.io/target";
pub(crate) const OLD_TARGET: &str = "external-dns.alpha.kubernetes.io/target";

/// Contexts `core1` and `core2`.
pub(crate) struct World {
    pub(crate) clusters: [FakeCluster; 2],
}

pub(crate) fn site(name: &str) -> SiteName {
    SiteName::from(name)
}

/// A field of an object in these contexts, whose values are those of the sites.
pub(crate) fn route(name: &str, contexts: &[&str], field: &Value, sites: [Value; 2]) -> Value {
    let places = contexts
        .iter()
        .map(|context| json!({"context": context, "namespace": NAMESPACE}));
    let [core1, core2] = sites;
    json!({"name": name, "in": places.collect::<Vec<_>>(), "field": field, "sites": {"core1": core1, "core2": core2}})
}

pub(crate) fn weights() -> Value {
    let field = json!({"weights": {"kind": "HTTPRoute", "name": "login", "rule": 1}});
    route(
        "https",
        &["core1"],
        &field,
        [json!("web-core1"), json!("other/web-core2")],
    )
}

pub(crate) fn selector() -> Value {
    let sites = [
        json!({"app": "web", "site": "core1"}),
        json!({"app": "web", "site": "core2"}),
    ];
    route(
        "http",
        &["core1", "core2"],
        &json!({"selector": {"service": "web"}}),
        sites,
    )
}

pub(crate) fn target() -> Value {
    let field = json!({"target": {"kind": "Ingress", "name": "login"}});
    route(
        "dns",
        &["core1"],
        &field,
        [json!("192.0.2.1,2001:db8::1"), json!("192.0.2.2")],
    )
}

pub(crate) fn geo_tag() -> Value {
    let field = json!({"primaryGeoTag": {"gslb": "login"}});
    route(
        "gslb",
        &["core1", "core2"],
        &field,
        [json!("eu-west"), json!("eu-east")],
    )
}

impl World {
    pub(crate) fn new() -> Self {
        let clusters = [FakeCluster::new(), FakeCluster::new()];
        for cluster in &clusters {
            fill(cluster);
        }
        Self { clusters }
    }

    /// The cluster of the first context.
    pub(crate) fn first(&self) -> &FakeCluster {
        &self.clusters[0]
    }

    fn open(&self) -> Open {
        let clusters = self.clusters.clone();
        Arc::new(move |context: String| {
            let clusters = clusters.clone();
            Box::pin(async move {
                let cluster = match context.as_str() {
                    "core1" => &clusters[0],
                    "core2" => &clusters[1],
                    _ => return Err(format!("there is no context {context}")),
                };
                Ok(Opened {
                    client: cluster.client(),
                    namespace: NAMESPACE.to_owned(),
                })
            })
        })
    }

    /// The backend for these routes; `home` is a site whose context is `core1`.
    pub(crate) fn try_backend(&self, routes: &[Value]) -> Result<Kubernetes, String> {
        let settings = json!({"id": "objects", "routes": routes});
        let settings = serde_json::from_value(settings).map_err(|error| error.to_string())?;
        let home = Whereabouts {
            context: Some("core1".to_owned()),
            ..Whereabouts::default()
        };
        let sites = BTreeMap::from([(site("home"), home)]);
        let backend = Kubernetes::new(settings, &sites, self.open());
        backend.map_err(|error| error.to_string())
    }

    pub(crate) fn backend(&self, routes: &[Value]) -> Kubernetes {
        self.try_backend(routes).unwrap()
    }

    /// What is wanted of the objects, in both clusters.
    pub(crate) fn wanted(&self) -> String {
        let objects = [
            ("httproutes", "login"),
            ("services", "web"),
            ("ingresses", "login"),
            ("gslbs", "login"),
        ];
        let wanted = |cluster: &FakeCluster| {
            let each = objects.map(|(resource, name)| {
                let object = cluster.object(resource, NAMESPACE, name).unwrap();
                format!(
                    "{}\n{}\n",
                    object["spec"], object["metadata"]["annotations"]
                )
            });
            each.concat()
        };
        self.clusters.iter().map(wanted).collect()
    }

    /// How many patches were sent.
    pub(crate) fn patches(&self) -> usize {
        let requests = self.clusters.iter().flat_map(FakeCluster::requests);
        requests.filter(|request| request.verb == "patch").count()
    }

    /// The controllers do what the objects say.
    pub(crate) fn reconcile(&self) {
        for cluster in &self.clusters {
            cluster.change("httproutes", NAMESPACE, "login", |route| {
                let generation = route["metadata"]["generation"].clone();
                route["status"]["parents"][0]["conditions"][0]["observedGeneration"] = generation;
            });
            let service = cluster.object("services", NAMESPACE, "web").unwrap();
            let chosen = service["spec"]["selector"]["site"]
                .as_str()
                .unwrap_or("nobody")
                .to_owned();
            cluster.change("endpointslices", NAMESPACE, "web-1", |slice| {
                let target = json!({"kind": "Pod", "name": format!("web-{chosen}")});
                slice["endpoints"][0]["targetRef"] = target;
            });
        }
    }
}

fn metadata(name: &str) -> Value {
    json!({"name": name, "namespace": NAMESPACE, "uid": format!("uid-of-{name}"), "generation": 1})
}

fn fill(cluster: &FakeCluster) {
    cluster.install("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes");
    cluster.install("k8gb.absa.oss", "v1beta1", "Gslb", "gslbs");
    let rule = |path: &str, backends: Value| json!({"matches": [{"path": {"value": path}}], "backendRefs": backends});
    cluster.insert(json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": metadata("login"),
        "spec": {"hostnames": ["login.example.org"], "rules": [
            rule("/static", json!([{"name": "web-core1", "weight": 7}, {"name": "cdn"}])),
            rule("/", json!([{"name": "web-core1", "weight": 0}, {"name": "web-core2", "namespace": "other"},
                {"name": "maintenance", "namespace": NAMESPACE, "weight": 0}])),
        ]},
        "status": {"parents": [{"parentRef": {"name": "edge"}, "controllerName": "example.net/gateway", "conditions": [
            {"type": "Accepted", "status": "True", "observedGeneration": 1},
            {"type": "ResolvedRefs", "status": "True", "observedGeneration": 1}]}]},
    }));
    cluster.insert(json!({
        "apiVersion": "v1", "kind": "Service", "metadata": metadata("web"),
        "spec": {"clusterIP": "10.0.0.7", "selector": {"site": "core2", "app": "web"}},
    }));
    for name in ["core1", "core2"] {
        let metadata = json!({"name": format!("web-{name}"), "namespace": NAMESPACE, "labels": {"app": "web", "site": name}});
        cluster.insert(json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata}));
    }
    let labels = json!({"kubernetes.io/service-name": "web"});
    cluster.insert(json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "web-1", "namespace": NAMESPACE, "labels": labels},
        "endpoints": [{"addresses": ["10.1.0.9"], "conditions": {"ready": true}, "targetRef": {"kind": "Pod", "name": "web-core2"}}],
    }));
    let mut ingress = metadata("login");
    ingress["annotations"] =
        json!({TARGET: "192.0.2.2", OLD_TARGET: "192.0.2.2", "example.org/note": "x"});
    cluster.insert(json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": ingress, "spec": {"ingressClassName": "x"},
    }));
    cluster.insert(json!({
        "apiVersion": "k8gb.absa.oss/v1beta1", "kind": "Gslb", "metadata": metadata("login"),
        "spec": {"strategy": {"type": "failover", "primaryGeoTag": "eu-east", "dnsTtlSeconds": 30}},
    }));
}
