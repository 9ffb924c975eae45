//! Writes numbered rows to whichever site accepts, and keeps a ledger of what was acknowledged.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use pgha_lab::writer::{Config, program};

#[tokio::main]
async fn main() -> ExitCode {
    let ended = match config() {
        Ok(config) => program::run(config).await,
        Err(error) => Err(error),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(std::io::stderr(), "pgha-writer: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// `pgha-writer --config FILE`.
fn config() -> Result<Config> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [flag, path] = arguments.as_slice() else {
        bail!("usage: pgha-writer --config FILE")
    };
    if flag != "--config" {
        bail!("usage: pgha-writer --config FILE");
    }
    let path = PathBuf::from(path);
    let text = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is no configuration", path.display()))
}
