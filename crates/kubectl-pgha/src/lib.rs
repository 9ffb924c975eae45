//! The kubectl plugin `pgha`: arguments in; a result, or what went wrong and what it left behind, out.
//!
//! The order is always arguments, settings, session, survey, view, output. Only `settings` reads the environment, only
//! `session` opens a kubeconfig, only `ui` writes. Everything that is decided is decided in `pgha_model`.

mod args;
mod commands;
mod complete;
mod consent;
mod exit;
mod failure;
mod given;
mod interrupt;
mod private_file;
mod service;
mod session;
mod settings;
mod ui;
mod view;
mod whole_file;

use std::ffi::OsString;
use std::panic;
use std::process::{self, ExitCode};

use clap::{CommandFactory as _, FromArgMatches as _};

use crate::args::{Cli, Command};
use crate::exit::Exit;
use crate::settings::Environment;

#[cfg(feature = "schema")]
pub use crate::service::service_schema;

/// Runs the plugin with these arguments, the first of which is the program's name.
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    end_at_a_bug();
    let environment = Environment::read();
    if let Some(shell) = &environment.completing_shell {
        return complete::answer_shell(shell, arguments, &environment).into();
    }
    let cli = match parse(&arguments) {
        Ok(cli) => cli,
        Err(error) => return ui::show_usage(&error).into(),
    };
    dispatch(cli, &environment).into()
}

/// A bug is the end of the process, as a kill is, which every command survives. It has an exit code of its own, and leaves no core
/// file, which could hold a secret.
fn end_at_a_bug() {
    let tell = panic::take_hook();
    panic::set_hook(Box::new(move |bug| {
        tell(bug);
        ui::tell_of_bug();
        #[expect(clippy::exit, reason = "nothing of a program with a bug is to go on")]
        process::exit(Exit::Unexpected as i32);
    }));
}

/// The plugin's command line, as the generated reference shows it.
pub fn command() -> clap::Command {
    Cli::command()
}

fn parse(arguments: &[OsString]) -> Result<Cli, clap::Error> {
    let matches = Cli::command().try_get_matches_from(arguments)?;
    Cli::from_arg_matches(&matches)
}

fn dispatch(cli: Cli, environment: &Environment) -> Exit {
    match cli.command {
        Command::Leader(args) => commands::leader::main(&args, environment),
        Command::Status(args) => commands::status::main(&args, environment),
        Command::Validate(args) => commands::validate::main(&args, environment),
        Command::Switchover(args) => commands::switchover::main(&args, environment),
        Command::Demote(args) => commands::demote::main(&args, environment),
        Command::Promote(args) => commands::promote::main(&args, environment),
        Command::Failover(args) => commands::failover::main(&args, environment),
        Command::Rejoin(args) => commands::rejoin::main(&args, environment),
        Command::Resume(args) => commands::unfinished::resume(&args, environment),
        Command::Abort(args) => commands::unfinished::abort(&args.over, environment),
        Command::Release(args) => commands::release::main(&args, environment),
        Command::History(args) => commands::history::main(&args, environment),
        Command::Backup(args) => commands::backup::main(&args, environment),
        Command::Shutdown(args) => commands::shutdown::main(&args, environment),
        Command::Startup(args) => commands::startup::main(&args, environment),
        Command::Restart(args) => commands::restart::main(&args, environment),
        Command::Upgrade(args) => commands::upgrade::main(&args, environment),
        Command::ResetPassword(args) => commands::reset_password::main(&args, environment),
        Command::SyncSecrets(args) => commands::sync_secrets::main(&args, environment),
        Command::Login(args) => commands::login::main(&args, environment),
        Command::TokenCheck(args) => commands::token_check::main(&args, environment),
        Command::Init(args) => commands::init::main(&args, environment),
        Command::Lint(args) => commands::lint::main(&args, environment),
        Command::Traffic(args) => commands::traffic::main(&args, environment),
        Command::PoolerGuard => commands::poolers::guard_main(),
        Command::Deadline(args) => commands::deadline::main(&args, environment),
        Command::Completion(args) => commands::completion::main(&args),
        Command::Complete(args) => complete::answer_kubectl(args.words, environment),
    }
}
