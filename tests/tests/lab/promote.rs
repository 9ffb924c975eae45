//! The single steps: one side is stopped, then a side is promoted, under live writes; and what must not be promoted.

use std::io::{BufRead as _, BufReader};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use pgha_judge::Ruling;
use pgha_lab::cluster::{primary_site, query_leader};
use pgha_lab::fault::process;
use pgha_lab::kubectl::Kubectl;
use pgha_lab::site::{SERVICE_NAMESPACE, Site};
use pgha_lab::wait;
use pgha_tests::pair::{ARCHIVE, Kind, OLD, STREAMING};
use pgha_tests::{Ended, Suite, finish, interrupt};
use serde_json::{Value, json};

const API_SERVER: &str = "kube-apiserver";

const CLUSTER: &str = ARCHIVE.cluster;

/// How long the operator and Postgres may take to carry a change into the members.
const DEADLINE: Duration = Duration::from_mins(2);

#[test]
fn an_archive_only_pair_is_moved_step_by_step() -> Result<()> {
    step_by_step(Suite::open()?, ARCHIVE)
}

#[test]
fn a_streaming_pair_is_moved_step_by_step() -> Result<()> {
    step_by_step(Suite::open_for_full()?, STREAMING)
}

#[test]
fn an_archive_only_pair_of_an_old_patroni_is_moved_step_by_step() -> Result<()> {
    step_by_step(Suite::open_for_full()?, OLD)
}

fn step_by_step(suite: Option<Suite>, kind: Kind) -> Result<()> {
    let Some(suite) = suite else {
        return Ok(());
    };
    let cluster = kind.cluster;
    suite.pair(cluster, kind.standby, kind.patroni)?;
    let from = primary_site(cluster)?;
    let to = from.other();
    beside_a_primary_nothing_is_promoted(&suite, cluster, to)?;
    let writer = suite.writer(cluster, 2)?;
    let demoted = demote(&suite, cluster, from)?;
    both_standby_is_told_with_the_ways_out(&suite, cluster)?;
    let promoted = promote(&suite, cluster, to, &["--yes", "--timeout", TIMEOUT])?;
    ensure!(
        promoted.code == Some(0),
        "the promotion ended with {promoted:?}"
    );
    let verdict = writer.judge(1)?;
    ensure!(verdict.ruling == Ruling::Pass, "{verdict}");
    ensure!(primary_site(cluster)? == to, "{to} is not primary");
    let (ended, began) = (last(&demoted)?, last(&promoted)?);
    ensure!(
        began["proof"]["source"] == ended["end"] && began["fork"] == ended["end"]["at"],
        "the new timeline does not begin where the old one ended: {ended}\n{began}"
    );
    suite.await_well(cluster, to)?;
    let again = promote(&suite, cluster, to, &["--yes", "--timeout", TIMEOUT])?;
    ensure!(
        again.code == Some(0) && last(&again)?["changed"] == false,
        "{again:?}"
    );
    Ok(())
}

/// Neither with the other side named, nor found, nor by force.
fn beside_a_primary_nothing_is_promoted(suite: &Suite, cluster: &str, to: Site) -> Result<()> {
    let by_force = ["--force", "--yes-i-accept-data-loss-of", cluster];
    let found = [
        "promote",
        cluster,
        "--context",
        to.name(),
        "--yes",
        "-o",
        "json",
    ];
    for ended in [
        promote(suite, cluster, to, &["--yes", "--timeout", TIMEOUT])?,
        promote(suite, cluster, to, &by_force)?,
        suite.run(&found)?,
    ] {
        ensure!(ended.code == Some(3), "it was not refused: {ended:?}");
        ensure!(
            ended.failing()?.contains(&"peer-not-primary".to_owned()),
            "{ended:?}"
        );
    }
    ensure!(primary_site(cluster)? == to.other());
    Ok(())
}

