//! Backups on request and the passwords of both sides, on a pair of their own.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use pgha_lab::cluster::{Patroni, Standby, leader, query_leader};
use pgha_lab::kubectl::Kubectl;
use pgha_lab::site::Site;
use pgha_lab::wait;
use pgha_tests::{Ended, Suite, give_own_password};
use serde_json::{Value, json};

const CLUSTER: &str = "backups";
const SECRET: &str = "backups-pguser-zitadel";
const SYNC: [&str; 6] = ["sync-secrets", CLUSTER, "--from", "core1", "--to", "core2"];

/// One test after the other: they share a pair, which takes minutes to make.
#[test]
fn backups_and_passwords() -> Result<()> {
    let Some(suite) = Suite::open()? else {
        return Ok(());
    };
    suite.pair(CLUSTER, Standby::Archive, Patroni::V4_1)?;
    a_backup_is_followed_to_its_own_end_and_verified(&suite)?;
    a_second_request_does_not_replace_the_first(&suite)?;
    a_standby_is_refused_and_asked_for_nothing(&suite)?;
    passwords_that_differ_become_those_in_force(&suite)?;
    the_wrong_passwords_are_not_spread(&suite)?;
    if Suite::is_full() {
        a_damaged_chain_does_not_verify(&suite)?;
    }
    a_failing_backup_is_told_after_its_first_pod(&suite)
}

fn backup(suite: &Suite, context: &str, extra: &[&str]) -> Result<Ended> {
    suite.run(&[&["backup", CLUSTER, "--context", context], extra].concat())
}

fn a_backup_is_followed_to_its_own_end_and_verified(suite: &Suite) -> Result<()> {
    let ended = backup(
        suite,
        "core1",
        &["--type", "full", "--verify", "-o", "json"],
    )?;
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
        stored_labels()?.iter().any(|stored| stored == label),
        "the repository has no backup {label}"
    );
    let found = &view["verification"];
    ensure!(
        found["status"] == "valid" && found["files"] == found["validFiles"],
        "{found}"
    );
    let status = &object(Site::Core1)?["status"]["pgbackrest"]["manualBackup"];
    ensure!(
        status["id"] == view["id"] && status["finished"] == true,
        "another backup's end was taken for this one's: {status}"
    );
    Ok(())
}

fn a_second_request_does_not_replace_the_first(suite: &Suite) -> Result<()> {
    let first = backup(
        suite,
        "core1",
        &["--no-wait", "--type", "incr", "-o", "json"],
    )?;
    ensure!(first.code == Some(0), "{first:?}");
    let second = backup(suite, "core1", &["-o", "json"])?;
    ensure!(second.code == Some(3), "{second:?}");
    ensure!(
        second.json()?["findings"][0]["check"] == "running",
        "{second:?}"
    );
    Kubectl::new(Site::Core1).wait_for(
        "the end of the first request",
        &["postgrescluster", CLUSTER],
        Duration::from_mins(5),
        |object| object["status"]["pgbackrest"]["manualBackup"]["finished"] == true,
    )?;
    let status = &object(Site::Core1)?["status"]["pgbackrest"]["manualBackup"];
    ensure!(status["id"] == first.json()?["id"], "{status}");
    Ok(())
}

fn a_standby_is_refused_and_asked_for_nothing(suite: &Suite) -> Result<()> {
    let ended = backup(suite, "core2", &["-o", "json"])?;
    ensure!(ended.code == Some(3), "{ended:?}");
    let standby = object(Site::Core2)?;
    let annotation = requested(&standby);
    ensure!(annotation.is_null(), "the standby was asked: {annotation}");
    Ok(())
}

fn passwords_that_differ_become_those_in_force(suite: &Suite) -> Result<()> {
    give_own_password(Site::Core2, SECRET)?;
    let shown = suite.run(&[&SYNC[..], &["--dry-run", "-o", "json"]].concat())?;
    let row = shown.json()?["secrets"][0].clone();
    ensure!(
        row["comparison"] == "differs" && row["databaseHasSource"] == true,
        "{row}"
    );
    let copied = suite.run(&[&SYNC[..], &["--yes", "-vvv"]].concat())?;
    ensure!(copied.code == Some(0), "{copied:?}");
    let (first, second) = (secret(Site::Core1)?, secret(Site::Core2)?);
    for key in ["password", "verifier", "uri"] {
        ensure!(first[key] == second[key], "{key} is not the source's");
        let value = first[key].as_str().context("no value")?;
        let said = format!("{}{}", copied.stdout, copied.stderr);
        ensure!(!said.contains(value), "the value of {key} was said");
    }
    Ok(())
}

