//! A move that is interrupted: before the fence nothing has happened, after it the source is primary again, and who gives
//! up waiting is told how to go on.

use std::io::{BufRead as _, BufReader};
use std::process::Child;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use pgha_judge::Ruling;
use pgha_lab::cluster::{Patroni, Standby, leader, primary_site, query_leader};
use pgha_lab::kubectl::Kubectl;
use pgha_lab::site::{SERVICE_NAMESPACE, Site};
use pgha_lab::wait;
use pgha_tests::pair::event::{FENCED, HELD, PREPARING as PREPARED, PROMOTED, PROMOTING};
use pgha_tests::{Ended, Suite, Writer, interrupt};

const DEADLINE: Duration = Duration::from_mins(1);

/// What a move says when it goes back.
const UNDOING: &str = r#""event":"undoing""#;

#[test]
fn before_the_fence_everything_is_put_back() -> Result<()> {
    nothing_happens("moves-archive", Standby::Archive, Patroni::V4_1, HELD)
}

/// Patroni is paused by then.
#[test]
fn before_the_fence_of_an_old_patroni_everything_is_put_back() -> Result<()> {
    if Suite::open_for_full()?.is_none() {
        return Ok(());
    }
    nothing_happens(
        "moves-archive-33",
        Standby::Archive,
        Patroni::V3_3,
        PREPARED,
    )
}

#[test]
fn after_the_fence_the_source_is_primary_again_and_archives() -> Result<()> {
    goes_back("moves-archive", Standby::Archive, Patroni::V4_1)
}

#[test]
fn after_the_fence_of_a_streaming_pair_the_source_is_primary_again_and_archives() -> Result<()> {
    if Suite::open_for_full()?.is_none() {
        return Ok(());
    }
    goes_back("moves-streaming", Standby::Streaming, Patroni::V4_1)
}

#[test]
fn after_the_fence_of_an_old_patroni_the_source_is_primary_again_and_archives() -> Result<()> {
    goes_back("moves-archive-33", Standby::Archive, Patroni::V3_3)
}

#[test]
fn a_terminal_closed_after_the_fence_leaves_the_source_primary_and_archiving() -> Result<()> {
    if Suite::open_for_full()?.is_none() {
        return Ok(());
    }
    let Some(pair) = Pair::open("moves-archive", Standby::Archive, Patroni::V4_1)? else {
        return Ok(());
    };
    let writer = pair.writer()?;
    let mut moving = pair.start()?;
    let stdout = moving.stdout.take().context("no stdout")?;
    let fenced = |line: &std::io::Result<String>| {
        let read = line.as_ref();
        read.is_ok_and(|line| line.contains(FENCED))
    };
    let said = BufReader::new(stdout).lines().find(fenced);
    said.context("the source was never fenced")??;
    pgha_tests::hang_up(&mut moving)?;
    let ended = pgha_tests::finish(moving)?;
    let verdict = writer.judge(0)?;
    ensure!(ended.code == Some(4), "ended with {ended:?}");
    ensure!(verdict.ruling == Ruling::Pass, "{verdict}");
    pair.archives(pair.from)?;
    pair.is_well(pair.from)
}

/// Both operators are held by then, and Patroni is paused.
#[test]
fn who_gives_up_before_the_fence_of_an_old_patroni_is_told_how_to_go_on() -> Result<()> {
    if Suite::open_for_full()?.is_none() {
        return Ok(());
    }
    gives_up_putting_back("moves-archive-33", Standby::Archive, Patroni::V3_3)
}

#[test]
fn who_gives_up_going_back_is_told_how_to() -> Result<()> {
    if Suite::open_for_full()?.is_none() {
        return Ok(());
    }
    gives_up_going_back("moves-archive", Standby::Archive, Patroni::V4_1)
}

#[test]
fn who_gives_up_going_back_with_an_old_patroni_is_told_how_to() -> Result<()> {
    if Suite::open_for_full()?.is_none() {
        return Ok(());
    }
    gives_up_going_back("moves-archive-33", Standby::Archive, Patroni::V3_3)
}

#[test]
fn who_gives_up_after_the_promotion_is_told_how_to_go_on() -> Result<()> {
    gives_up_going_on("moves-streaming", Standby::Streaming, Patroni::V4_1)
}

