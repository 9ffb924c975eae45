//! A person who logs in before the move and after it, and what that proves.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use super::kubectl::{self, Kubectl};
use super::program::Program;
use crate::part::say;

/// The client that the providers know.
pub(super) const CLIENT: &str = "kubectl";

/// Issuer, keys and subject from before the move.
const BASELINE: &str = "target/demo/baseline.json";

/// What `login` says before the address.
const LOG_IN_AT: &str = "Log in at ";

/// A person at a browser.
#[derive(Debug)]
pub(super) struct Person {
    browser: Program,
    issuer: String,
}

impl Person {
    /// Starts the browser, which remembers nobody; nor does the plugin.
    ///
    /// # Errors
    /// The browser does not start, or what an earlier demo has left cannot be removed.
    pub(super) fn new(oidc: &Path, issuer: String) -> Result<Self> {
        let folder = kubectl::folder();
        for left in ["state", "baseline.json"] {
            remove(&folder.join(left))?;
        }
        let browser = Program::start(&oidc.join("browser.mjs"), &folder.join("browser.log"))?;
        Ok(Self { browser, issuer })
    }

    /// Logs in, and keeps what is to be the same after the move.
    ///
    /// # Errors
    /// The login is not proved.
    pub(super) fn log_in_before(&mut self, kubectl: &Kubectl) -> Result<()> {
        self.log_in(kubectl, &[])?;
        self.check(kubectl, &["--save-baseline", BASELINE])
    }

    /// Logs in at the login page, whatever is remembered, and compares; `since` is when the move began.
    ///
    /// # Errors
    /// The login is not proved, or something is not the same.
    pub(super) fn log_in_after(&mut self, kubectl: &Kubectl, since: &str) -> Result<()> {
        self.log_in(kubectl, &["--fresh"])?;
        self.check(kubectl, &["--baseline", BASELINE, "--since", since])
    }

    fn check(&self, kubectl: &Kubectl, more: &[&str]) -> Result<()> {
        let client = ["--issuer", &self.issuer, "--client-id", CLIENT];
        let check = ["pgha", "token-check", "--from-cache"];
        kubectl.run(&[&check[..], &client, more].concat())
    }

    fn log_in(&mut self, kubectl: &Kubectl, more: &[&str]) -> Result<()> {
        let issuer = self.issuer.clone();
        let client = ["--issuer", issuer.as_str(), "--client-id", CLIENT];
        let login = ["pgha", "login", "--no-browser"];
        let scopes = ["--scope", "email", "--scope", "groups"];
        self.accompany(kubectl, &[&login[..], &client, &scopes, more].concat())
    }

    /// Runs a command, and logs in when it sends a person to an address.
    ///
    /// # Errors
    /// It fails, or the person could not log in.
    pub(super) fn accompany(&mut self, kubectl: &Kubectl, args: &[&str]) -> Result<()> {
        let mut command = kubectl.command(args);
        let child = command.stderr(Stdio::piped()).spawn();
        let mut child = child.context("kubectl does not start")?;
        let led = self.follow(&mut child);
        if led.is_err() {
            // It would wait for a person who does not come.
            drop(child.kill());
        }
        let status = child.wait()?;
        led?;
        ensure!(status.success(), "kubectl {} failed", args.join(" "));
        Ok(())
    }

    /// Shows what the command says, and goes where it sends a person.
    fn follow(&mut self, command: &mut Child) -> Result<()> {
        let stderr = command.stderr.take().context("its stderr is not there")?;
        for line in BufReader::new(stderr).lines() {
            let line = line?;
            say(&line);
            let Some(url) = line.strip_prefix(LOG_IN_AT) else {
                continue;
            };
            let is_answer = |said: &str| said == "done" || said.starts_with("failed");
            let said = self.browser.ask(&format!("browser {url}"), is_answer)?;
            ensure!(said == "done", "the person could not log in: {said}");
            say("(the person logs in there and consents)\n");
        }
        Ok(())
    }
}

/// The time as `--since` takes it.
///
/// # Errors
/// There is no `date`.
pub(super) fn now() -> Result<String> {
    let output = Command::new("date")
        .args(["-u", "+%Y-%m-%dT%H:%M:%SZ"])
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    if !output.status.success() {
        bail!("date ended with {}", output.status);
    }
    Ok(text.trim().to_owned())
}

fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() {
        fs::remove_dir_all(path)
    } else if path.exists() {
        fs::remove_file(path)
    } else {
        Ok(())
    };
    removed.with_context(|| format!("cannot remove {}", path.display()))
}
