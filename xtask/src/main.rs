//! The project's own commands: `cargo xtask demo | test | lab | tidy | deny | dist`.

mod lab;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Run the project's own commands
#[derive(Debug, Parser)]
#[command(name = "xtask", bin_name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Work with the lab: two real Kubernetes sites on this machine
    #[command(subcommand)]
    Lab(lab::Command),
    /// Check the arrows between crates, the size of files and the rules of the tree
    Tidy,
}

fn main() -> ExitCode {
    let result = match Args::parse().command {
        Command::Lab(command) => lab::run(command),
        Command::Tidy => tidy::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "the one place where xtask reports a failure")]
fn report(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
}
