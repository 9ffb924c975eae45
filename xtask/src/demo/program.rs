//! Programs of `tests/oidc` that the demo talks to by lines.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result};

/// A running program. It ends with its value, and by itself when its standard input does: when the demo is killed.
#[derive(Debug)]
pub(super) struct Program {
    child: Child,
    told: ChildStdin,
    said: Lines<BufReader<ChildStdout>>,
}

impl Program {
    /// Starts it; what it complains of goes to a file.
    ///
    /// # Errors
    /// It does not start.
    pub(super) fn start(program: &Path, log: &Path) -> Result<Self> {
        let log = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut node = Command::new("node");
        node.arg(program).stdin(Stdio::piped());
        node.stdout(Stdio::piped()).stderr(log);
        let mut child = node.spawn().context("node does not start")?;
        let told = child.stdin.take().context("it has no standard input")?;
        let stdout = child.stdout.take().context("it has no standard output")?;
        let said = BufReader::new(stdout).lines();
        Ok(Self { child, told, said })
    }

    /// Tells it a line, and returns the first of its lines that answers: packages of it say things too.
    ///
    /// # Errors
    /// It ends.
    pub(super) fn ask(&mut self, line: &str, is_answer: impl Fn(&str) -> bool) -> Result<String> {
        writeln!(self.told, "{line}").context("it does not listen")?;
        for said in self.said.by_ref() {
            let said = said?;
            if is_answer(&said) {
                return Ok(said);
            }
        }
        anyhow::bail!("it has ended")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
