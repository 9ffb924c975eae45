//! The service's file that lies in the current folder.

use pgha_testkit::pgo::{Kind, pair};

use crate::bench::{NAMESPACE, Ran, cluster, now};
use crate::house::House;

const USED: &str = "Using ./pgha.yaml.";

/// Sites `east` and `west` in the contexts `core1` and `core2`, the service `iam` of the cluster `zitadel`.
fn house() -> House {
    let (primary, standby) = pair(Kind::StreamingStandby, "zitadel", NAMESPACE, now());
    let (one, other) = (
        cluster(&primary.manual_backup("nightly")),
        cluster(&standby),
    );
    let house = House::new(&one, &other);
    let text = std::fs::read_to_string(house.file()).unwrap();
    let (sites, _) = text.split_once("  traffic:").unwrap();
    let sites = sites
        .replace("{ name: zitadel }", "{ name: iam }")
        .replace("name: core1", "name: east")
        .replace("name: core2", "name: west")
        .replace("namespace: prod, ", "");
    std::fs::write(house.file(), sites).unwrap();
    house
}

fn assert_used(ran: &Ran, is_used: bool) {
    assert_eq!(ran.stderr.contains(USED), is_used, "{ran}");
}

#[test]
fn it_is_used_where_nothing_else_says_where_to_look() {
    let house = house();
    for command in [
        &["status"][..],
        &["status", "iam"],
        &["status", "iam", "-o", "json"],
        &["history", "iam"],
    ] {
        let ran = house.run_here(command);
        assert_used(&ran, true);
        assert_eq!(ran.code, Some(0), "{ran}");
    }
    for command in [
        &["status", "zitadel"][..],
        &["status", "-A"],
        &["status", "--context", "core1"],
        &["status", "-n", NAMESPACE],
        &["history", "zitadel"],
        &["history", "iam", "--context", "core2"],
    ] {
        let ran = house.run_here(command);
        assert_used(&ran, false);
        assert!([Some(0), Some(3)].contains(&ran.code), "{ran}");
    }
}

#[test]
fn a_move_uses_it_for_its_sites_and_never_for_contexts() {
    let house = house();
    for command in ["validate", "switchover", "failover", "resume", "abort"] {
        let by_sites = house.run_here(&[command, "iam", "--to", "west"]);
        assert_used(&by_sites, true);
        let named = house.run_here(&[command, "iam", "--from", "east", "--to", "west"]);
        assert_used(&named, true);
        for arguments in [
            ["zitadel", "--from", "core1", "--to", "core2"],
            ["iam", "--from", "core1", "--to", "core2"],
            ["iam", "--from", "east", "--to", "north"],
        ] {
            let ran = house.run_here(&[&[command], &arguments[..]].concat());
            assert_used(&ran, false);
        }
        let elsewhere = house.run_here(&[command, "zitadel", "--to", "west"]);
        assert_eq!(elsewhere.code, Some(2), "{elsewhere}");
        let missing = "--from is missing";
        assert!(elsewhere.stderr.contains(missing), "{elsewhere}");
        let site = house.run_here(&[command, "iam", "--to", "north"]);
        assert_eq!(site.code, Some(2), "{site}");
        assert!(
            site.stderr.contains("service iam has no site `north`"),
            "{site}"
        );
    }
}

#[test]
fn contexts_that_are_sites_too_stay_contexts_which_is_told() {
    let house = house();
    house.edit("name: east", "name: core1");
    house.edit("name: west", "name: core2");
    house.edit("{ name: iam }", "{ name: zitadel }");
    let pair = ["validate", "zitadel", "--from", "core1", "--to", "core2"];
    let ran = house.run_here(&pair);
    assert_used(&ran, false);
    let told = "./pgha.yaml is not used, as --from and --to are contexts";
    assert!(ran.stderr.contains(told), "{ran}");
    let ran = house.run_here(&["validate", "zitadel", "--to", "core2"]);
    assert_used(&ran, true);
}

#[test]
fn one_that_makes_no_sense_is_not_passed_over() {
    let house = house();
    house.edit("context: core2", "contxt: core2");
    for command in [
        &["status"][..],
        &["status", "iam"],
        &["validate", "iam", "--to", "west"],
    ] {
        let ran = house.run_here(command);
        assert_eq!(ran.code, Some(2), "{ran}");
        let said = "pgha.yaml is no service's file: line 7 column 21: unknown field `contxt`";
        assert!(ran.stderr.contains(said), "{ran}");
        assert!(ran.stderr.contains("It is used, as it lies here"), "{ran}");
    }
    for command in [
        &["status", "zitadel"][..],
        &["status", "--context", "core1"],
        &["validate", "zitadel", "--from", "core1", "--to", "core2"],
    ] {
        let ran = house.run_here(command);
        assert!(!ran.stderr.contains("pgha.yaml"), "{ran}");
    }
}
