//! What `token-check` takes as a process, and how much of that is neither the start of a program nor the way to the issuer.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use pgha_judge::bench::{By, TrafficRun};

use super::issuer::Place;
use super::{Bench, Keep};
use crate::bench::cli;
use crate::lab;

/// What it is called in the file.
pub(super) const WHAT: &str = "token-check";

const CLIENT: &str = "kubectl";

/// Checks one token again and again, and runs beside each check what it is compared with.
pub(super) fn run(bench: &Bench, runs: u32, keep: &mut Keep<'_>) -> Result<()> {
    let keys_at_hand = bench
        .progress
        .part("keys at hand", |_| build_keys_at_hand())?;
    let empty = cli::build_empty()?;
    let folder = tempfile::tempdir()?;
    let home = folder.path();
    let place = Place::take()?;
    let url = place.url();
    let with_keys = |verb| [verb, url.as_str(), CLIENT, "."];
    time(&keys_at_hand, &with_keys("make"), home)?;
    let keys = serde_json::from_slice(&fs::read(home.join("keys.json"))?)?;
    let issuer = place.serve(keys);
    let check = [
        "token-check",
        "--token-file",
        "token",
        "--issuer",
        &url,
        "--client-id",
        CLIENT,
    ];
    let checks = with_keys("check");
    let pgha = bench.plugin.as_path();
    let compared: [(By, &Path, &[&str]); 4] = [
        (By::Pgha, pgha, &check),
        (By::Version, pgha, &["--version"]),
        (By::Keys, &keys_at_hand, &checks),
        (By::Empty, &empty, &[]),
    ];
    for (_, program, arguments) in compared {
        // Programs are read from the disk once.
        time(program, arguments, home)?;
    }
    for _ in 0..runs {
        for (by, program, arguments) in compared {
            keep(TrafficRun {
                what: WHAT.to_owned(),
                by,
                ms: time(program, arguments, home)?,
                errors: 0,
                ratio_to_gap: None,
            })?;
        }
    }
    drop(issuer);
    Ok(())
}

/// Builds what verifies a token as the plugin does, and as the plugin is built.
fn build_keys_at_hand() -> Result<PathBuf> {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(lab::workspace());
    cargo.args(["build", "--quiet", "--locked", "--release"]);
    cargo.args(["--package", "pgha-core", "--features", "oidc"]);
    cargo.args(["--example", "keys_at_hand"]);
    ensure!(
        cargo.status()?.success(),
        "the build of keys_at_hand failed"
    );
    Ok(lab::workspace().join("target/release/examples/keys_at_hand"))
}

/// The wall time of a program that has to end well, in milliseconds; it sees nothing of this process' environment.
fn time(program: &Path, arguments: &[&str], home: &Path) -> Result<f64> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(home);
    command.env_clear().env("HOME", home);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let begun = Instant::now();
    let status = command.status();
    let took = begun.elapsed().as_secs_f64() * 1000.0;
    let shown = program.display();
    let status = status.with_context(|| format!("{shown} does not start"))?;
    let arguments = arguments.join(" ");
    ensure!(status.success(), "{shown} {arguments} ended with {status}");
    Ok(took)
}
