//! The writer's process: detached, found again by its pid file.

use std::fmt;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use super::{Config, config, service, stored};
use crate::paths;
use crate::process::Identity;
use crate::program;
use crate::wait;

/// How long the first acknowledged row may take.
const READY: Duration = Duration::from_secs(45);
/// How long the writer may take to end by itself.
const GRACE: Duration = Duration::from_secs(10);

/// The load beside the probe.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Connections.
    pub connections: u32,
    /// Rows a second of all of them together.
    pub rate: u32,
}

/// What a writer says of itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// Whether its process runs.
    #[serde(default)]
    pub is_running: bool,
    /// Rows that were sent.
    pub attempted: u64,
    /// Rows that were acknowledged.
    pub acknowledged: u64,
    /// Rows that a server refused.
    pub refused: u64,
    /// Rows whose answer was lost.
    pub unknown: u64,
    /// When the last row was acknowledged, microseconds since the writer's start.
    pub last_acknowledged_us: u64,
    /// The longest time between two acknowledged rows, microseconds.
    pub longest_silence_us: u64,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.is_running { "running" } else { "ended" };
        write!(
            f,
            "{state}: {} rows acknowledged of {}, {} refused, {} unknown; longest silence {} ms",
            self.acknowledged,
            self.attempted,
            self.refused,
            self.unknown,
            self.longest_silence_us / 1000
        )
    }
}

/// Where everything of a cluster's writer is.
pub(super) fn folder(cluster: &str) -> PathBuf {
    root().join(cluster)
}

fn root() -> PathBuf {
    Path::new(paths::RUN).join("writer")
}

fn pid_file(folder: &Path) -> PathBuf {
    folder.join("pid")
}

/// Starts a writer on a cluster and waits until its first row is acknowledged. What an earlier one
/// left is removed.
///
/// # Errors
/// One runs already, the cluster is not there, or no row is acknowledged in time (the error holds
/// the end of the writer's log; it is ended again).
pub fn start(cluster: &str, program: &Path, load: Load) -> Result<()> {
    let folder = folder(cluster);
    ensure!(!is_running(&folder), "a writer runs already on {cluster}");
    let login = service::login(cluster)?;
    let config = Config {
        folder: folder.clone(),
        user: login.user,
        password: login.password,
        database: login.database,
        connections: load.connections,
        rate: load.rate,
        sites: service::endpoints(cluster)?,
    };
    stored::remove(&folder)?;
    fs::create_dir_all(&folder)?;
    let log = folder.join("log");
    let writer = spawn(program, &write_config(&config)?, &log)?;
    fs::write(pid_file(&folder), format!("{writer}\n"))?;
    let ready = wait::until("the writer's first acknowledged row", READY, || {
        if !writer.is_alive() {
            return Ok(false);
        }
        ensure!(config.ready().exists(), "no row was acknowledged yet");
        Ok(true)
    });
    match ready {
        Ok(true) => Ok(()),
        Ok(false) => bail!("the writer has ended; {}", program::last_lines(&log, 5)),
        Err(error) => {
            writer.stop(GRACE)?;
            Err(error).with_context(|| program::last_lines(&log, 5))
        }
    }
}

/// The configuration holds a password, so nobody else may read it.
fn write_config(config: &Config) -> Result<PathBuf> {
    let path = config.folder.join("config.json");
    let file = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    serde_json::to_writer_pretty(file, config)?;
    Ok(path)
}

fn spawn(program: &Path, config: &Path, log: &Path) -> Result<Identity> {
    let log = File::create(log).with_context(|| format!("cannot make {}", log.display()))?;
    let mut command = Command::new("setsid");
    command.arg(program).arg("--config").arg(config);
    let mut command = program::without_inherited_files(&command);
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    let child = command
        .spawn()
        .with_context(|| format!("cannot start {}", program::line(&command)))?;
    // Each program in front of the writer replaces itself, so the child's pid is the writer's.
    Identity::of(child.id())
}

/// Ends a cluster's writer, which flushes its ledger. One that has ended is fine.
///
/// # Errors
/// It does not end.
pub fn stop(cluster: &str) -> Result<()> {
    match Identity::read(&pid_file(&folder(cluster))) {
        Ok(writer) => writer.stop(GRACE),
        Err(_) => Ok(()),
    }
}

/// Ends every writer of the lab.
pub fn stop_all() -> Result<()> {
    let Ok(entries) = fs::read_dir(root()) else {
        return Ok(());
    };
    for entry in entries {
        stop(&entry?.file_name().to_string_lossy())?;
    }
    Ok(())
}

/// What a cluster's writer said last, within the last second if it runs.
///
/// # Errors
/// None was started since the lab came up.
pub fn status(cluster: &str) -> Result<Status> {
    let folder = folder(cluster);
    let text = fs::read(config::status(&folder))
        .with_context(|| format!("no writer was started on {cluster}"))?;
    let status: Status = serde_json::from_slice(&text)?;
    Ok(Status {
        is_running: is_running(&folder),
        ..status
    })
}

/// Whether the writer of this folder runs.
pub(super) fn is_running(folder: &Path) -> bool {
    Identity::read(&pid_file(folder)).is_ok_and(|writer| writer.is_alive())
}
