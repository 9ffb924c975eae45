//! The cluster that the tests share.

use std::env;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::kubectl::{await_that, get, kubectl};

pub(crate) const NAME: &str = "traps";
/// How many tests share the cluster; the last of them removes it.
const TESTS: usize = 13;

static TURN: Mutex<()> = Mutex::new(());
static LEFT: AtomicUsize = AtomicUsize::new(TESTS);

/// A test's turn with the cluster.
pub(crate) struct Traps {
    name: &'static str,
    _turn: MutexGuard<'static, ()>,
}

/// Waits for the test's turn and makes the cluster if it is not there. `None` where there is no lab.
#[expect(
    clippy::disallowed_methods,
    reason = "the suite's switch: whether there is a lab"
)]
#[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
pub(crate) fn traps() -> Result<Option<Traps>> {
    if env::var("PGHA_LAB").as_deref() != Ok("1") {
        println!("skipped: no lab");
        return Ok(None);
    }
    // A test that failed poisons the lock; whether the cluster is still good is asked below.
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let traps = Traps {
        name: NAME,
        _turn: turn,
    };
    if !traps.is_healthy_primary().unwrap_or(false) {
        lab_cluster(&["delete", NAME])?;
        lab_cluster(&["create", NAME, "--standby", "none", "--patroni", "4.1"])?;
    }
    Ok(Some(traps))
}

impl Drop for Traps {
    fn drop(&mut self) {
        if LEFT.fetch_sub(1, Ordering::SeqCst) == 1 {
            // What is left behind is removed by the next run, or with the lab.
            drop(lab_cluster(&["delete", NAME]));
        }
    }
}

fn lab_cluster(args: &[&str]) -> Result<()> {
    let status = Command::new(env!("CARGO"))
        .args(["xtask", "lab", "cluster"])
        .args(args)
        .status()?;
    ensure!(
        status.success(),
        "cargo xtask lab cluster {} failed",
        args.join(" ")
    );
    Ok(())
}

impl Traps {
    /// Patches the object.
    pub(crate) fn patch(&self, patch: &Value) -> Result<()> {
        let patch = format!("--patch={patch}");
        kubectl(&[
            "patch",
            "postgrescluster",
            self.name,
            "--type=merge",
            &patch,
        ])
        .map(drop)
    }

    pub(crate) fn object(&self) -> Result<Value> {
        get(&["postgrescluster", self.name])
    }

    /// Waits until the operator says that it has seen the object's newest spec, whatever came of it.
    pub(crate) fn await_observed(&self) -> Result<Value> {
        await_that("observedGeneration", Duration::from_secs(30), || {
            let object = self.object()?;
            let seen = object["status"]["observedGeneration"] == object["metadata"]["generation"];
            Ok(seen.then_some(object))
        })
    }

    /// The configuration that Patroni holds.
    pub(crate) fn configuration(&self) -> Result<Value> {
        let text = self.annotation("config")?.context("no configuration")?;
        serde_json::from_str(&text).context("the configuration is no JSON")
    }

    /// Runs a command in the leader's database container.
    pub(crate) fn exec(&self, command: &[&str]) -> Result<String> {
        let leader = self.leader()?;
        kubectl(&[&["exec", &leader, "--container=database", "--"], command].concat())
    }

    pub(crate) fn sql(&self, sql: &str) -> Result<String> {
        let answer = self.exec(&["psql", "--no-psqlrc", "-At", "-c", sql])?;
        Ok(answer.trim().to_owned())
    }

    /// Makes the cluster a standby of its own repository, and waits until it is.
    pub(crate) fn demote(&self) -> Result<()> {
        self.patch(&json!({"spec": {"standby": {"enabled": true}}}))?;
        self.await_role("standby_leader")
    }

    /// Makes it a primary again, and waits until it accepts writes and its replica is ready.
    pub(crate) fn promote(&self) -> Result<()> {
        self.patch(&json!({"spec": {"standby": {"enabled": false}}}))?;
        self.await_role("primary")?;
        await_that("writes to be accepted", Duration::from_secs(30), || {
            Ok((self.sql("SELECT pg_is_in_recovery()")? == "f").then_some(()))
        })?;
        await_that("all members to be ready", Duration::from_mins(1), || {
            Ok(self.is_healthy_primary()?.then_some(()))
        })
    }

    /// Takes back what a test put into `spec.patroni`, and waits until Patroni holds the operator's own again.
    pub(crate) fn reset_patroni(&self) -> Result<()> {
        self.patch(&json!({"spec": {"patroni": null}}))?;
        await_that(
            "the operator's own configuration",
            Duration::from_secs(30),
            || {
                Ok(self
                    .configuration()?
                    .get("failsafe_mode")
                    .is_none()
                    .then_some(()))
            },
        )
    }

    pub(crate) fn await_role(&self, wanted: &str) -> Result<()> {
        await_that(
            &format!("the leader to be {wanted}"),
            Duration::from_mins(1),
            || Ok((self.role()? == wanted).then_some(())),
        )
    }

    fn is_healthy_primary(&self) -> Result<bool> {
        let object = self.object()?;
        let standby = object["spec"]["standby"]["enabled"] == true;
        let held = object["spec"]["paused"] == true || object["spec"]["shutdown"] == true;
        let ready = object["status"]["instances"][0]["readyReplicas"] == 2;
        Ok(!standby && !held && ready && self.role()? == "primary")
    }

    pub(crate) fn leader(&self) -> Result<String> {
        let endpoints = get(&["endpoints", &format!("{}-ha", self.name)])?;
        let leader = endpoints["metadata"]["annotations"]["leader"].as_str();
        leader
            .filter(|it| !it.is_empty())
            .map(str::to_owned)
            .context("there is no leader")
    }

    /// What the leader's own Patroni says its role is, once it runs.
    fn role(&self) -> Result<String> {
        let pod = get(&["pod", &self.leader()?])?;
        let status = pod["metadata"]["annotations"]["status"]
            .as_str()
            .context("no status")?;
        let status: Value = serde_json::from_str(status)?;
        ensure!(status["state"] == "running", "it is {}", status["state"]);
        Ok(status["role"].as_str().unwrap_or_default().to_owned())
    }

    fn annotation(&self, key: &str) -> Result<Option<String>> {
        let endpoints = get(&["endpoints", &format!("{}-ha-config", self.name)])?;
        Ok(endpoints["metadata"]["annotations"][key]
            .as_str()
            .map(str::to_owned))
    }
}
