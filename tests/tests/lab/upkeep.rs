//! The commands of every day under live writes: a side is stopped and started again, as what it was or as a standby of the
//! side that was promoted meanwhile, and its members are restarted.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use pgha_judge::Ruling;
use pgha_lab::cluster::{primary_site, query_leader};
use pgha_lab::kubectl::Kubectl;
use pgha_lab::site::Site;
use pgha_lab::wait;
use pgha_tests::pair::{ARCHIVE, Pair, STREAMING};
use pgha_tests::{Ended, Suite};
use serde_json::Value;

/// How long each command may take here: the machine may be busy.
const TIMEOUT: [&str; 4] = ["--timeout", "5m", "-o", "json"];

/// How long both sides may take to follow again.
const DEADLINE: Duration = Duration::from_mins(3);

pub(crate) fn run(
    suite: &Suite,
    verb: &str,
    cluster: &str,
    at: Site,
    more: &[&str],
) -> Result<Ended> {
    let here = [verb, cluster, "--context", at.name(), "--yes"];
    suite.run(&[&here[..], &TIMEOUT, more].concat())
}

/// Runs it to an end that must be good, and returns what it says.
pub(crate) fn done(
    suite: &Suite,
    verb: &str,
    cluster: &str,
    at: Site,
    more: &[&str],
) -> Result<Value> {
    let ended = run(suite, verb, cluster, at, more)?;
    ensure!(ended.code == Some(0), "{verb} at {at} ended with {ended:?}");
    ended.json()
}

fn timeline(site: Site, cluster: &str) -> Result<u32> {
    let sql = "select timeline_id from pg_control_checkpoint()";
    let said = query_leader(site, cluster, sql)?;
    said.trim().parse().context("no timeline")
}

pub(crate) fn refused(ended: &Ended, check: &str) -> Result<()> {
    ensure!(ended.code == Some(3), "it was not refused: {ended:?}");
    ensure!(ended.failing()?.contains(&check.to_owned()), "{ended:?}");
    Ok(())
}

/// Nothing of the cluster is there, but pods of Jobs.
pub(crate) fn ensure_nothing_runs(site: Site, cluster: &str) -> Result<()> {
    let selector = format!(
        "postgres-operator.crunchydata.com/cluster={cluster},postgres-operator.crunchydata.com/instance"
    );
    let pods = Kubectl::new(site).get(&["pods", "--selector", &selector])?;
    let left = pods["items"].as_array().map_or(0, Vec::len);
    ensure!(left == 0, "{left} members are there: {pods}");
    Ok(())
}

/// The end of the leader, where it was heard: the pod may be gone before.
fn ensure_end_is_proved_or_told(outcome: &Value, state: &str) -> Result<()> {
    let unproved = outcome["unproved"].as_array().context("no list")?;
    if outcome["end"].is_null() {
        ensure!(
            !unproved.is_empty(),
            "nothing is proved, and nobody says so: {outcome}"
        );
        return Ok(());
    }
    ensure!(outcome["end"]["state"] == state, "{outcome}");
    Ok(())
}

#[test]
fn a_restart_of_every_member_loses_no_write_and_moves_nobody() -> Result<()> {
    let Some(pair) = Pair::open(ARCHIVE)? else {
        return Ok(());
    };
    let (suite, cluster) = (&pair.suite, pair.kind.cluster);
    let primary = pair.primary()?;
    suite.await_well(cluster, primary)?;
    let before = timeline(primary, cluster)?;
    let started = "select pg_postmaster_start_time()";
    let since = query_leader(primary, cluster, started)?;
    let writer = suite.writer(cluster, 2)?;
    let restarted = done(suite, "restart", cluster, primary, &[])?;
    let members = restarted["restarted"].as_array().context("no members")?;
    ensure!(members.len() > 1, "{restarted}");
    let last = members.last().map(|one| &one["pod"]);
    ensure!(last == Some(&restarted["leader"]), "{restarted}");
    ensure!(restarted["committed"].is_string(), "{restarted}");
    let standby = done(suite, "restart", cluster, primary.other(), &[])?;
    ensure!(standby["committed"].is_null(), "{standby}");
    let verdict = writer.judge(0)?;
    ensure!(verdict.ruling == Ruling::Pass, "{verdict}");
    ensure!(
        query_leader(primary, cluster, started)? != since,
        "the leader is the old server"
    );
    ensure!(
        timeline(primary, cluster)? == before,
        "somebody was promoted"
    );
    suite.await_well(cluster, primary)
}

