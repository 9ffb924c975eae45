//! A move that is interrupted: before the fence nothing has happened, after it the source is primary again.

use std::io::{BufRead as _, BufReader};
use std::process::Child;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use pgha_judge::Ruling;
use pgha_lab::cluster::{Patroni, Standby, primary_site, query_leader};
use pgha_lab::site::Site;
use pgha_lab::wait;
use pgha_tests::{Ended, Suite, interrupt};

const CLUSTER: &str = "moves-archive";

#[test]
fn before_the_fence_everything_is_put_back() -> Result<()> {
    let Some((suite, from)) = pair()? else {
        return Ok(());
    };
    let writer = suite.writer(CLUSTER, 0)?;
    let ended = interrupted_at(&suite, from, r#""event":"settled","step":"hold""#)?;
    let verdict = writer.judge(0)?;
    ensure!(ended.code == Some(130), "ended with {ended:?}");
    ensure!(verdict.ruling == Ruling::Pass, "{verdict}");
    is_well(&suite, from)
}

#[test]
fn after_the_fence_the_source_is_primary_again_and_archives() -> Result<()> {
    let Some((suite, from)) = pair()? else {
        return Ok(());
    };
    let writer = suite.writer(CLUSTER, 0)?;
    let ended = interrupted_at(&suite, from, r#""event":"settled","step":"fence""#)?;
    let verdict = writer.judge(0)?;
    ensure!(ended.code == Some(4), "ended with {ended:?}");
    ensure!(verdict.ruling == Ruling::Pass, "{verdict}");
    three_segments_reach_the_archive(from)?;
    is_well(&suite, from)
}

fn pair() -> Result<Option<(Suite, Site)>> {
    let Some(suite) = Suite::open()? else {
        return Ok(None);
    };
    suite.pair(CLUSTER, Standby::Archive, Patroni::V4_1)?;
    let from = primary_site(CLUSTER)?;
    Ok(Some((suite, from)))
}

/// Starts a move and sends SIGINT as soon as it says so.
fn interrupted_at(suite: &Suite, from: Site, line: &str) -> Result<Ended> {
    let sides = ["--from", from.name(), "--to", from.other().name()];
    let args = [
        &["switchover", CLUSTER, "--yes", "-o", "json"][..],
        &sides[..],
    ]
    .concat();
    let mut moving = suite.start(&args)?;
    let stdout = moving.stdout.take().context("no stdout")?;
    let mut said = String::new();
    for read in BufReader::new(stdout).lines() {
        let read = read?;
        said.push_str(&read);
        said.push('\n');
        if read.contains(line) {
            interrupt(&moving)?;
        }
    }
    finish(moving, said)
}

fn finish(moving: Child, stdout: String) -> Result<Ended> {
    let ended = pgha_tests::finish(moving)?;
    Ok(Ended { stdout, ..ended })
}

fn three_segments_reach_the_archive(site: Site) -> Result<()> {
    let archived = || -> Result<u64> {
        let count = query_leader(site, CLUSTER, "select archived_count from pg_stat_archiver")?;
        Ok(count.trim().parse()?)
    };
    let before = archived()?;
    for _ in 0..3 {
        let write = "select pg_logical_emit_message(true, 'suite', 'x'); select pg_switch_wal()";
        query_leader(site, CLUSTER, write)?;
    }
    wait::until(
        "three more segments in the archive",
        Duration::from_mins(1),
        || {
            let now = archived()?;
            ensure!(now >= before + 3, "{now} archived, {before} before");
            Ok(())
        },
    )
}

/// The source is primary, the standby follows, and nothing is held.
fn is_well(suite: &Suite, primary: Site) -> Result<()> {
    ensure!(
        primary_site(CLUSTER)? == primary,
        "{primary} is no longer primary"
    );
    let args = [
        "status",
        CLUSTER,
        "--context",
        "core1",
        "--context",
        "core2",
    ];
    wait::until("both sides well", Duration::from_mins(1), || {
        let status = suite.run(&args)?;
        ensure!(status.code == Some(0), "status says:\n{}", status.stdout);
        ensure!(
            !status.stdout.contains("paused"),
            "something is held:\n{}",
            status.stdout
        );
        Ok(())
    })
}
