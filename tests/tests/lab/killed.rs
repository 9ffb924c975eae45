//! A move whose tool is killed: whoever comes next finishes it or takes it back, and nothing is lost on the way.

use std::io::{BufRead as _, BufReader};

use anyhow::{Context as _, Result, ensure};
use pgha_judge::Ruling;
use pgha_lab::kubectl::Kubectl;
use pgha_tests::pair::{ARCHIVE, DEADLINE, Kind, OLD, Pair, STREAMING, await_line, event};
use pgha_tests::{Suite, kill, say, signal_go_on, signal_stop};

#[test]
fn a_move_killed_at_the_fence_is_finished() -> Result<()> {
    killed_then(ARCHIVE, event::FENCED, "resume")
}

#[test]
fn a_move_killed_at_the_fence_is_taken_back() -> Result<()> {
    killed_then(ARCHIVE, event::FENCING, "abort")
}

#[test]
fn a_streaming_move_killed_at_the_promotion_is_finished() -> Result<()> {
    killed_then(STREAMING, event::PROMOTING, "resume")
}

#[test]
fn a_move_of_an_old_patroni_killed_at_the_fence_is_finished() -> Result<()> {
    if Suite::open_for_full()?.is_none() {
        return Ok(());
    }
    killed_then(OLD, event::FENCED, "resume")
}

#[test]
fn a_move_killed_anywhere_else_is_finished_or_taken_back() -> Result<()> {
    if Suite::open_for_full()?.is_none() {
        return Ok(());
    }
    for kind in [ARCHIVE, STREAMING, OLD] {
        for at in [
            event::PREPARING,
            event::FENCING,
            event::PROVED,
            event::PROMOTED,
            event::RELEASED,
        ] {
            killed_then(kind, at, "resume")?;
        }
        for at in [event::PREPARING, event::FENCED] {
            killed_then(kind, at, "abort")?;
        }
    }
    Ok(())
}

#[test]
fn a_streaming_move_that_dies_at_any_of_its_writes_is_finished() -> Result<()> {
    dies_at_each_write(STREAMING)
}

#[test]
fn an_archive_only_move_that_dies_at_any_of_its_writes_is_finished() -> Result<()> {
    dies_at_each_write(ARCHIVE)
}

/// A tool that was stopped wakes up after another has gone on: it can write nothing any more.
#[test]
fn a_tool_that_wakes_up_too_late_changes_nothing() -> Result<()> {
    let Some(pair) = Pair::open(STREAMING)? else {
        return Ok(());
    };
    let from = pair.primary()?;
    let writer = pair.suite.writer(pair.kind.cluster, 0)?;
    let mut moving = pair.suite.start(&pair.switchover(from))?;
    let stdout = moving.stdout.take().context("no stdout")?;
    let mut lines = BufReader::new(stdout).lines();
    await_line(&mut lines, event::FENCED)?;
    signal_stop(&moving)?;
    let resumed = pair.take_over("resume", from)?;
    ensure!(resumed.code == Some(0), "resume ended with {resumed:?}");
    signal_go_on(&moving)?;
    let rest: Vec<String> = lines.collect::<Result<_, _>>()?;
    let late = pgha_tests::finish(moving)?;
    let verdict = writer.judge(1)?;
    ensure!(late.code == Some(5), "the late tool ended with {late:?}");
    ensure!(
        rest.iter().any(|line| line.contains("has taken over")),
        "the late tool said {rest:?}"
    );
    ensure!(verdict.ruling == Ruling::Pass, "{verdict}");
    pair.is_well(from.other())
}

