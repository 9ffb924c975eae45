//! `cargo xtask bench traffic`.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use pgha_judge::bench::{By, Spread, TrafficFile, TrafficRun, spread};
use pgha_lab::progress::Progress;
use pgha_lab::wait;

use crate::part::say;
use crate::users::haproxy::{Front, Haproxy, free_address};
use crate::users::load::{Load, Users};

/// Requests a second while users are moved.
const RATE: u32 = 1000;

/// Who share them.
const LANES: u32 = 4;

/// The host that users ask for.
const HOST: &str = "login.example";

/// Nobody looks at these: no cluster is asked.
const SITES: &str = "    - { name: core1, context: core1, cluster: bench }
    - { name: core2, context: core2, cluster: bench }
";

/// How many users come before the others are moved, and after.
const BEFORE_AND_AFTER: u64 = 500;

/// How long users may take to be seen at the new site.
const PATIENCE: Duration = Duration::from_secs(10);

/// Moves users there and back, by pgha and by one line on the socket in turn, and writes the file.
pub(super) fn run(runs: u32, file: &Path) -> Result<()> {
    let progress = Progress::to_stderr();
    let plugin = progress.part("kubectl pgha", |_| crate::demo::build_plugin())?;
    let peers = crate::peers::ensure()?.context("only root can run a real HAProxy here")?;
    let folder = tempfile::tempdir()?;
    let front = Front {
        at: free_address()?,
        host: HOST,
        site: "core2",
        backend: &answers_itself,
    };
    let haproxy = Haproxy::start(&peers, folder.path(), front)?;
    let service = folder.path().join("pgha.yaml");
    fs::write(&service, haproxy.service("bench", SITES))?;
    let mut all = TrafficFile::default();
    for _ in 0..runs {
        for (by, to) in [
            (By::Pgha, "core1"),
            (By::Pgha, "core2"),
            (By::Bare, "core1"),
            (By::Bare, "core2"),
        ] {
            all.runs
                .push(measure(&haproxy, (&plugin, &service), by, to)?);
        }
    }
    fs::write(file, serde_json::to_vec_pretty(&all)?)?;
    report(&all);
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
    match by {
        By::Pgha => move_users(plugin, service, to)?,
        By::Bare => haproxy.set(to)?,
    }
    wait::until("a request that the new site answers", PATIENCE, || {
        ensure!(load.has_seen(to, began), "none yet");
        Ok(())
    })?;
    await_users(&load, load.count() + BEFORE_AND_AFTER)?;
    let seen = load.end();
    let first = seen.first_by(to, began).context("nobody was moved")?;
    Ok(TrafficRun {
        what: "haproxy-runtime".to_owned(),
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

fn report(file: &TrafficFile) {
    say("what             by    median ms  p95 ms  errors");
    let medians = [By::Pgha, By::Bare].map(|by| {
        let runs: Vec<_> = file.runs.iter().filter(|run| run.by == by).collect();
        let times: Vec<f64> = runs.iter().map(|run| run.ms).collect();
        let Spread { median, p95 } = spread(&times)?;
        let errors: u64 = runs.iter().map(|run| run.errors).sum();
        let by = format!("{by:?}").to_lowercase();
        say(&format!(
            "haproxy-runtime  {by:<5} {median:>9.1} {p95:>7.1} {errors:>7}"
        ));
        Some(median)
    });
    if let [Some(pgha), Some(bare)] = medians {
        say(&format!("                 ratio {:.2}", pgha / bare));
    }
}
