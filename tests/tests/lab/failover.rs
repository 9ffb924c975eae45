//! The primary's site is gone, half or whole: the other side is promoted by what is known and accepted, and the old one comes
//! back without a second primary and without losing what only it holds.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use pgha_lab::cluster::{Patroni, Standby, primary_site, query_leader};
use pgha_lab::fault::process::{Act, act_in_pod, start_daemon, stop_daemon};
use pgha_lab::kubectl::Kubectl;
use pgha_lab::site::Site;
use pgha_lab::wait;
use pgha_tests::{Ended, Suite};
use serde_json::Value;

/// The pair of the test that loses rows.
const LOST: &str = "failover-lost";

/// The pair whose whole site is gone.
const GONE: &str = "failover-gone";

const API_SERVER: &str = "kube-apiserver";

/// How long the auditor waits for a side that is gone.
const NEVER: Duration = Duration::from_secs(3);

/// How long the sites may take to carry a change into the members.
const DEADLINE: Duration = Duration::from_mins(3);

/// How long each wait of a command may last here: the machine may be busy.
const TIMEOUT: &str = "3m";

/// Without these nobody makes a pod again.
const MAKERS: [&str; 2] = ["kube-controller-manager", "kube-scheduler"];

/// The primary dies in the middle of its work and its pods are gone; its API server still answers.
#[test]
fn a_half_dead_site_is_fenced_and_comes_back_without_a_second_primary() -> Result<()> {
    let Some(suite) = Suite::open()? else {
        return Ok(());
    };
    suite.fresh_pair(LOST, Standby::Archive, Patroni::V4_1)?;
    let from = primary_site(LOST)?;
    let writer = suite.writer(LOST, 2)?;
    beside_a_primary_it_is_refused(&suite, LOST, from)?;
    crash(LOST, from)?;
    nothing_is_lost_without_a_word(&suite, LOST, from)?;
    let accepted = ["--accept-loss-of", "ROWS-UNKNOWN", "--take-over"];
    for point in ["4:after", "13:after"] {
        dies_at(&suite, LOST, from, point, &accepted)?;
    }
    let ended = failover(&suite, LOST, from, &accepted)?;
    ensure!(ended.code == Some(0), "the failover ended with {ended:?}");
    let outcome = last(&ended)?;
    ensure!(
        outcome["failover"]["fencedAtSource"] == true
            && outcome["failover"]["fence"]["by"] == "source",
        "{outcome}"
    );
    ensure!(
        primary_site(LOST)? == from.other(),
        "the target is not primary"
    );
    start_makers(from)?;
    let kept = tail_is_kept(&suite, LOST, from)?;
    let rebuilt = rejoin(&suite, LOST, from, &kept, &["--rebuild"])?;
    ensure!(rebuilt.code == Some(0), "the rejoin ended with {rebuilt:?}");
    ensure!(last(&rebuilt)?["following"] == 2, "{rebuilt:?}");
    let again = rejoin(&suite, LOST, from, &kept, &[])?;
    ensure!(
        again.code == Some(0) && last(&again)?["follows"] == true,
        "{again:?}"
    );
    let verdict = writer.judge_within(1, DEADLINE)?;
    ensure!(verdict.holds("one-writer"), "{verdict}");
    let account = verdict.account.as_ref().context("no account of the rows")?;
    let committed = committed(&kept)?;
    ensure!(
        !account.missing.is_empty() && account.missing.len() <= committed,
        "{} rows are missing, {committed} transactions were kept: {verdict}",
        account.missing.len()
    );
    suite.await_well(LOST, from.other())?;
    suite.remove_pair(LOST)
}

