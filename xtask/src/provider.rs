//! The OpenID provider that logins are tested against and shown at: packages of npm, as their lock file names them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use pgha_lab::built::{self, Key};
use pgha_lab::paths::Cache;

use crate::{lab, part};

/// The variable that names the folder to tests.
pub(crate) const VARIABLE: &str = "PGHA_OIDC_PROVIDER";

/// What the folder is made of.
const FILES: [&str; 10] = [
    "package.json",
    "package-lock.json",
    "browser.mjs",
    "person.mjs",
    "pod.mjs",
    "provider.mjs",
    "serve.mjs",
    "settings.mjs",
    "site.mjs",
    "store.mjs",
];

/// The folder with the programs of `tests/oidc` and their packages, made when there is none of the same content; `None` where
/// there is no node to run it.
pub(crate) fn ensure() -> Result<Option<PathBuf>> {
    if !is_there("node") || !is_there("npm") {
        part::say("== OpenID provider: left out, it needs node and npm");
        return Ok(None);
    }
    let source = lab::workspace().join("tests/oidc");
    let mut key = Key::default();
    for name in FILES {
        let content = fs::read(source.join(name)).with_context(|| format!("read {name}"))?;
        key = key.with(name, content);
    }
    let cache = Cache::of_user()?;
    let folder = built::ensure(&cache, "oidc-provider", &key, |folder| {
        part::say("== install the OpenID provider");
        install(&source, folder)
    })?;
    Ok(Some(folder))
}

fn install(source: &Path, folder: &Path) -> Result<()> {
    for name in FILES {
        fs::copy(source.join(name), folder.join(name))?;
    }
    let mut npm = Command::new("npm");
    npm.current_dir(folder);
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
    if !npm.stdout(Stdio::null()).status()?.success() {
        bail!("npm ci failed in {}", folder.display());
    }
    Ok(())
}

fn is_there(program: &str) -> bool {
    let mut command = Command::new(program);
    let command = command.arg("--version").stdout(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
