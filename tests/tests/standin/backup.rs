//! Backups on request.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::fixture::{NAME, Traps, traps};
use super::kubectl::{await_that, get};

fn request(traps: &Traps, id: &str, repo: &str) -> Result<()> {
    traps.patch(&json!({
        "metadata": {"annotations": {"postgres-operator.crunchydata.com/pgbackrest-backup": id}},
        "spec": {"backups": {"pgbackrest": {
            "manual": {"repoName": repo, "options": ["--type=incr", "--log-level-console=info"]},
        }}},
    }))
}

fn manual_backup(traps: &Traps) -> Result<Value> {
    Ok(traps.object()?["status"]["pgbackrest"]["manualBackup"].clone())
}

fn await_finished(traps: &Traps, id: &str) -> Result<Value> {
    await_that(&format!("the backup {id}"), Duration::from_mins(1), || {
        let seen = manual_backup(traps)?;
        Ok((seen["id"] == id && seen["finished"] == true).then_some(seen))
    })
}

#[test]
fn a_backup_reports_the_result_of_its_own_request() -> Result<()> {
    let Some(traps) = traps()? else { return Ok(()) };
    request(&traps, "mine", "repo1")?;
    let seen = await_finished(&traps, "mine")?;
    ensure!(
        seen["succeeded"] == 1 && seen["completionTime"].is_string(),
        "{seen}"
    );
    let conditions = traps.object()?["status"]["conditions"].clone();
    let successful = conditions.as_array().into_iter().flatten().any(|it| {
        it["type"] == "PGBackRestManualBackupSuccessful" && it["reason"] == "ManualBackupComplete"
    });
    ensure!(successful, "{conditions}");
    let jobs = get(&[
        "jobs",
        "--selector=postgres-operator.crunchydata.com/pgbackrest-backup=manual",
    ])?;
    let ours = jobs["items"].as_array().into_iter().flatten().any(|job| {
        job["metadata"]["annotations"]["postgres-operator.crunchydata.com/pgbackrest-backup"]
            == "mine"
    });
    ensure!(ours, "no Job carries the request's id");
    Ok(())
}

#[test]
fn a_backup_asked_of_a_standby_is_silent_and_fires_after_the_promotion() -> Result<()> {
    let Some(traps) = traps()? else { return Ok(()) };
    traps.demote()?;
    request(&traps, "later", "repo1")?;
    traps.await_observed()?;
    ensure!(
        manual_backup(&traps)?["id"] != "later",
        "the request reached the status"
    );
    ensure!(!is_mentioned_in_events("later")?, "somebody said something");
    traps.promote()?;
    await_finished(&traps, "later").map(drop)
}

#[test]
fn a_backup_into_an_unknown_repository_is_accepted_and_never_starts() -> Result<()> {
    let Some(traps) = traps()? else { return Ok(()) };
    request(&traps, "nowhere", "repo4")?;
    let seen = await_that(
        "the request to be accepted",
        Duration::from_secs(30),
        || {
            let seen = manual_backup(&traps)?;
            Ok((seen["id"] == "nowhere" && is_mentioned_in_events("repo4")?).then_some(seen))
        },
    )?;
    ensure!(seen["finished"] == false, "{seen}");
    ensure!(
        is_counted_event("InvalidBackupRepo")?,
        "it is another kind of event"
    );
    traps.patch(&json!({
        "metadata": {"annotations": {"postgres-operator.crunchydata.com/pgbackrest-backup": null}},
        "spec": {"backups": {"pgbackrest": {"manual": null}}},
    }))
}

/// As the real operator writes them: events of the core API, which have a count and no `eventTime`.
fn is_counted_event(reason: &str) -> Result<bool> {
    let selector = format!("--field-selector=involvedObject.name={NAME},reason={reason}");
    let events = get(&["events", &selector])?;
    let event = &events["items"][0];
    Ok(event["count"].is_number()
        && event["lastTimestamp"].is_string()
        && event["eventTime"].is_null()
        && event["source"]["component"] == "postgrescluster-controller")
}

fn is_mentioned_in_events(word: &str) -> Result<bool> {
    let selector = format!("--field-selector=involvedObject.name={NAME}");
    let events = get(&["events", &selector])?;
    let mut messages = events["items"].as_array().into_iter().flatten();
    Ok(messages.any(|event| {
        event["message"]
            .as_str()
            .is_some_and(|it| it.contains(word))
    }))
}