/// Its API server is gone too: nothing can be written there, and it comes back as a second primary.
#[test]
fn a_dead_site_needs_a_word_and_is_kept_down_when_it_comes_back() -> Result<()> {
    let Some(suite) = Suite::open_for_full()? else {
        return Ok(());
    };
    suite.fresh_pair(GONE, Standby::Streaming, Patroni::V4_1)?;
    let from = primary_site(GONE)?;
    let writer = suite.writer(GONE, 2)?;
    crash(GONE, from)?;
    stop_daemon(from.place(), API_SERVER)?;
    let refused = failover(&suite, GONE, from, &["--accept-loss-of", "ROWS-UNKNOWN"]);
    let word = [
        "--site-is-down",
        "the test has stopped it",
        "--accept-loss-of",
        "ROWS-UNKNOWN",
    ];
    let ended = failover(&suite, GONE, from, &word);
    let verdict = writer.judge_within(1, NEVER);
    start_daemon(from.place(), API_SERVER)?;
    start_makers(from)?;
    let (refused, ended, verdict) = (refused?, ended?, verdict?);
    ensure!(refused.failing()? == ["source-fenced"], "{refused:?}");
    ensure!(ended.code == Some(0), "the failover ended with {ended:?}");
    ensure!(
        last(&ended)?["failover"]["fence"]["by"] == "word",
        "{ended:?}"
    );
    ensure!(verdict.holds("one-writer"), "{verdict}");
    wait::until("a second primary", DEADLINE, || {
        let row = query_leader(from, GONE, "select pg_is_in_recovery()")?;
        ensure!(row.trim() == "f", "the old side is in recovery");
        Ok(())
    })?;
    let kept = tempfile::tempdir()?;
    let rebuilt = rejoin(&suite, GONE, from, &kept, &["--rebuild"])?;
    ensure!(rebuilt.code == Some(0), "the rejoin ended with {rebuilt:?}");
    suite.await_well(GONE, from.other())?;
    let host = Kubectl::new(from).get(&["postgrescluster", GONE])?;
    ensure!(
        host.pointer("/spec/standby/host").is_some(),
        "it no longer streams: {}",
        host["spec"]["standby"]
    );
    suite.remove_pair(GONE)
}

/// Whatever is said and accepted.
fn beside_a_primary_it_is_refused(suite: &Suite, cluster: &str, from: Site) -> Result<()> {
    let all = [
        "--accept-loss-of",
        "ROWS-UNKNOWN",
        "--site-is-down",
        "so they say",
    ];
    let ended = failover(suite, cluster, from, &all)?;
    ensure!(ended.code == Some(3), "it was not refused: {ended:?}");
    ensure!(
        ended.failing()?.contains(&"peer-not-primary".to_owned()),
        "{ended:?}"
    );
    ensure!(primary_site(cluster)? == from);
    Ok(())
}

/// Postgres dies with rows that are in no archive, and no pod comes back.
fn crash(cluster: &str, site: Site) -> Result<()> {
    query_leader(site, cluster, "checkpoint")?;
    let pods = pods(cluster, site)?;
    ensure!(!pods.is_empty(), "{cluster} has no pods in {site}");
    for maker in MAKERS {
        stop_daemon(site.place(), maker)?;
    }
    for pod in &pods {
        act_in_pod(site, pod, "database", "patroni", Act::Pause)?;
        act_in_pod(site, pod, "database", "postgres", Act::Kill)?;
    }
    for pod in &pods {
        let args = [
            "delete",
            "pod",
            pod,
            "--force",
            "--grace-period=0",
            "--wait=true",
        ];
        Kubectl::new(site).run(&args)?;
    }
    Ok(())
}

fn pods(cluster: &str, site: Site) -> Result<Vec<String>> {
    let of = format!(
        "postgres-operator.crunchydata.com/cluster={cluster},postgres-operator.crunchydata.com/instance"
    );
    let list = Kubectl::new(site).get(&["pods", "-l", &of])?;
    let items = list["items"].as_array().context("no list")?;
    let names = items
        .iter()
        .filter_map(|pod| pod["metadata"]["name"].as_str());
    Ok(names.map(str::to_owned).collect())
}

/// What is not accepted is refused, with the bound of it.
fn nothing_is_lost_without_a_word(suite: &Suite, cluster: &str, from: Site) -> Result<()> {
    for accepted in [
        &[][..],
        &["--accept-loss-of", "1ms"],
        &["--accept-loss-of", "1GiB"],
    ] {
        let ended = failover(suite, cluster, from, accepted)?;
        ensure!(ended.code == Some(3), "it was not refused: {ended:?}");
        ensure!(ended.failing()? == ["loss-accepted"], "{ended:?}");
    }
    Ok(())
}

