//! Text of a cluster's, or of a kubeconfig's, that wants to steer the terminal, forge a line or flood it.

use std::collections::BTreeMap;
use std::fs;

use pgha_model::record::{Epoch, Journal};
use pgha_testkit::pgo::{Kind, pair};
use pgha_testkit::{Failure, FakeCluster, Fault};
use serde_json::{Value, json};

use crate::bench::{Bench, NAMESPACE, Ran, cluster, empty_cluster, now, primary};

/// Clears the screen, colours by a C1 control, goes back in the line, opens a link, sets the title, turns the direction of
/// writing, and begins a line of its own, in each of the ways there are.
const HOSTILE: &str = "x\u{1b}[2J\u{9b}31m\r\u{1b}]8;;http://evil.example\u{7}link\u{1b}]8;;\u{1b}\\\u{1b}]0;t\u{9c}\u{202e}\u{2066}\
                       \u{200f}\u{7f}\u{8}\u{2028}FORGED\u{2029}FORGED\nFORGED";

const FORMATS: [&str; 5] = ["table", "wide", "json", "yaml", "name"];

fn steers(character: char) -> bool {
    (character.is_control() && character != '\n')
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Everything that a process says is harmless, and it ended as it ends for other reasons than a bug.
fn assert_harmless(ran: &Ran, what: &str) {
    assert!(matches!(ran.code, Some(0 | 2..=5)), "{what}: {ran:?}");
    for text in [&ran.stdout, &ran.stderr] {
        assert!(!text.contains(steers), "{what}: {ran:?}");
        let forged = text.lines().any(|line| line.starts_with("FORGED"));
        assert!(!forged, "{what}: {ran:?}");
    }
}

/// The paths of all strings in an object that are not what it is found by.
fn strings(value: &Value, path: &str, found: &mut Vec<String>) {
    let identifies = [
        "/apiVersion",
        "/kind",
        "/metadata/name",
        "/metadata/namespace",
        "/metadata/labels/",
        "/metadata/resourceVersion",
    ];
    match value {
        Value::String(_) if !identifies.iter().any(|known| path.starts_with(known)) => {
            found.push(path.to_owned());
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                strings(item, &format!("{path}/{index}"), found);
            }
        }
        Value::Object(fields) => {
            for (name, item) in fields {
                let name = name.replace('~', "~0").replace('/', "~1");
                strings(item, &format!("{path}/{name}"), found);
            }
        }
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A healthy pair: its clusters and what runs against them.
fn sites() -> (FakeCluster, Bench) {
    let (first, second) = pair(Kind::ArchiveStandby, "zitadel", NAMESPACE, now());
    let (first, second) = (cluster(&first.manual_backup("nightly")), cluster(&second));
    let bench = Bench::new(&[("core1", &first), ("core2", &second)]);
    (first, bench)
}

fn objects() -> Vec<(&'static str, String)> {
    vec![
        ("postgresclusters", "zitadel".to_owned()),
        ("endpoints", "zitadel-ha".to_owned()),
        ("endpoints", "zitadel-ha-config".to_owned()),
        ("pods", primary().pod(0).to_owned()),
    ]
}

const BOTH: [&str; 4] = ["--context", "core1", "--context", "core2"];

#[test]
fn every_text_of_every_object_is_shown_harmless() {
    let (site, bench) = sites();
    let mut tried = 0;
    for (resource, name) in objects() {
        let before = site.object(resource, NAMESPACE, &name).unwrap();
        let mut paths = Vec::new();
        strings(&before, "", &mut paths);
        assert!(!paths.is_empty());
        for path in paths {
            let text = before.pointer(&path).unwrap().as_str().unwrap();
            // What begins as it should is read further.
            let text = if tried % 2 == 0 { "" } else { text };
            site.change(resource, NAMESPACE, &name, |object| {
                *object.pointer_mut(&path).unwrap() = json!(format!("{text}{HOSTILE}"));
            });
            let format = FORMATS[tried % FORMATS.len()];
            let what = format!("{resource}/{name} {path} ({text}, {format})");
            let status = [&["status", "zitadel", "-o", format, "-vvv"][..], &BOTH].concat();
            assert_harmless(&bench.run(&status), &what);
            let leader = ["leader", "zitadel", "--context", "core1", "-o", format];
            assert_harmless(&bench.run(&leader), &what);
            tried += 1;
            site.change(resource, NAMESPACE, &name, |object| {
                *object.pointer_mut(&path).unwrap() = before.pointer(&path).unwrap().clone();
            });
        }
    }
    assert!(tried > 30, "{tried}");
}

/// The other commands meet all of it at once.
#[test]
fn every_command_stays_harmless_among_hostile_objects() {
    let (site, bench) = sites();
    for (resource, name) in objects() {
        let mut paths = Vec::new();
        strings(
            &site.object(resource, NAMESPACE, &name).unwrap(),
            "",
            &mut paths,
        );
        site.change(resource, NAMESPACE, &name, |object| {
            for path in paths
                .iter()
                .filter(|path| !path.ends_with("leader") && !path.contains("renewTime"))
            {
                let text = object.pointer_mut(path).unwrap();
                *text = json!(format!("{}{HOSTILE}", text.as_str().unwrap()));
            }
        });
    }
    for command in ["validate", "switchover", "resume", "abort", "sync-secrets"] {
        for format in FORMATS {
            let arguments = [
                command, "zitadel", "--from", "core1", "--to", "core2", "-o", format,
            ];
            assert_harmless(&bench.run(&arguments), command);
        }
    }
    let init = ["init", "zitadel", "--from", "core1", "--to", "core2"];
    assert_harmless(&bench.run(&init), "init");
    for command in ["demote", "promote", "backup", "leader", "history"] {
        for format in FORMATS {
            let arguments = [command, "zitadel", "--context", "core1", "-o", format];
            assert_harmless(&bench.run(&arguments), command);
        }
    }
}

#[test]
fn what_an_api_server_says_is_harmless_at_every_log_level() {
    let (site, bench) = sites();
    for resource in ["postgresclusters", "pods", "endpoints", "pods/proxy"] {
        site.heal();
        site.fail(Fault::new(Failure::Internal(HOSTILE)).resource(resource));
        for verbose in ["-v", "-vv", "-vvv"] {
            for format in ["table", "json", "yaml"] {
                let arguments = [
                    "leader",
                    "zitadel",
                    "--context",
                    "core1",
                    verbose,
                    "-o",
                    format,
                ];
                assert_harmless(&bench.run(&arguments), resource);
            }
        }
        let arguments = ["status", "zitadel", "--context", "core1"];
        let output = bench
            .command(&arguments)
            .env("PGHA_LOG", "trace")
            .output()
            .unwrap();
        assert_harmless(&bench.ran(&arguments, &output), resource);
    }
}

#[test]
fn what_patroni_says_is_harmless() {
    let (site, bench) = sites();
    let pod = primary().pod(0).to_owned();
    let states = json!({"state": HOSTILE, "role": HOSTILE, "patroni": {"version": HOSTILE, "scope": HOSTILE, "name": HOSTILE}});
    for body in [
        HOSTILE.to_owned(),
        states.to_string(),
        format!("[{}]", json!(HOSTILE)),
    ] {
        site.answer_proxy(&pod, 8008, "/patroni", 200, body);
        for format in FORMATS {
            let arguments = ["leader", "zitadel", "--context", "core1", "-o", format];
            assert_harmless(&bench.run(&arguments), format);
        }
    }
}

/// A YAML file takes the characters only as escapes.
fn escape(bench: &Bench) {
    let text = fs::read_to_string(bench.kubeconfig()).unwrap();
    let escaped = |character: char| match character {
        ' '..='~' => character.to_string(),
        _ => format!("\\u{:04x}", u32::from(character)),
    };
    let text: String = text.chars().map(escaped).collect();
    fs::write(bench.kubeconfig(), text).unwrap();
}

#[test]
fn names_of_a_kubeconfig_and_of_clusters_are_harmless() {
    let site = cluster(&primary());
    site.insert(json!({
        "apiVersion": "postgres-operator.crunchydata.com/v1beta1", "kind": "PostgresCluster",
        "metadata": {"name": HOSTILE, "namespace": NAMESPACE}, "spec": {}
    }));
    let bench = Bench::new(&[(HOSTILE, &site), ("core1", &site)]);
    escape(&bench);
    let mut said = Vec::new();
    for arguments in [
        &["leader", "zitadel"][..],
        &["leader", "zitadel", "-o", "json"],
        &["leader", HOSTILE],
        &["leader", "zitadel", "--context", "unknown"],
        &["leader", "zitadel", "--context", "core1", "-n", HOSTILE],
        &["status"],
        &["status", "-A", "-o", "name"],
        &["history", "zitadel"],
        &["switchover", "zitadel", "--from", HOSTILE, "--to", "core1"],
        &[
            "switchover",
            "zitadel",
            "--from",
            "unknown",
            "--to",
            HOSTILE,
        ],
        &["leader", "zitadel", HOSTILE],
        &["__complete", "leader", "--context", ""],
        &["__complete", "leader", "z"],
        &["__complete", "leader", ""],
        &["init", "zitadel", "--from", HOSTILE, "--to", "core1"],
        &["init", HOSTILE, "--from", HOSTILE, "--to", "core1"],
        &[
            "init", "zitadel", "--from", "core1", "--to", "core1", "--write", HOSTILE,
        ],
    ] {
        let ran = bench.run(arguments);
        assert_harmless(&ran, &arguments.join(" "));
        said.push(ran.stdout + &ran.stderr);
    }
    // The context was used, and is shown so that it can be recognised.
    assert!(said[0].contains("x\\u{1b}[2J"), "{}", said[0]);
    assert!(said[13].starts_with("zitadel\n"), "{}", said[13]);
}

#[test]
fn a_kubeconfig_cannot_steer_by_what_is_wrong_with_it() {
    for text in [
        format!("{HOSTILE}: ["),
        json!({"clusters": HOSTILE}).to_string(),
        json!({"apiVersion": "v1", "kind": "Config", "current-context": HOSTILE}).to_string(),
        json!({"current-context": "a", "contexts": [{"name": "a", "context": {"cluster": HOSTILE, "user": HOSTILE}}],
            "clusters": [{"name": HOSTILE, "cluster": {"server": HOSTILE}}]})
        .to_string(),
        json!({"current-context": "a", "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
            "clusters": [{"name": "a", "cluster": {"server": "https://127.0.0.1:1", "certificate-authority": HOSTILE}}],
            "users": [{"name": "a", "user": {"exec": {"command": HOSTILE}}}]})
        .to_string(),
    ] {
        let bench = Bench::with_kubeconfig(text.as_bytes());
        assert_harmless(&bench.run(&["leader", "zitadel"]), &text);
    }
}

#[test]
fn records_are_harmless_as_text_and_as_a_page() {
    let site = empty_cluster();
    let record = serde_json::to_value(crate::history::good_move()).unwrap();
    let mut paths = Vec::new();
    strings(&record, "", &mut paths);
    assert!(paths.len() > 20, "{paths:?}");
    let mut texts = BTreeMap::new();
    for (epoch, path) in (1_u64..).zip(&paths) {
        let mut record = record.clone();
        record["epoch"] = json!(epoch);
        *record.pointer_mut(path).unwrap() = json!(HOSTILE);
        texts.insert(Journal::key(Epoch(epoch)), record.to_string());
    }
    texts.insert(Journal::epoch_key().to_owned(), paths.len().to_string());
    site.insert(json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "zitadel-pgha", "namespace": NAMESPACE}, "data": texts
    }));
    let bench = Bench::new(&[("core1", &site)]);
    for format in ["table", "wide", "json", "yaml", "name", "html"] {
        let ran = bench.run(&["history", "zitadel", "-o", format]);
        assert_harmless(&ran, format);
        assert!(!ran.stdout.contains("<script"), "{format}");
    }
    for (id, path) in (1_u64..).zip(&paths) {
        let id = id.to_string();
        for format in ["wide", "html"] {
            let ran = bench.run(&["history", "zitadel", &id, "-o", format]);
            assert_harmless(&ran, path);
        }
    }
}

