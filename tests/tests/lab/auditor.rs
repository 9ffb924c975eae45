//! The measuring instrument itself: what is wrong is found, and what cannot be known is said to be so.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use pgha_judge::{Ruling, State, Verdict};
use pgha_lab::cluster::{Patroni, Standby, primary_site};
use pgha_lab::fault::link::{self, End};
use pgha_lab::kubectl::Kubectl;
use pgha_lab::paths;
use pgha_lab::process::Identity;
use pgha_lab::site::Site;
use pgha_lab::wait;
use pgha_lab::writer::{self, Audit};
use pgha_tests::Suite;
use rustix::process::Signal;

const CLUSTER: &str = "moves-archive";
/// How long a counter of the writer may take to move.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn a_lost_a_doubled_and_an_invented_row_are_found() -> Result<()> {
    let Some(suite) = open()? else {
        return Ok(());
    };
    let running = suite.writer(CLUSTER, 2)?;
    await_count("acknowledged rows", |status| status.acknowledged >= 100)?;
    let clean = running.judge(0)?;
    ensure!(clean.ruling == Ruling::Pass, "{clean}");

    spoil(&clean)?;
    let spoilt = audit()?;
    let broken = broken(&spoilt);
    ensure!(
        broken == ["nothing-missing", "no-duplicates", "nothing-invented"],
        "{spoilt}"
    );
    let account = spoilt.account.context("no account of the rows")?;
    ensure!(account.missing.len() == 1 && account.duplicates.len() == 1);
    ensure!(account.unheard_of.len() == 1 && account.refused_present.is_empty());
    Ok(())
}

#[test]
fn rows_whose_answers_a_cut_link_swallowed_are_unknown_and_not_lost() -> Result<()> {
    let Some(suite) = open()? else {
        return Ok(());
    };
    let primary = primary_site(CLUSTER)?;
    let running = suite.writer(CLUSTER, 2)?;
    link::cut(End::Host, End::Place(primary.place()))?;
    let cut = await_count("rows without an answer", |status| status.unknown > 0);
    link::heal_all()?;
    let before = cut?.acknowledged;
    await_count("rows after the cut", |status| {
        status.acknowledged > before + 100
    })?;
    let verdict = running.judge(0)?;
    ensure!(verdict.ruling == Ruling::Pass, "{verdict}");
    let account = verdict.account.context("no account of the rows")?;
    ensure!(account.unknown > 0 && account.missing.is_empty());
    Ok(())
}

#[test]
fn a_writer_that_was_killed_proves_nothing() -> Result<()> {
    let Some(suite) = open()? else {
        return Ok(());
    };
    let running = suite.writer(CLUSTER, 0)?;
    let pid_file = Path::new(paths::RUN)
        .join("writer")
        .join(CLUSTER)
        .join("pid");
    Identity::read(&pid_file)?.signal(Signal::KILL)?;
    let verdict = running.judge(0)?;
    ensure!(verdict.ruling == Ruling::Inconclusive, "{verdict}");
    ensure!(!verdict.holds("ledger-complete") && verdict.holds("nothing-missing"));
    Ok(())
}

fn open() -> Result<Option<Suite>> {
    let Some(suite) = Suite::open()? else {
        return Ok(None);
    };
    suite.pair(CLUSTER, Standby::Archive, Patroni::V4_1)?;
    Ok(Some(suite))
}

fn await_count(what: &str, is_there: impl Fn(&writer::Status) -> bool) -> Result<writer::Status> {
    wait::until(what, PATIENCE, || {
        let status = writer::status(CLUSTER)?;
        ensure!(is_there(&status), "the writer says {status}");
        Ok(status)
    })
}

/// Takes one row of the run away, doubles another, and adds one that nobody wrote.
fn spoil(verdict: &Verdict) -> Result<()> {
    let mut sides = verdict.sides.iter();
    let primary = sides.find(|side| !side.in_recovery).context("no primary")?;
    let (mut rows, run) = (primary.rows.keys(), &verdict.run);
    let (lost, doubled) = (rows.next(), rows.next_back());
    let (lost, doubled) = lost.zip(doubled).context("too few rows")?;
    let sql = format!(
        "delete from pgha_writer.rows where (run, lane, seq) = ('{run}', {}, {});
         insert into pgha_writer.rows values ('{run}', {}, {}), ('{run}', 999, 1)",
        lost.lane, lost.seq, doubled.lane, doubled.seq
    );
    let psql = [
        "psql",
        "-X",
        "-v",
        "ON_ERROR_STOP=1",
        "-d",
        "zitadel",
        "-c",
        &sql,
    ];
    let site: Site = primary.site.parse().map_err(anyhow::Error::msg)?;
    Kubectl::new(site)
        .exec(&primary.member, "database", &psql)
        .map(drop)
}

fn audit() -> Result<Verdict> {
    let asked = Audit {
        follow_within: PATIENCE,
        ..Audit::of_moves(0)
    };
    writer::audit(CLUSTER, &asked)
}

fn broken(verdict: &Verdict) -> Vec<&str> {
    let checks = verdict.assumptions.iter().chain(&verdict.checks);
    let broken = checks.filter(|check| check.state == State::Broken);
    broken.map(|check| check.id.as_str()).collect()
}
