//! Users who follow a move: by a program that keeps a table, and a web server that sends them where the table says.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use anyhow::{Context as _, Result, ensure};
use pgha_judge::Ruling;
use pgha_lab::site::Site;
use pgha_tests::pair::event::{FENCED, HELD, PROMOTED, VERIFIED};
use pgha_tests::pair::{DEADLINE, Pair, STREAMING, await_line};
use pgha_tests::{Ended, Suite, interrupt, kill, service_file};
use tempfile::TempDir;

use crate::web::{first_value, serve};

/// Keeps a table of `route value` lines.
const PROGRAM: &str = include_str!("../../../crates/pgha-nlb-exec/tests/table.py");

/// Where the program's interpreter is looked for.
const PATH: &str = env!("PATH");

/// A service's file, the table of its users, and the pair.
struct House {
    folder: TempDir,
    pair: Pair,
    from: Site,
    /// The web server that sends them.
    at: SocketAddr,
}

#[test]
fn users_follow_once_the_target_is_verified() -> Result<()> {
    let Some(house) = House::open()? else {
        return Ok(());
    };
    let writer = house.pair.suite.writer(STREAMING.cluster, 0)?;
    let moved = house.switchover(&["--yes", "-o", "json"])?;
    let verdict = writer.judge(1)?;
    ensure!(moved.code == Some(0), "{moved:?}");
    ensure!(verdict.ruling == Ruling::Pass, "{verdict}");
    let lines: Vec<&str> = moved.stdout.lines().collect();
    let first = |word: &str| lines.iter().position(|line| line.contains(word));
    let (verified, users) = (first(VERIFIED), first("TrafficOutcome"));
    ensure!(verified.is_some() && verified < users, "{moved:?}");
    let last = lines.last().context("nothing was said")?;
    ensure!(last.contains("SwitchoverOutcome"), "{moved:?}");
    house.users_are_at(house.from.other())?;
    house.pair.history_says("Users have arrived at ")?;
    house.pair.is_well(house.from.other())
}

/// Everything that the service's file can ask for, and a page that says what proved each task.
#[test]
fn each_task_of_the_run_book_has_its_proof_in_the_report() -> Result<()> {
    let Some(house) = House::open()? else {
        return Ok(());
    };
    let to = house.from.other();
    let file = fs::read_to_string(house.file())?;
    let nowhere = file.replace("  traffic:", "  backup: { repo: repo4 }\n  traffic:");
    fs::write(house.file(), nowhere)?;
    let refused = house.switchover(&["--yes"])?;
    ensure!(refused.code == Some(3), "{refused:?}");
    ensure!(
        refused.stderr.contains("no repository repo4"),
        "{refused:?}"
    );
    house.pair.is_well(house.from)?;
    let ready = format!(
        "  app:\n    - wait: {{ url: 'http://{}/' }}\n  traffic:",
        house.at
    );
    let whole = file.replace("  traffic:", &format!("  backup: {{}}\n{ready}"));
    fs::write(house.file(), whole)?;
    let page = house.folder.path().join("move.html");
    let report = page.to_str().context("a path that is no text")?;
    let planned = house.switchover(&["--dry-run", "-o", "json", "--report", report])?;
    ensure!(planned.json()?["backup"]["repo"] == "repo1", "{planned:?}");
    ensure!(!page.exists(), "a plan has a report");
    let writer = house.pair.suite.writer(STREAMING.cluster, 0)?;
    let moved = house.switchover(&["--yes", "-o", "json", "--report", report])?;
    let verdict = writer.judge(1)?;
    ensure!(moved.code == Some(0), "{moved:?}");
    ensure!(verdict.ruling == Ruling::Pass, "{verdict}");
    let page = fs::read_to_string(&page)?;
    for proof in [
        "backup",
        "claim",
        "rehearse",
        "drain",
        "fence",
        "prove",
        "promote",
        "verify",
        "application",
        "users",
        "release",
        "rejoin",
    ] {
        let link = format!("\">{proof}</a>");
        ensure!(page.contains(&link), "{proof} proved nothing: {page}");
    }
    for link in page.split("href=\"#").skip(1) {
        let (to, _) = link.split_once('"').context("a link without an end")?;
        ensure!(page.contains(&format!("id=\"{to}\"")), "{to} leads nowhere");
    }
    for bad in [
        "not proved<",
        "not reached<",
        "taken back<",
        "not recorded<",
    ] {
        ensure!(!page.contains(bad), "{bad}: {page}");
    }
    let backup = moved
        .json_lines()?
        .into_iter()
        .find(|line| line["kind"] == "Backup");
    let label = backup.context("no backup was told of")?["backup"]["label"].clone();
    let label = label.as_str().context("the backup has no label")?;
    ensure!(page.contains(label), "{label} is not in the report");
    house.users_are_at(to)?;
    house.pair.is_well(to)
}

