//! The port's laws, of both kinds.

use async_trait::async_trait;
use pgha_nlb::conformance::{Peer, broken};
use pgha_nlb::{Cutover, SiteName};
use pgha_nlb_aws::Aws;

use crate::moto::{Moto, SECRET, TOKEN, backend, element, peers, records, set, site};

struct Names(Moto, Aws);

#[async_trait]
impl Peer for Names {
    fn backend(&self) -> &dyn Cutover {
        &self.1
    }

    fn home(&self) -> SiteName {
        site("core2")
    }

    fn away(&self) -> SiteName {
        site("core1")
    }

    async fn bytes(&self) -> Vec<u8> {
        self.0.sets().join("\n").into_bytes()
    }

    async fn writes(&self) -> Option<u64> {
        Some(u64::try_from(self.0.batches()).unwrap())
    }

    async fn disturb(&self) {
        let text = records(60, "\"of somebody else\"");
        let text = format!(
            "<ResourceRecordSet><Name>login.example.org.</Name><Type>TXT</Type>{text}</ResourceRecordSet>"
        );
        self.0.change("UPSERT", &[text]);
    }

    async fn split(&self) {
        let both = set("login", "AAAA", ("one", 1), &records(600, "2001:db8::1"));
        self.0.change("UPSERT", &[both]);
    }

    async fn blind(&self) {
        let elsewhere = set(
            "api",
            "CNAME",
            ("maintenance", 1),
            &records(20, "down.example.net"),
        );
        self.0.change("UPSERT", &[elsewhere]);
    }

    fn secrets(&self) -> Vec<String> {
        vec![SECRET.to_owned(), TOKEN.to_owned()]
    }
}

struct Balancer(Moto, Aws);

#[async_trait]
impl Peer for Balancer {
    fn backend(&self) -> &dyn Cutover {
        &self.1
    }

    fn home(&self) -> SiteName {
        site("core2")
    }

    fn away(&self) -> SiteName {
        site("core1")
    }

    async fn bytes(&self) -> Vec<u8> {
        self.0.actions().into_bytes()
    }

    async fn disturb(&self) {
        // The spare one gets no weight, and users stay where they are.
        let is_home = element(&self.0.actions(), "Weight") == "0";
        let [one, two] = if is_home { [0, 5] } else { [5, 0] };
        self.0.weigh(0, &[(0, one), (1, two), (4, 0)]);
    }

    async fn split(&self) {
        self.0.weigh(1, &[(2, 5), (3, 5)]);
    }

    async fn blind(&self) {
        self.0.weigh(0, &[(0, 0), (1, 0), (4, 1)]);
    }

    fn secrets(&self) -> Vec<String> {
        vec![SECRET.to_owned(), TOKEN.to_owned()]
    }
}

#[tokio::test]
async fn every_law_is_kept_by_names() {
    let Some(peers) = peers() else { return };
    let moto = Moto::start(&peers).await;
    let make = async || {
        let moto = moto.anew();
        let backend = backend(moto.names());
        Names(moto, backend)
    };
    assert_eq!(broken(make).await, []);
}

#[tokio::test]
async fn every_law_is_kept_by_listeners() {
    let Some(peers) = peers() else { return };
    let moto = Moto::start(&peers).await;
    let make = async || {
        let moto = moto.anew();
        let backend = backend(moto.balancer());
        Balancer(moto, backend)
    };
    assert_eq!(broken(make).await, []);
}