#[test]
fn a_flood_fills_no_terminal() {
    let flood = "a".repeat(1 << 20);
    let (site, bench) = sites();
    let pod = primary().pod(0).to_owned();
    site.change("pods", NAMESPACE, &pod, |pod| {
        pod["spec"]["nodeName"] = json!(flood);
    });
    site.answer_proxy(
        &pod,
        8008,
        "/patroni",
        200,
        json!({"state": flood}).to_string(),
    );
    site.change("postgresclusters", NAMESPACE, "zitadel", |object| {
        object["metadata"]["annotations"] = json!({"argocd.argoproj.io/tracking-id": flood});
    });
    for arguments in [
        &["leader", "zitadel", "--context", "core1", "-o", "wide"][..],
        &["status", "zitadel", "--context", "core1", "-o", "wide"],
        &[
            "validate", "zitadel", "--from", "core1", "--to", "core2", "-o", "wide",
        ],
    ] {
        let ran = bench.run(arguments);
        assert!(
            matches!(ran.code, Some(0 | 3)),
            "{arguments:?}: {:?}",
            ran.code
        );
        assert!(
            ran.stdout.len() + ran.stderr.len() < 1 << 18,
            "{arguments:?}: {}",
            ran.stdout.len()
        );
    }
    let whole = bench.run(&["leader", "zitadel", "--context", "core1", "-o", "json"]);
    assert!(whole.stdout.contains(&flood), "programs get it whole");
    fs::write(bench.kubeconfig(), format!("a: [{flood}")).unwrap();
    let ran = bench.run(&["leader", "zitadel"]);
    assert!(
        ran.code == Some(2) && ran.stderr.len() < 1 << 14,
        "{:?} {}",
        ran.code,
        ran.stderr.len()
    );
}
