//! `kubectl pgha reset-password`: what it refuses, and what it never says.
//!
//! The fake API server has no `exec`, so no Postgres answers here: what is written, and what is proved by Postgres' word, is the
//! engine's and the lab's.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use pgha_testkit::pgo::PgoSite;
use pgha_testkit::{Failure, FakeCluster, Fault};
use serde_json::{Value, json};

use crate::assert_said;
use crate::bench::{Bench, NAMESPACE, Ran, assert_untouched, cluster, primary, standby};
use crate::sync_secrets::{APP, FIRST, SECOND, user_secret};

const RESET: [&str; 9] = [
    "reset-password",
    "zitadel",
    "--user",
    "app",
    "--context",
    "core1",
    "--peer",
    "core2",
    "--yes",
];

/// No output may hold it, or a password or a verifier of a Secret, in no encoding.
const GIVEN: &str = "given-password";

struct Sites {
    first: FakeCluster,
    second: FakeCluster,
    bench: Bench,
}

fn with_user(site: PgoSite) -> PgoSite {
    site.object(|object| object["spec"]["users"] = json!([{"name": "app"}]))
}

fn sites() -> Sites {
    let (first, second) = (
        cluster(&with_user(primary())),
        cluster(&with_user(standby())),
    );
    first.insert(user_secret("app", FIRST));
    second.insert(user_secret("app", SECOND));
    let bench = Bench::new(&[("core1", &first), ("core2", &second)]);
    fs::write(bench.home().join("given"), format!("{GIVEN}\n")).unwrap();
    Sites {
        first,
        second,
        bench,
    }
}

impl Sites {
    fn run(&self, more: &[&str]) -> Ran {
        self.bench.run(&[&RESET[..], more].concat())
    }

    fn given(&self) -> String {
        self.bench.home().join("given").display().to_string()
    }

    fn failing(&self, more: &[&str]) -> Vec<String> {
        let ran = self.run(&[&["-o", "json"], more].concat());
        assert_eq!(ran.code, Some(3), "{ran}");
        let view: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(view["kind"], "ResetRefusal");
        let all = view["findings"].as_array().unwrap().iter();
        all.map(|finding| finding["check"].as_str().unwrap().to_owned())
            .collect()
    }
}

#[test]
fn without_postgres_word_nothing_is_begun() {
    let sites = sites();
    assert_said!(
        sites.run(&[]),
        sites.run(&["-o", "json"]),
        sites
            .bench
            .run(&["reset-password", "zitadel", "--user", "app", "--yes"]),
        sites
            .bench
            .run(&["reset-password", "zitadel", "--context", "core1"]),
    );
    assert_untouched(&[&sites.first, &sites.second]);
}

#[test]
fn what_stands_in_the_way_is_named_at_both_sides() {
    let spoiled = sites();
    let owned = |secret: &mut Value| {
        secret["metadata"]["labels"]["app.kubernetes.io/managed-by"] = json!("Helm");
    };
    spoiled.first.change("secrets", NAMESPACE, APP, owned);
    spoiled.second.change("secrets", NAMESPACE, APP, owned);
    let fault = Fault::new(Failure::Forbidden)
        .verb("patch")
        .resource("secrets");
    spoiled.second.fail(fault);
    assert_eq!(
        spoiled.failing(&[]),
        ["postgres-answers", "managed", "permissions", "managed"]
    );
    assert_eq!(
        spoiled.failing(&["--allow-managed"]),
        ["postgres-answers", "permissions"]
    );
    spoiled.second.heal();
    spoiled.second.remove("secrets", NAMESPACE, APP);
    assert_eq!(
        spoiled.failing(&["--allow-managed"]),
        ["postgres-answers", "secret-missing"]
    );
    spoiled
        .first
        .change("postgresclusters", NAMESPACE, "zitadel", |object| {
            object["spec"]["users"] = json!([{"name": "report"}]);
        });
    assert_eq!(
        spoiled.failing(&["--allow-managed"]),
        ["postgres-answers", "user-known", "secret-missing"]
    );
    assert_untouched(&[&spoiled.first, &spoiled.second]);
}

