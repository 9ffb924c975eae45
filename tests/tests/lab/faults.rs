//! A move that meets a fault of the world around it: it goes on, or back, or says what to run; nothing is lost, and never two
//! sides take writes.

use std::io::{BufRead as _, BufReader};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use pgha_judge::Ruling;
use pgha_lab::cluster::{leader, primary_site, query_leader};
use pgha_lab::fault::archive::{self, Break};
use pgha_lab::fault::link::{self, End};
use pgha_lab::fault::process::{Act, act_in_pod, act_on_daemon};
use pgha_lab::kubectl::Kubectl;
use pgha_lab::site::Site;
use pgha_lab::wait;
use pgha_tests::pair::{ARCHIVE, Kind, OLD_STREAMING, Pair, STREAMING, event};
use pgha_tests::{Ended, Suite, finish, say, signal_go_on, signal_stop};

/// How long each wait of these moves may last: shorter than the faults.
const TIMEOUT: &str = "20s";

/// How long both sides may take to be well after a fault.
const SETTLES: Duration = Duration::from_mins(4);

const API_SERVER: &str = "kube-apiserver";

/// What happens in the middle of a move.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// The API server of the source answers nobody until the command has ended.
    SourceApiAway,
    /// The same of the target.
    TargetApiAway,
    /// Nothing passes between the sites.
    LinkCut,
    /// The same, and the source knows that its connection to the target is gone; the target does not.
    ReceiverLost,
    /// The source's archive answers nobody.
    ArchiveSilent,
    /// The source's leader loses its pod.
    SourceLeaderGone,
    /// The target's leader loses its Postgres.
    TargetLeaderDies,
}

/// The one that every run has.
#[test]
fn the_leader_of_the_target_dies_between_proof_and_promotion() -> Result<()> {
    meets(STREAMING, Fault::TargetLeaderDies, event::FENCED)
}

/// What the source wrote last never comes by the connection, and the target waits for it there.
#[test]
fn a_receiver_that_is_lost_at_the_fence_stops_no_move() -> Result<()> {
    comes_through(STREAMING, Fault::ReceiverLost, event::FENCING)
}

#[test]
fn a_receiver_that_is_lost_at_the_fence_stops_no_move_of_an_old_patroni() -> Result<()> {
    if Suite::open_for_full()?.is_none() {
        return Ok(());
    }
    comes_through(OLD_STREAMING, Fault::ReceiverLost, event::FENCING)
}

#[test]
fn a_link_that_is_cut_at_the_fence_stops_no_move_of_an_old_patroni() -> Result<()> {
    if Suite::open_for_full()?.is_none() {
        return Ok(());
    }
    comes_through(OLD_STREAMING, Fault::LinkCut, event::FENCING)
}

#[test]
fn every_fault_before_the_fence() -> Result<()> {
    every_fault_at(event::PREPARING)
}

#[test]
fn every_fault_as_the_source_is_told_to_stop() -> Result<()> {
    every_fault_at(event::FENCING)
}

#[test]
fn every_fault_after_the_fence() -> Result<()> {
    every_fault_at(event::FENCED)
}

#[test]
fn every_fault_after_the_promotion() -> Result<()> {
    every_fault_at(event::PROMOTED)
}

/// Fifty moves there and back without a hand on them.
#[test]
fn cnpg_9273_fifty_moves_there_and_back() -> Result<()> {
    if Suite::open_for_full()?.is_none() {
        return Ok(());
    }
    let Some(pair) = Pair::open(STREAMING)? else {
        return Ok(());
    };
    let writer = pair.suite.writer(pair.kind.cluster, 2)?;
    for number in 0..50 {
        let from = pair.primary()?;
        let ended = pair.suite.switchover(pair.kind.cluster, from)?;
        ensure!(ended.code == Some(0), "move {number} ended with {ended:?}");
        pair.suite.await_well(pair.kind.cluster, from.other())?;
        say(&format!("move {number} to {}", from.other().name()));
    }
    let verdict = writer.judge_within(50, SETTLES)?;
    ensure!(verdict.ruling == Ruling::Pass, "{verdict}");
    Ok(())
}

