//! `kubectl pgha traffic`, over programs that keep tables and a web server that follows one of them.

use std::os::unix::fs::PermissionsExt as _;

use pgha_testkit::FakeCluster;
use serde_json::Value;

use crate::bench::{Ran, assert_untouched, cluster, primary, standby};
use crate::house::{BEFORE, House};

const AFTER: &str = "https core1-pool\n";

/// Postgres is primary at core1, where users are not yet.
/// The database stays where it is in these tests.
const ROLLBACK: [&str; 3] = ["rollback", "--yes", "--allow-standby"];

fn moved() -> (FakeCluster, FakeCluster) {
    (cluster(&primary()), cluster(&standby()))
}

fn house() -> House {
    let (core1, core2) = moved();
    House::new(&core1, &core2)
}

fn assert_words(ran: &Ran, code: i32, words: &[&str]) {
    assert_eq!(ran.code, Some(code), "{ran}");
    for word in words {
        let said = ran.stdout.contains(word) || ran.stderr.contains(word);
        assert!(said, "{word}: {ran}");
    }
}

#[test]
fn show_says_where_everything_leads_and_who_answers() {
    let house = house();
    assert_words(
        &house.traffic(&["show"]),
        0,
        &[
            "table-a",
            "row of https: core2-pool",
            "http://login.example/",
            "core2",
        ],
    );
    let ran = house.traffic(&["show", "-o", "json"]);
    let view: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(view["site"], "core2");
    assert_eq!(view["backends"][1]["routes"][0]["active"]["site"], "core2");
    assert_eq!(view["probes"][0]["answer"]["site"]["site"], "core2");
}

#[test]
fn show_doubts_what_does_not_agree() {
    let house = house();
    house.write("a", AFTER);
    assert_words(&house.traffic(&["show"]), 3, &["one and the same site"]);
    house.write("a", "https maintenance\n");
    assert_words(
        &house.traffic(&["show"]),
        3,
        &["unknown", "which is no site's"],
    );
    house.write("a", "https core1-pool\nhttps core2-pool\n");
    assert_words(&house.traffic(&["show"]), 3, &["SPLIT"]);
    house.edit("python3", "no-such-program");
    let ran = house.traffic(&["show"]);
    assert_words(&ran, 3, &["not seen", "backend table-a could not be seen"]);
}

#[test]
fn a_plan_shows_a_diff_and_changes_nothing() {
    let house = house();
    let words = ["-row of https = core2-pool", "+row of https = core1-pool"];
    assert_words(&house.traffic(&["plan", "--to", "core1"]), 0, &words);
    let ran = house.traffic(&["plan", "--to", "core1", "-o", "json"]);
    let view: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(view["plans"][0]["changes"][0]["to"], "core1-pool");
    assert_eq!(view["plans"][0]["inverse"][0]["to"], "core2-pool");
    assert_eq!([house.table("a"), house.table("b")], [BEFORE; 2]);
    let already = house.traffic(&["plan", "--to", "core2"]);
    assert_words(&already, 0, &["users are at core2 already"]);
}

#[test]
fn users_are_moved_and_taken_back() {
    let (core1, core2) = moved();
    let house = House::new(&core1, &core2);
    let ran = house.traffic(&["move", "--to", "core1", "--yes", "-o", "json"]);
    assert_eq!(ran.code, Some(0), "{ran}");
    let view: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(
        (&view["site"], &view["changed"]),
        (&"core1".into(), &true.into())
    );
    assert_eq!([house.table("a"), house.table("b")], [AFTER; 2]);
    assert_words(&house.traffic(&["verify", "--to", "core1"]), 0, &["core1"]);
    assert_words(
        &house.traffic(&["verify", "--to", "core2"]),
        3,
        &["not every new user"],
    );
    let again = house.traffic(&["move", "--to", "core1"]);
    assert_words(&again, 0, &["were at core1 already"]);
    let back = house.traffic(&ROLLBACK);
    assert_words(&back, 0, &["was taken back"]);
    assert_eq!([house.table("a"), house.table("b")], [BEFORE; 2]);
    let twice = house.traffic(&ROLLBACK);
    assert_words(&twice, 3, &["no move of the users of zitadel is recorded"]);
    assert_untouched(&[&core1, &core2]);
}

