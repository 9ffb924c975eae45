//! `kubectl pgha validate`, and the page that is made of its list of checks.

use std::path::Path;

use pgha_model::check::catalog::CHECKS;
use pgha_model::check::list::{Answer, LISTS};
use pgha_model::finding::Severity;
use pgha_model::guard::{Place, all};
use pgha_testkit::pgo::{Kind, PgoSite, pair};
use pgha_testkit::{Failure, Fault};
use serde_json::{Value, json};

use crate::assert_said;
use crate::bench::{Bench, NAMESPACE, cluster, now};

const VALIDATE: [&str; 6] = ["validate", "zitadel", "--from", "core1", "--to", "core2"];

fn with(more: &[&'static str]) -> Vec<&'static str> {
    [&VALIDATE[..], more].concat()
}

/// A healthy pair, whose objects can be told apart.
fn sites() -> (PgoSite, PgoSite) {
    let (primary, standby) = pair(Kind::StreamingStandby, "zitadel", NAMESPACE, now());
    (primary.manual_backup("nightly"), standby)
}

fn findings(view: &Value, check: &str) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = view["findings"].as_array().into_iter().flatten();
    let of_check = all.filter(|finding| finding["check"] == check);
    of_check
        .map(|finding| (text(&finding["severity"]), text(&finding["seen"])))
        .collect()
}

#[test]
fn what_cannot_be_looked_into_is_not_ready_and_says_so() {
    let bench = Bench::two(&sites());
    let ran = bench.run(&with(&["-o", "json"]));
    assert_eq!(ran.code, Some(3), "{ran}");
    let view: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(view["kind"], "Validation");
    assert_eq!(view["readyForSwitchover"]["ready"], false);
    assert_eq!(view["readyForFailover"]["ready"], false);
    let (severity, seen) = &findings(&view, "collation-versions")[0];
    assert_eq!(severity, "fail");
    assert!(seen.starts_with("This could not be looked at: "), "{seen}");
    assert_eq!(findings(&view, "roles")[0].0, "pass");
    assert!(ran.stderr.contains("effect: nothing was changed"), "{ran}");
}

#[test]
fn text_and_programs_get_every_check_of_the_list() {
    let bench = Bench::two(&sites());
    let text = bench.run(&VALIDATE);
    let view = bench.run(&with(&["-o", "json"]));
    assert_eq!((text.code, view.code), (Some(3), Some(3)));
    let view: Value = serde_json::from_str(&view.stdout).unwrap();
    for check in CHECKS {
        assert!(!findings(&view, check.id).is_empty(), "{}", check.id);
        assert!(
            text.stdout.contains(&format!(" {} ", check.id)),
            "{}",
            check.id
        );
    }
    assert!(text.stdout.contains("Ready for switchover: no ("), "{text}");
    assert!(text.stdout.contains("Ready for failover: no ("), "{text}");
}

#[test]
fn secrets_that_differ_are_told_and_their_values_are_not() {
    let (primary, standby) = sites();
    let clusters = (cluster(&primary), cluster(&standby));
    let name = "zitadel-pguser-zitadel";
    for (cluster, password) in [
        (&clusters.0, "Y2FuYXJ5LW9uZQ=="),
        (&clusters.1, "Y2FuYXJ5LXR3bw=="),
    ] {
        cluster.insert(json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": NAMESPACE},
            "data": {"password": password, "verifier": "djE="}
        }));
    }
    let bench = Bench::new(&[("core1", &clusters.0), ("core2", &clusters.1)]);
    for format in ["table", "json"] {
        let ran = bench.run(&with(&["-o", format, "-vv"]));
        assert_eq!(ran.code, Some(3));
        assert!(
            ran.stdout
                .contains(&format!("secret {name} differs in password.")),
            "{ran}"
        );
        let said = format!("{}{}", ran.stdout, ran.stderr);
        for canary in ["canary", "Y2FuYXJ5"] {
            assert!(!said.contains(canary), "a value was told");
        }
    }
}

