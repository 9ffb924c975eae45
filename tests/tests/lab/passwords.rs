//! A new password of a user: in force at the primary, the same at the standby, and still so after a move.

use std::collections::BTreeSet;
use std::fs::{self, File};

use anyhow::{Context as _, Result, ensure};
use pgha_lab::cluster::{USER, leader, query_leader};
use pgha_lab::kubectl::Kubectl;
use pgha_lab::site::Site;
use pgha_tests::Ended;
use pgha_tests::pair::{ARCHIVE, Pair};

/// What a person brings: characters that a shell, a URL or a quoted text would take for something else.
const GIVEN: &str = "given $(id) 'p@ss/w:rd%20' \"\\";

/// How long it may take here: the machine may be busy.
const TIMEOUT: [&str; 2] = ["--timeout", "5m"];

/// What the user's Secret keeps at a site.
#[derive(Debug, PartialEq, Eq)]
struct Kept {
    password: String,
    verifier: String,
    /// The password as the API server has it.
    encoded: String,
}

fn kept(pair: &Pair, site: Site) -> Result<Kept> {
    let secret = format!("{}-pguser-{USER}", pair.kind.cluster);
    let kubectl = Kubectl::new(site);
    let plain = |key: &str| {
        let template = format!("go-template={{{{.data.{key} | base64decode}}}}");
        kubectl.run(&["get", "secret", &secret, "--output", &template])
    };
    let all = kubectl.get(&["secret", &secret])?;
    let encoded = all["data"]["password"].as_str().context("no password")?;
    Ok(Kept {
        password: plain("password")?,
        verifier: plain("verifier")?,
        encoded: encoded.to_owned(),
    })
}

/// Resets at a site with everything logged that can be; also how every process of this machine was started that ran meanwhile, those in
/// the pods among them.
fn reset(pair: &Pair, at: Site, more: &[&str]) -> Result<(Ended, BTreeSet<String>)> {
    let folder = tempfile::tempdir()?;
    let [stdout, stderr] = ["stdout", "stderr"].map(|name| folder.path().join(name));
    let sides = ["--context", at.name(), "--peer", at.other().name()];
    let how = ["--user", USER, "--yes", "-o", "json", "-vvv"];
    let mut command = pair.suite.plugin();
    command
        .args(["reset-password", pair.kind.cluster])
        .args([&sides[..], &how, &TIMEOUT, more].concat())
        .env("PGHA_LOG", "trace")
        .stdout(File::create(&stdout)?)
        .stderr(File::create(&stderr)?);
    let mut child = command.spawn().context("kubectl-pgha does not start")?;
    let mut started = BTreeSet::new();
    let status = loop {
        started.extend(command_lines()?);
        if let Some(status) = child.try_wait()? {
            break status;
        }
    };
    let ended = Ended {
        code: status.code(),
        stdout: fs::read_to_string(stdout)?,
        stderr: fs::read_to_string(stderr)?,
    };
    Ok((ended, started))
}

fn command_lines() -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for entry in fs::read_dir("/proc")? {
        // A process may be gone before it is read.
        if let Ok(bytes) = fs::read(entry?.path().join("cmdline")) {
            lines.push(String::from_utf8_lossy(&bytes).replace('\0', " "));
        }
    }
    Ok(lines)
}

