//! Bad input on real clusters: a clear message, the exit code, and nothing changed.
//!
//! Elsewhere, where a pair is in such a state anyway: no leader, both sides primary, and a target that has forked in
//! `harms.rs`; both sides standby in `interrupt.rs`. Over a fake API server, for no healthy pair can be brought there: a
//! cluster of an unknown operator and two database systems under one name (process tests of `kubectl-pgha`, checks of
//! `pgha-model`), a standby that is fed by somebody else, an operator whose Patronis differ.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use pgha_lab::cluster::{Patroni, Standby, primary_site};
use pgha_lab::kubectl::Kubectl;
use pgha_lab::operator;
use pgha_lab::site::{SERVICE_NAMESPACE, Site};
use pgha_tests::{Ended, Suite, account};
use serde_json::{Value, json};

const CLUSTER: &str = "moves-archive";

/// Who may read the objects, and no more.
const READER: &str = "pgha-suite-reader";

const PREFIX: &str = "postgres-operator.crunchydata.com";

/// How often a label is set that Patroni takes back at its next turn.
const TRIES: u32 = 5;

/// The pair with the site where it is primary.
struct Pair {
    suite: Suite,
    from: Site,
}

#[test]
fn names_that_are_not_there() -> Result<()> {
    let Some(pair) = open()? else { return Ok(()) };
    let (from, to) = (pair.from.name(), pair.from.other().name());
    let nowhere = ["leader", CLUSTER, "--context", "nowhere"];
    pair.refuses(&nowhere, 2, &["no context `nowhere`", "core1, core2"])?;
    let nowhere = [
        "switchover",
        CLUSTER,
        "--yes",
        "--from",
        from,
        "--to",
        "nowhere",
    ];
    pair.refuses(&nowhere, 2, &["no context `nowhere`"])?;
    let namespace = ["leader", CLUSTER, "--context", from, "-n", "nowhere"];
    pair.refuses(&namespace, 3, &["no namespace `nowhere`"])?;
    let sides = ["--yes", "--from", from, "--to", to];
    let cluster = [&["switchover", "nobody"], &sides[..]].concat();
    let words = ["no Postgres cluster `nobody`", SERVICE_NAMESPACE];
    pair.refuses(&cluster, 3, &words)
}

#[test]
fn a_move_that_makes_no_sense_or_that_nobody_agreed_to() -> Result<()> {
    let Some(pair) = open()? else { return Ok(()) };
    let (from, to) = (pair.from.name(), pair.from.other().name());
    let same = ["switchover", CLUSTER, "--yes", "--from", from, "--to", from];
    pair.refuses(&same, 2, &["the same context"])?;
    let swapped = ["switchover", CLUSTER, "--yes", "--from", to, "--to", from];
    pair.refuses(&swapped, 3, &["roles", "swap --from and --to"])?;
    let silent = ["switchover", CLUSTER, "--from", from, "--to", to];
    pair.refuses(&silent, 3, &["no terminal", "--yes"])
}

#[test]
fn kubeconfigs_that_lead_nowhere() -> Result<()> {
    let Some(pair) = open()? else { return Ok(()) };
    let not_yaml = file("not-yaml", "clusters: [\n\t{")?;
    pair.refuses_with(&not_yaml, 2, &["kubeconfig"])?;
    let site = pair.from.name();
    let away = kubeconfig("away", pair.from, |config| {
        config["clusters"][0]["cluster"]["server"] = json!("https://127.0.0.1:1");
    })?;
    let words = ["cannot reach the API server", site];
    pair.refuses_with(&away, 3, &words)?;
    let refused = kubeconfig("refused", pair.from, |config| {
        config["users"][0]["user"] = json!({"token": "expired"});
    })?;
    pair.refuses_with(&refused, 3, &["refuses the credentials", site])
}

#[test]
fn a_permission_that_is_missing_is_named() -> Result<()> {
    let Some(pair) = open()? else { return Ok(()) };
    let kubectl = Kubectl::new(pair.from);
    kubectl.apply(&reader().to_string())?;
    let lifetime = "--duration=10m";
    let token = kubectl.run(&["create", "token", READER, lifetime])?;
    let poor = kubeconfig("poor", pair.from, |config| {
        config["users"][0]["user"] = json!({"token": token.trim()});
    })?;
    let words = [
        "does not permit",
        "list",
        "pods",
        SERVICE_NAMESPACE,
        pair.from.name(),
    ];
    pair.refuses_with(&poor, 3, &words)?;
    for kind in ["rolebinding", "role", "serviceaccount"] {
        kubectl.run(&["delete", kind, READER])?;
    }
    Ok(())
}

