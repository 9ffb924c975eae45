//! kubectl as a user has it, with the plugin of this tree.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use pgha_lab::paths;

use crate::lab;
use crate::part::say;

/// Where the demo keeps everything of its own.
pub(super) fn folder() -> PathBuf {
    lab::workspace().join("target/demo")
}

/// kubectl, the plugin and its completion in one folder for the PATH.
pub(super) struct Kubectl {
    bin: PathBuf,
}

impl Kubectl {
    /// Puts them there.
    ///
    /// # Errors
    /// The plugin writes no completion, or a file cannot be written.
    pub(super) fn install(plugin: &Path) -> Result<Self> {
        let bin = folder().join("bin");
        fs::create_dir_all(&bin)?;
        let kubectl = Self { bin };
        let bin = &kubectl.bin;
        kubectl.add(&paths::program("kubectl"))?;
        replace(plugin, &bin.join("kubectl-pgha"))?;
        let completion = Command::new(plugin)
            .args(["completion", "kubectl"])
            .output()?;
        ensure!(
            completion.status.success(),
            "the plugin wrote no completion"
        );
        let script = bin.join("kubectl_complete-pgha");
        fs::write(&script, completion.stdout)?;
        fs::set_permissions(&script, PermissionsExt::from_mode(0o755))?;
        Ok(kubectl)
    }

    /// Puts another program there by its name.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn add(&self, program: &Path) -> Result<()> {
        let name = program.file_name().context("a program without a name")?;
        link(program, &self.bin.join(name))
    }

    /// The folder for the PATH.
    pub(super) fn bin(&self) -> &Path {
        &self.bin
    }

    /// Shows a command as a user would type it, and makes it: in the workspace, with only this folder in front of the PATH. What
    /// the plugin keeps on this machine is the demo's.
    #[expect(
        clippy::disallowed_methods,
        reason = "the user's PATH, behind the demo's own folder"
    )]
    pub(super) fn command(&self, args: &[&str]) -> Command {
        say(&format!("\n$ kubectl {}", args.join(" ")));
        let path = std::env::var("PATH").unwrap_or_default();
        let mut kubectl = Command::new(self.bin.join("kubectl"));
        kubectl
            .args(args)
            .current_dir(lab::workspace())
            .env("PATH", format!("{}:{path}", self.bin.display()))
            .env("KUBECONFIG", paths::kubeconfig())
            .env("XDG_STATE_HOME", folder().join("state"));
        kubectl
    }

    /// Runs it.
    ///
    /// # Errors
    /// It fails.
    pub(super) fn run(&self, args: &[&str]) -> Result<()> {
        if !self.command(args).status()?.success() {
            bail!("kubectl {} failed", args.join(" "));
        }
        Ok(())
    }
}

/// Makes a symbolic link, in the place of one that is there.
///
/// # Errors
/// It cannot be written.
pub(super) fn link(to: &Path, name: &Path) -> Result<()> {
    if name.symlink_metadata().is_ok() {
        fs::remove_file(name)?;
    }
    symlink(to, name).with_context(|| format!("cannot write {}", name.display()))
}

/// Copies a program over one that may be running.
fn replace(from: &Path, to: &Path) -> Result<()> {
    let beside = to.with_extension("new");
    fs::copy(from, &beside)?;
    fs::rename(beside, to).with_context(|| format!("cannot write {}", to.display()))
}
