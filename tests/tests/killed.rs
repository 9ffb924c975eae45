//! A move whose tool is killed: whoever comes next finishes it or takes it back, and nothing is lost on the way.

use std::io::{BufRead as _, BufReader};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use pgha_judge::Ruling;
use pgha_lab::cluster::{Patroni, Standby, primary_site};
use pgha_lab::kubectl::Kubectl;
use pgha_lab::site::Site;
use pgha_lab::wait;
use pgha_tests::{Ended, Suite, kill, signal_go_on, signal_stop};

const DEADLINE: Duration = Duration::from_mins(2);

/// How long each step of a command may take here: the machine may be busy.
const TIMEOUT: &str = "2m";

/// What a move says when a step begins or has settled.
const PREPARING: &str = r#""event":"settled","step":"prepare""#;
const FENCING: &str = r#""event":"started","step":"fence""#;
const FENCED: &str = r#""event":"settled","step":"fence""#;
const PROVED: &str = r#""event":"settled","step":"prove""#;
const PROMOTING: &str = r#""event":"started","step":"promote""#;
const PROMOTED: &str = r#""event":"settled","step":"promote""#;
const RELEASED: &str = r#""event":"settled","step":"release""#;

const ARCHIVE: Kind = Kind {
    cluster: "moves-archive",
    standby: Standby::Archive,
    patroni: Patroni::V4_1,
};

const STREAMING: Kind = Kind {
    cluster: "moves-streaming",
    standby: Standby::Streaming,
    patroni: Patroni::V4_1,
};

const OLD: Kind = Kind {
    cluster: "moves-archive-33",
    standby: Standby::Archive,
    patroni: Patroni::V3_3,
};

/// A pair that other tests use too.
#[derive(Clone, Copy, Debug)]
struct Kind {
    cluster: &'static str,
    standby: Standby,
    patroni: Patroni,
}

#[test]
fn a_move_killed_at_the_fence_is_finished() -> Result<()> {
    killed_then(ARCHIVE, FENCED, "resume")
}

#[test]
fn a_move_killed_at_the_fence_is_taken_back() -> Result<()> {
    killed_then(ARCHIVE, FENCING, "abort")
}

#[test]
fn a_streaming_move_killed_at_the_promotion_is_finished() -> Result<()> {
    killed_then(STREAMING, PROMOTING, "resume")
}

#[test]
fn a_move_of_an_old_patroni_killed_at_the_fence_is_finished() -> Result<()> {
    killed_then(OLD, FENCED, "resume")
}

#[test]
fn a_move_killed_anywhere_else_is_finished_or_taken_back() -> Result<()> {
    if Suite::open_for_full()?.is_none() {
        return Ok(());
    }
    for kind in [ARCHIVE, STREAMING, OLD] {
        for at in [PREPARING, FENCING, PROVED, PROMOTED, RELEASED] {
            killed_then(kind, at, "resume")?;
        }
        for at in [PREPARING, FENCED] {
            killed_then(kind, at, "abort")?;
        }
    }
    Ok(())
}

/// Dies right after each write, one after the other, until a move comes through: right after one write is right before the
/// next. `PGHA_KILL_POINTS=20-30` does only those.
#[test]
fn a_move_that_dies_at_any_of_its_writes_is_finished() -> Result<()> {
    if Suite::open_for_full()?.is_none() {
        return Ok(());
    }
    let Some(pair) = Pair::open(STREAMING)? else {
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
    find(&mut lines, FENCED)?;
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
    find(&mut lines, PROMOTED)?;
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
    find(&mut lines, PREPARING)?;
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

fn killed_then(kind: Kind, at: &str, verb: &str) -> Result<()> {
    let Some(pair) = Pair::open(kind)? else {
        return Ok(());
    };
    let from = pair.primary()?;
    let writer = pair.suite.writer(pair.kind.cluster, 0)?;
    let mut moving = pair.suite.start(&pair.switchover(from))?;
    let stdout = moving.stdout.take().context("no stdout")?;
    find(&mut BufReader::new(stdout).lines(), at)?;
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

fn find(lines: &mut impl Iterator<Item = std::io::Result<String>>, wanted: &str) -> Result<()> {
    for line in lines {
        if line?.contains(wanted) {
            return Ok(());
        }
    }
    bail!("{wanted} never came")
}

struct Pair {
    suite: Suite,
    kind: Kind,
}

impl Pair {
    fn open(kind: Kind) -> Result<Option<Self>> {
        let Some(suite) = Suite::open()? else {
            return Ok(None);
        };
        suite.pair(kind.cluster, kind.standby, kind.patroni)?;
        Ok(Some(Self { suite, kind }))
    }

    fn primary(&self) -> Result<Site> {
        primary_site(self.kind.cluster)
    }

    fn switchover(&self, from: Site) -> Vec<&'static str> {
        let sides = ["--from", from.name(), "--to", from.other().name()];
        let how = ["--yes", "-o", "json", "--timeout", TIMEOUT];
        [&["switchover", self.kind.cluster][..], &sides, &how].concat()
    }

    fn taking_over(&self, verb: &'static str, from: Site) -> Vec<&'static str> {
        let sides = ["--from", from.name(), "--to", from.other().name()];
        let how = ["--yes", "--timeout", TIMEOUT];
        [&[verb, self.kind.cluster][..], &sides, &how].concat()
    }

    fn take_over(&self, verb: &str, from: Site) -> Result<Ended> {
        let verb = if verb == "abort" { "abort" } else { "resume" };
        let args = [&self.taking_over(verb, from)[..], &["--take-over"]].concat();
        self.suite.run(&args)
    }

    /// Whether the move came through because it has no such write; otherwise it is resumed.
    fn dies_at(&self, point: &str) -> Result<bool> {
        let from = self.primary()?;
        let writer = self.suite.writer(self.kind.cluster, 0)?;
        let mut command = self.suite.plugin();
        command.args(self.switchover(from));
        let output = command.env("PGHA_TEST_DIE_AT", point).output()?;
        let came_through = output.status.code() == Some(0);
        if !came_through {
            ensure!(output.status.code().is_none(), "at {point}: {output:?}");
            let resumed = self.take_over("resume", from)?;
            ensure!(resumed.code == Some(0), "resume after {point}: {resumed:?}");
        }
        // Before the first write there is nothing to resume.
        let to = self.primary()?;
        let verdict = writer.judge_within(usize::from(to != from), DEADLINE)?;
        ensure!(verdict.ruling == Ruling::Pass, "{point}: {verdict}");
        self.is_well(to)?;
        Ok(came_through)
    }

    /// This side is primary, the other one follows, and nothing is held.
    fn is_well(&self, primary: Site) -> Result<()> {
        wait::until("both sides well", DEADLINE, || {
            let now = self.primary()?;
            ensure!(now == primary, "{now} is primary");
            let status = self.suite.status(self.kind.cluster)?;
            ensure!(status.code == Some(0), "status says: {}", status.stdout);
            for held in ["operator-paused", "patroni-paused"] {
                ensure!(!status.stdout.contains(held), "held: {}", status.stdout);
            }
            for site in Site::ALL {
                let object = Kubectl::new(site).get(&["postgrescluster", self.kind.cluster])?;
                ensure!(object["spec"]["paused"] != true, "{site} is held");
            }
            Ok(())
        })
    }
}

#[expect(clippy::print_stdout, reason = "what a long test has done")]
fn say(text: &str) {
    println!("{text}");
}