#[test]
fn objects_that_somebody_else_writes() -> Result<()> {
    let Some(pair) = open()? else { return Ok(()) };
    let target = pair.from.other();
    let tracked = format!("db:{PREFIX}/PostgresCluster:{SERVICE_NAMESPACE}/{CLUSTER}");
    let signs = [
        (
            json!({"labels": {"kustomize.toolkit.fluxcd.io/name": "db",
                "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}}),
            "Flux Kustomization flux-system/db",
        ),
        (
            json!({"annotations": {"argocd.argoproj.io/tracking-id": tracked}}),
            "Argo CD application db",
        ),
        (
            json!({"annotations": {"meta.helm.sh/release-name": "db"}}),
            "Helm release db",
        ),
    ];
    for (metadata, owner) in signs {
        let sign = json!({ "metadata": metadata });
        while_patched(target, &sign, || {
            let refused = pair.refuses(&pair.switchover(&["--yes"]), 3, &["not-managed", owner]);
            refused?;
            let allowed = pair.switchover(&["--dry-run", "--allow-managed"]);
            let allowed = pair.suite.run(&allowed)?;
            ensure!(allowed.code == Some(0), "{allowed:?}");
            Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn a_switchover_that_the_operator_has_not_finished() -> Result<()> {
    let Some(pair) = open()? else { return Ok(()) };
    let trigger = format!("{PREFIX}/trigger-switchover");
    // A standby's operator cannot carry one out: it stays pending.
    let asked = json!({"metadata": {"annotations": {trigger: "suite"}},
        "spec": {"patroni": {"switchover": {"enabled": true}}}});
    let words = ["no-pending-switchover", "`suite`"];
    let refuse = || pair.refuses(&pair.switchover(&["--yes"]), 3, &words);
    while_patched(pair.from.other(), &asked, refuse)
}

#[test]
fn two_members_that_are_labelled_as_leaders() -> Result<()> {
    let Some(pair) = open()? else { return Ok(()) };
    let kubectl = Kubectl::new(pair.from);
    let replicas = format!("{PREFIX}/cluster={CLUSTER},{PREFIX}/role=replica");
    let args = ["leader", CLUSTER, "--context", pair.from.name()];
    let mut said = None;
    for _ in 0..TRIES {
        let pods = kubectl.get(&["pods", "--selector", &replicas])?;
        let replica = pods["items"][0]["metadata"]["name"].as_str();
        let replica = replica.context("no replica")?.to_owned();
        let label = |role: &str| {
            let role = format!("{PREFIX}/role={role}");
            kubectl.run(&["label", "pod", &replica, "--overwrite", &role])
        };
        label("master")?;
        let leader = pair.suite.run(&args);
        let moved = pair.suite.run(&pair.switchover(&["--yes"]));
        label("replica")?;
        let (leader, moved) = (leader?, moved?);
        // Patroni may have been faster.
        if leader.code == Some(3) && moved.code == Some(3) {
            tells(
                &leader,
                &["labelled as the leader without holding the lock"],
            )?;
            return tells(&moved, &["leader-evidence"]);
        }
        ensure!(moved.code != Some(0), "a side with two leaders was moved");
        said = Some((leader, moved));
    }
    anyhow::bail!("two leaders were not seen: {said:?}")
}

#[test]
fn text_of_a_cluster_that_would_steer_the_terminal() -> Result<()> {
    let Some(pair) = open()? else { return Ok(()) };
    let backup = format!("{PREFIX}/pgbackrest-backup");
    // A request on a standby stays where it is, and is shown.
    let evil = json!({"metadata": {"annotations": {backup: "x\u{1b}[2J\u{9b}31m\u{202e}\u{7}"}}});
    while_patched(pair.from.other(), &evil, || {
        for format in ["table", "json", "yaml"] {
            let args = [
                "status",
                CLUSTER,
                "--context",
                "core1",
                "--context",
                "core2",
            ];
            let args = [&args[..], &["-o", format, "--color", "never"]].concat();
            let ended = pair.suite.run(&args)?;
            let said = format!("{}{}", ended.stdout, ended.stderr);
            let steers = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
            ensure!(!said.contains(steers), "{format}: {said:?}");
            ensure!(said.contains("[2J"), "the request is not shown: {said}");
        }
        Ok(())
    })
}

#[test]
fn an_operator_that_is_down() -> Result<()> {
    let Some(pair) = open()? else { return Ok(()) };
    let site = pair.from.other();
    let before = specs()?;
    let down = Down::stop(site)?;
    let ended = pair
        .suite
        .run(&pair.switchover(&["--yes", "--timeout", "10s"]));
    down.start()?;
    let ended = ended?;
    ensure!(ended.code == Some(4), "ended with {ended:?}");
    tells(&ended, &["the operator of the target did not answer"])?;
    ensure!(specs()? == before, "something was left behind: {ended:?}");
    ensure!(primary_site(CLUSTER)? == pair.from, "the primary moved");
    Ok(())
}

fn open() -> Result<Option<Pair>> {
    let Some(suite) = Suite::open()? else {
        return Ok(None);
    };
    suite.pair(CLUSTER, Standby::Archive, Patroni::V4_1)?;
    let from = primary_site(CLUSTER)?;
    Ok(Some(Pair { suite, from }))
}

impl Pair {
    /// A move of the pair to its other site.
    fn switchover<'a>(&self, more: &[&'a str]) -> Vec<&'a str> {
        let sides = ["--from", self.from.name(), "--to", self.from.other().name()];
        [&["switchover", CLUSTER][..], &sides, more].concat()
    }

    fn refuses(&self, args: &[&str], code: i32, words: &[&str]) -> Result<()> {
        let before = changes()?;
        let ended = self.suite.run(args)?;
        judge(args, &ended, code, words)?;
        ensure!(changes()? == before, "{args:?} changed something");
        Ok(())
    }

    /// `leader` with another kubeconfig.
    fn refuses_with(&self, kubeconfig: &Path, code: i32, words: &[&str]) -> Result<()> {
        let path = kubeconfig.to_str().context("a path that is no text")?;
        let args = ["leader", CLUSTER, "--kubeconfig", path];
        let timeout = ["--request-timeout", "5s"];
        self.refuses(&[&args[..], &timeout].concat(), code, words)
    }
}

/// Patches an object, does the work, and takes the patch back whatever came of it.
fn while_patched(site: Site, patch: &Value, work: impl FnOnce() -> Result<()>) -> Result<()> {
    patch_object(site, patch)?;
    let result = work();
    patch_object(site, &taken_back(patch))?;
    result
}

fn patch_object(site: Site, patch: &Value) -> Result<()> {
    let patch = patch.to_string();
    let args = ["patch", "postgrescluster", CLUSTER, "--type=merge"];
    let args = [&args[..], &["--patch", &patch]].concat();
    Kubectl::new(site).run(&args).map(drop)
}

/// The patch that removes what a patch adds: each value, or the section that must have it.
fn taken_back(patch: &Value) -> Value {
    match patch.as_object() {
        Some(fields) if !fields.contains_key("enabled") => fields
            .iter()
            .map(|(name, value)| (name.clone(), taken_back(value)))
            .collect(),
        _ => Value::Null,
    }
}

fn judge(args: &[&str], ended: &Ended, code: i32, words: &[&str]) -> Result<()> {
    ensure!(ended.code == Some(code), "{args:?} ended with {ended:?}");
    let told = ended.stderr.contains("effect: nothing was changed");
    ensure!(told, "{args:?} does not tell its effect: {ended:?}");
    tells(ended, words)
}

fn tells(ended: &Ended, words: &[&str]) -> Result<()> {
    let said = format!("{}{}", ended.stdout, ended.stderr);
    for word in words {
        ensure!(said.contains(word), "`{word}` is not told: {ended:?}");
    }
    Ok(())
}

/// What a command could have changed at both sites: the object but for its status, and Patroni's configuration.
fn changes() -> Result<Vec<Value>> {
    let mut seen = Vec::new();
    for site in Site::ALL {
        let object = object(site)?;
        seen.push(json!([
            object["metadata"]["generation"],
            object["metadata"]["annotations"],
            object["metadata"]["labels"],
            object["spec"]
        ]));
        let store = format!("{CLUSTER}-ha-config");
        let store = Kubectl::new(site).get(&["endpoints", &store])?;
        seen.push(store["metadata"]["annotations"]["config"].clone());
    }
    Ok(seen)
}

fn specs() -> Result<Vec<Value>> {
    let specs = Site::ALL.into_iter();
    specs
        .map(|site| Ok(object(site)?["spec"].clone()))
        .collect()
}

fn object(site: Site) -> Result<Value> {
    Kubectl::new(site).get(&["postgrescluster", CLUSTER])
}

/// The lab's kubeconfig with one site, changed.
fn kubeconfig(name: &str, site: Site, change: impl FnOnce(&mut Value)) -> Result<PathBuf> {
    let view = [
        "config",
        "view",
        "--raw",
        "--minify",
        "--flatten",
        "-o",
        "json",
    ];
    let mut config: Value = serde_json::from_str(&Kubectl::new(site).run(&view)?)?;
    change(&mut config);
    file(name, &config.to_string())
}

fn file(name: &str, text: &str) -> Result<PathBuf> {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    Ok(path)
}

/// An account that may get the operator's objects.
fn reader() -> Value {
    let rules =
        json!([{"apiGroups": [PREFIX], "resources": ["postgresclusters"], "verbs": ["get"]}]);
    account(READER, &rules)
}

/// An operator that was stopped. It is started again also when a test fails.
struct Down {
    site: Option<Site>,
}

impl Down {
    fn stop(site: Site) -> Result<Self> {
        operator::stop(site)?;
        Ok(Self { site: Some(site) })
    }

    fn start(mut self) -> Result<()> {
        self.site.take().map_or(Ok(()), operator::start)
    }
}

impl Drop for Down {
    fn drop(&mut self) {
        if let Some(site) = self.site {
            // A test that failed has its own error to show.
            drop(operator::start(site));
        }
    }
}