fn start_makers(site: Site) -> Result<()> {
    for maker in MAKERS {
        start_daemon(site.place(), maker)?;
    }
    Ok(())
}

/// The side that returns is a standby from its first moment, and what only it holds is copied before anything else.
fn tail_is_kept(suite: &Suite, cluster: &str, from: Site) -> Result<tempfile::TempDir> {
    wait::until("pods that run again", DEADLINE, || {
        for pod in pods(cluster, from)? {
            Kubectl::new(from).exec(&pod, "database", &["true"])?;
        }
        ensure!(!pods(cluster, from)?.is_empty(), "there are no pods yet");
        Ok(())
    })?;
    let kept = tempfile::tempdir()?;
    let ended = rejoin(suite, cluster, from, &kept, &[])?;
    ensure!(ended.code == Some(4), "the rejoin ended with {ended:?}");
    let outcome = last(&ended)?;
    let files = outcome["tail"]["kept"]
        .as_array()
        .context("nothing was kept")?;
    ensure!(
        outcome["follows"] == false && !files.is_empty() && committed(&kept)? > 0,
        "{outcome}"
    );
    for file in files {
        let name = file["name"].as_str().unwrap_or_default();
        let size = kept.path().join(name).metadata()?.len();
        ensure!(
            file["bytes"] == size,
            "{name} has {size} bytes here: {file}"
        );
    }
    Ok(kept)
}

/// How many transactions the kept list names.
fn committed(kept: &tempfile::TempDir) -> Result<usize> {
    let list = std::fs::read_to_string(kept.path().join("transactions.txt"))?;
    Ok(list.lines().filter(|line| line.contains("COMMIT")).count())
}

/// The tool dies right after one of its writes; the same command takes its own unfinished run over.
fn dies_at(suite: &Suite, cluster: &str, from: Site, point: &str, more: &[&str]) -> Result<()> {
    let args = failing_over(from, more);
    let mut command = suite.plugin();
    command.args(["failover", cluster]).args(args);
    let output = command.env("PGHA_TEST_DIE_AT", point).output()?;
    ensure!(
        output.status.code().is_none(),
        "it did not die at {point}: {output:?}"
    );
    Ok(())
}

fn failing_over<'a>(from: Site, more: &[&'a str]) -> Vec<&'a str> {
    let sides = ["--from", from.name(), "--to", from.other().name()];
    let how = ["--yes", "--timeout", TIMEOUT, "-o", "json"];
    [&sides[..], &how, more].concat()
}

fn failover(suite: &Suite, cluster: &str, from: Site, more: &[&str]) -> Result<Ended> {
    suite.run(&[&["failover", cluster][..], &failing_over(from, more)].concat())
}

fn rejoin(
    suite: &Suite,
    cluster: &str,
    from: Site,
    kept: &tempfile::TempDir,
    more: &[&str],
) -> Result<Ended> {
    let sides = ["--from", from.name(), "--to", from.other().name()];
    let folder = kept.path().to_string_lossy().into_owned();
    let how = [
        "--yes",
        "--timeout",
        TIMEOUT,
        "-o",
        "json",
        "--keep",
        &folder,
    ];
    suite.run(&[&["rejoin", cluster][..], &sides, &how, more].concat())
}

/// The last result among a run's documents.
fn last(ended: &Ended) -> Result<Value> {
    let documents = serde_json::Deserializer::from_str(&ended.stdout).into_iter::<Value>();
    let documents: Vec<Value> = documents.collect::<Result<_, _>>()?;
    let is_result = |one: &&Value| {
        one["kind"]
            .as_str()
            .is_some_and(|kind| kind.ends_with("Outcome"))
    };
    let result = documents.iter().rfind(is_result).cloned();
    result.with_context(|| format!("no result: {ended:?}"))
}
