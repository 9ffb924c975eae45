//! Programs that bring credentials, and the user's policy for them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::assert_said;
use crate::bench::{Bench, Ran, primary};

/// A site whose kubeconfig gets its token from a program that leaves a mark when it runs.
struct Place(Bench);

impl Place {
    fn new(command: &str) -> Self {
        let bench = Bench::one(&primary());
        let text = fs::read_to_string(bench.kubeconfig()).unwrap();
        let mut kubeconfig: Value = serde_json::from_str(&text).unwrap();
        kubeconfig["users"][0]["user"] = json!({"exec": {
            "apiVersion": "client.authentication.k8s.io/v1", "command": command, "interactiveMode": "Never"}});
        fs::write(bench.kubeconfig(), kubeconfig.to_string()).unwrap();
        let place = Self(bench);
        let answer = json!({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
            "status": {"token": "a-token-for-tests"}});
        place.program("bin/site-login", &format!("echo '{answer}'"));
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.home().join(name)
    }

    fn program(&self, name: &str, script: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mark = self.path("ran");
        fs::write(
            &path,
            format!("#!/bin/sh\n: > {}\n{script}\n", mark.display()),
        )
        .unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn policy(&self, fields: &str) {
        fs::create_dir_all(self.path(".kube")).unwrap();
        fs::write(self.path(".kube/kuberc"), preference(fields)).unwrap();
    }

    fn run_with(&self, variables: &[(&str, &str)]) -> Ran {
        let arguments = ["leader", "zitadel", "-o", "name"];
        let mut command = self.0.command(&arguments);
        command
            .env("PATH", self.path("bin"))
            .envs(variables.iter().copied());
        let output = command.output().unwrap();
        self.0.ran(&arguments, &output)
    }

    fn run(&self) -> Ran {
        self.run_with(&[])
    }

    /// Whether the program ran since this was asked last.
    fn ran(&self) -> bool {
        fs::remove_file(self.path("ran")).is_ok()
    }
}

fn preference(fields: &str) -> String {
    format!("apiVersion: kubectl.config.k8s.io/v1beta1\nkind: Preference\n{fields}\n")
}

const ALLOW: &str = "credentialPluginPolicy: Allowlist\ncredentialPluginAllowlist:";

#[test]
fn without_a_policy_every_program_runs() {
    let place = Place::new("site-login");
    assert_eq!(place.run().code, Some(0));
    assert!(place.ran());
    for fields in [
        "",
        "credentialPluginPolicy: ''",
        "credentialPluginPolicy: AllowAll",
        "aliases: []\ndefaults: []",
    ] {
        place.policy(fields);
        assert_eq!(place.run().code, Some(0), "{fields}");
        assert!(place.ran(), "{fields}");
    }
}

#[test]
fn what_the_policy_denies_is_not_run_and_told_with_file_and_policy() {
    let place = Place::new("site-login");
    let mut said = Vec::new();
    for fields in [
        "credentialPluginPolicy: DenyAll".to_owned(),
        format!("{ALLOW} [{{command: other-login}}, {{name: /usr/bin/site-login}}]"),
        format!("{ALLOW} []"),
        format!("{ALLOW} [{{command: site-login}}, {{}}]"),
        "credentialPluginPolicy: Allowlist".to_owned(),
        "credentialPluginAllowlist: [{command: site-login}]".to_owned(),
        "credentialPluginPolicy: DenySome".to_owned(),
        "credentialPluginPolicy: {".to_owned(),
    ] {
        place.policy(&fields);
        said.push(place.run());
        assert!(!place.ran(), "{fields}");
    }
    let said: Vec<String> = said.iter().map(ToString::to_string).collect();
    assert_said!(said.join("\n"));
}

#[test]
fn an_allowed_program_runs_by_its_name_and_by_its_path() {
    let path = |place: &Place| place.path("bin/site-login").display().to_string();
    let by_name = Place::new("site-login");
    for entry in [
        "{command: site-login}".to_owned(),
        "{name: site-login}".to_owned(),
        format!("{{command: {}}}", path(&by_name)),
        format!("{{command: site-login, name: {}}}", path(&by_name)),
    ] {
        by_name.policy(&format!("{ALLOW} [{{command: gone}}, {entry}]"));
        assert_eq!(by_name.run().code, Some(0), "{entry}");
        assert!(by_name.ran(), "{entry}");
    }
    by_name.policy(&format!("{ALLOW} [{{command: site-login, name: gone}}]"));
    assert_eq!(by_name.run().code, Some(2), "an entry holds as a whole");
}

#[test]
fn another_file_of_the_same_name_is_not_the_allowed_one() {
    let place = Place::new("./elsewhere/site-login");
    place.program("elsewhere/site-login", "exit 1");
    place.policy(&format!("{ALLOW} [{{command: site-login}}]"));
    assert_eq!(place.run().code, Some(2));
    assert!(!place.ran());
}

#[test]
fn the_users_variables_lead_to_the_file_or_turn_it_off() {
    let place = Place::new("site-login");
    place.policy("credentialPluginPolicy: DenyAll");
    for off in [("KUBERC", "off"), ("KUBECTL_KUBERC", "false")] {
        assert_eq!(place.run_with(&[off]).code, Some(0), "{off:?}");
        assert!(place.ran());
    }
    let named = place.path("mine").display().to_string();
    assert_eq!(
        place.run_with(&[("KUBERC", &named)]).code,
        Some(2),
        "it is not there"
    );
    fs::write(&named, preference("credentialPluginPolicy: AllowAll")).unwrap();
    assert_eq!(place.run_with(&[("KUBERC", &named)]).code, Some(0));
    assert!(place.ran());
}

#[test]
fn a_policy_is_only_for_contexts_that_start_a_program() {
    let bench = Bench::one(&primary());
    fs::create_dir_all(bench.home().join(".kube")).unwrap();
    fs::write(
        bench.home().join(".kube/kuberc"),
        preference("credentialPluginPolicy: DenyAll"),
    )
    .unwrap();
    assert_eq!(
        bench.run(&["leader", "zitadel", "-o", "name"]).code,
        Some(0)
    );
}

#[test]
fn the_older_way_to_name_a_program_is_denied_too() {
    let place = Place::new("site-login");
    let text = fs::read_to_string(place.0.kubeconfig()).unwrap();
    let mut kubeconfig: Value = serde_json::from_str(&text).unwrap();
    kubeconfig["users"][0]["user"] =
        json!({"auth-provider": {"name": "gcp", "config": {"cmd-path": "site-login"}}});
    fs::write(place.0.kubeconfig(), kubeconfig.to_string()).unwrap();
    place.policy("credentialPluginPolicy: DenyAll");
    let ran = place.run();
    assert_eq!(ran.code, Some(2), "{ran}");
    assert!(ran.stderr.contains("DenyAll"), "{ran}");
    assert!(!place.ran());
}