/// Flux owns the Secret itself, as where it is restored from a vault by its labels.
#[test]
fn an_owner_of_the_secret_is_asked_whether_it_is_held() {
    let group = "kustomize.toolkit.fluxcd.io";
    let sites = sites();
    sites
        .first
        .install(group, "v1", "Kustomization", "kustomizations");
    sites.first.change("secrets", NAMESPACE, APP, |secret| {
        secret["metadata"]["labels"][format!("{group}/name")] = json!("passwords");
        secret["metadata"]["labels"][format!("{group}/namespace")] = json!("flux-system");
    });
    let owner = |suspend: bool| {
        json!({"apiVersion": format!("{group}/v1"), "kind": "Kustomization",
            "metadata": {"name": "passwords", "namespace": "flux-system"},
            "spec": {"interval": "10m0s", "suspend": suspend, "sourceRef": {"kind": "GitRepository", "name": "platform"}}})
    };
    // One that was not seen takes a change back.
    assert_eq!(sites.failing(&[]), ["postgres-answers", "managed"]);
    sites.first.insert(owner(false));
    let ran = sites.run(&[]);
    assert!(
        ran.stdout
            .contains("flux-system/passwords owns the object and takes a change back within 10m0s"),
        "{ran}"
    );
    sites.first.insert(owner(true));
    assert_eq!(sites.failing(&[]), ["postgres-answers"]);
    assert_untouched(&[&sites.first, &sites.second]);
}

#[test]
fn the_other_side_has_to_be_seen_unless_there_is_none() {
    let mut sites = sites();
    sites.bench.stop(1);
    assert_eq!(sites.failing(&[]), ["postgres-answers", "peer-seen"]);
    let alone = [&RESET[..6], &["--yes", "--alone"]].concat();
    let ran = sites.bench.run(&alone);
    assert_eq!(ran.code, Some(3), "{ran}");
    assert!(!ran.stdout.contains("peer-seen"), "{ran}");
    let both = [&RESET[..], &["--alone"]].concat();
    assert_eq!(sites.bench.run(&both).code, Some(2));
    assert_untouched(&[&sites.first]);
}

/// Whichever side keeps it.
#[test]
fn an_unfinished_move_is_in_the_way() {
    for side in 0..2 {
        let sites = sites();
        let keeps = [&sites.first, &sites.second][side];
        keeps.insert(json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "zitadel-pgha", "namespace": NAMESPACE},
            "data": {"epoch": "4", "move-4": "{"}
        }));
        let ran = sites.run(&[]);
        assert_eq!(ran.code, Some(3), "{ran}");
        assert!(ran.stderr.contains("is not finished"), "{ran}");
        assert_untouched(&[&sites.first, &sites.second]);
    }
}

#[test]
fn a_password_that_is_none_is_refused_before_anybody_is_asked() {
    let sites = sites();
    let write = |bytes: &[u8]| fs::write(sites.bench.home().join("wrong"), bytes).unwrap();
    let path = sites.bench.home().join("wrong").display().to_string();
    for (bytes, said) in [
        (&b"\n"[..], "there is nothing in it"),
        (b"given-password\nanother", "not one line"),
        (b"given-password\xff", "no UTF-8"),
    ] {
        write(bytes);
        let ran = sites.run(&["--password-file", &path]);
        assert_eq!(ran.code, Some(2), "{ran}");
        assert!(ran.stderr.contains(said), "{said}: {ran}");
        assert_silent(&ran);
    }
    let ran = sites.run(&["--password-file", "/nonexistent"]);
    assert_eq!(ran.code, Some(2), "{ran}");
    assert_eq!(sites.first.requests(), []);
}

#[test]
fn no_value_is_ever_said() {
    let sites = sites();
    let given = sites.given();
    for more in [
        &["-vvv"][..],
        &["-o", "yaml", "-vvv"],
        &["-o", "json"],
        &["--dry-run", "-o", "name"],
    ] {
        let given = ["--password-file", &given];
        assert_silent(&sites.run(&[more, &given].concat()));
    }
    let piped = [&RESET[..], &["--password-file", "-", "-vvv"]].concat();
    let mut child = sites
        .bench
        .command(&piped)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(GIVEN.as_bytes()).unwrap();
    drop(stdin);
    let ran = sites.bench.ran(&piped, &child.wait_with_output().unwrap());
    assert_eq!(ran.code, Some(3), "{ran}");
    assert_silent(&ran);
}

fn assert_silent(ran: &Ran) {
    let said = format!("{}{}", ran.stdout, ran.stderr);
    let values = [GIVEN, "Z2l2ZW4t", "first-", "second-", "Zmlyc3", "c2Vjb2"];
    assert!(!values.iter().any(|value| said.contains(value)), "{ran}");
}
