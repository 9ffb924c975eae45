//! The service's file in a cluster.

use pgha_testkit::pgo::{Kind, pair};
use pgha_testkit::{FakeCluster, LoggedRequest};
use serde_json::{Value, json};

use crate::bench::{NAMESPACE, Ran, cluster, now};
use crate::house::House;

/// A house, its clusters, and the service's file in a `ConfigMap` of the first one.
fn house(name: &str, namespace: &str) -> (House, FakeCluster) {
    let (primary, standby) = pair(Kind::StreamingStandby, "zitadel", NAMESPACE, now());
    let one = cluster(&primary.manual_backup("nightly"));
    let house = House::new(&one, &cluster(&standby));
    let text = std::fs::read_to_string(house.file()).unwrap();
    std::fs::remove_file(house.file()).unwrap();
    let iam = text
        .replace("{ name: zitadel }", "{ name: iam }")
        .replace("namespace: prod, ", "");
    let (quiet, _) = iam.split_once("  traffic:").unwrap();
    let data = json!({ "zitadel.yaml": text, "iam.yml": quiet, "notes": "[" });
    one.insert(json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name, "namespace": namespace }, "data": data
    }));
    (house, one)
}

fn assert_words(ran: &Ran, code: i32, words: &[&str]) {
    assert_eq!(ran.code, Some(code), "{ran}");
    for word in words {
        assert!(ran.stderr.contains(word), "{word}: {ran}");
    }
}

#[test]
fn a_config_map_has_services_as_a_folder_has() {
    let (house, one) = house("services", NAMESPACE);
    let ran = house.run_here(&["status", "iam", "-f", "configmap/services", "-o", "json"]);
    assert_words(&ran, 0, &[]);
    let view: Value = serde_json::from_str(&ran.stdout).unwrap();
    let sides = view["services"][0]["sides"].as_array().unwrap();
    assert_eq!(sides.len(), 2, "{ran}");
    let ran = house.run_here(&["history", "iam", "-f", "cm/services"]);
    assert_words(&ran, 0, &["Using the current context `core1`"]);
    let ran = house.run_here(&["status", "-f", "cm/services"]);
    let several = "configmap/prod/services has more than one service";
    assert_words(&ran, 2, &[several, "Name one of them: iam, zitadel."]);
    let there = ["-f", "cm/services", "--context", "core2"];
    let ran = house.run_here(&[&["status", "iam"], &there[..]].concat());
    assert_words(&ran, 3, &["`core2` has no configmap services"]);
    let ran = house.run_here(&["validate", "iam", "-f", "cm/services", "--to", "core2"]);
    assert!(!ran.stdout.is_empty(), "{ran}");
    let asked = one.requests();
    let maps = asked
        .iter()
        .filter(|it| it.name.as_deref() == Some("services"));
    let summaries: Vec<String> = maps.map(LoggedRequest::summary).collect();
    assert_eq!(summaries, vec!["get configmaps services"; 4]);
}

#[test]
fn its_namespace_may_be_another_than_the_sites() {
    let (house, _) = house("services", "pgha-system");
    let ran = house.run_here(&["status", "iam", "-f", "cm/pgha-system/services"]);
    assert_words(&ran, 0, &["namespace `pgha-system`"]);
    assert!(ran.stdout.contains("core2"), "{ran}");
    let wrong = house.run_here(&["status", "iam", "-f", "cm/services/a/b"]);
    assert_words(
        &wrong,
        2,
        &["names no ConfigMap that can be", "./cm/services/a/b"],
    );
}

/// Whoever may write the `ConfigMap` would run it.
#[test]
fn a_program_that_it_names_is_not_run() {
    let (house, _) = house("services", NAMESPACE);
    let line = "configmap/prod/services/zitadel.yaml: line 9 column 7: a program that a ConfigMap names is not run";
    let ran = house.run_here(&["traffic", "show", "zitadel", "-f", "cm/services"]);
    assert_words(&ran, 2, &[line, "name that with --file"]);
    let ran = house.run_here(&["lint", "cm/services", "--context", "core1"]);
    assert_words(&ran, 2, &[line]);
    assert!(
        ran.stdout.contains("configmap/prod/services/iam.yml"),
        "{ran}"
    );
}

/// Without a terminal nobody sees whose current context it is.
#[test]
fn what_changes_something_wants_its_context_named() {
    let (house, one) = house("services", NAMESPACE);
    one.forget_requests();
    for command in ["switchover", "resume", "failover", "abort", "rejoin"] {
        let ran = house.run_here(&[command, "iam", "-f", "cm/services", "--to", "core2"]);
        assert_words(
            &ran,
            3,
            &["no --context names the cluster that the ConfigMap is in"],
        );
    }
    assert!(one.requests().is_empty());
    let here = [
        "-f",
        "cm/services",
        "--context",
        "core1",
        "--to",
        "core2",
        "--dry-run",
    ];
    let ran = house.run_here(&[&["switchover", "iam"], &here[..]].concat());
    assert!(!ran.stderr.contains("ConfigMap"), "{ran}");
    assert!(!one.requests().is_empty());
    let alone = house.run_here(&["switchover", "iam", "--context", "core1", "--to", "core2"]);
    assert_words(&alone, 2, &["--file <FILE>"]);
}
