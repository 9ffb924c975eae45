//! The project's own commands: `cargo xtask demo | test | lab | sim | bench | tidy | deny | dist`.

mod bench;
mod demo;
mod deny;
mod dist;
mod lab;
mod part;
mod sim;
mod test;
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
    /// Bring the lab up, move a service under live writes, and show what became of every row
    Demo,
    Test(test::Args),
    Sim(sim::Args),
    #[command(subcommand)]
    Bench(bench::Command),
    /// Check licences, bans and sources of every dependency
    Deny,
    /// Build the archive that is shipped, and write krew's manifest of it
    Dist,
    /// Check the arrows between crates, the size of files and the rules of the tree
    Tidy,
}

fn main() -> ExitCode {
    let result = match Args::parse().command {
        Command::Lab(command) => lab::run(command),
        Command::Demo => demo::run(),
        Command::Test(args) => test::run(&args),
        Command::Sim(args) => sim::run(&args),
        Command::Bench(command) => bench::run(&command),
        Command::Deny => deny::run(&mut part::Count::default()),
        Command::Dist => dist::run(),
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

#[expect(
    clippy::print_stderr,
    reason = "the one place where xtask reports a failure"
)]
fn report(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
}
