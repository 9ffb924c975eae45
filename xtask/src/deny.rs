//! `cargo xtask deny`: licences, bans and sources of every dependency.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};
use pgha_lab::paths::Cache;

use crate::lab;
use crate::part::{self, Count};

/// The version that is installed and used.
const VERSION: &str = "0.20.2";

/// Checks the dependencies, with a cargo-deny of the project's own in the cache folder.
///
/// Advisories are not checked: their database is not in any package registry.
pub(crate) fn run(count: &mut Count) -> Result<()> {
    let program = install()?;
    let mut deny = Command::new(program);
    deny.current_dir(lab::workspace());
    deny.args([
        "--locked",
        "--offline",
        "check",
        "--hide-inclusion-graph",
        "bans",
        "licenses",
        "sources",
    ]);
    part::run("deny", &mut deny, count)
}

fn install() -> Result<PathBuf> {
    let root = Cache::of_user()?.tool(&format!("cargo-deny-{VERSION}"));
    let program = root.join("bin/cargo-deny");
    if program.exists() {
        return Ok(program);
    }
    part::say(&format!("== install cargo-deny {VERSION}"));
    let mut install = Command::new("cargo");
    install.args([
        "install",
        "--quiet",
        "--locked",
        "--no-default-features",
        "--root",
    ]);
    install.arg(&root).arg(format!("cargo-deny@{VERSION}"));
    if !install.status()?.success() {
        bail!("cargo install cargo-deny failed");
    }
    Ok(program)
}
