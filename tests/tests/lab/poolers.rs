//! Clients of a pooler, who wait while the database moves and see no error.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use anyhow::{Context as _, Result, ensure};
use pgha_judge::Ruling;
use pgha_lab::pooled::bouncer::Bouncer;
use pgha_lab::site::Site;
use pgha_lab::wait;
use pgha_tests::pair::event::{FENCED, PROMOTED};
use pgha_tests::pair::{DEADLINE, Pair, STREAMING, await_line};
use pgha_tests::{Suite, finish, interrupt, kill, say, service_file};
use tempfile::TempDir;

/// A pair, a pooler before it, and the service's file.
struct House {
    pair: Pair,
    from: Site,
    bouncer: Bouncer,
    folder: TempDir,
}

#[test]
fn clients_of_a_pooler_wait_and_see_no_error() -> Result<()> {
    let Some(house) = House::open(30)? else {
        return Ok(());
    };
    let to = house.from.other();
    let program = house.pair.suite.program("pgha-pooled");
    let clients = house.bouncer.clients(&program, "whole", 4)?;
    let writer = house.pair.suite.writer(STREAMING.cluster, 0)?;
    let moved = finish(house.start("switchover", &["--yes", "-o", "json"])?)?;
    let verdict = writer.judge(1)?;
    let report = clients.end()?;
    ensure!(moved.code == Some(0), "{moved:?}");
    ensure!(verdict.ruling == Ruling::Pass, "{verdict}");
    ensure!(report.errors.is_empty(), "{report:?}");
    ensure!(report.present == report.acknowledged, "{report:?}");
    say(&format!(
        "the longest wait was {:.0} ms; {verdict}",
        report.longest_wait_ms
    ));
    let position = |word: &str| moved.stdout.lines().position(|line| line.contains(word));
    let (waits, stopped) = (position("The clients of edge wait"), position(FENCED));
    ensure!(waits.is_some() && waits < stopped, "{moved:?}");
    ensure!(position(PROMOTED) > stopped, "{moved:?}");
    ensure!(position("PoolersOutcome") > position(PROMOTED), "{moved:?}");
    house
        .pair
        .history_says("The clients of edge go on, at most ")?;
    house.bouncer.leads_to(to)?;
    house.pair.is_well(to)
}

/// Ctrl-C while they wait: the source takes writes again, and they go on there.
#[test]
fn clients_of_a_move_that_is_taken_back_see_no_error() -> Result<()> {
    if Suite::open_for_full()?.is_none() {
        return Ok(());
    }
    let Some(house) = House::open(60)? else {
        return Ok(());
    };
    let program = house.pair.suite.program("pgha-pooled");
    let clients = house.bouncer.clients(&program, "back", 4)?;
    let mut moving = house.start("switchover", &["--yes", "-o", "json"])?;
    let stdout = moving.stdout.take().context("no stdout")?;
    for line in BufReader::new(stdout).lines() {
        if line?.contains(FENCED) {
            interrupt(&moving)?;
        }
    }
    let ended = finish(moving)?;
    let report = clients.end()?;
    ensure!(ended.code == Some(4), "{ended:?}");
    ensure!(report.errors.is_empty(), "{report:?}");
    ensure!(report.present == report.acknowledged, "{report:?}");
    house.bouncer.leads_to(house.from)?;
    house
        .pair
        .history_says("The clients of edge go on, at most ")?;
    house.pair.is_well(house.from)
}

/// Nobody waits for a tool that is dead.
#[test]
fn clients_go_on_when_the_tool_dies() -> Result<()> {
    let Some(house) = House::open(2)? else {
        return Ok(());
    };
    let to = house.from.other();
    let mut moving = house.start("switchover", &["--yes", "-o", "json"])?;
    let stdout = moving.stdout.take().context("no stdout")?;
    await_line(&mut BufReader::new(stdout).lines(), FENCED)?;
    kill(&moving)?;
    let killed = finish(moving)?;
    ensure!(killed.code.is_none(), "{killed:?}");
    wait::until("the clients to be let go on", DEADLINE, || {
        house.bouncer.has_resumed()
    })?;
    let resumed = finish(house.start("resume", &["--yes", "--take-over"])?)?;
    ensure!(resumed.code == Some(0), "{resumed:?}");
    house.bouncer.leads_to(to)?;
    let program = house.pair.suite.program("pgha-pooled");
    let report = house.bouncer.clients(&program, "after", 1)?.end()?;
    ensure!(
        report.errors.is_empty() && report.acknowledged > 0,
        "{report:?}"
    );
    house.pair.is_well(to)
}

impl House {
    fn open(longest: u32) -> Result<Option<Self>> {
        let Some(pair) = Pair::open(STREAMING)? else {
            return Ok(None);
        };
        let Some(peers) = Suite::peers() else {
            say("skipped: PGHA_PEERS does not name where PgBouncer is");
            return Ok(None);
        };
        let from = pair.primary()?;
        pair.is_well(from)?;
        let folder = tempfile::tempdir()?;
        let bouncer = Bouncer::start(STREAMING.cluster, &peers, from, folder.path())?;
        let text = service_file(STREAMING.cluster, &bouncer.entry(longest));
        fs::write(folder.path().join("pgha.yaml"), text)?;
        Ok(Some(Self {
            pair,
            from,
            bouncer,
            folder,
        }))
    }

    /// Starts a command that goes to the other site, as the file has them.
    fn start(&self, verb: &str, more: &[&str]) -> Result<Child> {
        let mut command = self.pair.suite.plugin();
        command
            .args([verb, "zitadel", "-f"])
            .arg(self.folder.path().join("pgha.yaml"));
        command.args(["--to", self.from.other().name()]).args(more);
        command.env("XDG_STATE_HOME", self.folder.path());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().context("kubectl-pgha does not start")
    }
}