#[test]
fn a_primary_that_is_shut_down_and_started_again_keeps_every_write() -> Result<()> {
    let Some(pair) = Pair::open(ARCHIVE)? else {
        return Ok(());
    };
    let (suite, cluster) = (&pair.suite, pair.kind.cluster);
    let primary = pair.primary()?;
    suite.await_well(cluster, primary)?;
    let before = timeline(primary, cluster)?;
    let writer = suite.writer(cluster, 2)?;
    let stopped = done(suite, "shutdown", cluster, primary, &[])?;
    ensure_end_is_proved_or_told(&stopped, "shutDown")?;
    ensure!(stopped["lockReleased"] == true, "{stopped}");
    ensure_nothing_runs(primary, cluster)?;
    let again = done(suite, "shutdown", cluster, primary, &[])?;
    ensure!(again["changed"] == false, "{again}");
    let peer = ["--peer", primary.other().name()];
    let started = done(suite, "startup", cluster, primary, &peer)?;
    ensure!(started["startedAs"] == "primary", "{started}");
    ensure!(started["committed"].is_string(), "{started}");
    let verdict = writer.judge_within(0, DEADLINE)?;
    ensure!(verdict.ruling == Ruling::Pass, "{verdict}");
    ensure!(
        timeline(primary, cluster)? > before,
        "a start is a promotion"
    );
    ensure!(primary_site(cluster)? == primary);
    suite.await_well(cluster, primary)
}

#[test]
fn a_standby_that_is_shut_down_and_started_again_follows() -> Result<()> {
    if Suite::open_for_full()?.is_none() {
        return Ok(());
    }
    let Some(pair) = Pair::open(ARCHIVE)? else {
        return Ok(());
    };
    let (suite, cluster) = (&pair.suite, pair.kind.cluster);
    let primary = pair.primary()?;
    suite.await_well(cluster, primary)?;
    let standby = primary.other();
    let writer = suite.writer(cluster, 2)?;
    let stopped = done(suite, "shutdown", cluster, standby, &[])?;
    ensure_end_is_proved_or_told(&stopped, "shutDownInRecovery")?;
    ensure_nothing_runs(standby, cluster)?;
    // No other side is needed for it: a standby harms nobody.
    let started = done(suite, "startup", cluster, standby, &[])?;
    ensure!(started["startedAs"] == "standby", "{started}");
    ensure!(started["committed"].is_null(), "{started}");
    let verdict = writer.judge_within(0, DEADLINE)?;
    ensure!(verdict.ruling == Ruling::Pass, "{verdict}");
    suite.await_well(cluster, primary)
}

/// The trap of `spec.standby` on a side that is shut down: by the object alone its first member opens read-write on a timeline
/// of its own, and never follows again.
#[test]
fn a_side_whose_peer_was_promoted_starts_as_a_standby_and_never_opens_read_write() -> Result<()> {
    if Suite::open_for_full()?.is_none() {
        return Ok(());
    }
    let Some(pair) = Pair::open(STREAMING)? else {
        return Ok(());
    };
    let (suite, cluster) = (&pair.suite, pair.kind.cluster);
    let from = pair.primary()?;
    let to = from.other();
    suite.await_well(cluster, from)?;
    let writer = suite.writer(cluster, 2)?;
    let stopped = done(suite, "shutdown", cluster, from, &[])?;
    ensure_end_is_proved_or_told(&stopped, "shutDown")?;
    // What a person does in an emergency. A clean stop has sent everything to the standby that streams.
    let force = [
        "--force",
        "--yes-i-accept-data-loss-of",
        cluster,
        "--timeout",
        "3m",
    ];
    let sides = [
        "promote",
        cluster,
        "--context",
        to.name(),
        "--peer",
        from.name(),
    ];
    let promoted = suite.run(&[&sides[..], &force].concat())?;
    ensure!(promoted.code == Some(0), "{promoted:?}");
    let on = timeline(to, cluster)?;

    let peer = ["--peer", to.name()];
    refused(
        &run(suite, "startup", cluster, from, &peer)?,
        "peer-not-primary",
    )?;
    refused(
        &run(suite, "startup", cluster, from, &["--alone"])?,
        "peer-not-primary",
    )?;
    ensure_nothing_runs(from, cluster)?;

    let as_standby = [&peer[..], &["--as-standby"]].concat();
    let started = done(suite, "startup", cluster, from, &as_standby)?;
    ensure!(started["startedAs"] == "standby", "{started}");
    let verdict = writer.judge_within(1, DEADLINE)?;
    ensure!(verdict.ruling == Ruling::Pass, "{verdict}");
    ensure!(timeline(to, cluster)? == on, "a second primary was there");
    // It follows, which it never does once it has been on a timeline of its own.
    wait::until("the same timeline", DEADLINE, || {
        query_leader(from, cluster, "checkpoint")?;
        let now = timeline(from, cluster)?;
        ensure!(now == on, "{from} is on timeline {now}, {to} on {on}");
        Ok(())
    })?;
    suite.await_well(cluster, to)
}
