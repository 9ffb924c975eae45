//! The port's laws.

use async_trait::async_trait;
use pgha_nlb::conformance::{Peer, broken};
use pgha_nlb::{Cutover, SiteName};
use pgha_nlb_cloudflare::Cloudflare;
use serde_json::json;

use crate::stub::{PAGE, Stub, TOKEN, TWO, site};

struct Running {
    stub: Stub,
    backend: Cloudflare,
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
        self.stub.balancer().to_string().into_bytes()
    }

    async fn writes(&self) -> Option<u64> {
        let patches = self.stub.with(|state| state.patches.len());
        Some(patches.try_into().unwrap())
    }

    async fn disturb(&self) {
        self.stub
            .with(|state| state.change("description", json!("of somebody else")));
    }

    async fn split(&self) {
        self.stub
            .with(|state| state.change("steering_policy", json!("random")));
    }

    async fn blind(&self) {
        self.stub
            .with(|state| state.change("default_pools", json!([PAGE, TWO])));
    }

    fn secrets(&self) -> Vec<String> {
        vec![TOKEN.to_owned()]
    }
}

#[tokio::test]
async fn every_law_is_kept() {
    let make = async || {
        let stub = Stub::start();
        let backend = stub.backend();
        Running { stub, backend }
    };
    assert_eq!(broken(make).await, []);
}
