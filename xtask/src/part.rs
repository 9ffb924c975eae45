//! A part of a longer run: a command whose end is shown with the time it took.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

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
    say(&format!("== {name}"));
    let begun = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("{name} does not start"))?;
    let stdout = child.stdout.take().context("its output is not there")?;
    for line in BufReader::new(stdout).lines() {
        let line = line?;
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

/// A line for the person who runs xtask.
#[expect(clippy::print_stdout, reason = "what a run shows is its output")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

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