fn every_fault_at(step: &str) -> Result<()> {
    if Suite::open_for_full()?.is_none() {
        return Ok(());
    }
    for fault in [
        Fault::SourceApiAway,
        Fault::TargetApiAway,
        Fault::LinkCut,
        Fault::SourceLeaderGone,
        Fault::TargetLeaderDies,
    ] {
        meets(STREAMING, fault, step)?;
    }
    meets(ARCHIVE, Fault::ArchiveSilent, step)
}

fn meets(kind: Kind, fault: Fault, at: &str) -> Result<()> {
    meet(kind, fault, at).map(drop)
}

/// The same, and the target is promoted.
fn comes_through(kind: Kind, fault: Fault, at: &str) -> Result<()> {
    let Some(ended) = meet(kind, fault, at)? else {
        return Ok(());
    };
    // Whether the old side follows is another matter: the fault lasts.
    let is_promoted = ended.stdout.contains(event::PROMOTED);
    ensure!(is_promoted, "{fault:?} at {at}: {ended:?}");
    Ok(())
}

/// A move that meets this fault, to its good end; how the move itself ended, `None` without a lab.
fn meet(kind: Kind, fault: Fault, at: &str) -> Result<Option<Ended>> {
    let Some(pair) = Pair::open(kind)? else {
        return Ok(None);
    };
    // What an earlier test that failed has left behind.
    let from = pair.primary()?;
    pair.take_over("abort", from)?;
    pair.suite.await_well(kind.cluster, from)?;
    reconnect(&pair, from)?;
    let writer = pair.suite.writer(kind.cluster, 0)?;
    let ended = move_into(&pair, from, fault, at);
    heal(fault, from)?;
    await_lab()?;
    let ended = ended?;
    // Whatever it says, it does not claim what is not so, and the command that it names brings an end.
    ensure!(
        matches!(ended.code, Some(0 | 3..=5)),
        "{fault:?} at {at}: ended with {ended:?}"
    );
    if ended.code == Some(0) {
        ensure!(primary_site(kind.cluster)? == from.other(), "{ended:?}");
    } else {
        let told = ["`kubectl pgha ", "The same command"];
        let said = ended.stdout.as_str();
        ensure!(
            told.iter().any(|word| said.contains(word)),
            "{fault:?} at {at}: it named no next command: {ended:?}"
        );
        resume(&pair, from)?;
    }
    let primary = settled(&pair)?;
    let verdict = writer.judge_within(usize::from(primary != from), SETTLES)?;
    ensure!(
        verdict.ruling == Ruling::Pass,
        "{fault:?} at {at}, primary in {primary}: {verdict}"
    );
    say(&format!(
        "{fault:?} at {at}: exit {:?}, primary in {} in the end",
        ended.code,
        if primary == from {
            "the source"
        } else {
            "the target"
        }
    ));
    Ok(Some(ended))
}

/// Runs a move and lets the fault happen when it says this; the tool stands still meanwhile.
fn move_into(pair: &Pair, from: Site, fault: Fault, at: &str) -> Result<Ended> {
    let sides = ["--from", from.name(), "--to", from.other().name()];
    let how = ["--yes", "-o", "json", "--timeout", TIMEOUT];
    let args = [&["switchover", pair.kind.cluster][..], &sides, &how].concat();
    let mut moving = pair.suite.start(&args)?;
    let stdout = moving.stdout.take().context("no stdout")?;
    let mut seen = String::new();
    let mut happened = false;
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        seen.push_str(&line);
        seen.push('\n');
        if !happened && line.contains(at) {
            happened = true;
            signal_stop(&moving)?;
            let begun = begin(pair, from, fault);
            signal_go_on(&moving)?;
            begun?;
        }
    }
    let ended = finish(moving)?;
    ensure!(happened, "it never came to {at}: {seen}");
    Ok(Ended {
        stdout: seen,
        ..ended
    })
}