/// GitOps, or a person, who puts the old value back while the operators are held: they stay held, because the source's
/// would make a second primary of it.
#[test]
fn an_object_put_back_in_the_middle_makes_no_second_primary() -> Result<()> {
    let Some(pair) = Pair::open(STREAMING)? else {
        return Ok(());
    };
    let from = pair.primary()?;
    let writer = pair.suite.writer(pair.kind.cluster, 0)?;
    let mut moving = pair.suite.start(&pair.switchover(from))?;
    let stdout = moving.stdout.take().context("no stdout")?;
    let mut lines = BufReader::new(stdout).lines();
    await_line(&mut lines, event::PROMOTED)?;
    signal_stop(&moving)?;
    let patch = r#"--patch={"spec":{"standby":{"enabled":false}}}"#;
    let cluster = pair.kind.cluster;
    let reverted = ["patch", "postgrescluster", cluster, "--type=merge", patch];
    Kubectl::new(from).run(&reverted)?;
    signal_go_on(&moving)?;
    let rest: Vec<String> = lines.collect::<Result<_, _>>()?;
    let ended = pgha_tests::finish(moving)?;
    ensure!(ended.code == Some(5), "ended with {ended:?} {rest:?}");
    ensure!(
        rest.iter()
            .any(|line| line.contains("somebody has changed spec.standby")),
        "it said {rest:?}"
    );
    let resumed = pair.take_over("resume", from)?;
    ensure!(resumed.code == Some(0), "resume ended with {resumed:?}");
    let verdict = writer.judge_within(1, DEADLINE)?;
    ensure!(verdict.ruling == Ruling::Pass, "{verdict}");
    pair.is_well(from.other())
}

/// A second operator is told that a move is under way, and changes nothing.
#[test]
fn a_second_operator_is_refused() -> Result<()> {
    let Some(pair) = Pair::open(ARCHIVE)? else {
        return Ok(());
    };
    let from = pair.primary()?;
    let mut moving = pair.suite.start(&pair.switchover(from))?;
    let stdout = moving.stdout.take().context("no stdout")?;
    let mut lines = BufReader::new(stdout).lines();
    await_line(&mut lines, event::PREPARING)?;
    signal_stop(&moving)?;
    let second = pair.suite.run(&pair.switchover(from))?;
    let early = pair.suite.run(&pair.taking_over("resume", from))?;
    signal_go_on(&moving)?;
    let rest: Vec<String> = lines.collect::<Result<_, _>>()?;
    let first = pgha_tests::finish(moving)?;
    ensure!(
        second.code == Some(3),
        "the second was not refused: {second:?}"
    );
    ensure!(
        early.code == Some(3) && early.stderr.contains("may still be at work"),
        "it was taken over: {early:?}"
    );
    ensure!(
        first.code == Some(0),
        "the first ended with {first:?} {rest:?}"
    );
    pair.is_well(from.other())
}

/// Dies right after each write, one after the other, until a move comes through: right after one write is right before the
/// next. `PGHA_KILL_POINTS=20-30` does only those.
fn dies_at_each_write(kind: Kind) -> Result<()> {
    if Suite::open_for_full()?.is_none() {
        return Ok(());
    }
    let Some(pair) = Pair::open(kind)? else {
        return Ok(());
    };
    let (first, last) = Suite::kill_points()?.unwrap_or((1, 200));
    if first == 1 {
        pair.dies_at("1:before")?;
    }
    for write in first..=last {
        let point = format!("{write}:after");
        let came_through = pair.dies_at(&point)?;
        say(&format!("{point} ended well"));
        if came_through {
            ensure!(write > 40, "a move has only {write} writes");
            break;
        }
    }
    Ok(())
}

fn killed_then(kind: Kind, at: &str, verb: &str) -> Result<()> {
    let Some(pair) = Pair::open(kind)? else {
        return Ok(());
    };
    let from = pair.primary()?;
    let writer = pair.suite.writer(pair.kind.cluster, 0)?;
    let mut moving = pair.suite.start(&pair.switchover(from))?;
    let stdout = moving.stdout.take().context("no stdout")?;
    await_line(&mut BufReader::new(stdout).lines(), at)?;
    kill(&moving)?;
    let killed = pgha_tests::finish(moving)?;
    ensure!(killed.code.is_none(), "it was not killed: {killed:?}");
    let ended = pair.take_over(verb, from)?;
    let to = if verb == "abort" { from } else { from.other() };
    let moves = usize::from(to != from);
    // What was killed at the decision may be past it.
    ensure!(
        ended.code == Some(0),
        "{verb} after {at} ended with {ended:?}"
    );
    let verdict = writer.judge_within(moves, DEADLINE)?;
    ensure!(
        verdict.ruling == Ruling::Pass,
        "{verb} after {at}: {verdict}"
    );
    pair.is_well(to)?;
    let nothing = pair.take_over(verb, from)?;
    ensure!(
        nothing.code == Some(0) && nothing.stdout.contains("no unfinished move"),
        "something is left: {nothing:?}"
    );
    Ok(())
}
