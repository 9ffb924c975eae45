//! The port's laws, with addresses and with names.

use async_trait::async_trait;
use pgha_nlb::conformance::{Peer, broken};
use pgha_nlb::{Cutover, SiteName};
use pgha_nlb_cloudflare_dns::CloudflareDns;
use serde_json::{Value, json};

use crate::stub::{Stub, TOKEN, site};

struct Running {
    stub: Stub,
    backend: CloudflareDns,
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
        Value::from(self.stub.records()).to_string().into_bytes()
    }

    async fn writes(&self) -> Option<u64> {
        Some(self.stub.batches().try_into().unwrap())
    }

    async fn disturb(&self) {
        self.stub
            .with(|state| state.change("txt", "content", &json!("of somebody else")));
    }

    async fn split(&self) {
        self.stub
            .with(|state| state.change("a1", "content", &json!("192.0.2.11")));
    }

    async fn blind(&self) {
        self.stub
            .with(|state| state.change("api", "content", &json!("lb.maintenance.example")));
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
