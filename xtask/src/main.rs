//! The project's own commands: `cargo xtask demo | test | lab | sim | bench | guards | peers | tidy | deny | dist`.

mod bench;
mod demo;
mod deny;
mod dist;
mod guards;
mod lab;
mod part;
mod peers;
mod provider;
mod sim;
mod test;
mod tidy;
mod users;

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
    Demo(demo::Args),
    Test(test::Args),
    Sim(sim::Args),
    #[command(subcommand)]
    Bench(bench::Command),
    /// Take each guard of a move away in turn, and see that a test misses it
    Guards,
    /// Build the products that traffic backends are tested against, and print where they are
    Peers,
    Deny(deny::Args),
    /// Build the archive that is shipped, and write krew's manifest of it
    Dist,
    /// Check the arrows between crates, the size of files and the rules of the tree
    Tidy,
}

fn main() -> ExitCode {
    let result = match Args::parse().command {
        Command::Lab(command) => lab::run(command),
        Command::Demo(args) => demo::run(args),
        Command::Test(args) => test::run(&args),
        Command::Sim(args) => sim::run(&args),
        Command::Bench(command) => bench::run(&command),
        Command::Guards => guards::run(guards::Whole::Unknown),
        Command::Peers => peers::run(),
        Command::Deny(args) => deny::main(&args),
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
