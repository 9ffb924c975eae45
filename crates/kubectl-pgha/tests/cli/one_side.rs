//! `kubectl pgha promote` and `demote`: what they refuse before anything is changed, and what they call done already.
//!
//! The fake API server has no `exec`, so no Postgres answers here: what is decided by Postgres' word is the lab's.

use pgha_testkit::pgo::{Kind, PgoSite};
use pgha_testkit::{Failure, FakeCluster, Fault};
use serde_json::Value;

use crate::assert_said;
use crate::bench::{
    Bench, NAMESPACE, Ran, assert_untouched, cluster, empty_cluster, now, primary, standby,
};

const PROMOTE: [&str; 5] = ["promote", "zitadel", "--context", "core2", "--yes"];

fn findings(ran: &Ran) -> Vec<(String, String)> {
    let view: Value = serde_json::from_str(&ran.stdout).unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = view["findings"].as_array().into_iter().flatten();
    all.map(|finding| (text(&finding["check"]), text(&finding["advice"])))
        .collect()
}

fn checks(ran: &Ran) -> Vec<String> {
    findings(ran).into_iter().map(|(check, _)| check).collect()
}

/// Both sides are standbys; their objects can be told apart.
fn both_standby() -> (FakeCluster, FakeCluster) {
    let side = |kind, uid: &str| {
        let site = PgoSite::new(kind, "zitadel", NAMESPACE, now());
        cluster(&site.object(|object| object["metadata"]["uid"] = uid.into()))
    };
    (
        side(Kind::ArchiveStandby, "one"),
        side(Kind::StreamingStandby, "other"),
    )
}

#[test]
fn a_primary_peer_is_never_joined_by_a_second_primary() {
    let sites = (cluster(&primary()), cluster(&standby()));
    let bench = Bench::new(&[("core1", &sites.0), ("core2", &sites.1)]);
    let accept = ["--force", "--yes-i-accept-data-loss-of", "zitadel"];
    let forced = [&PROMOTE[..4], &accept, &["-o", "json"]].concat();
    let named = [&PROMOTE[..], &["--peer", "core1", "-o", "json"]].concat();
    let found = [&PROMOTE[..], &["-o", "json"]].concat();
    for arguments in [forced, named, found] {
        let ran = bench.run(&arguments);
        assert_eq!(ran.code, Some(3), "{ran}");
        let (_, advice) = findings(&ran)
            .into_iter()
            .find(|(check, _)| check == "peer-not-primary")
            .unwrap();
        assert!(
            advice.contains("kubectl pgha demote zitadel -n prod --context core1"),
            "{advice}"
        );
    }
    assert_untouched(&[&sites.0, &sites.1]);
}

/// A primary on its way out may still answer as one.
#[test]
fn a_primary_that_is_being_demoted_is_not_called_promoted() {
    let standby = serde_json::json!({"enabled": true, "repoName": "repo1"});
    let here = cluster(&primary().object(|object| object["spec"]["standby"] = standby));
    let bench = Bench::new(&[("core2", &here)]);
    let ran = bench.run(&PROMOTE);
    assert_eq!(ran.code, Some(3), "{ran}");
    assert_untouched(&[&here]);
}

#[test]
fn a_peer_that_cannot_be_seen_may_be_primary() {
    let sites = (cluster(&primary()), cluster(&standby()));
    let mut bench = Bench::new(&[("core1", &sites.0), ("core2", &sites.1)]);
    bench.stop(0);
    let ran = bench.run(&[&PROMOTE[..], &["-o", "json"]].concat());
    assert_eq!(ran.code, Some(3), "{ran}");
    assert!(checks(&ran).contains(&"peer-seen".to_owned()), "{ran}");
    assert!(ran.stdout.contains("it may be behind `core1`"), "{ran}");
    let named = bench.run(&[&PROMOTE[..], &["--peer", "core1", "-o", "json"]].concat());
    assert!(checks(&named).contains(&"peer-seen".to_owned()), "{named}");
    let forced = [
        "promote",
        "zitadel",
        "--context",
        "core2",
        "--force",
        "--yes-i-accept-data-loss-of",
        "zitadel",
        "-o",
        "json",
    ];
    // What this side itself lacks is not forced: here its Postgres does not answer.
    let ran = bench.run(&forced);
    assert_eq!(ran.code, Some(3), "{ran}");
    let refused = checks(&ran);
    assert!(!refused.contains(&"peer-seen".to_owned()), "{refused:?}");
    assert!(
        refused.contains(&"postgres-answers".to_owned()),
        "{refused:?}"
    );
    assert_untouched(&[&sites.1]);
}

#[test]
fn the_peer_is_found_by_its_system_identifier() {
    let (here, peer) = both_standby();
    let another = cluster(&primary().system_identifier("1"));
    let bench = Bench::new(&[
        ("core2", &here),
        ("alias-of-core2", &here),
        ("another", &another),
        ("empty", &empty_cluster()),
        ("core1", &peer),
        ("alias-of-core1", &peer),
    ]);
    let ran = bench.run(&[&PROMOTE[..], &["-o", "json"]].concat());
    assert_eq!(ran.code, Some(3), "{ran}");
    let refused = checks(&ran);
    // It was found: what is missing is the proof.
    assert!(!refused.contains(&"peer-seen".to_owned()), "{refused:?}");
    assert!(
        refused.contains(&"holds-everything".to_owned()),
        "{refused:?}"
    );
    assert_untouched(&[&here, &peer, &another]);
}

