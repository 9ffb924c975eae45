//! Known secrets are planted wherever a secret can be, and looked for in everything that comes out.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pgha_testkit::pgo::{Kind, pair};
use pgha_testkit::{Failure, FakeCluster, Fault};
use serde_json::{Value, json};

use crate::bench::{Bench, NAMESPACE, Ran, cluster, now};

/// What no output may hold, in no encoding: passwords of both sites, their verifiers, and what a kubeconfig holds.
const CANARIES: [&str; 9] = [
    "canary-password-of-the-first-site",
    "canary-password-of-the-second-site",
    "SCRAM-SHA-256$4096:canaryfirst$stored:key",
    "SCRAM-SHA-256$4096:canarysecond$stored:key",
    "canary-token-of-the-kubeconfig",
    "canary-password-of-the-kubeconfig",
    "canary-token-of-the-program",
    "canary-argument-of-the-program",
    "canary-variable-of-the-program",
];

fn encoded(secret: &str) -> String {
    STANDARD.encode(secret)
}

/// The secrets that a text holds.
fn found_in(text: &str) -> Vec<&'static str> {
    let holds = |secret: &&&str| text.contains(**secret) || text.contains(&encoded(secret));
    CANARIES.iter().filter(holds).copied().collect()
}

fn assert_silent(ran: &Ran, what: &str) {
    for text in [&ran.stdout, &ran.stderr] {
        let found = found_in(text);
        assert!(found.is_empty(), "{what} tells {found:?}: {ran}");
    }
}

fn secret(name: &str, labels: &Value, [password, verifier]: [&str; 2]) -> Value {
    let key = |key: &str| {
        if name.ends_with("pgbouncer") {
            format!("pgbouncer-{key}")
        } else {
            key.to_owned()
        }
    };
    let uri = format!("postgresql://zitadel:{password}@zitadel-primary:5432/zitadel");
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {"name": name, "uid": "u", "namespace": NAMESPACE, "labels": labels},
        "data": {key("password"): encoded(password), key("verifier"): encoded(verifier), "uri": encoded(&uri)}
    })
}

fn plant(site: &FakeCluster, values: [&str; 2]) {
    const PREFIX: &str = "postgres-operator.crunchydata.com";
    let cluster = (format!("{PREFIX}/cluster"), "zitadel");
    let user = json!({&cluster.0: cluster.1, format!("{PREFIX}/role"): "pguser", format!("{PREFIX}/pguser"): "zitadel"});
    let other = json!({&cluster.0: cluster.1});
    site.insert(secret("zitadel-pguser-zitadel", &user, values));
    site.insert(secret("zitadel-pgbouncer", &other, values));
    site.insert(secret("zitadel-monitoring", &other, values));
    site.change("postgresclusters", NAMESPACE, "zitadel", |object| {
        object["spec"]["proxy"] = json!({"pgBouncer": {"port": 5432}});
        object["spec"]["monitoring"] = json!({"pgmonitor": {"exporter": {}}});
    });
}

struct Sites {
    first: FakeCluster,
    second: FakeCluster,
    bench: Bench,
}

/// A pair whose Secrets hold canaries, and a kubeconfig that holds others.
fn sites() -> Sites {
    let (first, second) = pair(Kind::ArchiveStandby, "zitadel", NAMESPACE, now());
    let (first, second) = (cluster(&first.manual_backup("nightly")), cluster(&second));
    plant(&first, [CANARIES[0], CANARIES[2]]);
    plant(&second, [CANARIES[1], CANARIES[3]]);
    let bench = Bench::new(&[("core1", &first), ("core2", &second)]);
    let sites = Sites {
        first,
        second,
        bench,
    };
    sites.program(
        &json!({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
        "status": {"token": CANARIES[6]}})
        .to_string(),
        0,
    );
    sites.users(&[
        json!({"token": CANARIES[4]}),
        json!({"exec": {"apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never",
            "command": sites.login(), "args": [CANARIES[7]],
            "env": [{"name": "LOGIN_SECRET", "value": CANARIES[8]}]}}),
    ]);
    sites
}

impl Sites {
    fn login(&self) -> String {
        self.bench.home().join("login").display().to_string()
    }

