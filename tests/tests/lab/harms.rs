//! Three ways that the operators' documents describe, each with every check green and each doing harm: the old side is
//! lost, acknowledged rows are lost, both sides take writes. On the same clusters pgha's own way does none, and `status`
//! and `validate` name what would go wrong and what did.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use pgha_judge::{Ruling, State, Verdict};
use pgha_lab::cluster::{Patroni, Standby, primary_site, query_leader};
use pgha_lab::documented;
use pgha_lab::site::Site;
use pgha_lab::wait;
use pgha_tests::{Suite, Writer};
use serde_json::Value;

/// How long what is there may take to be told.
const DEADLINE: Duration = Duration::from_mins(1);

/// How long the auditor waits for a side that is lost.
const NEVER: Duration = Duration::from_secs(3);

/// How often a race is run until it does its harm.
const TRIES: u32 = 3;

/// PGO's documented switch, Patroni 4.1, a standby fed by the archive: the target forks before the source's end.
#[test]
fn the_documented_switch_loses_the_old_side() -> Result<()> {
    let cluster = "harms-wedged";
    let Some((suite, from)) = moved_by_pgha(cluster, Standby::Archive, Patroni::V4_1)? else {
        return Ok(());
    };
    is_foreseen(&suite, cluster, from, "last-segment-by-hand")?;
    let verdict = as_documented(&suite, cluster, from)?;
    ensure!(
        broken(&verdict).contains(&"forks-after-shutdown-checkpoint"),
        "{verdict}"
    );
    ensure!(verdict.holds("nothing-missing"), "{verdict}");
    is_told_wedged(&suite, cluster, from)?;
    both_sides_stay_primary(&suite, cluster, from)?;
    suite.remove_pair(cluster)
}

/// The same switch with Patroni 3.3, which stops the source at once: what was not archived yet is not on the target.
#[test]
fn the_documented_switch_of_an_old_patroni_loses_rows() -> Result<()> {
    let cluster = "harms-lost";
    let Some((suite, from)) = moved_by_pgha(cluster, Standby::Archive, Patroni::V3_3)? else {
        return Ok(());
    };
    is_foreseen(&suite, cluster, from, "stops-cleanly-by-hand")?;
    let verdict = as_documented(&suite, cluster, from)?;
    ensure!(broken(&verdict).contains(&"nothing-missing"), "{verdict}");
    let account = verdict.account.as_ref().context("no account of the rows")?;
    ensure!(!account.missing.is_empty(), "{verdict}");
    let notice = is_told_wedged(&suite, cluster, from)?;
    let advice = notice["advice"].as_str().unwrap_or_default();
    ensure!(
        advice.contains("the only copy"),
        "a rebuild of what holds the only copy is advised: {notice}"
    );
    suite.remove_pair(cluster)
}

/// Shut down, promote the other side, start again as a standby: it opens read-write first.
#[test]
fn a_restart_as_a_standby_takes_writes_on_both_sides() -> Result<()> {
    // What it ends in is a race: each end is told, and a run that must be green every time does not wait for one of them.
    if Suite::open_for_full()?.is_none() {
        return Ok(());
    }
    let cluster = "harms-both";
    let standby = Standby::Streaming;
    let Some((suite, mut from)) = moved_by_pgha(cluster, standby, Patroni::V4_1)? else {
        return Ok(());
    };
    // Whether a row is acknowledged in the short time for which it is open is a race.
    for _ in 0..TRIES {
        let verdict = restart_as_documented(&suite, cluster, from)?;
        if broken(&verdict).contains(&"one-writer") {
            let sites = verdict.overlaps.iter();
            let mut sites = sites.map(|one| (&one.elder.site, &one.younger.site));
            ensure!(sites.any(|(elder, younger)| elder != younger), "{verdict}");
            is_told_lost(&suite, cluster, from)?;
            return suite.remove_pair(cluster);
        }
        from = primary_site(cluster)?;
    }
    anyhow::bail!("{TRIES} restarts as a standby took no row")
}

/// Makes a pair and moves it to the other site: nothing is lost, and the old side follows. Returns where it is primary.
fn moved_by_pgha(
    cluster: &str,
    standby: Standby,
    patroni: Patroni,
) -> Result<Option<(Suite, Site)>> {
    let Some(suite) = Suite::open()? else {
        return Ok(None);
    };
    suite.fresh_pair(cluster, standby, patroni)?;
    let from = primary_site(cluster)?;
    let writer = suite.writer(cluster, 4)?;
    let moved = suite.switchover(cluster, from)?;
    let verdict = writer.judge(1)?;
    ensure!(moved.code == Some(0), "the move ended with {moved:?}");
    ensure!(verdict.ruling == Ruling::Pass, "{verdict}");
    let status = suite.status(cluster)?;
    ensure!(status.code == Some(0), "status says {status:?}");
    Ok(Some((suite, from.other())))
}

fn as_documented(suite: &Suite, cluster: &str, from: Site) -> Result<Verdict> {
    let writer = suite.writer(cluster, 4)?;
    documented::switch_standby(cluster, from)?;
    rows_go_on(&writer)?;
    let verdict = writer.judge_within(1, NEVER)?;
    ensure!(verdict.ruling == Ruling::Fail, "{verdict}");
    ensure!(
        broken(&verdict).contains(&"old-side-follows"),
        "{from} follows: {verdict}"
    );
    Ok(verdict)
}

