//! Backups on request, and the passwords of both sides.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use pgha_lab::cluster::{leader, query_leader};
use pgha_lab::kubectl::Kubectl;
use pgha_lab::site::Site;
use pgha_tests::pair::{ARCHIVE, Pair};
use pgha_tests::{Ended, Suite, give_own_password};
use serde_json::{Value, json};

const CLUSTER: &str = ARCHIVE.cluster;
const SECRET: &str = "moves-archive-pguser-zitadel";

/// The pair, with the site where it is primary.
struct Sides {
    pair: Pair,
    primary: Site,
    standby: Site,
}

/// `None` without a lab.
fn open() -> Result<Option<Sides>> {
    let Some(pair) = Pair::open(ARCHIVE)? else {
        return Ok(None);
    };
    let primary = pair.primary()?;
    pair.suite.await_well(CLUSTER, primary)?;
    Ok(Some(Sides {
        pair,
        primary,
        standby: primary.other(),
    }))
}

impl Sides {
    fn backup(&self, site: Site, extra: &[&str]) -> Result<Ended> {
        let args = [&["backup", CLUSTER, "--context", site.name()], extra];
        self.pair.suite.run(&args.concat())
    }

    /// `sync-secrets` from the primary to the standby.
    fn sync(&self, extra: &[&str]) -> Result<Ended> {
        let sides = ["--from", self.primary.name(), "--to", self.standby.name()];
        let args = [&["sync-secrets", CLUSTER], &sides[..], extra];
        self.pair.suite.run(&args.concat())
    }

    fn set_verifier(&self, verifier: &str) -> Result<()> {
        let sql = format!("alter role zitadel password '{verifier}'");
        query_leader(self.primary, CLUSTER, &sql)?;
        Ok(())
    }

    fn stored_labels(&self) -> Result<Vec<String>> {
        let said = self.on_leader(&["pgbackrest", "info", "--stanza=db", "--output=json"])?;
        let info: Value = serde_json::from_str(&said)?;
        let backups = info[0]["backup"].as_array().context("no backups")?;
        let labels = backups.iter().filter_map(|backup| backup["label"].as_str());
        Ok(labels.map(str::to_owned).collect())
    }

    /// Runs a command in the leader's database container.
    fn on_leader(&self, command: &[&str]) -> Result<String> {
        let kubectl = Kubectl::new(self.primary);
        kubectl.exec(&leader(kubectl, CLUSTER)?, "database", command)
    }
}

#[test]
fn a_backup_is_followed_to_its_own_end_and_verified() -> Result<()> {
    let Some(sides) = open()? else {
        return Ok(());
    };
    let ended = sides.backup(sides.primary, &["--type", "full", "--verify", "-o", "json"])?;
    ensure!(ended.code == Some(0), "the backup failed: {ended:?}");
    let view = ended.json()?;
    let label = view["backup"]["label"].as_str().context("no label")?;
    ensure!(label.ends_with('F'), "{label} is no full backup");
    ensure!(
        ended
            .stderr
            .contains(&format!("new backup label = {label}")),
        "the log was not shown: {}",
        ended.stderr
    );
    ensure!(
        sides.stored_labels()?.iter().any(|stored| stored == label),
        "the repository has no backup {label}"
    );
    let found = &view["verification"];
    ensure!(
        found["status"] == "valid" && found["files"] == found["validFiles"],
        "{found}"
    );
    let status = &object(sides.primary)?["status"]["pgbackrest"]["manualBackup"];
    ensure!(
        status["id"] == view["id"] && status["finished"] == true,
        "another backup's end was taken for this one's: {status}"
    );
    Ok(())
}

#[test]
fn a_second_request_does_not_replace_the_first() -> Result<()> {
    let Some(sides) = open()? else {
        return Ok(());
    };
    let first = sides.backup(
        sides.primary,
        &["--no-wait", "--type", "incr", "-o", "json"],
    )?;
    ensure!(first.code == Some(0), "{first:?}");
    let second = sides.backup(sides.primary, &["-o", "json"])?;
    ensure!(second.code == Some(3), "{second:?}");
    ensure!(
        second.json()?["findings"][0]["check"] == "running",
        "{second:?}"
    );
    Kubectl::new(sides.primary).wait_for(
        "the end of the first request",
        &["postgrescluster", CLUSTER],
        Duration::from_mins(5),
        |object| object["status"]["pgbackrest"]["manualBackup"]["finished"] == true,
    )?;
    let status = &object(sides.primary)?["status"]["pgbackrest"]["manualBackup"];
    ensure!(status["id"] == first.json()?["id"], "{status}");
    Ok(())
}

#[test]
fn a_standby_is_refused_and_asked_for_nothing() -> Result<()> {
    let Some(sides) = open()? else {
        return Ok(());
    };
    // It may have been asked while it was primary.
    let before = object(sides.standby)?;
    let ended = sides.backup(sides.standby, &["-o", "json"])?;
    ensure!(ended.code == Some(3), "{ended:?}");
    let after = object(sides.standby)?;
    ensure!(
        requested(&after) == requested(&before),
        "the standby was asked: {}",
        requested(&after)
    );
    Ok(())
}

