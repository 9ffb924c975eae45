//! An application that runs where the primary is, and nowhere else.

pub(crate) mod steps;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Stdio};

use anyhow::{Context as _, Result, ensure};
use pgha_judge::Ruling;
use pgha_lab::kubectl::Kubectl;
use pgha_lab::site::{IMAGE_PAUSE, SERVICE_NAMESPACE, Site};
use pgha_lab::wait;
use pgha_tests::pair::event::FENCED;
use pgha_tests::pair::{DEADLINE, Pair, STREAMING, await_line};
use pgha_tests::{Ended, Suite, interrupt, kill, service_file};
use serde_json::{Value, json};
use tempfile::TempDir;

use self::steps::Steps;

const APP: &str = "pgha-suite-app";
const GATEWAY: &str = "pgha-suite-gateway";
const KEY: &str = "suite.pgha.dev/reconcile";
const DRAINED: &str = r#""event":"settled","step":"drain""#;

/// What is written once the application is ready at a site.
const ENTERED: &str = "ApplicationOutcome";

/// The pair, two workloads that run at its primary's site, and the service's file.
struct House {
    folder: TempDir,
    pair: Pair,
    from: Site,
}

#[test]
fn the_application_moves_with_the_database() -> Result<()> {
    let Some(house) = House::open()? else {
        return Ok(());
    };
    let to = house.from.other();
    let steps = Steps::make(house.from)?;
    house.write_file(&Steps::first(), &steps.last())?;
    let planned = house.by_file("switchover", &["--dry-run"])?;
    let said = format!("deployment/{APP}: 2 pods, ready");
    ensure!(planned.stdout.contains(&said), "{planned:?}");
    ensure!(planned.stdout.contains("drain"), "{planned:?}");
    runs_at(house.from)?;
    let writer = house.pair.suite.writer(STREAMING.cluster, 0)?;
    let moved = house.by_file("switchover", &["--yes", "-o", "json"])?;
    let verdict = writer.judge(1)?;
    ensure!(moved.code == Some(0), "{moved:?}");
    ensure!(verdict.ruling == Ruling::Pass, "{verdict}");
    let lines: Vec<&str> = moved.stdout.lines().collect();
    let first = |word: &str| lines.iter().position(|line| line.contains(word));
    let order = [DRAINED, FENCED, ENTERED].map(first);
    ensure!(
        order.iter().all(Option::is_some) && order.is_sorted(),
        "{moved:?}"
    );
    house.pair.history_says(APP)?;
    runs_at(to)?;
    steps.are_taken(house.from, to)?;
    house.pair.is_well(to)
}

/// Nobody knows how many pods there were but the record of the move.
#[test]
fn an_application_is_where_it_was_after_abort() -> Result<()> {
    let Some(house) = House::open()? else {
        return Ok(());
    };
    house.die_at(FENCED)?;
    let aborted = house.by_file("abort", &["--yes", "--take-over"])?;
    ensure!(aborted.code == Some(0), "{aborted:?}");
    runs_at(house.from)?;
    house.pair.is_well(house.from)
}

#[test]
fn an_application_follows_what_resume_promotes() -> Result<()> {
    if Suite::open_for_full()?.is_none() {
        return Ok(());
    }
    let Some(house) = House::open()? else {
        return Ok(());
    };
    let to = house.from.other();
    house.die_at(FENCED)?;
    let resumed = house.by_file("resume", &["--yes", "--take-over"])?;
    ensure!(resumed.code == Some(0), "{resumed:?}");
    runs_at(to)?;
    house.pair.is_well(to)
}

#[test]
fn a_move_that_is_taken_back_starts_its_application_again() -> Result<()> {
    let Some(house) = House::open()? else {
        return Ok(());
    };
    let mut moving = house.start("switchover", &["--yes", "-o", "json"])?;
    let stdout = moving.stdout.take().context("no stdout")?;
    let mut entered = false;
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        if line.contains(DRAINED) {
            interrupt(&moving)?;
        }
        entered |= line.contains(ENTERED);
    }
    let ended = pgha_tests::finish(moving)?;
    ensure!(matches!(ended.code, Some(4 | 130)) && entered, "{ended:?}");
    runs_at(house.from)?;
    house.pair.is_well(house.from)
}

/// Nobody could stop it at a site that was gone: that is done when it is back.
#[test]
fn an_application_leaves_a_side_that_was_failed_over_from() -> Result<()> {
    if Suite::open_for_full()?.is_none() {
        return Ok(());
    }
    let Some(house) = House::open()? else {
        return Ok(());
    };
    let (from, to) = (house.from, house.from.other());
    let sides = ["--context", from.name(), "--peer", to.name(), "--yes"];
    let demote = [&["demote", STREAMING.cluster][..], &sides].concat();
    let demoted = house.pair.suite.run(&demote)?;
    ensure!(demoted.code == Some(0), "{demoted:?}");
    let promoted = house.by_file("failover", &["--yes"])?;
    ensure!(promoted.code == Some(0), "{promoted:?}");
    ensure!(pods(from, APP)? == 2 && pods(to, APP)? == 2, "{promoted:?}");
    let rejoined = house.by_file("rejoin", &["--yes"])?;
    ensure!(rejoined.code == Some(0), "{rejoined:?}");
    runs_at(to)?;
    house.pair.is_well(to)
}