#[test]
fn who_gives_up_after_the_promotion_with_an_old_patroni_is_told_how_to_go_on() -> Result<()> {
    if Suite::open_for_full()?.is_none() {
        return Ok(());
    }
    gives_up_going_on("moves-archive-33", Standby::Archive, Patroni::V3_3)
}

fn nothing_happens(
    cluster: &'static str,
    standby: Standby,
    patroni: Patroni,
    at: &str,
) -> Result<()> {
    let Some(pair) = Pair::open(cluster, standby, patroni)? else {
        return Ok(());
    };
    let writer = pair.writer()?;
    let ended = pair.interrupted_at(&[at])?;
    let verdict = writer.judge(0)?;
    ensure!(ended.code == Some(130), "ended with {ended:?}");
    ensure!(verdict.ruling == Ruling::Pass, "{verdict}");
    pair.is_well(pair.from)
}

fn goes_back(cluster: &'static str, standby: Standby, patroni: Patroni) -> Result<()> {
    let Some(pair) = Pair::open(cluster, standby, patroni)? else {
        return Ok(());
    };
    let writer = pair.writer()?;
    let ended = pair.interrupted_at(&[FENCED])?;
    let verdict = writer.judge(0)?;
    ensure!(ended.code == Some(4), "ended with {ended:?}");
    ensure!(verdict.ruling == Ruling::Pass, "{verdict}");
    pair.archives(pair.from)?;
    pair.is_well(pair.from)
}

/// A hold is left; a person does what the hint says, and everything is as before.
fn gives_up_putting_back(cluster: &'static str, standby: Standby, patroni: Patroni) -> Result<()> {
    let Some(pair) = Pair::open(cluster, standby, patroni)? else {
        return Ok(());
    };
    let writer = pair.writer()?;
    let ended = pair.interrupted_at(&[PREPARED, UNDOING])?;
    ensure!(ended.code == Some(5), "ended with {ended:?}");
    tells(&ended, "is primary as before")?;
    pair.told_to(&ended, "abort")?;
    let verdict = writer.judge(0)?;
    ensure!(verdict.ruling == Ruling::Pass, "{verdict}");
    pair.is_well(pair.from)
}

/// The source is left fenced; a person does what the hint says, and loses nothing.
fn gives_up_going_back(cluster: &'static str, standby: Standby, patroni: Patroni) -> Result<()> {
    let Some(pair) = Pair::open(cluster, standby, patroni)? else {
        return Ok(());
    };
    let writer = pair.writer()?;
    let ended = pair.interrupted_at(&[FENCED, UNDOING])?;
    ensure!(ended.code == Some(5), "ended with {ended:?}");
    tells(&ended, "nobody is primary")?;
    tells(&ended, &pair.command("resume"))?;
    pair.refuses_until_finished()?;
    pair.told_to(&ended, "abort")?;
    let verdict = writer.judge(0)?;
    ensure!(verdict.ruling == Ruling::Pass, "{verdict}");
    pair.archives(pair.from)?;
    pair.is_well(pair.from)
}

/// The target is primary; a person does what the hint says, and the old side follows.
fn gives_up_going_on(cluster: &'static str, standby: Standby, patroni: Patroni) -> Result<()> {
    let Some(pair) = Pair::open(cluster, standby, patroni)? else {
        return Ok(());
    };
    let to = pair.from.other();
    let writer = pair.writer()?;
    let ended = pair.interrupted_at(&[PROMOTING, PROMOTED])?;
    ensure!(ended.code == Some(5), "ended with {ended:?}");
    tells(&ended, &format!("{to} is primary"))?;
    let late = pair.take_over("abort")?;
    ensure!(late.code == Some(3), "a promotion was taken back: {late:?}");
    tells(&late, "a promotion is not taken back")?;
    pair.told_to(&ended, "resume")?;
    let verdict = writer.judge(1)?;
    ensure!(verdict.ruling == Ruling::Pass, "{verdict}");
    pair.archives(to)?;
    pair.is_well(to)
}

fn tells(ended: &Ended, what: &str) -> Result<()> {
    let said = format!("{}{}", ended.stdout, ended.stderr);
    ensure!(said.contains(what), "`{what}` is not told: {ended:?}");
    Ok(())
}

/// A pair that other tests use too, with the site where it is primary.
struct Pair {
    suite: Suite,
    cluster: &'static str,
    from: Site,
}

