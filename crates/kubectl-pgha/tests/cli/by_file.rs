//! Looking by the service's file: the same as by its contexts.

use pgha_testkit::pgo::{Kind, pair};
use serde_json::Value;

use crate::bench::{NAMESPACE, Ran, cluster, now};
use crate::house::House;

/// The contexts of the file's sites.
const BOTH: [&str; 4] = ["--context", "core1", "--context", "core2"];

fn house() -> House {
    let (primary, standby) = pair(Kind::StreamingStandby, "zitadel", NAMESPACE, now());
    let (one, other) = (
        cluster(&standby),
        cluster(&primary.manual_backup("nightly")),
    );
    House::new(&one, &other)
}

/// What does not depend on the moment.
fn sides(ran: &Ran) -> Vec<Value> {
    let view: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{ran}"));
    let services = view["services"].as_array().cloned().unwrap_or_default();
    let sides = services
        .iter()
        .filter_map(|it| it["sides"].as_array().cloned());
    sides
        .flatten()
        .map(|side| side["place"]["context"].clone())
        .collect()
}

#[test]
fn status_and_history_ask_the_sites_of_the_file() {
    let house = house();
    let by_file = house.run(&["status", "-o", "json"]);
    let by_contexts = house
        .bench
        .run(&[&["status", "zitadel", "-o", "json"], &BOTH[..]].concat());
    assert_eq!(by_file.code, Some(0), "{by_file}");
    assert_eq!(sides(&by_file), sides(&by_contexts));
    assert_eq!(sides(&by_file), ["core1", "core2"], "{by_file}");
    assert_eq!(house.run(&["status", "zitadel"]).code, Some(0));
    let past = house.run(&["history", "zitadel"]);
    assert_eq!(past.code, Some(0), "{past}");
    assert!(past.stderr.contains("@core1"), "{past}");
    assert!(past.stderr.contains("@core2"), "{past}");
}

#[test]
fn what_the_file_cannot_mean_is_told() {
    let house = house();
    for command in ["status", "history"] {
        let other = house.run(&[command, "keycloak"]);
        assert_eq!(other.code, Some(2), "{other}");
        let said = "pgha.yaml is of service zitadel, not of keycloak";
        assert!(other.stderr.contains(said), "{other}");
        let both = house.run(&[command, "zitadel", "--context", "core1"]);
        assert_eq!(both.code, Some(2), "{both}");
    }
    let neither = house.bench.run(&["validate", "zitadel", "--to", "core1"]);
    assert_eq!(neither.code, Some(2), "{neither}");
    house.edit("namespace: prod, cluster: zitadel", "cluster: login");
    let named = house.run(&["status"]);
    assert_eq!(named.code, Some(2), "{named}");
    assert!(named.stderr.contains("called zitadel and login"), "{named}");
}

/// What would stop `switchover -f` although both databases are well.
#[test]
fn validate_tells_who_could_not_follow() {
    let house = house();
    house.edit("namespace: prod, ", "");
    let well = house.run(&["validate", "zitadel", "--to", "core1"]);
    assert!(!well.stderr.contains("users"), "{well}");
    house.write("b", "https nowhere\n");
    let amiss = house.run(&["validate", "zitadel", "--to", "core1"]);
    assert_eq!(amiss.code, Some(3), "{amiss}");
    assert!(amiss.stderr.contains("nowhere"), "{amiss}");
    let changed = "effect: nothing was changed";
    assert!(amiss.stderr.contains(changed), "{amiss}");
}
