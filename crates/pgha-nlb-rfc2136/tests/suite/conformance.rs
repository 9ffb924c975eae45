//! The port's laws, on each product.

use async_trait::async_trait;
use pgha_nlb::conformance::{Peer, broken};
use pgha_nlb::{Cutover, SiteName};
use pgha_nlb_rfc2136::Rfc2136;

use crate::server::{Product, SECRET, Server, peers, site};

struct Running {
    server: Server,
    backend: Rfc2136,
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
        self.server.records().into_bytes()
    }

    async fn writes(&self) -> Option<u64> {
        Some(self.server.serial())
    }

    async fn disturb(&self) {
        self.server
            .nsupdate("update add other.example.org. 300 TXT x");
    }

    async fn split(&self) {
        self.server
            .nsupdate("update add login.example.org. 300 A 192.0.2.1");
    }

    async fn blind(&self) {
        self.server.nsupdate(
            "update delete login.example.org. A\nupdate add login.example.org. 300 A 192.0.2.99",
        );
    }

    fn secrets(&self) -> Vec<String> {
        vec![SECRET.to_owned(), "pgha-secret-that".to_owned()]
    }
}

async fn assert_kept(product: Product) {
    let Some(peers) = peers() else { return };
    let make = async || {
        let server = Server::primary(&peers, product).await;
        let backend = server.backend();
        Running { server, backend }
    };
    assert_eq!(broken(make).await, []);
}

#[tokio::test]
async fn every_law_is_kept_with_bind() {
    assert_kept(Product::Bind).await;
}

#[tokio::test]
async fn every_law_is_kept_with_knot() {
    assert_kept(Product::Knot).await;
}