impl Pair {
    fn open(cluster: &'static str, standby: Standby, patroni: Patroni) -> Result<Option<Self>> {
        let Some(suite) = Suite::open()? else {
            return Ok(None);
        };
        suite.pair(cluster, standby, patroni)?;
        let from = primary_site(cluster)?;
        Ok(Some(Self {
            suite,
            cluster,
            from,
        }))
    }

    fn writer(&self) -> Result<Writer> {
        self.suite.writer(self.cluster, 0)
    }

    /// Starts a move that tells its events as lines.
    fn start(&self) -> Result<Child> {
        let sides = ["--from", self.from.name(), "--to", self.from.other().name()];
        let args = ["switchover", self.cluster, "--yes", "-o", "json"];
        self.suite.start(&[&args[..], &sides].concat())
    }

    /// Starts a move and sends SIGINT for each of these lines, in order, as soon as it is there.
    fn interrupted_at(&self, lines: &[&str]) -> Result<Ended> {
        let mut moving = self.start()?;
        let stdout = moving.stdout.take().context("no stdout")?;
        let mut said = String::new();
        let mut awaited = lines.iter().peekable();
        for read in BufReader::new(stdout).lines() {
            let read = read?;
            said.push_str(&read);
            said.push('\n');
            if awaited.next_if(|line| read.contains(**line)).is_some() {
                interrupt(&moving)?;
            }
        }
        let ended = pgha_tests::finish(moving)?;
        Ok(Ended {
            stdout: said,
            ..ended
        })
    }

    /// What a person is told to run, whole.
    fn command(&self, verb: &str) -> String {
        let (cluster, from) = (self.cluster, self.from);
        let to = from.other();
        format!("kubectl pgha {verb} {cluster} -n {SERVICE_NAMESPACE} --from {from} --to {to}")
    }

    fn take_over(&self, verb: &str) -> Result<Ended> {
        let sides = ["--from", self.from.name(), "--to", self.from.other().name()];
        self.suite
            .run(&[&[verb, self.cluster, "--yes"][..], &sides].concat())
    }

    /// This command was told, and does what it promises.
    fn told_to(&self, ended: &Ended, verb: &str) -> Result<()> {
        tells(ended, &self.command(verb))?;
        let taken = self.take_over(verb)?;
        ensure!(taken.code == Some(0), "{verb} ended with {taken:?}");
        Ok(())
    }

    /// No other move begins.
    fn refuses_until_finished(&self) -> Result<()> {
        let refused = self.suite.switchover(self.cluster, self.from)?;
        ensure!(refused.code == Some(3), "not refused: {refused:?}");
        tells(&refused, "is not finished")?;
        tells(&refused, &self.command("abort"))
    }

    fn await_primary(&self, site: Site) -> Result<()> {
        wait::until("a primary", DEADLINE, || {
            ensure!(primary_site(self.cluster)? == site, "another site is");
            Ok(())
        })
    }

    /// Three more segments reach the repository.
    fn archives(&self, site: Site) -> Result<()> {
        let ask = |sql: &str| query_leader(site, self.cluster, sql);
        let mut segments = Vec::new();
        for _ in 0..3 {
            ask("select pg_logical_emit_message(true, 'suite', 'x')")?;
            segments.push(ask("select pg_walfile_name(pg_switch_wal())")?);
        }
        wait::until("three segments in the repository", DEADLINE, || {
            for segment in &segments {
                self.repository_has(site, segment)?;
            }
            Ok(())
        })
    }

    fn repository_has(&self, site: Site, segment: &str) -> Result<()> {
        let leader = leader(Kubectl::new(site), self.cluster)?;
        let list = [
            "pgbackrest",
            "repo-ls",
            "--repo=1",
            "--recurse",
            "archive/db",
        ];
        let listed = Kubectl::new(site).exec(&leader, "database", &list)?;
        ensure!(listed.contains(segment), "{segment} is not there");
        Ok(())
    }

    /// This side is primary, the other one follows, and nothing is held.
    fn is_well(&self, primary: Site) -> Result<()> {
        self.await_primary(primary)?;
        wait::until("both sides well", DEADLINE, || {
            let status = self.suite.status(self.cluster)?;
            ensure!(status.code == Some(0), "status says: {}", status.stdout);
            let held = ["operator-paused", "patroni-paused"];
            ensure!(
                held.iter().all(|held| !status.stdout.contains(held)),
                "something is held: {}",
                status.stdout
            );
            Ok(())
        })
    }
}