#[test]
fn passwords_that_differ_become_those_in_force() -> Result<()> {
    let Some(sides) = open()? else {
        return Ok(());
    };
    give_own_password(sides.standby, SECRET)?;
    let shown = sides.sync(&["--dry-run", "-o", "json"])?;
    let row = shown.json()?["secrets"][0].clone();
    ensure!(
        row["comparison"] == "differs" && row["databaseHasSource"] == true,
        "{row}"
    );
    let copied = sides.sync(&["--yes", "-vvv"])?;
    ensure!(copied.code == Some(0), "{copied:?}");
    let (first, second) = (secret(sides.primary)?, secret(sides.standby)?);
    for key in ["password", "verifier", "uri"] {
        ensure!(first[key] == second[key], "{key} is not the source's");
        let value = first[key].as_str().context("no value")?;
        let said = format!("{}{}", copied.stdout, copied.stderr);
        ensure!(!said.contains(value), "the value of {key} was said");
    }
    Ok(())
}

/// Postgres tells whose password logs in; the other one is not copied over it.
#[test]
fn the_wrong_passwords_are_not_spread() -> Result<()> {
    let Some(sides) = open()? else {
        return Ok(());
    };
    let stored = "select rolpassword from pg_authid where rolname = 'zitadel'";
    let stored = query_leader(sides.primary, CLUSTER, stored)?;
    sides.set_verifier("another")?;
    give_own_password(sides.standby, SECRET)?;
    let refused = sides.sync(&["--yes", "-o", "json"])?;
    sides.set_verifier(&stored)?;
    ensure!(refused.code == Some(3), "{refused:?}");
    ensure!(
        refused.json()?["findings"][0]["check"] == "password-in-force",
        "{refused:?}"
    );
    let copied = sides.sync(&["--yes"])?;
    ensure!(copied.code == Some(0), "{copied:?}");
    Ok(())
}

/// An incremental backup is as good as the full one it rests on; the operator calls it a success all the same.
#[test]
fn a_damaged_chain_does_not_verify() -> Result<()> {
    if Suite::open_for_full()?.is_none() {
        return Ok(());
    }
    let Some(sides) = open()? else {
        return Ok(());
    };
    let labels = sides.stored_labels()?;
    let full = labels.iter().rfind(|label| label.ends_with('F'));
    let file = format!(
        "backup/db/{}/pg_data/base/1/112.gz",
        full.context("no full backup")?
    );
    sides.on_leader(&["pgbackrest", "repo-rm", "--repo=1", &file])?;
    let damaged = sides.backup(sides.primary, &["--type", "incr", "--verify", "-o", "json"])?;
    let mended = sides.backup(sides.primary, &["--type", "full", "--verify", "-o", "json"])?;
    ensure!(damaged.code == Some(4), "{damaged:?}");
    ensure!(
        damaged.json()?["verification"]["status"] == "invalid",
        "{damaged:?}"
    );
    ensure!(mended.code == Some(0), "{mended:?}");
    Ok(())
}

/// An option that pgBackRest does not know fails each pod at once; the Job itself would take more than ten minutes.
#[test]
fn a_failing_backup_is_told_after_its_first_pod() -> Result<()> {
    let Some(sides) = open()? else {
        return Ok(());
    };
    let primary = Kubectl::new(sides.primary);
    let options = json!({"spec": {"backups": {"pgbackrest": {"manual":
        {"repoName": "repo1", "options": ["--no-such-option"]}}}}});
    merge(primary, &options)?;
    let began = std::time::Instant::now();
    let ended = sides.backup(sides.primary, &["--timeout", "5m"])?;
    let took = began.elapsed().as_secs();
    tidy(primary)?;
    ensure!(ended.code == Some(4), "{ended:?}");
    ensure!(took < 120, "told after {took} s");
    ensure!(
        ended.stderr.contains("no-such-option") && ended.stderr.contains("ERROR: [031]"),
        "the reason was not shown: {}",
        ended.stderr
    );
    Ok(())
}

/// The operator makes a deleted Job again until it has seen that the request is gone.
fn tidy(primary: Kubectl) -> Result<()> {
    let annotation = "postgres-operator.crunchydata.com/pgbackrest-backup";
    let none = json!({"metadata": {"annotations": {annotation: null}},
        "spec": {"backups": {"pgbackrest": {"manual": {"options": []}}}}});
    merge(primary, &none)?;
    let patience = Duration::from_mins(1);
    let what = "an operator that has seen that the request is gone";
    primary.wait_for(what, &["postgrescluster", CLUSTER], patience, |object| {
        object["status"]["observedGeneration"] == object["metadata"]["generation"]
    })?;
    let jobs = format!(
        "postgres-operator.crunchydata.com/cluster={CLUSTER},postgres-operator.crunchydata.com/pgbackrest-backup=manual"
    );
    primary.run(&["delete", "job", "--selector", &jobs])?;
    Ok(())
}

fn merge(kubectl: Kubectl, patch: &Value) -> Result<()> {
    let patch = patch.to_string();
    let name = format!("postgrescluster/{CLUSTER}");
    kubectl.run(&["patch", &name, "--type", "merge", "--patch", &patch])?;
    Ok(())
}

fn object(site: Site) -> Result<Value> {
    Kubectl::new(site).get(&["postgrescluster", CLUSTER])
}

fn requested(object: &Value) -> &Value {
    &object["metadata"]["annotations"]["postgres-operator.crunchydata.com/pgbackrest-backup"]
}

fn secret(site: Site) -> Result<Value> {
    Ok(Kubectl::new(site).get(&["secret", SECRET])?["data"].clone())
}
