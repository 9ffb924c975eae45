//! Processes the lab started, told apart from later ones that got the same pid.

use std::fmt;
use std::fs;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::wait;

/// A process: its pid, and when it started, in clock ticks since a certain boot (`proc(5)`, `stat`, field 22).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pid: i32,
    started: u64,
    boot: String,
}

impl Identity {
    /// The process that has this pid now.
    ///
    /// # Errors
    /// There is none.
    pub fn of(pid: u32) -> Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))
            .with_context(|| format!("there is no process {pid}"))?;
        let (_, started) = state_and_start(&stat)?;
        Ok(Self {
            pid: i32::try_from(pid)?,
            started,
            boot: boot_id()?,
        })
    }

    /// What a pid file says.
    pub fn read(file: &Path) -> Result<Self> {
        let text =
            fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        text.parse()
            .with_context(|| format!("{} is not a pid file", file.display()))
    }

    /// The pid.
    pub const fn pid(&self) -> i32 {
        self.pid
    }

    /// Whether it still runs: same pid, same start, and not a zombie.
    pub fn is_alive(&self) -> bool {
        let Ok(stat) = fs::read_to_string(format!("/proc/{}/stat", self.pid)) else {
            return false;
        };
        boot_id().is_ok_and(|boot| boot == self.boot)
            && state_and_start(&stat)
                .is_ok_and(|(state, started)| state != 'Z' && started == self.started)
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// It no longer runs.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        ensure!(self.is_alive(), "process {} has ended", self.pid);
        let pid = Pid::from_raw(self.pid).context("a pid is a positive number")?;
        kill_process(pid, signal).with_context(|| format!("cannot signal process {}", self.pid))
    }

    /// Asks it to end, waits for `grace`, then kills it. A process that has already ended is fine.
    pub fn stop(&self, grace: Duration) -> Result<()> {
        let ended = |deadline| {
            wait::until(&format!("process {} to end", self.pid), deadline, || {
                ensure!(!self.is_alive(), "it runs");
                Ok(())
            })
        };
        for (signal, deadline) in [
            (Signal::TERM, grace),
            (Signal::KILL, Duration::from_secs(10)),
        ] {
            if self.is_alive() {
                // It may end by itself in between.
                drop(self.signal(signal));
            }
            if ended(deadline).is_ok() {
                return Ok(());
            }
        }
        bail!("process {} does not end", self.pid)
    }
}

/// A process and all that came of it, as they are now.
///
/// # Errors
/// There is no such process.
pub fn tree(pid: u32) -> Result<Vec<Identity>> {
    let mut found = vec![Identity::of(pid)?];
    let mut pids = vec![pid];
    while let Some(parent) = pids.pop() {
        for child in children(parent) {
            // It may have ended in between.
            found.extend(Identity::of(child));
            pids.push(child);
        }
    }
    Ok(found)
}

/// `proc(5)`, `/proc/PID/task/TID/children`; a process that has ended has none.
fn children(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"));
    let lists = tasks.into_iter().flatten().flatten();
    let text: String = lists
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
        .collect();
    text.split_whitespace()
        .filter_map(|child| child.parse().ok())
        .collect()
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.pid, self.started, self.boot)
    }
}

impl FromStr for Identity {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut words = text.split_whitespace();
        let mut next = || {
            words
                .next()
                .ok_or_else(|| anyhow!("expected `PID START BOOT`"))
        };
        Ok(Self {
            pid: next()?.parse()?,
            started: next()?.parse()?,
            boot: next()?.to_owned(),
        })
    }
}

/// The command name, field 2, may hold spaces and parentheses, so fields count from the last `)`.
fn state_and_start(stat: &str) -> Result<(char, u64)> {
    let (_, rest) = stat.rsplit_once(')').context("no command name in stat")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let state = fields
        .first()
        .and_then(|field| field.chars().next())
        .context("no state")?;
    let started = fields.get(19).context("no start time")?.parse()?;
    Ok((state, started))
}

fn boot_id() -> Result<String> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .context("cannot read the machine's boot id")?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_command_name_with_parentheses_does_not_shift_the_fields() {
        let fields = (4..=22)
            .map(|n| n.to_string())
            .collect::<Vec<_>>()
            .join(" ");
        let (state, started) = state_and_start(&format!("7 (a) b (c) S {fields} 23")).unwrap();
        assert_eq!((state, started), ('S', 22));
    }

    #[test]
    fn a_pid_file_is_read_back() {
        let own = Identity::of(std::process::id()).unwrap();
        assert_eq!(own.to_string().parse::<Identity>().unwrap(), own);
        assert!(own.is_alive());
    }

    #[test]
    fn a_process_with_the_same_pid_and_another_start_is_not_it() {
        let mut other = Identity::of(std::process::id()).unwrap();
        other.started += 1;
        assert!(!other.is_alive());
        assert!(other.signal(Signal::CONT).is_err());
    }

    #[test]
    fn a_tree_has_those_of_those() {
        let mut shell = Command::new("sh")
            .args(["-c", "sh -c 'sleep 60 & echo; wait' & wait"])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        // All three are there once it speaks.
        let mut line = String::new();
        let mut told = std::io::BufReader::new(shell.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut told, &mut line).unwrap();
        let all = tree(shell.id()).unwrap();
        assert_eq!(all.len(), 3, "{all:?}");
        for one in &all {
            drop(one.signal(Signal::KILL));
        }
        shell.wait().unwrap();
    }

    #[test]
    fn a_stopped_process_is_gone() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let identity = Identity::of(child.id()).unwrap();
        identity.stop(Duration::from_secs(5)).unwrap();
        assert!(!identity.is_alive());
        child.wait().unwrap();
    }
}
