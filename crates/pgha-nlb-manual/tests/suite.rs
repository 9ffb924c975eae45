//! The backend with a person who does what they are told, and probes of a table that the person works on.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test that calls them"
)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use pgha_nlb::conformance::{Peer, broken};
use pgha_nlb::probe::Answer;
use pgha_nlb::{Cutover, Did, Look, Probe, RouteName, Sample, SiteName};
use pgha_nlb_manual::{Manual, Settings, Tell};
use serde_json::json;

const WITHIN: Duration = Duration::from_secs(1);

/// What each route's user reaches: one site, or several in turn.
type Table = Arc<Mutex<BTreeMap<String, Vec<String>>>>;

#[derive(Debug)]
struct Asking {
    table: Table,
    route: &'static str,
}

#[async_trait]
impl Probe for Asking {
    fn asks(&self) -> String {
        self.route.to_owned()
    }

    async fn sample(&self, _within: Duration) -> Sample {
        let mut table = self.table.lock().unwrap();
        let sites = table.get_mut(self.route).unwrap();
        sites.rotate_left(1);
        let answer = match sites[0].as_str() {
            "nobody" => Answer::Failed {
                because: "Nobody answers.".to_owned(),
            },
            site => Answer::Site {
                site: site.into(),
                how: "The table says so.".to_owned(),
            },
        };
        Sample {
            asked: self.asks(),
            address: None,
            answer,
            took: Duration::ZERO,
        }
    }
}

struct Person {
    table: Table,
    told: Arc<Mutex<Vec<String>>>,
    backend: Manual,
}

fn person(works: bool) -> Person {
    let rows = ["https", "http"].map(|route| (route.to_owned(), vec!["core2".to_owned()]));
    let table: Table = Arc::new(Mutex::new(rows.into()));
    let told = Arc::new(Mutex::new(Vec::new()));
    let (desk, notes) = (Arc::clone(&table), Arc::clone(&told));
    let tell: Tell = Arc::new(move |text| {
        notes.lock().unwrap().push(text.to_owned());
        let route = if text.contains("lead https ") {
            "https"
        } else {
            "http"
        };
        let site = if text.contains("to `pool-1`,") {
            "core1"
        } else {
            "core2"
        };
        if works {
            desk.lock()
                .unwrap()
                .insert(route.to_owned(), vec![site.to_owned()]);
        }
    });
    let sites = json!({ "core1": "pool-1", "core2": "pool-2" });
    let settings: Settings = serde_json::from_value(json!({
        "id": "net", "at": "the network team's balancer",
        "routes": [{ "name": "https", "sites": sites }, { "name": "http", "sites": sites }],
    }))
    .unwrap();
    // Two of each, so that users who are led to both sites are seen.
    let probes = ["https", "https", "http", "http"].map(|route| {
        let table = Arc::clone(&table);
        (
            RouteName::from(route),
            Box::new(Asking { table, route }) as Box<dyn Probe>,
        )
    });
    let backend = Manual::new(settings, probes.into(), tell);
    Person {
        table,
        told,
        backend,
    }
}

impl Person {
    fn set(&self, sites: &[&str]) {
        let sites = sites.iter().map(|site| (*site).to_owned()).collect();
        self.table.lock().unwrap().insert("http".to_owned(), sites);
    }
}

#[async_trait]
impl Peer for Person {
    fn backend(&self) -> &dyn Cutover {
        &self.backend
    }

    fn home(&self) -> SiteName {
        "core2".into()
    }

    fn away(&self) -> SiteName {
        "core1".into()
    }

    async fn bytes(&self) -> Vec<u8> {
        format!("{:?}", self.table.lock().unwrap()).into_bytes()
    }

    async fn disturb(&self) {
        // Only what users reach is seen at all.
        self.set(&["nobody"]);
    }

    async fn split(&self) {
        self.set(&["core1", "core2"]);
    }

    async fn blind(&self) {
        self.set(&["nobody"]);
    }

    fn secrets(&self) -> Vec<String> {
        Vec::new()
    }
}

#[tokio::test]
async fn every_law_of_the_port_is_kept() {
    assert_eq!(broken(async || person(true)).await, []);
}

#[tokio::test]
async fn a_person_is_told_each_change_and_nothing_is_believed_until_the_probes_show_it() {
    let person = person(false);
    let seen = person.backend.observe(WITHIN).await.unwrap();
    let plan = person.backend.plan(&seen, &"core1".into()).unwrap();
    let receipt = person.backend.apply(&plan, WITHIN).await.unwrap();
    assert_eq!(receipt.did, Did::Change);
    assert_eq!(
        *person.told.lock().unwrap(),
        [
            "At the network team's balancer: lead https to `pool-1`, where it leads to `pool-2` now.",
            "At the network team's balancer: lead http to `pool-1`, where it leads to `pool-2` now.",
        ]
    );
    let look = person.backend.settled(&receipt, WITHIN).await.unwrap();
    assert_eq!(
        look,
        Look::NotYet("The probes show https=pool-2, http=pool-2.".to_owned())
    );
    for route in ["https", "http"] {
        let sites = vec!["core1".to_owned()];
        person.table.lock().unwrap().insert(route.to_owned(), sites);
    }
    let look = person.backend.settled(&receipt, WITHIN).await.unwrap();
    assert!(matches!(look, Look::Settled(_)), "{look:?}");
}