    /// The program of the second user says this and ends so.
    fn program(&self, says: &str, code: u8) {
        let path = self.login();
        let script = format!("#!/bin/sh\necho '{says}'\necho '{says}' >&2\nexit {code}\n");
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn users(&self, users: &[Value; 2]) {
        let path = self.bench.kubeconfig();
        let mut kubeconfig: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        for (index, user) in users.iter().enumerate() {
            kubeconfig["users"][index]["user"] = user.clone();
        }
        fs::write(path, kubeconfig.to_string()).unwrap();
    }

    fn run(&self, arguments: &[&str], log: &str) -> Ran {
        let output = self.bench.command(arguments).env("PGHA_LOG", log).output();
        self.bench.ran(arguments, &output.unwrap())
    }

    /// What both sites keep of their moves.
    fn records(&self) -> String {
        let kept = |site: &FakeCluster| site.object("configmaps", NAMESPACE, "zitadel-pgha");
        [&self.first, &self.second]
            .iter()
            .filter_map(|site| kept(site))
            .map(|object| object.to_string())
            .collect()
    }
}

const TO: [&str; 4] = ["--from", "core1", "--to", "core2"];
const AT: [&str; 2] = ["--context", "core1"];
const BOTH: [&str; 4] = ["--context", "core1", "--context", "core2"];

/// Every command, the ones that change something last.
fn commands() -> Vec<Vec<&'static str>> {
    let command = |name: &'static str, rest: &[&'static str]| [&[name, "zitadel"], rest].concat();
    vec![
        command("leader", &AT),
        command("leader", &["--context", "core2"]),
        command("status", &BOTH),
        command("validate", &TO),
        command("history", &BOTH),
        [&command("switchover", &TO)[..], &["--dry-run"]].concat(),
        [&command("sync-secrets", &TO)[..], &["--dry-run"]].concat(),
        [&command("demote", &AT)[..], &["--dry-run"]].concat(),
        command(
            "reset-password",
            &["--user", "zitadel", "--context", "core1", "--yes"],
        ),
        command("resume", &TO),
        command("abort", &TO),
        command("promote", &["--context", "core2", "--yes"]),
        command("demote", &["--context", "core1", "--yes"]),
        [&command("switchover", &TO)[..], &["--yes"]].concat(),
        command("backup", &["--context", "core1", "--no-wait"]),
    ]
}

#[test]
fn no_command_tells_a_secret_in_any_format_at_any_log_level() {
    let sites = sites();
    for command in commands() {
        for format in ["table", "wide", "json", "yaml", "name", "html"] {
            let arguments = [&command[..], &["-o", format]].concat();
            assert_silent(&sites.run(&arguments, "trace"), &arguments.join(" "));
        }
        for verbose in ["-v", "-vv", "-vvv"] {
            let arguments = [&command[..], &[verbose]].concat();
            let ran = sites.bench.run(&arguments);
            assert!(ran.code != Some(2), "the command is as it should be: {ran}");
            assert_silent(&ran, &arguments.join(" "));
        }
    }
    assert_eq!(found_in(&sites.records()), [""; 0]);
    for words in [
        &["completion", "bash"][..],
        &["__complete", "leader", ""],
        &["__complete", "leader", "--context", ""],
    ] {
        assert_silent(&sites.run(words, "trace"), &words.join(" "));
    }
}

/// The control: the secrets are where they are looked for, and what copies them does.
#[test]
fn a_copy_carries_the_secret_and_tells_none() {
    let sites = sites();
    let sync = [&["sync-secrets", "zitadel"][..], &TO].concat();
    // An API server may repeat what it was sent in its refusal.
    let echo = format!("cannot apply {} and {}", encoded(CANARIES[0]), CANARIES[2]);
    let echo: &'static str = Box::leak(echo.into_boxed_str());
    sites.second.fail(
        Fault::new(Failure::Internal(echo))
            .verb("patch")
            .resource("secrets"),
    );
    for log in [
        "trace",
        "debug",
        "kube=trace",
        "kube_client::client=trace",
        "kube_client=debug",
    ] {
        let arguments = [&sync[..], &["--yes"]].concat();
        let ran = sites.run(&arguments, log);
        assert!(matches!(ran.code, Some(4 | 5)), "{ran}");
        assert_silent(&ran, log);
    }
    sites.second.heal();
    let ran = sites.run(&[&sync[..], &["--yes", "-vvv"]].concat(), "trace");
    assert_silent(&ran, "the copy");
    let sent = sites.second.requests();
    let patches = sent.iter().filter(|request| request.verb == "patch");
    let bodies: String = patches
        .filter_map(|request| Some(request.body.as_ref()?.to_string()))
        .collect();
    assert_eq!(
        found_in(&bodies),
        [CANARIES[0], CANARIES[1], CANARIES[2], CANARIES[3]]
    );
}

