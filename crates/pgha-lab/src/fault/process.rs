//! Stops, kills, pauses and resumes processes: the lab's daemons, and those in a pod.

use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::Signal;

use crate::daemon::Daemon;
use crate::kubectl::Kubectl;
use crate::site::{Place, Site};

/// What happens to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Ends at once, without a chance to tidy up (SIGKILL).
    Kill,
    /// Does nothing more, but still holds what it holds (SIGSTOP).
    Pause,
    /// Goes on (SIGCONT).
    Resume,
}

/// Does it to a daemon.
///
/// # Errors
/// There is no such daemon, or it does not run.
pub fn act_on_daemon(place: Place, daemon: &str, act: Act) -> Result<()> {
    let signal = match act {
        Act::Kill => Signal::KILL,
        Act::Pause => Signal::STOP,
        Act::Resume => Signal::CONT,
    };
    Daemon::load(place, daemon)?.signal(signal)
}

/// Ends a daemon politely.
pub fn stop_daemon(place: Place, daemon: &str) -> Result<()> {
    Daemon::load(place, daemon)?.stop(Duration::from_secs(10))
}

/// Starts a daemon again as it ran before.
pub fn start_daemon(place: Place, daemon: &str) -> Result<()> {
    Daemon::load(place, daemon)?.start()
}

/// Does it to every process of this name in a pod's container, as that container's user.
///
/// # Errors
/// No process has this name.
pub fn act_in_pod(site: Site, pod: &str, container: &str, name: &str, act: Act) -> Result<()> {
    let signal = match act {
        Act::Kill => "-KILL",
        Act::Pause => "-STOP",
        Act::Resume => "-CONT",
    };
    Kubectl::new(site)
        .exec(pod, container, &["pkill", signal, "-x", name])
        .with_context(|| format!("is there a process `{name}` in {pod}?"))
        .map(drop)
}
