//! `cargo xtask deny`: licences, bans and sources of every dependency; `--advisories`: known vulnerabilities.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use pgha_lab::paths::Cache;

use crate::lab;
use crate::part::{self, Count};

/// The version that is installed and used.
const VERSION: &str = "0.20.2";

/// Check licences, bans and sources of every dependency
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Check for known vulnerabilities instead; their database is fetched from where `RustSec` keeps it
    #[arg(long)]
    advisories: bool,
}

/// Runs the checks that were asked for.
pub(crate) fn main(args: &Args) -> Result<()> {
    if args.advisories {
        return check_advisories();
    }
    run(&mut Count::default())
}

/// Checks the dependencies offline, with a cargo-deny of the project's own in the cache folder.
///
/// Advisories are left out: their database is not in any package registry.
pub(crate) fn run(count: &mut Count) -> Result<()> {
    let program = install()?;
    let mut deny = deny(&program);
    deny.args([
        "--offline",
        "check",
        "--hide-inclusion-graph",
        "bans",
        "licenses",
        "sources",
    ]);
    part::run("deny", &mut deny, count)
}

/// Fetches the database first and by itself: a database that cannot be reached is no finding, and no clean bill either.
fn check_advisories() -> Result<()> {
    let program = install()?;
    part::say("== fetch the advisory database");
    let mut fetch = deny(&program);
    let fetched = fetch
        .args(["fetch", "db"])
        .stdin(Stdio::null())
        .env("GIT_TERMINAL_PROMPT", "0")
        .output()
        .context("cargo-deny does not start")?;
    if !fetched.status.success() {
        let said = String::from_utf8_lossy(&fetched.stderr);
        bail!("{}", unreachable(&said));
    }
    let mut check = deny(&program);
    check.args([
        "check",
        "--disable-fetch",
        "--hide-inclusion-graph",
        "advisories",
    ]);
    part::run("advisories", &mut check, &mut Count::default())
}

fn deny(program: &Path) -> Command {
    let mut deny = Command::new(program);
    deny.current_dir(lab::workspace()).arg("--locked");
    deny
}

fn unreachable(said: &str) -> String {
    let mut lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    let why = lines.next_back().unwrap_or("cargo-deny does not say why");
    format!(
        "the advisory database cannot be reached, so NO dependency was checked for advisories: {why}"
    )
}

fn install() -> Result<PathBuf> {
    let root = Cache::of_user()?.tool(&format!("cargo-deny-{VERSION}"));
    let program = root.join("bin/cargo-deny");
    if program.exists() {
        return Ok(program);
    }
    part::say(&format!("== install cargo-deny {VERSION}"));
    let mut install = Command::new("cargo");
    // It runs for a second: to optimise it takes longer than it would ever save.
    install.args([
        "install",
        "--quiet",
        "--debug",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_cannot_be_reached_is_told_as_such() {
        let said = "2026-11-26 [ERROR] failed to fetch advisory database\n\nCaused by:\n  no route to host\n";
        let text = unreachable(said);
        assert!(
            text.starts_with("the advisory database cannot be reached"),
            "{text}"
        );
        assert!(text.ends_with(": no route to host"), "{text}");
        assert!(unreachable("").ends_with("does not say why"));
    }
}