#[test]
fn users_of_a_move_that_is_taken_back_stay() -> Result<()> {
    let Some(house) = House::open()? else {
        return Ok(());
    };
    let mut moving = house.start_switchover(&["--yes", "-o", "json"])?;
    let stdout = moving.stdout.take().context("no stdout")?;
    for line in BufReader::new(stdout).lines() {
        if line?.contains(HELD) {
            interrupt(&moving)?;
        }
    }
    let ended = pgha_tests::finish(moving)?;
    ensure!(ended.code == Some(130), "{ended:?}");
    house.users_are_at(house.from)?;
    house.pair.is_well(house.from)
}

/// Nobody is primary, and nobody knows of the users but the file.
#[test]
fn users_follow_what_resume_promotes() -> Result<()> {
    follow_after_death(FENCED)
}

#[test]
fn users_follow_a_move_that_resume_begins_again() -> Result<()> {
    if Suite::open_for_full()?.is_none() {
        return Ok(());
    }
    follow_after_death(HELD)
}

#[test]
fn users_follow_a_target_that_was_promoted_before() -> Result<()> {
    if Suite::open_for_full()?.is_none() {
        return Ok(());
    }
    follow_after_death(PROMOTED)
}

#[test]
fn users_follow_a_failover() -> Result<()> {
    if Suite::open_for_full()?.is_none() {
        return Ok(());
    }
    let Some(house) = House::open()? else {
        return Ok(());
    };
    let (from, to) = (house.from.name(), house.from.other().name());
    let cluster = STREAMING.cluster;
    let sides = ["--context", from, "--peer", to, "--yes"];
    let demoted = house.finish(&[&["demote", cluster][..], &sides].concat())?;
    ensure!(demoted.code == Some(0), "{demoted:?}");
    house.users_are_at(house.from)?;
    let promoted = house.by_file("failover", &["--yes"])?;
    ensure!(promoted.code == Some(0), "{promoted:?}");
    house.users_are_at(house.from.other())?;
    house.pair.is_well(house.from.other())
}

/// A move whose tool is killed at an event; `resume` finishes it, its users too.
fn follow_after_death(at: &str) -> Result<()> {
    let Some(house) = House::open()? else {
        return Ok(());
    };
    let to = house.from.other();
    let writer = house.pair.suite.writer(STREAMING.cluster, 0)?;
    let mut moving = house.start_switchover(&["--yes", "-o", "json"])?;
    let stdout = moving.stdout.take().context("no stdout")?;
    await_line(&mut BufReader::new(stdout).lines(), at)?;
    kill(&moving)?;
    let killed = pgha_tests::finish(moving)?;
    ensure!(killed.code.is_none(), "{killed:?}");
    house.users_are_at(house.from)?;
    let resumed = house.by_file("resume", &["--yes", "--take-over"])?;
    ensure!(resumed.code == Some(0), "{resumed:?}");
    ensure!(resumed.stderr.contains("users have arrived"), "{resumed:?}");
    house.users_are_at(to)?;
    let verdict = writer.judge_within(1, DEADLINE)?;
    ensure!(verdict.ruling == Ruling::Pass, "{verdict}");
    house.pair.is_well(to)
}

