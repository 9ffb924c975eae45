//! Talks to one site through the lab's own kubectl.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::paths;
use crate::program;
use crate::site::Site;
use crate::wait;

/// The field manager of everything the lab applies.
const FIELD_MANAGER: &str = "pgha-lab";

/// kubectl with admin rights on one site; the default namespace is `prod-iam-zitadel`.
#[derive(Clone, Copy, Debug)]
pub struct Kubectl {
    site: Site,
}

impl Kubectl {
    /// For one site of the running lab.
    pub const fn new(site: Site) -> Self {
        Self { site }
    }

    /// The site it talks to.
    pub const fn site(self) -> Site {
        self.site
    }

    /// The program with kubeconfig and context set, for the caller to add to.
    pub fn command(self) -> Command {
        let mut command = Command::new(paths::program("kubectl"));
        command
            .arg("--kubeconfig")
            .arg(paths::kubeconfig())
            .arg("--context")
            .arg(self.site.name());
        command
    }

    /// Runs kubectl with these arguments and returns its stdout.
    ///
    /// # Errors
    /// It failed; the error holds its stderr.
    pub fn run(self, args: &[&str]) -> Result<String> {
        program::output(self.command().args(args))
    }

    /// Applies a manifest (YAML or JSON, several documents allowed) on the server's side.
    pub fn apply(self, manifest: &str) -> Result<()> {
        let mut command = self.command();
        command.args(["apply", "--server-side", "--force-conflicts"]);
        command.args(["--field-manager", FIELD_MANAGER, "--filename", "-"]);
        program::output_with_input(&mut command, manifest.as_bytes())
            .with_context(|| format!("cannot apply a manifest in {}", self.site))
            .map(drop)
    }

    /// Applies every manifest in a folder on the server's side.
    pub fn apply_folder(self, folder: &Path) -> Result<()> {
        let mut command = self.command();
        command.args(["apply", "--server-side", "--force-conflicts"]);
        command
            .args(["--field-manager", FIELD_MANAGER, "--filename"])
            .arg(folder);
        program::output(&mut command)
            .with_context(|| format!("cannot apply {} in {}", folder.display(), self.site))
            .map(drop)
    }

    /// `kubectl get ARGS -o json`.
    ///
    /// # Errors
    /// It failed, for one because a named object does not exist.
    pub fn get(self, args: &[&str]) -> Result<Value> {
        let text = program::output(self.command().arg("get").args(args).args(["-o", "json"]))?;
        serde_json::from_str(&text).context("kubectl did not print JSON")
    }

    /// One named object, or `None` when there is no such object.
    pub fn find(self, args: &[&str]) -> Result<Option<Value>> {
        let mut command = self.command();
        command
            .arg("get")
            .args(args)
            .args(["--ignore-not-found", "-o", "json"]);
        let text = program::output(&mut command)?;
        if text.trim().is_empty() {
            return Ok(None);
        }
        serde_json::from_str(&text)
            .map(Some)
            .context("kubectl did not print JSON")
    }

    /// Gets `args` again and again until `condition` holds for what came back, and returns that.
    ///
    /// # Errors
    /// The deadline passed. A failed read is tried again until then.
    pub fn wait_for(
        self,
        what: &str,
        args: &[&str],
        deadline: Duration,
        condition: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        wait::until(&format!("{what} in {}", self.site), deadline, || {
            let seen = self.get(args)?;
            ensure!(
                condition(&seen),
                "`get {}` shows it is not so yet",
                args.join(" ")
            );
            Ok(seen)
        })
    }

    /// Runs a command in a container and returns its stdout.
    ///
    /// # Errors
    /// It failed; the error holds its stderr.
    pub fn exec(self, pod: &str, container: &str, command: &[&str]) -> Result<String> {
        let mut kubectl = self.command();
        kubectl
            .args(["exec", pod, "--container", container, "--"])
            .args(command);
        program::output(&mut kubectl)
    }
}
