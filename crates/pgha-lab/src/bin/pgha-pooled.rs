//! Clients of a pooler, which note what they see.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use pgha_lab::pooled::{Config, program};

#[tokio::main]
async fn main() -> ExitCode {
    let ended = match config() {
        Ok(config) => program::run(config).await,
        Err(error) => Err(error),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(std::io::stderr(), "pgha-pooled: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// `pgha-pooled FILE`.
fn config() -> Result<Config> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [path] = arguments.as_slice() else {
        bail!("usage: pgha-pooled FILE");
    };
    let shown = path.display();
    let text = std::fs::read(path).with_context(|| format!("cannot read {shown}"))?;
    serde_json::from_slice(&text).with_context(|| format!("{shown} is no configuration"))
}