fn both_standby_is_told_with_the_ways_out(suite: &Suite, cluster: &str) -> Result<()> {
    let sides = ["--from", "core1", "--to", "core2", "--yes", "-o", "json"];
    let ended = suite.run(&[&["switchover", cluster][..], &sides[..]].concat())?;
    ensure!(ended.code == Some(3), "it was not refused: {ended:?}");
    for (here, peer) in [("core1", "core2"), ("core2", "core1")] {
        let way = format!(
            "kubectl pgha promote {cluster} -n {SERVICE_NAMESPACE} --context {here} --peer {peer}"
        );
        ensure!(
            ended.stdout.contains(&way),
            "`{way}` is not told: {ended:?}"
        );
    }
    Ok(())
}

#[test]
fn a_side_that_holds_less_is_refused_and_the_other_one_promoted() -> Result<()> {
    let Some(suite) = Suite::open()? else {
        return Ok(());
    };
    suite.pair(CLUSTER, ARCHIVE.standby, ARCHIVE.patroni)?;
    let from = primary_site(CLUSTER)?;
    let to = from.other();
    let writer = suite.writer(CLUSTER, 0)?;
    cut_off(CLUSTER, to)?;
    let refused = demote(&suite, CLUSTER, from).and_then(|_demoted| {
        promote(
            &suite,
            CLUSTER,
            to,
            &["--yes", "--timeout", LONGER_THAN_A_LOCK],
        )
    });
    let healed = pause(CLUSTER, to, &json!(null));
    let (refused, ()) = (refused?, healed?);
    ensure!(refused.code == Some(3), "it was not refused: {refused:?}");
    let way = format!(
        "kubectl pgha promote {CLUSTER} -n {SERVICE_NAMESPACE} --context {from} --peer {to}",
        from = from.name(),
        to = to.name()
    );
    let failing = refused.failing()?;
    let fails = |check: &str| failing.iter().any(|one| one == check);
    ensure!(
        fails("holds-everything") && !fails("leader-evidence") && refused.stdout.contains(&way),
        "{refused:?}"
    );
    let back = promote(&suite, CLUSTER, from, &["--yes", "--timeout", TIMEOUT])?;
    ensure!(
        back.code == Some(0),
        "the way that was named ended with {back:?}"
    );
    let verdict = writer.judge(0)?;
    ensure!(verdict.ruling == Ruling::Pass, "{verdict}");
    suite.await_well(CLUSTER, from)
}

/// A side that cannot be asked may be primary, and nothing is proved: only `--force` goes on, and tells the risk.
#[test]
fn beside_a_side_that_cannot_be_asked_only_force_promotes() -> Result<()> {
    let Some(suite) = Suite::open_for_full()? else {
        return Ok(());
    };
    suite.pair(CLUSTER, ARCHIVE.standby, ARCHIVE.patroni)?;
    let from = primary_site(CLUSTER)?;
    let to = from.other();
    let writer = suite.writer(CLUSTER, 0)?;
    demote(&suite, CLUSTER, from)?;
    process::stop_daemon(from.place(), API_SERVER)?;
    let refused = promote(&suite, CLUSTER, to, &["--yes", "--timeout", TIMEOUT]);
    let by_force = ["--force", "--yes-i-accept-data-loss-of", CLUSTER];
    let forced = promote(&suite, CLUSTER, to, &by_force);
    process::start_daemon(from.place(), API_SERVER)?;
    let (refused, forced) = (refused?, forced?);
    ensure!(refused.code == Some(3), "it was not refused: {refused:?}");
    ensure!(
        forced.code == Some(0),
        "the forced promotion ended with {forced:?}"
    );
    let outcome = last(&forced)?;
    ensure!(
        outcome["proof"].is_null() && !outcome["risk"].is_null(),
        "{outcome}"
    );
    let verdict = writer.judge_within(1, DEADLINE)?;
    ensure!(verdict.ruling == Ruling::Pass, "{verdict}");
    suite.await_well(CLUSTER, to)
}

