//! The port's laws, for each kind of endpoint.

use async_trait::async_trait;
use pgha_nlb::conformance::{Peer, broken};
use pgha_nlb::{Cutover, SiteName};
use pgha_nlb_health::Health;
use serde_json::{Value, json};

use crate::world::{KEY, REPLICAS, Spot, World, latch, scale, set, site};

/// What is done to an object behind the backend's back: the number of its cluster, the place and a value.
type Deed = (usize, Spot, Value);

struct Running {
    world: World,
    backend: Health,
    deeds: [Deed; 3],
}

impl Running {
    fn deed(&self, number: usize) {
        let (cluster, spot, value) = &self.deeds[number];
        set(&self.world.clusters[*cluster], *spot, value.clone());
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
        self.deed(0);
    }

    async fn split(&self) {
        self.deed(1);
    }

    async fn blind(&self) {
        self.deed(2);
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
    let running = async || {
        let world = World::new();
        let backend = world.backend(routes);
        Running {
            world,
            backend,
            deeds: deeds.clone(),
        }
    };
    assert_eq!(broken(running).await, []);
}

fn scale_deeds() -> [Deed; 3] {
    let version = Spot {
        path: "/spec/template/metadata/annotations/version",
        ..REPLICAS
    };
    [
        (0, version, json!("2")),
        (0, REPLICAS, json!(1)),
        (1, REPLICAS, json!(0)),
    ]
}

#[tokio::test]
async fn every_law_is_kept_with_a_scale() {
    assert_kept(&[scale()], scale_deeds()).await;
}

#[tokio::test]
async fn every_law_is_kept_with_a_latch() {
    let note = Spot {
        path: "/data/note",
        ..KEY
    };
    let deeds = [
        (1, note, json!("y")),
        (0, KEY, json!("on")),
        (1, KEY, json!("maintenance")),
    ];
    assert_kept(&[latch()], deeds).await;
}

#[tokio::test]
async fn every_law_is_kept_with_both() {
    assert_kept(&[latch(), scale()], scale_deeds()).await;
}
