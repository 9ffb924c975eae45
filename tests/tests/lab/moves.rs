//! A service moves to the other site and back, under live writes.

use anyhow::{Result, ensure};
use pgha_judge::Ruling;
use pgha_lab::cluster::{Patroni, Standby, primary_site};
use pgha_lab::site::Site;
use pgha_tests::Suite;
use serde_json::Value;

#[test]
fn an_archive_only_pair_moves_there_and_back() -> Result<()> {
    there_and_back("moves-archive", Standby::Archive, Patroni::V4_1)
}

#[test]
fn a_streaming_pair_moves_there_and_back() -> Result<()> {
    there_and_back("moves-streaming", Standby::Streaming, Patroni::V4_1)
}

#[test]
fn an_archive_only_pair_of_an_old_patroni_moves_there_and_back() -> Result<()> {
    there_and_back("moves-archive-33", Standby::Archive, Patroni::V3_3)
}

#[test]
fn a_streaming_pair_of_an_old_patroni_moves_there_and_back() -> Result<()> {
    if Suite::open_for_full()?.is_none() {
        return Ok(());
    }
    there_and_back("moves-streaming-33", Standby::Streaming, Patroni::V3_3)
}

fn there_and_back(cluster: &str, standby: Standby, patroni: Patroni) -> Result<()> {
    let Some(suite) = Suite::open()? else {
        return Ok(());
    };
    suite.pair(cluster, standby, patroni)?;
    for _ in 0..2 {
        let from = primary_site(cluster)?;
        let to = from.other();
        move_once(&suite, cluster, from, to)?;
    }
    Ok(())
}

fn move_once(suite: &Suite, cluster: &str, from: Site, to: Site) -> Result<()> {
    let writer = suite.writer(cluster, 4)?;
    let moved = suite.switchover(cluster, from)?;
    let verdict = writer.judge(1)?;
    ensure!(
        moved.code == Some(0),
        "the move ended with {:?}:\n{}{}",
        moved.code,
        moved.stdout,
        moved.stderr
    );
    ensure!(verdict.ruling == Ruling::Pass, "{verdict}");
    judge_events(&moved.json_lines()?)?;
    ensure!(primary_site(cluster)? == to, "{to} is not primary");
    let status = suite.status(cluster)?;
    ensure!(
        status.code == Some(0),
        "status ended with {:?}: {}",
        status.code,
        status.stdout
    );
    Ok(())
}

/// Every step has begun and settled, in order, and the outcome is the last line.
fn judge_events(events: &[Value]) -> Result<()> {
    let settled: Vec<_> = events
        .iter()
        .filter(|event| event["event"] == "settled")
        .filter_map(|event| event["step"].as_str())
        .collect();
    let expected = [
        "claim", "hold", "prepare", "rehearse", "detach", "fence", "prove", "promote", "verify",
        "release", "rejoin",
    ];
    ensure!(
        settled == expected,
        "the steps that settled are {settled:?}"
    );
    let last = events.last().cloned().unwrap_or_default();
    ensure!(
        last["kind"] == "SwitchoverOutcome",
        "the last line is {last}"
    );
    ensure!(
        last["fork"] == last["replayed"],
        "forked elsewhere than where the source ended: {last}"
    );
    Ok(())
}