/// The move is complete; who was left behind follows by the command that is named.
#[test]
fn users_who_cannot_follow_are_told_of() -> Result<()> {
    let Some(house) = House::open()? else {
        return Ok(());
    };
    let to = house.from.other();
    let planned = house.switchover(&["--dry-run"])?;
    let diff = format!("+row of https = {to}");
    ensure!(planned.stdout.contains(&diff), "{planned:?}");
    // Nothing has begun where it is seen beforehand.
    fs::write(house.folder.path().join("table"), "https nowhere\n")?;
    let refused = house.switchover(&["--yes"])?;
    ensure!(refused.code == Some(3), "{refused:?}");
    house.pair.is_well(house.from)?;
    let before = format!("https {}\n", house.from);
    fs::write(house.folder.path().join("table"), before)?;
    let marker = house.folder.path().join("table.fail");
    fs::write(&marker, "")?;
    let moved = house.switchover(&["--yes"])?;
    ensure!(moved.code == Some(5), "{moved:?}");
    let file = house.file();
    let named = format!("kubectl pgha traffic move -f {} --to {to}", file.display());
    ensure!(moved.stderr.contains(&named), "{moved:?}");
    house.users_are_at(house.from)?;
    fs::remove_file(&marker)?;
    let file = file.to_str().context("a path that is no text")?;
    let alone = ["traffic", "move", "-f", file, "--to", to.name(), "--yes"];
    let followed = house.finish(&alone)?;
    ensure!(followed.code == Some(0), "{followed:?}");
    house.users_are_at(to)?;
    house.pair.is_well(to)
}

impl House {
    fn open() -> Result<Option<Self>> {
        let Some(pair) = Pair::open(STREAMING)? else {
            return Ok(None);
        };
        let from = pair.primary()?;
        pair.is_well(from)?;
        let folder = tempfile::tempdir()?;
        let table = folder.path().join("table");
        fs::write(&table, format!("https {from}\n"))?;
        fs::write(folder.path().join("table.py"), PROGRAM)?;
        let at = serve(move || first_value(&fs::read_to_string(&table).unwrap_or_default()))?;
        let house = Self {
            folder,
            pair,
            from,
            at,
        };
        fs::write(house.file(), service(house.folder.path(), at))?;
        Ok(Some(house))
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("pgha.yaml")
    }

    /// Starts the plugin, which finds the program and keeps its record here.
    fn start(&self, args: &[&str]) -> Result<Child> {
        let mut command = self.pair.suite.plugin();
        command.args(args).env("PATH", PATH);
        command.env("XDG_STATE_HOME", self.folder.path());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().context("kubectl-pgha does not start")
    }

    fn start_switchover(&self, more: &[&str]) -> Result<Child> {
        let file = self.file();
        let file = file.to_str().context("a path that is no text")?;
        let to = ["--to", self.from.other().name()];
        self.start(&[&["switchover", "zitadel", "-f", file], &to[..], more].concat())
    }

    /// Runs a command that goes to the other site, as the file has them.
    fn by_file(&self, verb: &str, more: &[&str]) -> Result<Ended> {
        let file = self.file();
        let file = file.to_str().context("a path that is no text")?;
        let to = ["--to", self.from.other().name()];
        self.finish(&[&[verb, "zitadel", "-f", file], &to[..], more].concat())
    }

    fn finish(&self, args: &[&str]) -> Result<Ended> {
        pgha_tests::finish(self.start(args)?)
    }

    fn switchover(&self, more: &[&str]) -> Result<Ended> {
        pgha_tests::finish(self.start_switchover(more)?)
    }

    fn users_are_at(&self, site: Site) -> Result<()> {
        let table = fs::read_to_string(self.folder.path().join("table"))?;
        ensure!(table == format!("https {site}\n"), "users are at {table}");
        Ok(())
    }
}

fn service(folder: &Path, at: SocketAddr) -> String {
    let folder = folder.display();
    let traffic = format!(
        "  traffic:
    - exec:
        id: table
        program: [python3, {folder}/table.py, {folder}/table]
        comparesAndSwaps: true
        routes: [{{ name: https, sites: {{ core1: core1, core2: core2 }} }}]
    - probe:
        route: https
        url: http://login.example/
        family: v4
        connectTo: {at}
        evidence: [{{ header: {{ name: x-pool, values: {{ core1: core1, core2: core2 }} }} }}]
"
    );
    service_file(STREAMING.cluster, &traffic)
}
