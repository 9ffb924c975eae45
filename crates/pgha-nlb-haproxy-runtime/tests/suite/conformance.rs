//! The port's laws, for each way to keep a route.

use std::path::Path;

use async_trait::async_trait;
use pgha_nlb::conformance::{Peer, broken};
use pgha_nlb::{Cutover, SiteName};
use pgha_nlb_haproxy_runtime::HaproxyRuntime;
use serde_json::Value;

use crate::haproxy::{Haproxy, MAP, SNI_MAP, inline, peers, site, two_keys, two_maps};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Maps,
    Inline,
}

struct Running {
    haproxy: Haproxy,
    backend: HaproxyRuntime,
    kind: Kind,
}

impl Running {
    async fn new(peers: &Path, kind: Kind, routes: &Value) -> Self {
        let haproxy = Haproxy::start(peers).await;
        let backend = haproxy.backend(routes);
        Self {
            haproxy,
            backend,
            kind,
        }
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
        let mut tables = Vec::new();
        for map in [MAP, SNI_MAP] {
            tables.push((
                map.to_owned(),
                self.haproxy.runtime(&format!("show map {map}")),
            ));
        }
        for backend in ["core1-http", "core2-http"] {
            let number = self.haproxy.number(backend);
            tables.push((
                backend.to_owned(),
                self.haproxy.runtime(&format!("show acl #{number}")),
            ));
        }
        let mut bytes = Vec::new();
        for (name, table) in tables {
            // The first word of a line is an address in memory, and the order of patterns has no meaning.
            let entries = table.lines().filter_map(|line| line.split_once(' '));
            let mut entries: Vec<_> = entries.map(|(_, entry)| entry).collect();
            if name.starts_with("core") {
                entries.sort_unstable();
            }
            bytes.extend(format!("{name}: {}\n", entries.join(", ")).into_bytes());
        }
        bytes
    }

    async fn disturb(&self) {
        match self.kind {
            Kind::Maps => self
                .haproxy
                .runtime(&format!("set map {MAP} web.ois.run core1-http")),
            Kind::Inline => {
                let number = self.haproxy.number("core1-http");
                self.haproxy
                    .runtime(&format!("add acl #{number} other.ois.run"))
            }
        };
    }

    async fn split(&self) {
        match self.kind {
            Kind::Maps => self
                .haproxy
                .runtime(&format!("add map {MAP} login.ois.run core1-http")),
            Kind::Inline => {
                let number = self.haproxy.number("core1-http");
                self.haproxy
                    .runtime(&format!("add acl #{number} login.ois.run"))
            }
        };
    }

    async fn blind(&self) {
        match self.kind {
            Kind::Maps => self
                .haproxy
                .runtime(&format!("set map {MAP} login.ois.run nowhere")),
            Kind::Inline => {
                let number = self.haproxy.number("core2-http");
                self.haproxy
                    .runtime(&format!("del acl #{number} login.ois.run"))
            }
        };
    }

    fn secrets(&self) -> Vec<String> {
        // The runtime API knows none.
        Vec::new()
    }
}

async fn assert_kept(kind: Kind, routes: &Value) {
    let Some(peers) = peers() else { return };
    assert_eq!(
        broken(async || Running::new(&peers, kind, routes).await).await,
        []
    );
}

#[tokio::test]
async fn every_law_is_kept_with_a_key_in_each_of_two_maps() {
    assert_kept(Kind::Maps, &two_maps()).await;
}

#[tokio::test]
async fn every_law_is_kept_with_two_keys_of_one_map() {
    assert_kept(Kind::Maps, &two_keys()).await;
}

#[tokio::test]
async fn every_law_is_kept_with_inline_patterns() {
    assert_kept(Kind::Inline, &inline()).await;
}
