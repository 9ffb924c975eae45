//! The port's laws, with two pools in one transaction.

use async_trait::async_trait;
use pgha_nlb::conformance::{Peer, broken};
use pgha_nlb::{Cutover, SiteName};
use pgha_nlb_f5::BigIp;

use crate::stub::{PASSWORD, Stub, TOKEN, member, site};

struct Running {
    stub: Stub,
    backend: BigIp,
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
        self.stub.pools().into_bytes()
    }

    async fn writes(&self) -> Option<u64> {
        let commits = self.stub.with(|state| state.commits.len());
        Some(commits.try_into().unwrap())
    }

    async fn disturb(&self) {
        self.stub.set("a", "/Common/new:vs", false);
    }

    async fn split(&self) {
        for site in [1, 2] {
            self.stub.set("a", &member(site, true).0, true);
        }
    }

    async fn blind(&self) {
        for site in [1, 2] {
            self.stub.set("aaaa", &member(site, true).0, false);
        }
    }

    fn secrets(&self) -> Vec<String> {
        vec![PASSWORD.to_owned(), TOKEN.to_owned()]
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