#[test]
fn a_service_without_another_side_is_told() {
    let here = cluster(&standby());
    let forbidden = cluster(&primary());
    forbidden.fail(Fault::new(Failure::Forbidden).resource("postgresclusters"));
    let alone = Bench::new(&[("core2", &here), ("empty", &empty_cluster())]);
    let ran = alone.run(&[&PROMOTE[..], &["-o", "json"]].concat());
    assert!(
        ran.stdout
            .contains("none of the 1 other contexts leads to another side of zitadel"),
        "{ran}"
    );
    let unseen = Bench::new(&[("core2", &here), ("core1", &forbidden)]);
    let ran = unseen.run(&PROMOTE);
    assert_eq!(ran.code, Some(3), "{ran}");
    assert!(
        ran.stderr.contains("Context `core1` was not seen: "),
        "{ran}"
    );
}

#[test]
fn several_other_sides_want_one_named() {
    let (here, peer) = both_standby();
    let third = cluster(&primary());
    let bench = Bench::new(&[("core2", &here), ("core1", &peer), ("core3", &third)]);
    assert_said!(bench.run(&PROMOTE));
    assert_untouched(&[&here, &peer, &third]);
}

#[test]
fn what_is_so_already_is_done() {
    let bench = Bench::two(&(primary(), standby()));
    assert_said!(
        bench.run(&["promote", "zitadel", "--context", "core1", "--yes"]),
        bench.run(&["demote", "zitadel", "--context", "core2", "--yes"]),
        bench.run(&[
            "promote",
            "zitadel",
            "--context",
            "core1",
            "--yes",
            "-o",
            "json"
        ]),
        bench.run(&[
            "demote",
            "zitadel",
            "--context",
            "core2",
            "--yes",
            "-o",
            "name"
        ]),
    );
}

#[test]
fn a_site_that_nobody_named_is_not_changed_without_a_terminal() {
    let bench = Bench::two(&(primary(), standby()));
    assert_said!(
        bench.run(&["demote", "zitadel", "--yes"]),
        bench.run(&["promote", "zitadel", "--yes"]),
    );
}

#[test]
fn arguments_that_contradict_each_other() {
    let bench = Bench::two(&(primary(), standby()));
    let loss = "--yes-i-accept-data-loss-of";
    assert_said!(
        bench.run(&[
            "promote",
            "zitadel",
            "--context",
            "core2",
            "--force",
            loss,
            "keycloak"
        ]),
        bench.run(&["promote", "zitadel", "--context", "core2", loss, "zitadel"]),
        bench.run(&[
            "promote",
            "zitadel",
            "--context",
            "core2",
            "--force",
            "--yes"
        ]),
        bench.run(&[
            "promote",
            "zitadel",
            "--context",
            "core2",
            "--peer",
            "core2",
            "--yes"
        ]),
        bench.run(&[
            "demote",
            "zitadel",
            "--context",
            "core1",
            "--peer",
            "core9",
            "--yes"
        ]),
    );
}

#[test]
fn a_demotion_names_what_stands_in_its_way() {
    let site = primary().paused().managed_by_flux();
    let sites = (cluster(&site), cluster(&standby()));
    let bench = Bench::new(&[("core1", &sites.0), ("core2", &sites.1)]);
    let ran = bench.run(&[
        "demote",
        "zitadel",
        "--context",
        "core1",
        "--yes",
        "-o",
        "json",
    ]);
    assert_eq!(ran.code, Some(3), "{ran}");
    let refused = checks(&ran);
    for check in ["operator-not-paused", "not-managed", "postgres-answers"] {
        assert!(refused.contains(&check.to_owned()), "{check}: {refused:?}");
    }
    // The peer's repository is a way to be a standby.
    assert!(
        !refused.contains(&"standby-section".to_owned()),
        "{refused:?}"
    );
    let alone = Bench::one(&primary());
    let ran = alone.run(&[
        "demote",
        "zitadel",
        "--context",
        "core1",
        "--yes",
        "-o",
        "json",
    ]);
    assert!(
        checks(&ran).contains(&"standby-section".to_owned()),
        "{ran}"
    );
    assert_untouched(&[&sites.0, &sites.1]);
}

#[test]
fn both_sides_primary_are_not_mended_by_a_demotion() {
    let other = PgoSite::primary("zitadel", NAMESPACE, now()).object(|object| {
        object["metadata"]["uid"] = "another".into();
    });
    let bench = Bench::two(&(primary(), other));
    let ran = bench.run(&[
        "demote",
        "zitadel",
        "--context",
        "core1",
        "--yes",
        "-o",
        "json",
    ]);
    assert_eq!(ran.code, Some(3), "{ran}");
    assert!(
        checks(&ran).contains(&"peer-not-primary".to_owned()),
        "{ran}"
    );
}

#[test]
fn both_standby_names_the_two_ways_out() {
    let (one, other) = both_standby();
    let bench = Bench::new(&[("core1", &one), ("core2", &other)]);
    let args = ["--from", "core1", "--to", "core2", "-o", "json"];
    for command in ["switchover", "validate"] {
        let ran = bench.run(&[&[command, "zitadel"], &args[..]].concat());
        assert_eq!(ran.code, Some(3), "{ran}");
        let (_, advice) = findings(&ran)
            .into_iter()
            .find(|(check, _)| check == "roles")
            .unwrap();
        for way in [
            "`kubectl pgha promote zitadel -n prod --context core1 --peer core2`",
            "`kubectl pgha promote zitadel -n prod --context core2 --peer core1`",
        ] {
            assert!(advice.contains(way), "{advice}");
        }
    }
    let status = bench.run(&[
        "status",
        "zitadel",
        "--context",
        "core1",
        "--context",
        "core2",
    ]);
    assert!(
        status
            .stdout
            .contains("kubectl pgha promote zitadel -n prod --context core1 --peer core2"),
        "{status}"
    );
}