fn restart_as_documented(suite: &Suite, cluster: &str, from: Site) -> Result<Verdict> {
    let writer = suite.writer(cluster, 4)?;
    documented::shut_down_and_promote(cluster, from)?;
    names(suite, cluster, from.other(), "not-shut-down")?;
    let leader = suite.run(&["leader", cluster, "--context", from.name()])?;
    ensure!(leader.code == Some(3), "nobody leads: {leader:?}");
    let notice = is_told(suite, cluster, "shutdown")?;
    let seen = notice["advice"].as_str().unwrap_or_default();
    ensure!(
        seen.contains("read-write"),
        "the trap is not told: {notice}"
    );
    documented::start_as_standby(cluster, from)?;
    wait::until("a standby again", Duration::from_mins(2), || {
        let row = query_leader(from, cluster, "select pg_is_in_recovery()")?;
        ensure!(row.trim() == "t", "{from} takes writes");
        Ok(())
    })?;
    rows_go_on(&writer)?;
    writer.judge_within(1, NEVER)
}

/// The operator looks at no other cluster: told to, it makes both sides primary.
fn both_sides_stay_primary(suite: &Suite, cluster: &str, old: Site) -> Result<()> {
    documented::promote(old, cluster)?;
    is_told(suite, cluster, "both-primary")?;
    names(suite, cluster, old, "roles")?;
    names(suite, cluster, old.other(), "roles")
}

/// `validate` warns before the documented way is gone, and calls pgha's own way ready.
fn is_foreseen(suite: &Suite, cluster: &str, from: Site, check: &str) -> Result<()> {
    let ended = suite.validate(cluster, from)?;
    let view = ended.json()?;
    let findings = view["findings"].as_array().into_iter().flatten();
    let mut warned = findings.filter(|finding| finding["severity"] == "warn");
    ensure!(
        warned.any(|finding| finding["check"] == check),
        "{check} is no warning: {view}"
    );
    ensure!(ended.code == Some(0), "not ready: {view}");
    Ok(())
}

/// Both commands name a side that can never follow, and a switchover to it is refused.
fn is_told_wedged(suite: &Suite, cluster: &str, lost: Site) -> Result<Value> {
    let notice = is_told(suite, cluster, "wedged")?;
    ensure!(
        notice["place"]["context"] == lost.name(),
        "another side is named: {notice}"
    );
    names(suite, cluster, lost.other(), "can-follow")?;
    let refused = suite.switchover(cluster, lost.other())?;
    ensure!(refused.code == Some(3), "not refused: {refused:?}");
    Ok(notice)
}

/// A side whose dead branch is in the repository is lost: it stands on that branch, or its members are restored from the
/// repository, follow the dead branch there and do not start.
fn is_told_lost(suite: &Suite, cluster: &str, lost: Site) -> Result<()> {
    let notice = is_told_any(suite, cluster, &["wedged", "member-failed"])?;
    ensure!(
        notice["place"]["context"] == lost.name(),
        "another side is named: {notice}"
    );
    names(suite, cluster, lost.other(), "dead-branch")?;
    let refused = suite.switchover(cluster, lost.other())?;
    ensure!(refused.code == Some(3), "not refused: {refused:?}");
    Ok(())
}

/// `status` has a notice of this name.
fn is_told(suite: &Suite, cluster: &str, check: &str) -> Result<Value> {
    is_told_any(suite, cluster, &[check])
}

fn is_told_any(suite: &Suite, cluster: &str, checks: &[&str]) -> Result<Value> {
    wait::until(&format!("{checks:?} in status"), DEADLINE, || {
        let ended = suite.status(cluster)?;
        let view = ended.json()?;
        ensure!(ended.code == Some(3), "status calls this well: {view}");
        let notices = view["services"][0]["notices"].as_array();
        let mut notices = notices.into_iter().flatten();
        let notice = notices.find(|notice| checks.iter().any(|check| notice["check"] == *check));
        notice
            .cloned()
            .with_context(|| format!("status says: {view}"))
    })
}

/// `validate` of a move from this site fails by a check of this name.
fn names(suite: &Suite, cluster: &str, from: Site, check: &str) -> Result<()> {
    wait::until(&format!("`{check}` in validate"), DEADLINE, || {
        let ended = suite.validate(cluster, from)?;
        let view = ended.json()?;
        ensure!(ended.code == Some(3), "validate calls this ready: {view}");
        let blocked = view["readyForSwitchover"]["blockedBy"].as_array();
        ensure!(
            blocked.into_iter().flatten().any(|one| one == check),
            "validate says: {view}"
        );
        Ok(())
    })
}

fn rows_go_on(writer: &Writer) -> Result<()> {
    let before = writer.status()?.acknowledged;
    wait::until("rows of the new primary", DEADLINE, || {
        let now = writer.status()?.acknowledged;
        ensure!(now >= before + 200, "{now} rows, {before} before");
        Ok(())
    })
}

fn broken(verdict: &Verdict) -> Vec<&str> {
    let checks = verdict.checks.iter();
    let broken = checks.filter(|check| check.state == State::Broken);
    broken.map(|check| check.id.as_str()).collect()
}
