//! The port's laws, for each kind of field.

use async_trait::async_trait;
use pgha_nlb::conformance::{Peer, broken};
use pgha_nlb::{Cutover, SiteName};
use pgha_nlb_kubernetes::Kubernetes;
use serde_json::{Value, json};

use crate::world::{
    NAMESPACE, OLD_TARGET, TARGET, World, geo_tag, selector, site, target, weights,
};

/// What is done to an object behind the backend's back: the number of its cluster, its resource and name, a path and a value.
type Deed = (usize, &'static str, &'static str, &'static str, Value);

struct Running {
    world: World,
    backend: Kubernetes,
    disturb: Deed,
    split: Deed,
    blind: Deed,
}

impl Running {
    fn new(routes: &[Value], [disturb, split, blind]: [Deed; 3]) -> Self {
        let world = World::new();
        let backend = world.backend(routes);
        Self {
            world,
            backend,
            disturb,
            split,
            blind,
        }
    }

    fn deed(&self, (cluster, resource, name, path, value): &Deed) {
        self.world.clusters[*cluster].change(resource, NAMESPACE, name, |object| {
            let (parent, key) = path.rsplit_once('/').unwrap();
            object.pointer_mut(parent).unwrap()[key.replace("~1", "/")] = value.clone();
        });
    }
}

#[async_trait]
impl Peer for Running {
    fn backend(&self) -> &dyn Cutover {
        &self.backend
    }

    fn home(&self) -> SiteName {
        site("core2")
    }

    fn away(&self) -> SiteName {
        site("core1")
    }

    async fn bytes(&self) -> Vec<u8> {
        self.world.wanted().into_bytes()
    }

    async fn writes(&self) -> Option<u64> {
        Some(self.world.patches().try_into().unwrap())
    }

    async fn disturb(&self) {
        self.deed(&self.disturb);
    }

    async fn split(&self) {
        self.deed(&self.split);
    }

    async fn blind(&self) {
        self.deed(&self.blind);
    }

    async fn wait(&self) {
        self.world.reconcile();
    }

    fn secrets(&self) -> Vec<String> {
        // What it writes is in the open; credentials are the client's.
        Vec::new()
    }
}

async fn assert_kept(routes: &[Value], deeds: [Deed; 3]) {
    let broken = broken(async || Running::new(routes, deeds.clone())).await;
    assert_eq!(broken, []);
}

fn weights_deeds() -> [Deed; 3] {
    let deed = |path, value| (0, "httproutes", "login", path, value);
    let elsewhere = json!([{"name": "web-core1", "weight": 0}, {"name": "web-core2", "namespace": "other", "weight": 0},
        {"name": "maintenance", "weight": 1}]);
    [
        deed("/spec/hostnames", json!(["login.example.net"])),
        deed("/spec/rules/1/backendRefs/0/weight", json!(1)),
        deed("/spec/rules/1/backendRefs", elsewhere),
    ]
}

#[tokio::test]
async fn every_law_is_kept_with_weights() {
    assert_kept(&[weights()], weights_deeds()).await;
}

#[tokio::test]
async fn every_law_is_kept_with_selectors() {
    let deed = |path, value| (1, "services", "web", path, value);
    let deeds = [
        deed("/spec/sessionAffinity", json!("ClientIP")),
        deed("/spec/selector/site", json!("core1")),
        deed("/spec/selector", json!({"app": "maintenance"})),
    ];
    assert_kept(&[selector()], deeds).await;
}

#[tokio::test]
async fn every_law_is_kept_with_targets() {
    let deed = |path, value| (0, "ingresses", "login", path, value);
    let escaped = "/metadata/annotations/external-dns.kubernetes.io~1ttl";
    assert_eq!(
        TARGET.split_once('/'),
        Some(("external-dns.kubernetes.io", "target"))
    );
    assert_eq!(
        OLD_TARGET.split_once('/'),
        Some(("external-dns.alpha.kubernetes.io", "target"))
    );
    let deeds = [
        deed(escaped, json!("60")),
        deed(
            "/metadata/annotations/external-dns.alpha.kubernetes.io~1target",
            json!("192.0.2.1,2001:db8::1"),
        ),
        deed(
            "/metadata/annotations/external-dns.kubernetes.io~1target",
            json!("192.0.2.99"),
        ),
    ];
    assert_kept(&[target()], deeds).await;
}

#[tokio::test]
async fn every_law_is_kept_with_geo_tags() {
    let deed = |path, value| (1, "gslbs", "login", path, value);
    let deeds = [
        deed("/spec/strategy/dnsTtlSeconds", json!(60)),
        deed("/spec/strategy/primaryGeoTag", json!("eu-west")),
        deed("/spec/strategy/type", json!("roundRobin")),
    ];
    assert_kept(&[geo_tag()], deeds).await;
}

#[tokio::test]
async fn every_law_is_kept_with_all_of_them_together() {
    let routes = [target(), selector(), geo_tag(), weights()];
    assert_kept(&routes, weights_deeds()).await;
}