#[test]
fn users_are_not_sent_to_a_standby_nor_between_two_primaries() {
    let house = house();
    let ran = house.traffic(&["move", "--to", "core2", "--yes"]);
    assert_words(
        &ran,
        3,
        &["Postgres at core2 (core2) is a standby", "--allow-standby"],
    );
    let (core1, core2) = (cluster(&primary()), cluster(&primary()));
    let both = House::new(&core1, &core2);
    let ran = both.traffic(&["move", "--to", "core1", "--yes"]);
    assert_words(
        &ran,
        3,
        &["Postgres at core2 (core2) is primary, and not only at core1"],
    );
    assert_eq!([both.table("a"), both.table("b")], [BEFORE; 2]);
    let ran = both.traffic(&["move", "--to", "core1", "--yes", "--allow-standby"]);
    assert_words(&ran, 0, &["were moved to core1"]);
}

#[test]
fn a_site_that_is_gone_does_not_keep_its_users() {
    let (core1, core2) = moved();
    let mut house = House::new(&core1, &core2);
    house.bench.stop(1);
    let ran = house.traffic(&["move", "--to", "core1", "--yes"]);
    assert_words(
        &ran,
        0,
        &["Site core2 (core2) was not seen", "were moved to core1"],
    );
    house.bench.stop(0);
    let ran = house.traffic(&["move", "--to", "core1", "--yes"]);
    assert_words(
        &ran,
        3,
        &["cannot be told whether core1 (core1) is primary"],
    );
}

/// A rollback sends them back to where nothing can be written.
#[test]
fn users_are_not_taken_away_from_the_only_primary() {
    let (core1, core2) = moved();
    let mut house = House::new(&core1, &core2);
    let ran = house.traffic(&["move", "--to", "core1", "--yes"]);
    assert_eq!(ran.code, Some(0), "{ran}");
    let words = ["Postgres at core1 is primary", "--allow-standby"];
    assert_words(&house.traffic(&["rollback", "--yes"]), 3, &words);
    assert_eq!([house.table("a"), house.table("b")], [AFTER; 2]);
    // It may be what the users are taken back to.
    house.bench.stop(1);
    let ran = house.traffic(&["rollback", "--yes"]);
    assert_words(
        &ran,
        0,
        &["Site core2 (core2) was not seen", "was taken back"],
    );
    assert_eq!([house.table("a"), house.table("b")], [BEFORE; 2]);
}

/// A tool that died after the database's move, and before its users'.
#[test]
fn users_of_a_database_that_has_moved_catch_up() {
    for verb in ["resume", "failover"] {
        let house = house();
        house.edit("context: core1,", "context: core1, namespace: prod,");
        let file = house.file();
        let file = file.to_str().unwrap();
        let by = |rest: &[&str]| {
            house
                .bench
                .run(&[&[verb, "zitadel", "-f", file], rest].concat())
        };
        let ran = by(&["--to", "core1"]);
        assert_words(&ran, 3, &["there is no terminal to ask for consent at"]);
        assert_eq!([house.table("a"), house.table("b")], [BEFORE; 2]);
        let ran = by(&["--to", "core1", "--yes"]);
        assert_words(&ran, 0, &["users have arrived"]);
        assert_eq!([house.table("a"), house.table("b")], [AFTER; 2]);
        house.write("a", "https maintenance\n");
        let ran = by(&["--to", "core1", "--yes"]);
        assert_eq!(ran.code, Some(3), "{ran}");
        assert_eq!(house.table("a"), "https maintenance\n");
    }
}

#[test]
fn users_stay_where_the_database_is() {
    let house = house();
    house.edit("context: core1,", "context: core1, namespace: prod,");
    let file = house.file();
    let file = file.to_str().unwrap();
    for verb in ["resume", "abort"] {
        let ran = house
            .bench
            .run(&[verb, "zitadel", "-f", file, "--to", "core2", "--yes"]);
        assert_words(&ran, 0, &["no unfinished move"]);
        assert_eq!([house.table("a"), house.table("b")], [BEFORE; 2]);
    }
}

#[test]
fn silence_is_no_consent() {
    let house = house();
    let ran = house.traffic(&["move", "--to", "core1"]);
    assert_words(&ran, 3, &["there is no terminal to ask for consent at"]);
    assert_eq!([house.table("a"), house.table("b")], [BEFORE; 2]);
    let ran = house.traffic(&ROLLBACK);
    assert_words(&ran, 3, &["no move of the users"]);
}