#[test]
fn a_program_that_fails_tells_nothing_of_what_it_said() {
    let sites = sites();
    let arguments = ["leader", "zitadel", "--context", "core2"];
    let says = json!({"status": {"token": CANARIES[6]}}).to_string();
    for (says, code) in [
        (says.as_str(), 1),
        (&format!("{} {{", CANARIES[6]), 0),
        (&format!("{{\"status\": \"{}\"}}", CANARIES[6]), 0),
        (
            &format!("{{\"status\": {{\"token\": [\"{}\"]}}}}", CANARIES[6]),
            0,
        ),
        (
            &format!(
                "{{\"status\": {{\"token\": \"{0}\", \"expirationTimestamp\": \"{0}\"}}}}",
                CANARIES[6]
            ),
            0,
        ),
    ] {
        sites.program(says, code);
        for format in ["table", "json"] {
            let ran = sites.run(&[&arguments[..], &["-o", format]].concat(), "trace");
            assert_eq!(ran.code, Some(2), "{says}: {ran}");
            assert_silent(&ran, says);
        }
    }
}

#[test]
fn what_is_wrong_with_a_kubeconfig_is_told_without_its_secrets() {
    let token = CANARIES[4];
    for text in [
        json!({"users": [{"name": "a", "user": token}]}).to_string(),
        json!({"users": token}).to_string(),
        json!({"users": [{"name": "a", "user": {"token": [token]}}]}).to_string(),
        json!({"users": [{"name": "a", "user": {"exec": token}}]}).to_string(),
        format!("users:\n- name: a\n  user: {{token: {token}\n"),
        format!("users:\n- name: a\n  user:\n    token: '{token}\n"),
        format!("users:\n- name: a\n  user:\n    token: *{token}\n"),
        format!("users:\n- name: a\n  user:\n    {token}\n"),
        format!("users:\n- name: a\n  user:\n    token: !!int {token}\n"),
    ] {
        let bench = Bench::with_kubeconfig(text.as_bytes());
        let output = bench
            .command(&["leader", "zitadel"])
            .env("PGHA_LOG", "trace")
            .output()
            .unwrap();
        let ran = bench.ran(&["leader", "zitadel"], &output);
        assert_eq!(ran.code, Some(2), "{text}: {ran}");
        assert_silent(&ran, &text);
    }
}

#[test]
fn an_unusable_user_is_told_without_its_secrets() {
    let sites = sites();
    let key = STANDARD.encode(CANARIES[5]);
    for user in [
        json!({"username": "jane", "password": CANARIES[5]}),
        json!({"client-certificate-data": key, "client-key-data": key}),
        json!({"token": format!("{}\n{}", CANARIES[4], CANARIES[5])}),
        json!({"auth-provider": {"name": "gcp", "config": {"access-token": CANARIES[4], "expiry": CANARIES[4]}}}),
        json!({"auth-provider": {"name": "gcp", "config": {"cmd-path": sites.login(), "cmd-args": CANARIES[7]}}}),
        json!({"auth-provider": {"name": "gcp", "config": {"cmd-path": "/none", "cmd-args": CANARIES[7]}}}),
    ] {
        sites.program(CANARIES[6], 1);
        sites.users(&[user.clone(), user.clone()]);
        let ran = sites.run(&["leader", "zitadel", "--context", "core1"], "trace");
        assert_silent(&ran, &user.to_string());
    }
}
