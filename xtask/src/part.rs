//! A part of a longer run: a command whose end is shown with the time it took.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use pgha_lab::process;
use rustix::process::Signal;

/// What the test runners of a run counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// Tests that passed.
    pub(crate) passed: u64,
    /// Tests that failed.
    pub(crate) failed: u64,
}

impl Count {
    /// Adds what a closing line of `cargo test` says; any other line adds nothing.
    fn add(&mut self, line: &str) {
        let Some(rest) = line.strip_prefix("test result: ") else {
            return;
        };
        let number = |word: &str| {
            let before = rest.split(word).next().unwrap_or_default();
            before
                .rsplit(' ')
                .find(|text| !text.is_empty())
                .and_then(|text| text.parse().ok())
        };
        self.passed += number(" passed").unwrap_or(0);
        self.failed += number(" failed").unwrap_or(0);
    }
}

/// Runs a command, shows its output with the seconds after which each line came, and fails when it does.
pub(crate) fn run(name: &str, command: &mut Command, count: &mut Count) -> Result<()> {
    run_within(None, name, command, count)
}

/// The same, and ends all of it after this time where one is given: a test that hangs fails then, and its name is the last line.
pub(crate) fn run_within(
    limit: Option<Duration>,
    name: &str,
    command: &mut Command,
    count: &mut Count,
) -> Result<()> {
    say(&format!("== {name}"));
    let begun = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("{name} does not start"))?;
    let stdout = child.stdout.take().context("its output is not there")?;
    let (sender, lines) = channel();
    thread::spawn(move || {
        let mut lines = BufReader::new(stdout).lines();
        // Whoever reads them has ended the command.
        lines.try_for_each(|line| sender.send(line)).ok()
    });
    let deadline = limit.map(|limit| begun + limit);
    loop {
        let line = match next(&lines, deadline) {
            Ok(line) => line?,
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                end(&mut child)?;
                bail!(
                    "{name} had not ended after {} s, and was ended",
                    begun.elapsed().as_secs()
                );
            }
        };
        count.add(&line);
        let so_far = begun.elapsed().as_secs_f64();
        say(&format!("{so_far:7.1}  {line}"));
    }
    let status = child.wait()?;
    let took = begun.elapsed().as_secs_f64();
    if !status.success() {
        bail!("{name} failed after {took:.1} s: {status}");
    }
    say(&format!("== {name}: {took:.1} s"));
    Ok(())
}

type Lines = Receiver<std::io::Result<String>>;

fn next(
    lines: &Lines,
    deadline: Option<Instant>,
) -> Result<std::io::Result<String>, RecvTimeoutError> {
    let Some(deadline) = deadline else {
        return lines.recv().map_err(RecvTimeoutError::from);
    };
    lines.recv_timeout(deadline.saturating_duration_since(Instant::now()))
}

/// Ends a command and what it has started: the test that hangs is not cargo.
fn end(child: &mut Child) -> Result<()> {
    for one in process::tree(child.id())? {
        // It may have ended by itself.
        one.signal(Signal::KILL).ok();
    }
    child.wait()?;
    Ok(())
}

/// A line for the person who runs xtask.
#[expect(clippy::print_stdout, reason = "what a run shows is its output")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hangs_is_ended_with_what_it_has_started() {
        let mut count = Count::default();
        let (mut held, holder) = std::io::pipe().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 60 & wait"]).stderr(holder);
        let limit = Some(Duration::from_millis(300));
        let error = run_within(limit, "a hang", &mut command, &mut count).unwrap_err();
        assert!(error.to_string().contains("had not ended"), "{error}");
        drop(command);
        let begun = Instant::now();
        std::io::Read::read_to_end(&mut held, &mut Vec::new()).unwrap();
        assert!(
            begun.elapsed() < Duration::from_secs(50),
            "it ended by itself"
        );
    }

    #[test]
    fn closing_lines_are_added_up() {
        let mut count = Count::default();
        count.add("test result: ok. 26 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out");
        count.add("test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured");
        count.add("test leader ... ok");
        assert_eq!(
            count,
            Count {
                passed: 29,
                failed: 2
            }
        );
    }
}