#[test]
fn a_permission_that_a_move_needs_is_named_with_its_side() {
    let (primary, standby) = sites();
    let clusters = (cluster(&primary), cluster(&standby));
    clusters.1.fail(
        Fault::new(Failure::Forbidden)
            .verb("patch")
            .resource("postgresclusters"),
    );
    let bench = Bench::new(&[("core1", &clusters.0), ("core2", &clusters.1)]);
    let ran = bench.run(&with(&["-o", "json"]));
    let view: Value = serde_json::from_str(&ran.stdout).unwrap();
    let found = findings(&view, "permissions");
    assert_eq!(found[0].0, "pass");
    assert_eq!(
        found[1],
        (
            "fail".to_owned(),
            "Not permitted: patch postgresclusters zitadel.".to_owned()
        )
    );
}

#[test]
fn two_database_systems_under_one_name_are_ready_for_nothing() {
    let (primary, standby) = sites();
    let bench = Bench::two(&(primary, standby.system_identifier("8")));
    let ran = bench.run(&with(&["-o", "json"]));
    assert_eq!(ran.code, Some(3), "{ran}");
    let view: Value = serde_json::from_str(&ran.stdout).unwrap();
    let seen = "The system identifiers differ: 7710549851658973354 and 8.";
    let told = findings(&view, "system-identifier");
    assert_eq!(told, [("fail".to_owned(), seen.to_owned())]);
    for ready in ["readyForSwitchover", "readyForFailover"] {
        let blocked = view[ready]["blockedBy"].as_array().unwrap();
        assert!(
            blocked.iter().any(|check| check == "system-identifier"),
            "{ready}: {ran}"
        );
    }
}

#[test]
fn an_owner_fails_unless_it_is_allowed() {
    let (primary, standby) = sites();
    let bench = Bench::two(&(primary, standby.managed_by_flux()));
    let severity = |more: &[&'static str]| {
        let ran = bench.run(&with(more));
        let view: Value = serde_json::from_str(&ran.stdout).unwrap();
        findings(&view, "not-managed")[1].0.clone()
    };
    assert_eq!(severity(&["-o", "json"]), "fail");
    assert_eq!(severity(&["-o", "json", "--allow-managed"]), "warn");
}

#[test]
fn an_owner_that_is_suspended_stops_no_move_and_is_told() {
    let (primary, standby) = sites();
    let clusters = (cluster(&primary), cluster(&standby.managed_by_flux()));
    let group = "kustomize.toolkit.fluxcd.io";
    clusters
        .1
        .install(group, "v1", "Kustomization", "kustomizations");
    clusters.1.insert(
        json!({"apiVersion": format!("{group}/v1"), "kind": "Kustomization",
        "metadata": {"name": "databases", "namespace": "flux-system"},
        "spec": {"interval": "10m", "suspend": true}}),
    );
    let bench = Bench::new(&[("core1", &clusters.0), ("core2", &clusters.1)]);
    let ran = bench.run(&with(&["-o", "json"]));
    let view: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(findings(&view, "not-managed")[1].0, "pass");
    let (severity, seen) = findings(&view, "owner-held")[1].clone();
    let told = "Flux Kustomization flux-system/databases owns the object and is held (spec.suspend is true).";
    assert_eq!((severity.as_str(), seen.as_str()), ("warn", told));
    let status = bench.run(&["status", "--context", "core2", "-o", "json"]);
    let view: Value = serde_json::from_str(&status.stdout).unwrap();
    let owner = &view["services"][0]["sides"][0]["owners"][0];
    assert_eq!(
        owner["state"]["seen"]["reverts"]["when"], "held",
        "{status}"
    );
    clusters
        .1
        .change("kustomizations", "flux-system", "databases", |object| {
            object["spec"]["suspend"] = json!(false);
        });
    let ran = bench.run(&with(&["-o", "json"]));
    let view: Value = serde_json::from_str(&ran.stdout).unwrap();
    let (severity, seen) = findings(&view, "not-managed")[1].clone();
    assert_eq!(severity, "fail");
    assert!(seen.ends_with("takes a change back within 10m."), "{seen}");
}

