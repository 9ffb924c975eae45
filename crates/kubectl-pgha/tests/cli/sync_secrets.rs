//! `kubectl pgha sync-secrets`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pgha_testkit::{Failure, FakeCluster, Fault, LoggedRequest};
use serde_json::{Value, json};

use crate::assert_said;
use crate::bench::{Bench, NAMESPACE, Ran, cluster, primary, standby};

const PREFIX: &str = "postgres-operator.crunchydata.com";
const SYNC: [&str; 6] = [
    "sync-secrets",
    "zitadel",
    "--from",
    "core1",
    "--to",
    "core2",
];

/// Base64 of `first-password`, `first-verifier`, and of the same of the second site.
pub(crate) const FIRST: [&str; 2] = ["Zmlyc3QtcGFzc3dvcmQ=", "Zmlyc3QtdmVyaWZpZXI="];
pub(crate) const SECOND: [&str; 2] = ["c2Vjb25kLXBhc3N3b3Jk", "c2Vjb25kLXZlcmlmaWVy"];

pub(crate) fn user_secret(user: &str, [password, verifier]: [&str; 2]) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {"name": format!("zitadel-pguser-{user}"), "uid": "u", "namespace": NAMESPACE, "labels": {
            format!("{PREFIX}/cluster"): "zitadel", format!("{PREFIX}/role"): "pguser",
            format!("{PREFIX}/pguser"): user}},
        "data": {"password": password, "verifier": verifier, "host": "aG9zdA=="}
    })
}

fn bouncer_secret([password, verifier]: [&str; 2]) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {"name": "zitadel-pgbouncer", "uid": "u", "namespace": NAMESPACE, "labels": {
            format!("{PREFIX}/cluster"): "zitadel", format!("{PREFIX}/role"): "pgbouncer"}},
        "data": {"pgbouncer-password": password, "pgbouncer-verifier": verifier}
    })
}

/// The connection strings of both, as an operator makes them: `postgresql://app:first-password@db/app`.
const URIS: [&str; 2] = [
    "cG9zdGdyZXNxbDovL2FwcDpmaXJzdC1wYXNzd29yZEBkYi9hcHA=",
    "cG9zdGdyZXNxbDovL2FwcDpzZWNvbmQtcGFzc3dvcmRAZGIvYXBw",
];

pub(crate) const APP: &str = "zitadel-pguser-app";

struct Sites {
    first: FakeCluster,
    second: FakeCluster,
    bench: Bench,
}

/// Two sides whose application's and bouncer's passwords differ, and whose third role's are the same.
fn sites() -> Sites {
    let (first, second) = (cluster(&primary()), cluster(&standby()));
    for (site, values) in [(&first, FIRST), (&second, SECOND)] {
        site.insert(user_secret("app", values));
        site.insert(user_secret("report", FIRST));
        site.insert(bouncer_secret(values));
    }
    let bench = Bench::new(&[("core1", &first), ("core2", &second)]);
    Sites {
        first,
        second,
        bench,
    }
}

impl Sites {
    fn run(&self, extra: &[&str]) -> Ran {
        self.bench.run(&[&SYNC[..], extra].concat())
    }

    fn patches(&self) -> Vec<Value> {
        let of = |site: &FakeCluster| site.requests();
        let all = [of(&self.first), of(&self.second)].concat();
        let patches = all.into_iter().filter(|request| request.verb == "patch");
        patches.filter_map(|request| request.body).collect()
    }

    fn second_data(&self, name: &str) -> Value {
        self.second.object("secrets", NAMESPACE, name).unwrap()["data"].clone()
    }
}

#[test]
fn what_differs_is_shown_and_nothing_changed() {
    let sites = sites();
    assert_said!(
        sites.run(&["--dry-run"]),
        sites.run(&["--dry-run", "-o", "json"]),
        sites.run(&["--dry-run", "-o", "name"]),
    );
    assert!(sites.patches().is_empty());
}

#[test]
fn password_and_verifier_are_copied_together_and_nothing_else() {
    let sites = sites();
    assert_said!(sites.run(&["--yes"]), sites.run(&["--yes"]));
    assert_eq!(
        sites.second_data("zitadel-pguser-app"),
        json!({"password": FIRST[0], "verifier": FIRST[1], "host": "aG9zdA=="})
    );
    assert_eq!(
        sites.second_data("zitadel-pgbouncer"),
        json!({"pgbouncer-password": FIRST[0], "pgbouncer-verifier": FIRST[1]})
    );
    let patches = sites.patches();
    assert_eq!(patches.len(), 2);
    for patch in patches {
        let kinds: Vec<_> = patch
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["op"].clone())
            .collect();
        assert_eq!(kinds, ["test", "test", "test", "replace", "replace"]);
    }
}

