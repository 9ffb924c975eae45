//! `kubectl pgha traffic`, where an object of Kubernetes leads users too.

use pgha_testkit::{Failure, FakeCluster, Fault};
use serde_json::{Value, json};

use crate::bench::{NAMESPACE, Ran, cluster, primary, standby};
use crate::house::{BEFORE, House};

const TARGET: &str = "external-dns.kubernetes.io/target";

/// An Ingress at core1 that leads to core2, which is the first backend of the file.
fn house() -> (House, FakeCluster) {
    let (core1, core2) = (cluster(&primary()), cluster(&standby()));
    core1.insert(json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "spec": {},
        "metadata": {"name": "login", "namespace": NAMESPACE, "annotations": {TARGET: "192.0.2.2"}},
    }));
    let house = House::new(&core1, &core2);
    let objects = "traffic:
    - kubernetes:
        id: objects
        routes:
          - name: https
            in: [{ site: core1 }]
            field: { target: { kind: Ingress, name: login } }
            sites: { core1: 192.0.2.1, core2: 192.0.2.2 }";
    house.edit("traffic:", objects);
    (house, core1)
}

fn target(core1: &FakeCluster) -> Value {
    let ingress = core1.object("ingresses", NAMESPACE, "login").unwrap();
    ingress["metadata"]["annotations"][TARGET].clone()
}

fn assert_words(ran: &Ran, code: i32, words: &[&str]) {
    assert_eq!(ran.code, Some(code), "{ran}");
    for word in words {
        let said = ran.stdout.contains(word) || ran.stderr.contains(word);
        assert!(said, "{word}: {ran}");
    }
}

#[test]
fn an_object_moves_with_the_others_and_is_taken_back() {
    let (house, core1) = house();
    let planned = house.traffic(&["plan", "--to", "core1"]);
    let at = format!("Ingress login at core1: {TARGET} =");
    assert_words(
        &planned,
        0,
        &[&format!("-{at} 192.0.2.2"), &format!("+{at} 192.0.2.1")],
    );
    let moved = house.traffic(&["move", "--to", "core1", "--yes"]);
    assert_words(&moved, 0, &["were moved to core1"]);
    assert_eq!(target(&core1), "192.0.2.1");
    let back = house.traffic(&["rollback", "--yes", "--allow-standby"]);
    assert_words(&back, 0, &["was taken back"]);
    assert_eq!(target(&core1), "192.0.2.2");
}

#[test]
fn every_command_takes_a_kubeconfig() {
    let (house, _core1) = house();
    let elsewhere = house.bench.home().join("elsewhere");
    std::fs::rename(house.bench.kubeconfig(), &elsewhere).unwrap();
    let lost = house.traffic(&["show"]);
    assert_words(&lost, 3, &["kubeconfig"]);
    let named = ["--kubeconfig", elsewhere.to_str().unwrap()];
    for (verb, more) in [
        ("show", &[][..]),
        ("plan", &["--to", "core1"]),
        ("verify", &["--to", "core2"]),
        ("move", &["--to", "core1", "--yes"]),
        ("rollback", &["--yes", "--allow-standby"]),
    ] {
        let ran = house.traffic(&[&[verb], more, &named].concat());
        assert_eq!(ran.code, Some(0), "{verb}: {ran}");
    }
}

#[test]
fn an_object_is_taken_back_where_a_later_backend_fails() {
    let (house, core1) = house();
    house.mark("b", "fail");
    let ran = house.traffic(&["move", "--to", "core1", "--yes"]);
    assert_words(
        &ran,
        4,
        &["taken back: table-a, objects", "effect: nothing"],
    );
    assert_eq!(
        (target(&core1), house.table("a").as_str()),
        (json!("192.0.2.2"), BEFORE)
    );
}

#[test]
fn a_permission_that_is_missing_is_seen_before_anything_moves() {
    let (house, core1) = house();
    core1.fail(
        Fault::new(Failure::Forbidden)
            .verb("patch")
            .resource("ingresses"),
    );
    let ran = house.traffic(&["move", "--to", "core1", "--yes"]);
    assert_words(
        &ran,
        3,
        &[
            "kubernetes-permission",
            "you may not patch ingresses",
            "effect: nothing",
        ],
    );
    assert_eq!(house.table("a"), BEFORE);
}

#[test]
fn an_endpoint_is_taken_back_and_what_stands_in_its_way_is_told() {
    let (core1, core2) = (cluster(&primary()), cluster(&standby()));
    for (cluster, state) in [(&core1, "down"), (&core2, "up")] {
        cluster.insert(
            json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"state": state},
            "metadata": {"name": "health", "namespace": "tools"}}),
        );
    }
    let state = |cluster: &FakeCluster| {
        let map = cluster.object("configmaps", "tools", "health").unwrap();
        map["data"]["state"].clone()
    };
    let house = House::new(&core1, &core2);
    let endpoint = "traffic:
    - health:
        id: gslb
        routes:
          - name: https
            in: [{ site: core1, namespace: tools }, { site: core2, namespace: tools }]
            endpoint: { latch: { configMap: health, key: state, on: up, off: down } }";
    house.edit("traffic:", endpoint);
    house.mark("b", "fail");
    let ran = house.traffic(&["move", "--to", "core1", "--yes"]);
    assert_words(&ran, 4, &["taken back: table-a, gslb", "effect: nothing"]);
    assert_eq!((state(&core1), state(&core2)), (json!("down"), json!("up")));
    let planned = house.traffic(&["plan", "--to", "core1"]);
    let at = "ConfigMap tools/health at core1: key state =";
    assert_words(&planned, 0, &[&format!("-{at} down"), &format!("+{at} up")]);
    core2.fail(Fault::new(Failure::Forbidden).verb("patch"));
    let denied = house.traffic(&["move", "--to", "core1", "--yes"]);
    let words = "you may not patch configmaps";
    assert_words(&denied, 3, &["kubernetes-permission", words]);
    core1.change("configmaps", "tools", "health", |map| {
        map["data"]["state"] = json!("up");
    });
    let split = house.traffic(&["plan", "--to", "core1"]);
    assert_words(&split, 3, &["is to answer at more than one site"]);
}

#[test]
fn settings_and_contexts_that_make_no_sense_are_told() {
    let (house, _core1) = house();
    house.edit("{ site: core1 }", "{ context: edge }");
    assert_words(
        &house.traffic(&["plan", "--to", "core1"]),
        3,
        &["Ingress login at edge", "edge"],
    );
    assert_words(
        &house.traffic(&["show"]),
        3,
        &["backend objects could not be seen"],
    );
    house.edit("{ context: edge }", "{ site: core9 }");
    assert_words(
        &house.traffic(&["show"]),
        2,
        &["traffic backend objects: route https: the service has no site core9"],
    );
    house.edit("kind: Ingress", "kind: HTTPRoute");
    assert_words(&house.traffic(&["show"]), 2, &["line 14", "HTTPRoute"]);
}
