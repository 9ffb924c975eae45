//! A move whose watch is lost in the very moment for which it watches.

use std::io::{BufRead as _, BufReader};

use anyhow::{Context as _, Result, ensure};
use pgha_judge::Ruling;
use pgha_lab::cluster::{Patroni, Standby, leader, primary_site};
use pgha_lab::kubectl::Kubectl;
use pgha_lab::site::Site;
use pgha_tests::Suite;

const CLUSTER: &str = "moves-archive";

/// How often the watch may be lost too late before this test gives up.
const TRIES: usize = 3;

#[test]
fn a_lost_watch_does_not_lose_the_move() -> Result<()> {
    let Some(suite) = Suite::open()? else {
        return Ok(());
    };
    suite.pair(CLUSTER, Standby::Archive, Patroni::V4_1)?;
    for _ in 0..TRIES {
        if move_without_watch(&suite, primary_site(CLUSTER)?)? {
            return Ok(());
        }
    }
    anyhow::bail!("the shell was lost too late, {TRIES} times");
}

/// Moves and kills the kept shell in the source's leader just before the fence needs it; whether the move missed it.
fn move_without_watch(suite: &Suite, from: Site) -> Result<bool> {
    let writer = suite.writer(CLUSTER, 0)?;
    let sides = ["--from", from.name(), "--to", from.other().name()];
    let args = ["switchover", CLUSTER, "--yes", "-o", "json"];
    let mut moving = suite.start(&[&args[..], &sides[..]].concat())?;
    let stdout = moving.stdout.take().context("no stdout")?;
    let mut said = String::new();
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        said.push_str(&line);
        said.push('\n');
        if line.contains(r#""event":"settled","step":"rehearse""#) {
            kill_kept_shells(from)?;
        }
    }
    let ended = pgha_tests::finish(moving)?;
    let verdict = writer.judge(1)?;
    ensure!(ended.code == Some(0), "{}\n{said}", ended.stderr);
    ensure!(verdict.ruling == Ruling::Pass, "{verdict}");
    Ok(said.contains("The stop was not seen"))
}

fn kill_kept_shells(site: Site) -> Result<()> {
    let kubectl = Kubectl::new(site);
    let leader = leader(kubectl, CLUSTER)?;
    let kill = ["pkill", "-KILL", "-x", "-f", "bash --noprofile --norc"];
    let exec = ["exec", &leader, "-c", "database", "--"];
    kubectl.run(&[&exec[..], &kill[..]].concat()).map(drop)
}
