//! The port's laws, with addresses and with names.

use std::path::Path;

use async_trait::async_trait;
use pgha_nlb::conformance::{Peer, broken};
use pgha_nlb::{Cutover, SiteName};
use pgha_nlb_powerdns::PowerDns;

use crate::powerdns::{Server, backend, peers, site};

struct Running {
    server: Server,
    backend: PowerDns,
}

impl Running {
    async fn new(peers: &Path) -> Self {
        let server = Server::start(peers).await;
        let backend = backend(server.settings());
        Self { server, backend }
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
        self.server.sets().join("\n").into_bytes()
    }

    async fn writes(&self) -> Option<u64> {
        Some(self.server.serial())
    }

    async fn disturb(&self) {
        self.server
            .replace("web.example.org.", "A", &["192.0.2.81"]);
    }

    async fn split(&self) {
        let both = ["192.0.2.1", "192.0.2.2"];
        self.server.replace("login.example.org.", "A", &both);
    }

    async fn blind(&self) {
        let elsewhere = ["lb.maintenance.example."];
        self.server.replace("api.example.org.", "CNAME", &elsewhere);
    }

    fn secrets(&self) -> Vec<String> {
        vec![self.server.key.clone()]
    }
}

#[tokio::test]
async fn every_law_is_kept() {
    let Some(peers) = peers() else { return };
    assert_eq!(broken(async || Running::new(&peers).await).await, []);
}