#[test]
fn only_what_does_not_hold_is_named_to_a_script() {
    let bench = Bench::two(&sites());
    let ran = bench.run(&with(&["-o", "name"]));
    assert_eq!(ran.code, Some(3));
    let names: Vec<&str> = ran.stdout.lines().collect();
    assert!(
        names.contains(&"postgres-answers") && !names.contains(&"roles"),
        "{names:?}"
    );
}

#[test]
fn the_guards_of_a_move_are_listed_for_programs_and_on_request() {
    let bench = Bench::two(&sites());
    let view = bench.run(&with(&["-o", "json"]));
    let view: Value = serde_json::from_str(&view.stdout).unwrap();
    let wide = bench.run(&with(&["-o", "wide"]));
    let usual = bench.run(&VALIDATE);
    let later = all()
        .into_iter()
        .filter(|guard| guard.place != Place::Check);
    let told: Vec<_> = later.map(|guard| guard.id).collect();
    let listed = view["guards"].as_array().into_iter().flatten();
    let listed: Vec<_> = listed.map(|guard| guard["id"].clone()).collect();
    assert_eq!(listed, told);
    for id in told {
        let begins = |text: &str| text.lines().any(|line| line.starts_with(id));
        assert!(begins(&wide.stdout), "{id}: {wide}");
        assert!(!begins(&usual.stdout), "{id}: {usual}");
    }
}

#[test]
fn bad_input_is_refused_before_any_check() {
    let (primary, _) = sites();
    let bench = Bench::new(&[
        ("core1", &cluster(&primary)),
        ("core2", &crate::bench::empty_cluster()),
    ]);
    assert_said!(
        bench.run(&["validate", "zitadel", "--from", "core1", "--to", "core1"]),
        bench.run(&["validate", "zitadel", "--from", "core1"]),
        bench.run(&VALIDATE),
    );
}

#[test]
fn the_page_is_what_the_list_says() {
    let stored = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/validate.md");
    let now = page();
    if std::fs::read_to_string(&stored).ok().as_deref() == Some(&now) {
        return;
    }
    let fresh = Path::new(env!("CARGO_TARGET_TMPDIR")).join("validate.md");
    std::fs::write(&fresh, now).unwrap();
    panic!(
        "docs/validate.md is stale; mend it with: cp {} docs/validate.md",
        fresh.display()
    );
}

fn page() -> String {
    let mut page = String::from(
        "# The checks of `kubectl pgha validate`\n\n\
         Made from the list in the crate `pgha-model` by a test of the crate `kubectl-pgha`, which fails when this page \
         is stale.\n\n\
         A check passes, warns or fails. A switchover is refused by exactly the checks that fail; what could not be \
         looked at does not hold. A failover is told to be ready when no check in its column fails at the target or \
         between both sides.\n\n\
         | check | looks at | why | result | failover | from |\n|---|---|---|---|---|---|\n",
    );
    for check in CHECKS {
        let result = match check.severity {
            Severity::Fail => "fail",
            Severity::Warn | Severity::Pass => "warn",
        };
        let failover = if check.for_failover { "yes" } else { "" };
        let from = origins(check.id).join(", ");
        let (id, looks_at, why) = (check.id, check.looks_at, check.why);
        let row = format!("| `{id}` | {looks_at} | {why} | {result} | {failover} | {from} |\n");
        page.extend([row]);
    }
    page.push_str("\n# The lists that they answer to\n");
    for list in LISTS {
        page.extend([
            "\n## ",
            list.title,
            "\n\n| item | asks for | answered by |\n|---|---|---|\n",
        ]);
        for item in list.items {
            let answer = match item.answer {
                Answer::Checks(ids) => {
                    let ids: Vec<String> = ids.iter().map(|id| format!("`{id}`")).collect();
                    ids.join(", ")
                }
                Answer::Not(reason) => format!("No check: {reason}"),
            };
            page.extend(["| ", item.name, " | ", item.asks, " | ", &answer, " |\n"]);
        }
    }
    page
}

fn origins(check: &str) -> Vec<&'static str> {
    let items = LISTS.iter().flat_map(|list| list.items);
    let of_check = items.filter(|item| match item.answer {
        Answer::Checks(ids) => ids.contains(&check),
        Answer::Not(_) => false,
    });
    of_check.map(|item| item.name).collect()
}