#[test]
fn no_value_is_ever_said() {
    for extra in [&["--dry-run", "-vvv"][..], &["--yes", "-vvv", "-o", "yaml"]] {
        let sites = sites();
        let ran = sites.run(extra);
        assert_eq!(ran.code, Some(0), "{ran}");
        let said = format!("{}{}", ran.stdout, ran.stderr);
        let plain = ["first-", "second-", "Zmlyc3", "c2Vjb2"];
        assert!(!plain.iter().any(|value| said.contains(value)), "{said}");
    }
}

#[test]
fn a_failed_patch_says_nothing_of_its_values() {
    let sites = sites();
    let internal = Failure::Internal("cannot store \"Zmlyc3QtcGFzc3dvcmQ=\"");
    sites
        .second
        .fail(Fault::new(internal).resource("secrets").verb("patch"));
    let ran = sites.run(&["--yes"]);
    assert_eq!(ran.code, Some(5), "{ran}");
    assert!(!ran.stderr.contains("Zmlyc3"), "{ran}");
}

#[test]
fn a_second_patch_that_fails_stops_part_way() {
    let sites = sites();
    let fault = Fault::new(Failure::Forbidden)
        .verb("patch")
        .name("zitadel-pguser-app");
    sites.second.fail(fault);
    assert_said!(sites.run(&["--yes"]));
}

#[test]
fn without_consent_nothing_is_copied() {
    let sites = sites();
    assert_said!(sites.run(&[]));
    assert!(sites.patches().is_empty());
}

#[test]
fn bad_input_is_refused() {
    let same = sites();
    let missing = sites();
    missing
        .second
        .remove("secrets", NAMESPACE, "zitadel-pguser-app");
    let empty = sites();
    empty.first.insert(user_secret("app", ["", ""]));
    let managed = sites();
    managed
        .second
        .change("secrets", NAMESPACE, "zitadel-pguser-app", |secret| {
            secret["metadata"]["labels"]["app.kubernetes.io/managed-by"] = json!("Helm");
        });
    let forbidden = sites();
    forbidden
        .second
        .fail(Fault::new(Failure::Forbidden).resource("secrets"));
    let swapped = [
        "sync-secrets",
        "zitadel",
        "--from",
        "core2",
        "--to",
        "core1",
        "--yes",
    ];
    let own = [
        "sync-secrets",
        "zitadel",
        "--from",
        "core1",
        "--to",
        "core1",
    ];
    assert_said!(
        same.bench.run(&own),
        same.bench.run(&swapped),
        missing.run(&["--yes"]),
        empty.run(&["--yes"]),
        managed.run(&["--yes"]),
        forbidden.run(&["--yes"]),
    );
    for sites in [same, missing, empty, managed, forbidden] {
        assert!(sites.patches().is_empty());
    }
}

/// Puts back what was there, as often as asked for, as an operator does that had read it before; then makes the string anew.
fn operate(site: &FakeCluster, times: usize, is_over: &AtomicBool) {
    let set = |data: Value| site.change("secrets", NAMESPACE, APP, |it| it["data"] = data);
    let copies = || {
        let requests = site.requests();
        let of_app = |request: &&LoggedRequest| {
            request.verb == "patch" && request.name.as_deref() == Some(APP)
        };
        requests.iter().filter(of_app).count()
    };
    for copied in 1..=times + 1 {
        while copies() < copied {
            if is_over.load(Ordering::Relaxed) {
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let [password, verifier] = if copied > times { FIRST } else { SECOND };
        let uri = URIS[usize::from(copied <= times)];
        set(json!({"password": password, "verifier": verifier, "uri": uri}));
    }
}

/// An operator that had read the Secret before it was copied writes back what it read: a lost update, seen in the lab.
#[test]
fn what_an_operator_puts_back_is_copied_again() {
    let sites = sites();
    sites.second.change("secrets", NAMESPACE, APP, |it| {
        it["data"]["uri"] = URIS[1].into();
    });
    let is_over = AtomicBool::new(false);
    let ran = std::thread::scope(|scope| {
        scope.spawn(|| operate(&sites.second, 1, &is_over));
        let ran = sites.run(&["--yes"]);
        is_over.store(true, Ordering::Relaxed);
        ran
    });
    assert_eq!(ran.code, Some(0), "{ran}");
    assert_eq!(sites.second_data(APP)["password"], FIRST[0]);
}
