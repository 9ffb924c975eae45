//! Two clusters whose endpoint answers at core2, and the backend for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pgha_nlb::SiteName;
use pgha_nlb_health::Health;
use pgha_objects::{Open, Opened, Whereabouts};
use pgha_testkit::FakeCluster;
use serde_json::{Value, json};

pub(crate) const WITHIN: Duration = Duration::from_millis(500);
pub(crate) const NAMESPACE: &str = "tools";

/// Sites core1 and core2, each a cluster.
pub(crate) struct World {
    pub(crate) clusters: [FakeCluster; 2],
}

/// Where a cluster says whether its endpoint answers.
#[derive(Clone, Copy)]
pub(crate) struct Spot {
    pub(crate) resource: &'static str,
    pub(crate) path: &'static str,
}

pub(crate) const REPLICAS: Spot = Spot {
    resource: "deployments",
    path: "/spec/replicas",
};
pub(crate) const KEY: Spot = Spot {
    resource: "configmaps",
    path: "/data/state",
};

pub(crate) fn site(name: &str) -> SiteName {
    SiteName::from(name)
}

pub(crate) fn route(name: &str, endpoint: &Value) -> Value {
    let place = |site: &str| json!({"site": site, "namespace": NAMESPACE});
    json!({"name": name, "in": [place("core1"), place("core2")], "endpoint": endpoint})
}

pub(crate) fn scale() -> Value {
    route(
        "https",
        &json!({"scale": {"object": "deployment/health", "count": 2}}),
    )
}

pub(crate) fn latch() -> Value {
    route(
        "http",
        &json!({"latch": {"configMap": "health", "key": "state"}}),
    )
}

impl World {
    pub(crate) fn new() -> Self {
        let world = Self {
            clusters: [FakeCluster::new(), FakeCluster::new()],
        };
        for (cluster, (count, state)) in world.clusters.iter().zip([(0, "off"), (2, "on")]) {
            fill(cluster, count, state);
        }
        world.reconcile();
        world
    }

    fn open(&self) -> Open {
        let clusters = self.clusters.clone();
        Arc::new(move |context: String| {
            let clusters = clusters.clone();
            Box::pin(async move {
                let cluster = match context.as_str() {
                    "one" => &clusters[0],
                    "two" => &clusters[1],
                    _ => return Err(format!("there is no context {context}")),
                };
                Ok(Opened {
                    client: cluster.client(),
                    namespace: "default".to_owned(),
                })
            })
        })
    }

    pub(crate) fn try_backend(&self, routes: &[Value]) -> Result<Health, String> {
        let settings = serde_json::from_value(json!({"id": "gslb", "routes": routes}));
        let settings = settings.map_err(|error| error.to_string())?;
        let at = |context: &str| Whereabouts {
            context: Some(context.to_owned()),
            namespace: Some("prod".to_owned()),
            ..Whereabouts::default()
        };
        let sites = BTreeMap::from([(site("core1"), at("one")), (site("core2"), at("two"))]);
        let backend = Health::new(settings, &sites, self.open());
        backend.map_err(|error| error.to_string())
    }

    pub(crate) fn backend(&self, routes: &[Value]) -> Health {
        self.try_backend(routes).unwrap()
    }

    /// What is wanted of the objects, in both clusters.
    pub(crate) fn wanted(&self) -> String {
        let wanted = |cluster: &FakeCluster| {
            let each = ["deployments", "configmaps"].map(|resource| {
                let object = cluster.object(resource, NAMESPACE, "health").unwrap();
                format!("{} {}\n", object["spec"], object["data"])
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
            cluster.change("deployments", NAMESPACE, "health", |workload| {
                let count = workload["spec"]["replicas"].clone();
                workload["status"] = json!({"replicas": count, "readyReplicas": count});
            });
        }
    }
}

pub(crate) fn value(cluster: &FakeCluster, spot: Spot) -> Value {
    let object = cluster.object(spot.resource, NAMESPACE, "health").unwrap();
    object.pointer(spot.path).unwrap().clone()
}

/// Has an object say something else, as another writer does.
pub(crate) fn set(cluster: &FakeCluster, spot: Spot, value: Value) {
    cluster.change(spot.resource, NAMESPACE, "health", |object| {
        *object.pointer_mut(spot.path).unwrap() = value;
    });
}

fn fill(cluster: &FakeCluster, count: u32, state: &str) {
    cluster.install(
        "policy",
        "v1",
        "PodDisruptionBudget",
        "poddisruptionbudgets",
    );
    let metadata = || json!({"name": "health", "namespace": NAMESPACE, "uid": "1"});
    let labels = json!({"app": "health"});
    let spec = json!({"replicas": count, "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels, "annotations": {"version": "1"}}}});
    for kind in ["Deployment", "StatefulSet"] {
        cluster.insert(
            json!({"apiVersion": "apps/v1", "kind": kind, "metadata": metadata(), "spec": spec}),
        );
    }
    let data = json!({"state": state, "note": "x"});
    cluster.insert(
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(), "data": data}),
    );
    cluster.insert(
        json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata(),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": labels}}}),
    );
}