/// Postgres tells whose password logs in; the other one is not copied over it.
fn the_wrong_passwords_are_not_spread(suite: &Suite) -> Result<()> {
    let stored = "select rolpassword from pg_authid where rolname = 'zitadel'";
    let stored = query_leader(Site::Core1, CLUSTER, stored)?;
    set_verifier("another")?;
    give_own_password(Site::Core2, SECRET)?;
    let refused = suite.run(&[&SYNC[..], &["--yes", "-o", "json"]].concat())?;
    set_verifier(&stored)?;
    ensure!(refused.code == Some(3), "{refused:?}");
    ensure!(
        refused.json()?["findings"][0]["check"] == "password-in-force",
        "{refused:?}"
    );
    let copied = suite.run(&[&SYNC[..], &["--yes"]].concat())?;
    ensure!(copied.code == Some(0), "{copied:?}");
    Ok(())
}

fn set_verifier(verifier: &str) -> Result<()> {
    let sql = format!("alter role zitadel password '{verifier}'");
    query_leader(Site::Core1, CLUSTER, &sql)?;
    Ok(())
}

/// An incremental backup is as good as the full one it rests on; the operator calls it a success all the same.
fn a_damaged_chain_does_not_verify(suite: &Suite) -> Result<()> {
    let labels = stored_labels()?;
    let full = labels.iter().rfind(|label| label.ends_with('F'));
    let file = format!(
        "backup/db/{}/pg_data/base/1/112.gz",
        full.context("no full backup")?
    );
    on_leader(&["pgbackrest", "repo-rm", "--repo=1", &file])?;
    let damaged = backup(
        suite,
        "core1",
        &["--type", "incr", "--verify", "-o", "json"],
    )?;
    let mended = backup(
        suite,
        "core1",
        &["--type", "full", "--verify", "-o", "json"],
    )?;
    ensure!(damaged.code == Some(4), "{damaged:?}");
    ensure!(
        damaged.json()?["verification"]["status"] == "invalid",
        "{damaged:?}"
    );
    ensure!(mended.code == Some(0), "{mended:?}");
    Ok(())
}

/// An option that pgBackRest does not know fails each pod at once; the Job itself would take more than ten minutes.
fn a_failing_backup_is_told_after_its_first_pod(suite: &Suite) -> Result<()> {
    let primary = Kubectl::new(Site::Core1);
    let options = json!({"spec": {"backups": {"pgbackrest": {"manual":
        {"repoName": "repo1", "options": ["--no-such-option"]}}}}});
    merge(primary, &options)?;
    let began = std::time::Instant::now();
    let ended = backup(suite, "core1", &["--timeout", "5m"])?;
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
    let jobs = format!(
        "postgres-operator.crunchydata.com/cluster={CLUSTER},postgres-operator.crunchydata.com/pgbackrest-backup=manual"
    );
    wait::until("the end of the failing Job", Duration::from_mins(1), || {
        let list = primary.get(&["jobs", "--selector", &jobs])?;
        if list["items"].as_array().is_some_and(Vec::is_empty) {
            return Ok(());
        }
        primary.run(&["delete", "job", "--selector", &jobs])?;
        bail!("a Job was there")
    })
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

fn stored_labels() -> Result<Vec<String>> {
    let said = on_leader(&["pgbackrest", "info", "--stanza=db", "--output=json"])?;
    let info: Value = serde_json::from_str(&said)?;
    let backups = info[0]["backup"].as_array().context("no backups")?;
    let labels = backups.iter().filter_map(|backup| backup["label"].as_str());
    Ok(labels.map(str::to_owned).collect())
}

/// Runs a command in the leader's database container.
fn on_leader(command: &[&str]) -> Result<String> {
    let kubectl = Kubectl::new(Site::Core1);
    kubectl.exec(&leader(kubectl, CLUSTER)?, "database", command)
}