/// What was reset is proved by the command, the same at both sites, and told by nobody.
fn ensure_reset(pair: &Pair, at: Site, before: &Kept, more: &[&str]) -> Result<Kept> {
    let (ended, started) = reset(pair, at, more)?;
    ensure!(
        ended.code == Some(0),
        "it ended with {:?}: {}",
        ended.code,
        ended.stdout
    );
    let outcome = ended.json()?;
    ensure!(outcome["kind"] == "ResetOutcome", "{outcome}");
    ensure!(outcome["oldRefused"] == true, "{outcome}");
    ensure!(outcome["peer"]["context"] == at.other().name(), "{outcome}");
    let tried = outcome["tried"].as_array().context("no logins")?;
    let worked = tried.iter().filter(|login| login["failed"].is_null());
    ensure!(
        worked.count() == tried.len() && !tried.is_empty(),
        "{outcome}"
    );
    let now = kept(pair, at)?;
    ensure!(now.password != before.password && now.verifier != before.verifier);
    ensure!(now == kept(pair, at.other())?, "the sites differ");
    let secrets = [before, &now].map(|kept| [&kept.password, &kept.encoded, &kept.verifier]);
    for secret in secrets.into_iter().flatten() {
        for said in [&ended.stdout, &ended.stderr] {
            ensure!(!said.contains(secret), "a secret was told:\n{said}");
        }
        let argument = started.iter().find(|line| line.contains(secret));
        ensure!(argument.is_none(), "a secret is an argument: {argument:?}");
    }
    let runs = started.iter().any(|line| line.contains("reset-password"));
    ensure!(runs, "nobody looked at the processes");
    ensure_held(pair, at, &now)?;
    Ok(now)
}

/// Postgres itself holds it, and lets the user in with it and with no other.
fn ensure_held(pair: &Pair, at: Site, now: &Kept) -> Result<()> {
    let cluster = pair.kind.cluster;
    let sql = format!("select rolpassword from pg_authid where rolname = '{USER}'");
    let held = query_leader(at, cluster, &sql)?;
    ensure!(
        held.trim() == now.verifier,
        "Postgres holds another one at {at}"
    );
    ensure!(log_in(pair, at, &now.password)?, "no login at {at}");
    ensure!(
        !log_in(pair, at, "another")?,
        "any password lets in at {at}"
    );
    Ok(())
}

/// Whether the user commits over TCP, through the service of the primary.
fn log_in(pair: &Pair, at: Site, password: &str) -> Result<bool> {
    let kubectl = Kubectl::new(at);
    let cluster = pair.kind.cluster;
    let pod = leader(kubectl, cluster)?;
    let (host, word) = (
        format!("{cluster}-primary"),
        format!("PGPASSWORD={password}"),
    );
    let psql = ["psql", "-XAtw", "-h", &host, "-U", USER, "-d", USER];
    let asked = ["-c", "select txid_current() > 0"];
    let command = [&["env", &word, "PGSSLMODE=require"][..], &psql, &asked].concat();
    match kubectl.exec(&pod, "database", &command) {
        Ok(said) => Ok(said.trim() == "t"),
        Err(error) => {
            let said = format!("{error:#}");
            ensure!(said.contains("authentication failed"), "{said}");
            Ok(false)
        }
    }
}

#[test]
fn a_new_password_is_in_force_at_both_sites_before_and_after_a_move() -> Result<()> {
    let Some(pair) = Pair::open(ARCHIVE)? else {
        return Ok(());
    };
    let (suite, cluster) = (&pair.suite, pair.kind.cluster);
    let from = pair.primary()?;
    let to = from.other();
    suite.await_well(cluster, from)?;
    let before = kept(&pair, from)?;

    let (refused, _) = reset(&pair, to, &[])?;
    ensure!(refused.code == Some(3), "{refused:?}");
    ensure!(refused.failing()? == ["is-primary"], "{refused:?}");
    ensure!(kept(&pair, to)? == before, "a standby's Secret was changed");

    let made = ensure_reset(&pair, from, &before, &[])?;
    // What equal Secrets are for: without them the promotion brings the other side's password into force.
    let moved = suite.switchover(cluster, from)?;
    ensure!(moved.code == Some(0), "the move ended with {moved:?}");
    suite.await_well(cluster, to)?;
    ensure_held(&pair, to, &made)?;

    let folder = tempfile::tempdir()?;
    let file = folder.path().join("given");
    fs::write(&file, format!("{GIVEN}\n"))?;
    let file = file.to_str().context("a path that is no text")?;
    let given = ensure_reset(&pair, to, &made, &["--password-file", file])?;
    ensure!(given.password == GIVEN);
    suite.await_well(cluster, to)
}