impl House {
    fn open() -> Result<Option<Self>> {
        let Some(pair) = Pair::open(STREAMING)? else {
            return Ok(None);
        };
        let from = pair.primary()?;
        pair.is_well(from)?;
        for site in Site::ALL {
            let is_primary = site == from;
            remove(site)?;
            apply(site, APP, if is_primary { 2 } else { 0 }, is_primary)?;
            apply(site, GATEWAY, u32::from(is_primary), is_primary)?;
        }
        let house = Self {
            folder: tempfile::tempdir()?,
            pair,
            from,
        };
        house.write_file("", "")?;
        runs_at(from)?;
        Ok(Some(house))
    }

    /// Writes the service's file, with steps before and after those of the workloads.
    fn write_file(&self, first: &str, last: &str) -> Result<()> {
        let app = format!(
            "  app:
{first}    - scale: {{ object: deployment/{APP} }}
    - annotate: {{ object: deployment/{APP}, key: {KEY}, standby: disabled }}
    - scale: {{ object: deployment/{GATEWAY} }}
{last}"
        );
        Ok(fs::write(
            self.file(),
            service_file(STREAMING.cluster, &app),
        )?)
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("pgha.yaml")
    }

    /// Starts a command that goes to the other site, as the file has them.
    fn start(&self, verb: &str, more: &[&str]) -> Result<Child> {
        let file = self.file();
        let file = file.to_str().context("a path that is no text")?;
        let to = ["--to", self.from.other().name()];
        let mut command = self.pair.suite.plugin();
        command
            .args([verb, "zitadel", "-f", file])
            .args(to)
            .args(more);
        command.env("XDG_STATE_HOME", self.folder.path());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().context("kubectl-pgha does not start")
    }

    fn by_file(&self, verb: &str, more: &[&str]) -> Result<Ended> {
        pgha_tests::finish(self.start(verb, more)?)
    }

    /// A move whose tool is killed at an event.
    fn die_at(&self, at: &str) -> Result<()> {
        let mut moving = self.start("switchover", &["--yes", "-o", "json"])?;
        let stdout = moving.stdout.take().context("no stdout")?;
        await_line(&mut BufReader::new(stdout).lines(), at)?;
        kill(&moving)?;
        let killed = pgha_tests::finish(moving)?;
        ensure!(killed.code.is_none(), "{killed:?}");
        Ok(())
    }
}

impl Drop for House {
    fn drop(&mut self) {
        for site in Site::ALL {
            // What is left behind is removed by the next test, or with the lab.
            drop(remove(site));
        }
    }
}

fn remove(site: Site) -> Result<()> {
    let args = ["delete", "deployment", APP, GATEWAY, "--ignore-not-found"];
    Kubectl::new(site).run(&args).map(drop)
}

/// Every pod of the application is ready at this site, and none is left at the other one.
fn runs_at(primary: Site) -> Result<()> {
    for site in Site::ALL {
        let wanted = if site == primary { (2, 1) } else { (0, 0) };
        wait::until(
            "the application to be where the primary is",
            DEADLINE,
            || {
                let seen = (pods(site, APP)?, pods(site, GATEWAY)?);
                ensure!(seen == wanted, "{seen:?} pods at {site}");
                Ok(())
            },
        )?;
        let object = Kubectl::new(site).get(&["deployment", APP])?;
        let says = &object["metadata"]["annotations"][KEY];
        let is_right = if site == primary {
            says.is_null()
        } else {
            says == "disabled"
        };
        ensure!(is_right, "{site}: {says}");
    }
    Ok(())
}

/// How many pods of a workload there are, of which each must be ready.
fn pods(site: Site, name: &str) -> Result<usize> {
    let selector = format!("--selector=app={name}");
    let pods = Kubectl::new(site).get(&["pods", &selector])?;
    let pods = pods["items"].as_array().cloned().unwrap_or_default();
    let is_ready = |pod: &Value| {
        let conditions = pod["status"]["conditions"].as_array();
        let mut conditions = conditions.into_iter().flatten();
        conditions.any(|it| it["type"] == "Ready" && it["status"] == "True")
    };
    ensure!(
        pods.iter().all(is_ready),
        "a pod of {name} is not ready at {site}"
    );
    Ok(pods.len())
}

/// A workload as it is where the primary is, or where it is not.
pub(crate) fn apply(site: Site, name: &str, replicas: u32, is_primary: bool) -> Result<()> {
    let says = if is_primary {
        json!({})
    } else {
        json!({KEY: "disabled"})
    };
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {
            "name": name, "namespace": SERVICE_NAMESPACE,
            "annotations": says,
        },
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "terminationGracePeriodSeconds": 1,
                    "containers": [{"name": "app", "image": IMAGE_PAUSE, "imagePullPolicy": "Never"}],
                },
            },
        },
    });
    Kubectl::new(site).apply(&deployment.to_string())
}
