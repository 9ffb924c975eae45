//! The operator stand-in: serves `PostgresCluster` v1beta1 in one site of the lab.

use std::process::ExitCode;

use pgha_lab::standin::{self, Settings};

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter("info")
        .with_ansi(false)
        .init();
    let ended = match Settings::from_environment() {
        Ok(settings) => standin::run(settings).await,
        Err(error) => Err(error),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
