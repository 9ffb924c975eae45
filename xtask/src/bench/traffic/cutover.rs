//! The cut-over of a real HAProxy under load.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use pgha_judge::bench::{By, TrafficRun};
use pgha_lab::cluster::service_file;
use pgha_lab::wait;

use super::{Bench, Keep};
use crate::users::haproxy::{Front, Haproxy, free_address};
use crate::users::load::{Load, Users};

/// What it is called in the file.
pub(super) const WHAT: &str = "haproxy-runtime";

/// Requests a second while users are moved.
const RATE: u32 = 1000;

/// Who share them.
const LANES: u32 = 4;

/// The host that users ask for.
const HOST: &str = "login.example";

/// How many users come before the others are moved, and after.
const BEFORE_AND_AFTER: u64 = 500;

/// How long users may take to be seen at the new site.
const PATIENCE: Duration = Duration::from_secs(10);

/// Moves users there and back, by pgha and by one line on the socket in turn.
pub(super) fn run(bench: &Bench, runs: u32, keep: &mut Keep<'_>) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let front = Front {
        at: free_address()?,
        host: HOST,
        site: "core2",
        backend: &answers_itself,
    };
    let haproxy = Haproxy::start(&bench.peers, folder.path(), front)?;
    let service = folder.path().join("pgha.yaml");
    // No cluster is asked.
    let traffic = format!("  traffic: {}\n", haproxy.traffic());
    fs::write(&service, service_file("bench", &traffic))?;
    for _ in 0..runs {
        for (by, to) in [
            (By::Pgha, "core1"),
            (By::Pgha, "core2"),
            (By::Bare, "core1"),
            (By::Bare, "core2"),
        ] {
            keep(measure(&haproxy, (&bench.plugin, &service), by, to)?)?;
        }
    }
    Ok(())
}

/// A backend without a server, which answers with the site's name.
fn answers_itself(site: &str) -> String {
    format!(
        "  http-request return status 200 content-type text/plain hdr x-site {site} string {site}\n"
    )
}

/// One move under load; by the plugin as the service's file has it.
fn measure(
    haproxy: &Haproxy,
    (plugin, service): (&Path, &Path),
    by: By,
    to: &str,
) -> Result<TrafficRun> {
    let load = Load::start(Users {
        at: haproxy.at(),
        host: HOST,
        rate: RATE,
        lanes: LANES,
    });
    await_users(&load, BEFORE_AND_AFTER)?;
    let began = Instant::now();
    if by == By::Pgha {
        move_users(plugin, service, to)?;
    } else {
        haproxy.set(to)?;
    }
    wait::until("a request that the new site answers", PATIENCE, || {
        ensure!(load.has_seen(to, began), "none yet");
        Ok(())
    })?;
    await_users(&load, load.count() + BEFORE_AND_AFTER)?;
    let seen = load.end();
    let first = seen.first_by(to, began).context("nobody was moved")?;
    Ok(TrafficRun {
        what: WHAT.to_owned(),
        by,
        ms: first.duration_since(began).as_secs_f64() * 1000.0,
        errors: seen.errors,
        ratio_to_gap: None,
    })
}

fn await_users(load: &Load, count: u64) -> Result<()> {
    wait::until("users", PATIENCE, || {
        let now = load.count();
        ensure!(now >= count, "{now} of {count} have come");
        Ok(())
    })
}

/// There is no cluster here whose primary could be asked for.
fn move_users(plugin: &Path, service: &Path, to: &str) -> Result<()> {
    let mut command = Command::new(plugin);
    command.args([
        "traffic",
        "move",
        "--to",
        to,
        "--yes",
        "--allow-standby",
        "-f",
    ]);
    let folder = service.parent().unwrap_or(Path::new("/"));
    command.arg(service).env("XDG_STATE_HOME", folder);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let status = command.status().context("kubectl-pgha does not start")?;
    ensure!(status.success(), "traffic move ended with {status}");
    Ok(())
}