#[test]
fn routes_without_users_prove_nothing() {
    let house = house();
    house.stick();
    let ran = house.traffic(&["move", "--to", "core1", "--yes", "--timeout", "1s"]);
    assert_eq!(ran.code, Some(5), "{ran}");
    let words = [
        "it is not proved that users",
        "effect: the change was applied",
        "traffic rollback",
    ];
    assert_words(&ran, 5, &words);
    assert_words(&house.traffic(&ROLLBACK), 0, &["was taken back"]);
    assert_eq!([house.table("a"), house.table("b")], [BEFORE; 2]);
}

#[test]
fn all_backends_or_none() {
    let house = house();
    house.mark("b", "fail");
    let ran = house.traffic(&["move", "--to", "core1", "--yes"]);
    assert_words(
        &ran,
        4,
        &[
            "There is a change freeze.",
            "taken back: table-a",
            "effect: nothing",
        ],
    );
    assert_eq!([house.table("a"), house.table("b")], [BEFORE; 2]);
    let ran = house.traffic(&ROLLBACK);
    assert_words(&ran, 3, &["no move of the users"]);
}

#[test]
fn a_move_that_was_killed_is_finished_or_taken_back() {
    for verb in ["move", "rollback"] {
        let house = house();
        house.mark("b", "kill");
        let ran = house.traffic(&["move", "--to", "core1", "--yes"]);
        assert_eq!(ran.code, None, "{ran}");
        assert_eq!([house.table("a"), house.table("b")], [AFTER, BEFORE]);
        house.unmark("b", "kill");
        let elsewhere = ["move", "--to", "core2", "--yes", "--allow-standby"];
        let ran = house.traffic(&elsewhere);
        assert_words(
            &ran,
            3,
            &["an earlier move of the users to core1 did not come to its end"],
        );
        if verb == "move" {
            let ran = house.traffic(&["move", "--to", "core1", "--yes"]);
            assert_words(&ran, 0, &["were moved to core1"]);
            assert_eq!([house.table("a"), house.table("b")], [AFTER; 2]);
        }
        // What the killed one had changed is taken back with the rest.
        let ran = house.traffic(&ROLLBACK);
        assert_words(&ran, 0, &["was taken back"]);
        assert_eq!([house.table("a"), house.table("b")], [BEFORE; 2]);
    }
}

#[test]
fn what_somebody_changed_since_is_not_overwritten() {
    let house = house();
    let ran = house.traffic(&["move", "--to", "core1", "--yes"]);
    assert_eq!(ran.code, Some(0), "{ran}");
    house.write("a", "https maintenance\n");
    let ran = house.traffic(&ROLLBACK);
    assert_words(&ran, 3, &["backend table-a is neither", "effect: nothing"]);
    assert_eq!(house.table("b"), AFTER);
    house.edit("id: table-a", "id: table-x");
    house.write("a", AFTER);
    let ran = house.traffic(&ROLLBACK);
    assert_words(&ran, 3, &["no backend table-a any more"]);
}

#[test]
fn a_file_that_makes_no_sense_is_told() {
    let house = house();
    let ran = house.traffic(&["move", "--to", "core3", "--yes"]);
    assert_words(&ran, 2, &["no site `core3`", "core1, core2"]);
    house.edit("evidence:", "evidense:");
    let ran = house.traffic(&["show"]);
    assert_words(&ran, 2, &["evidense", "effect: nothing was changed"]);
    let ran = house.bench.run(&["traffic", "show", "-f", "nowhere.yaml"]);
    assert_words(&ran, 2, &["nowhere.yaml", "--file"]);
}

#[test]
fn a_move_by_a_file_is_of_its_service_and_its_sites() {
    let house = house();
    let file = house.file();
    let file = file.to_str().unwrap();
    let by = |rest: &[&str]| {
        let arguments = [&["switchover"], rest, &["-f", file, "--yes"]].concat();
        house.bench.run(&arguments)
    };
    let ran = by(&["keycloak", "--to", "core1"]);
    assert_words(&ran, 2, &["of service zitadel, not of keycloak"]);
    let ran = by(&["zitadel", "--to", "core9"]);
    assert_words(&ran, 2, &["no site `core9`"]);
    let ran = by(&["zitadel", "--from", "core1", "--to", "core1"]);
    assert_words(&ran, 2, &["the same site"]);
    let ran = by(&["zitadel", "--to", "core1"]);
    assert_words(&ran, 2, &["differ in name or namespace"]);
    house.edit("context: core1,", "context: core1, namespace: prod,");
    // They are the sites of the file from here on: core1 is primary already.
    let ran = by(&["zitadel", "--to", "core1"]);
    assert_words(&ran, 3, &["zitadel cannot be moved safely now", "roles"]);
    let ran = house.bench.run(&["switchover", "zitadel", "--to", "core1"]);
    assert_words(&ran, 2, &["--from is missing"]);
}