/// The standby no longer gets any log: its operator is held, and its Patroni asks nobody.
fn cut_off(cluster: &str, site: Site) -> Result<()> {
    pause(cluster, site, &json!(true))?;
    let name = format!("{cluster}-ha-config");
    let store = Kubectl::new(site).get(&["endpoints", &name])?;
    let config = store["metadata"]["annotations"]["config"].as_str();
    let mut config: Value = serde_json::from_str(config.context("no configuration")?)?;
    for path in [
        "/standby_cluster/restore_command",
        "/postgresql/parameters/restore_command",
    ] {
        *config.pointer_mut(path).context("no restore_command")? = json!("/bin/false");
    }
    let config = config.to_string();
    let patch = json!({"metadata": {"annotations": {"config": config}}});
    merge(site, "endpoints", &name, &patch)?;
    wait::until("a standby that asks nobody", DEADLINE, || {
        let seen = query_leader(site, cluster, "show restore_command")?;
        ensure!(seen.trim() == "/bin/false", "restore_command is {seen}");
        Ok(())
    })
}

fn pause(cluster: &str, site: Site, paused: &Value) -> Result<()> {
    let patch = json!({"spec": {"paused": paused}});
    merge(site, "postgrescluster", cluster, &patch)
}

fn merge(site: Site, kind: &str, name: &str, patch: &Value) -> Result<()> {
    let patch = patch.to_string();
    let args = ["patch", kind, name, "--type=merge", "--patch", &patch];
    Kubectl::new(site).run(&args).map(drop)
}

#[test]
fn an_interrupted_demotion_is_taken_back() -> Result<()> {
    let Some(suite) = Suite::open()? else {
        return Ok(());
    };
    suite.pair(CLUSTER, ARCHIVE.standby, ARCHIVE.patroni)?;
    let from = primary_site(CLUSTER)?;
    let writer = suite.writer(CLUSTER, 0)?;
    let mut running = suite.start(&demotion(CLUSTER, from))?;
    let stdout = running.stdout.take().context("no stdout")?;
    for line in BufReader::new(stdout).lines() {
        if line?.contains(r#""event":"settled","step":"fence""#) {
            interrupt(&running)?;
        }
    }
    let ended = finish(running)?;
    let verdict = writer.judge(0)?;
    ensure!(ended.code == Some(4), "ended with {ended:?}");
    ensure!(verdict.ruling == Ruling::Pass, "{verdict}");
    suite.await_well(CLUSTER, from)
}

/// What is compared may take longer than Patroni's lock holds: the lock is judged by when it was read.
const LONGER_THAN_A_LOCK: &str = "40s";

/// How long each wait of a command may last here: the machine may be busy.
const TIMEOUT: &str = "3m";

fn demotion(cluster: &str, at: Site) -> Vec<&str> {
    let sides = ["--context", at.name(), "--peer", at.other().name()];
    let how = ["--yes", "--timeout", TIMEOUT, "-o", "json"];
    [&["demote", cluster][..], &sides[..], &how[..]].concat()
}

/// Demotes a side, which must end well.
fn demote(suite: &Suite, cluster: &str, at: Site) -> Result<Ended> {
    let demoted = suite.run(&demotion(cluster, at))?;
    ensure!(
        demoted.code == Some(0),
        "the demotion ended with {demoted:?}"
    );
    Ok(demoted)
}

fn promote(suite: &Suite, cluster: &str, at: Site, more: &[&str]) -> Result<Ended> {
    let sides = ["--context", at.name(), "--peer", at.other().name()];
    suite.run(&[&["promote", cluster, "-o", "json"][..], &sides[..], more].concat())
}

/// The last document of a run's output.
fn last(ended: &Ended) -> Result<Value> {
    match ended.json_lines() {
        Ok(lines) => lines.last().cloned().context("nothing was said"),
        // A result without events is one document of many lines.
        Err(_) => ended.json(),
    }
}