fn begin(pair: &Pair, from: Site, fault: Fault) -> Result<()> {
    let to = from.other();
    match fault {
        Fault::SourceApiAway => act_on_daemon(from.place(), API_SERVER, Act::Pause),
        Fault::TargetApiAway => act_on_daemon(to.place(), API_SERVER, Act::Pause),
        Fault::LinkCut => cut_link(from),
        Fault::ReceiverLost => {
            cut_link(from)?;
            let end = "select pg_terminate_backend(pid) from pg_stat_replication";
            query_leader(from, pair.kind.cluster, end).map(drop)
        }
        Fault::ArchiveSilent => archive::cut(from, Break::Silent),
        Fault::SourceLeaderGone => {
            let pod = leader(Kubectl::new(from), pair.kind.cluster)?;
            let args = [
                "delete",
                "pod",
                &pod,
                "--force",
                "--grace-period=0",
                "--wait=false",
            ];
            Kubectl::new(from).run(&args).map(drop)
        }
        Fault::TargetLeaderDies => {
            let pod = leader(Kubectl::new(to), pair.kind.cluster)?;
            act_in_pod(to, &pod, "database", "postgres", Act::Kill)
        }
    }
}

fn cut_link(from: Site) -> Result<()> {
    let (from, to) = (from.place(), from.other().place());
    link::cut(End::Place(from), End::Place(to))?;
    link::cut(End::Place(to), End::Place(from))
}

fn heal(fault: Fault, from: Site) -> Result<()> {
    match fault {
        Fault::SourceApiAway => act_on_daemon(from.place(), API_SERVER, Act::Resume),
        Fault::TargetApiAway => act_on_daemon(from.other().place(), API_SERVER, Act::Resume),
        Fault::LinkCut | Fault::ReceiverLost => link::heal_all(),
        Fault::ArchiveSilent => archive::heal(from),
        Fault::SourceLeaderGone | Fault::TargetLeaderDies => Ok(()),
    }
}

/// A control plane that has been away elects anew and counts its nodes again; the next move is not about that.
fn await_lab() -> Result<()> {
    wait::until("the lab to be well again", SETTLES, || {
        let is_well = pgha_lab::status::read().is_well();
        ensure!(is_well, "the lab does not answer");
        Ok(())
    })
}

/// What was left is gone on with, as soon as both sites answer again.
fn resume(pair: &Pair, from: Site) -> Result<()> {
    wait::until("an end of what was left", SETTLES, || {
        let ended = pair.take_over("resume", from)?;
        ensure!(ended.code == Some(0), "resume ended with {ended:?}");
        Ok(())
    })
}

/// A receiver keeps its connection to a leader of the source that has lost its place meanwhile: it is ended, and connects anew.
fn reconnect(pair: &Pair, from: Site) -> Result<()> {
    let (cluster, to) = (pair.kind.cluster, from.other());
    let sides = ["--from", from.name(), "--to", to.name(), "--dry-run"];
    wait::until("a target that may be moved to", SETTLES, || {
        let planned = pair
            .suite
            .run(&[&["switchover", cluster][..], &sides].concat())?;
        if planned.stdout.contains("fed-by-source") {
            let end = "pkill -TERM -f 'walreceive[r]'; true";
            let pod = leader(Kubectl::new(to), cluster)?;
            Kubectl::new(to).exec(&pod, "database", &["bash", "-c", end])?;
        }
        ensure!(planned.code == Some(0), "it is refused: {planned:?}");
        Ok(())
    })
}

/// Where the primary is once both sides are well.
fn settled(pair: &Pair) -> Result<Site> {
    wait::until("both sides well", SETTLES, || {
        let now = pair.primary()?;
        pair.suite.await_well(pair.kind.cluster, now)?;
        Ok(now)
    })
}