#[test]
fn a_record_that_cannot_be_read_is_left_alone() {
    let house = house();
    let record = house.bench.home().join("record.json");
    let path = record.to_str().unwrap();
    std::fs::write(&record, "{}").unwrap();
    let ran = house.traffic(&["move", "--to", "core1", "--yes", "--record", path]);
    assert_words(&ran, 3, &["cannot be used", "effect: nothing"]);
    assert_eq!(std::fs::read_to_string(&record).unwrap(), "{}");
    assert_eq!([house.table("a"), house.table("b")], [BEFORE; 2]);
}

#[test]
fn what_nobody_remembers_needs_no_preparation() {
    let house = house();
    let ran = house.traffic(&["prepare"]);
    assert_words(&ran, 0, &["Nothing was to be prepared", "table-a"]);
    let ran = house.traffic(&["prepare", "-o", "json"]);
    let view: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(
        (&view["kind"], &view["changed"]),
        (&"TrafficPreparation".into(), &false.into())
    );
    assert_eq!([house.table("a"), house.table("b")], [BEFORE; 2]);
}

#[test]
fn a_zone_is_a_backend_with_its_key_beside_the_file() {
    let house = house();
    let zone = "traffic:
    - rfc2136:
        id: dns
        primary: 127.0.0.1:9
        zone: example.org
        key: { name: pgha, secretFile: ./pgha.key }
        routes:
          - name: https
            record: login.example.org
            sites: { core1: { a: [192.0.2.1] }, core2: { a: [192.0.2.2] } }";
    house.edit("traffic:", zone);
    let ran = house.traffic(&["prepare", "--yes"]);
    let words = ["at 127.0.0.1:9: it cannot be reached", "effect: nothing"];
    assert_words(&ran, 3, &words);
    let ran = house.traffic(&["plan", "--to", "core1"]);
    assert_words(&ran, 3, &words);
    house.edit("zone: example.org", "zone: example.net");
    let ran = house.traffic(&["show"]);
    assert_words(&ran, 2, &["is no name of its own in zone example.net."]);
    house.edit("secretFile: ./pgha.key", "secret: c2VjcmV0");
    let ran = house.traffic(&["show"]);
    assert_words(&ran, 2, &["unknown field `secret`"]);
    assert!(!ran.stderr.contains("c2VjcmV0"), "{ran}");
}

#[test]
fn who_may_change_a_product_is_read_from_beside_the_file() {
    for (backend, at) in [
        (
            "cloudflare:
        id: edge
        url: http://127.0.0.1:9
        zone: 023e
        loadBalancer: 699d
        apiTokenFile: ./pgha.key
        route: { name: https, sites: { core1: 17b5, core2: 9290 } }",
            "http://127.0.0.1:9/zones/023e/load_balancers/699d",
        ),
        (
            "cloudflareDns:
        id: dns
        url: http://127.0.0.1:9
        zone: 023e
        apiTokenFile: ./pgha.key
        ttl: 60
        routes:
          - name: https
            record: login.example.org
            sites: { core1: { a: [192.0.2.1] }, core2: { a: [192.0.2.2] } }",
            "http://127.0.0.1:9/zones/023e/dns_records",
        ),
        (
            "f5:
        id: gslb
        url: http://127.0.0.1:9
        user: pgha
        passwordFile: ./pgha.key
        routes:
          - name: https
            pool: /Common/login
            type: a
            sites: { core1: '/Common/one:vs', core2: '/Common/two:vs' }",
            "http://127.0.0.1:9",
        ),
    ] {
        let house = house();
        house.edit("traffic:", &format!("traffic:\n    - {backend}"));
        let plan = || house.traffic(&["plan", "--to", "core1"]);
        let beside = house.bench.home().join("./pgha.key");
        assert_words(
            &plan(),
            3,
            &["the key file [HOME]/./pgha.key cannot be read"],
        );
        house.write("pgha.key", "s3cret");
        std::fs::set_permissions(beside, std::fs::Permissions::from_mode(0o600)).unwrap();
        let ran = plan();
        let unreached = format!("{at}: it cannot be reached");
        assert_words(&ran, 3, &[&unreached, "effect: nothing"]);
        assert!(!format!("{ran}").contains("s3cret"), "{ran}");
        house.edit("http://127.0.0.1:9", "http://192.0.2.9");
        assert_words(&plan(), 2, &["would go to 192.0.2.9 in the clear"]);
    }
}
