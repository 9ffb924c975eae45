//! One file a command, and what all of them have around them.

mod application;
pub(crate) mod backup;
mod between;
mod by_file;
pub(crate) mod completion;
pub(crate) mod deadline;
pub(crate) mod demote;
mod desired;
pub(crate) mod failover;
mod following;
pub(crate) mod history;
pub(crate) mod init;
pub(crate) mod leader;
pub(crate) mod lint;
pub(crate) mod login;
mod looked_at;
mod moving;
mod one_side;
pub(crate) mod poolers;
pub(crate) mod promote;
pub(crate) mod rejoin;
pub(crate) mod release;
mod report;
pub(crate) mod reset_password;
pub(crate) mod restart;
pub(crate) mod shutdown;
pub(crate) mod startup;
pub(crate) mod status;
pub(crate) mod switchover;
pub(crate) mod sync_secrets;
pub(crate) mod token_check;
pub(crate) mod traffic;
pub(crate) mod unfinished;
pub(crate) mod upgrade;
mod upkeep;
pub(crate) mod validate;

use std::io::IsTerminal as _;

use pgha_core::client::SiteClient;
use pgha_core::diagnose::sanitised;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::format::debug_fn;

use crate::args::CommonArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt::unless_interrupted;
use crate::session::Session;
use crate::settings::{Environment, Settings};
use crate::ui::Ui;

/// Runs a command that changes nothing, from its arguments to its exit code: Ctrl-C drops it where it stands.
pub(crate) fn read(
    common: &CommonArgs,
    environment: &Environment,
    command: impl AsyncFnOnce(&Session<'_>, &Ui) -> Result<Exit, Failure>,
) -> Exit {
    change(common, environment, async |session, ui| {
        match unless_interrupted(command(session, ui)).await {
            // The person knows, and nothing was under way that would need a word.
            Err(failure) if failure.exit == Exit::Interrupted => Ok(failure.exit),
            result => result,
        }
    })
}

/// Runs a command that changes nothing and needs no kubeconfig to begin with.
pub(crate) fn read_alone(
    common: &CommonArgs,
    environment: &Environment,
    command: impl AsyncFnOnce(&Settings, &Ui) -> Result<Exit, Failure>,
) -> Exit {
    start(
        common,
        environment,
        async |settings, ui| match unless_interrupted(command(settings, ui)).await {
            Err(failure) if failure.exit == Exit::Interrupted => Ok(failure.exit),
            result => result,
        },
    )
}

/// Runs a command that sees to Ctrl-C itself, from its arguments to its exit code.
pub(crate) fn change(
    common: &CommonArgs,
    environment: &Environment,
    command: impl AsyncFnOnce(&Session<'_>, &Ui) -> Result<Exit, Failure>,
) -> Exit {
    start(common, environment, async |settings, ui| {
        let session = Session::open(settings)?;
        command(&session, ui).await
    })
}

fn start(
    common: &CommonArgs,
    environment: &Environment,
    command: impl AsyncFnOnce(&Settings, &Ui) -> Result<Exit, Failure>,
) -> Exit {
    let settings = match Settings::settle(common, environment) {
        Ok(settings) => settings,
        Err(failure) => return failed(&Ui::plain(common.output.output), &failure),
    };
    let ui = Ui::new(&settings);
    let run = || {
        start_log(&settings)?;
        let runtime = runtime()?;
        let ended = runtime.block_on(command(&settings, &ui));
        // What blocks a thread, a name that is looked up or a question at the terminal, does not hold up the end.
        runtime.shutdown_background();
        ended
    };
    run().unwrap_or_else(|failure| failed(&ui, &failure))
}

/// A runtime for one command. It waits for the network and computes nothing: one thread is enough, and starts faster.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::unexpected(format!("no event loop could be started: {error}")))
}

/// Tells a person which site is used when none was named.
pub(crate) fn tell_current(ui: &Ui, named: Option<&str>, site: &SiteClient) {
    if named.is_none() {
        ui.note(&format!(
            "Using the current context `{}`, namespace `{}`.",
            site.context, site.namespace
        ));
    }
}

/// A write without a terminal wants its site named: the current context is whatever somebody used last.
pub(crate) fn refuse_unnamed(named: Option<&str>) -> Result<(), Failure> {
    if named.is_some() || std::io::stdin().is_terminal() {
        return Ok(());
    }
    Err(
        Failure::refused("there is no terminal, and no --context names the site to change")
            .hinting("Give --context."),
    )
}

fn failed(ui: &Ui, failure: &Failure) -> Exit {
    match failure.exit {
        Exit::Interrupted => ui.note("Interrupted; nothing was changed."),
        Exit::Done
        | Exit::Unexpected
        | Exit::Usage
        | Exit::Refused
        | Exit::Stopped
        | Exit::Held => ui.fail(failure),
    }
    failure.exit
}

/// The part of the client that logs answers as they are (kube-client, `client/mod.rs`: `Unsuccessful: …`), which may hold
/// what was sent, a password for example. It stays silent, whatever is asked for: [`pgha_core::client`] logs each request.
const TELLTALE: &str = "kube_client::client=off";

fn start_log(settings: &Settings) -> Result<(), Failure> {
    let Some(filter) = &settings.log else {
        return Ok(());
    };
    let filter = EnvFilter::try_new(filter)
        .map_err(|error| Failure::usage(format!("PGHA_LOG is not a log filter: {error}")))?;
    let silence = TELLTALE
        .parse()
        .map_err(|error| Failure::unexpected(format!("{TELLTALE}: {error}")))?;
    let filter = filter.add_directive(silence);
    let fields = debug_fn(|writer, field, value| {
        let text = sanitised(&format!("{value:?}"));
        match field.name() {
            "message" => write!(writer, "{text}"),
            name => write!(writer, "{name}={text}"),
        }
    });
    let log = tracing_subscriber::fmt()
        .fmt_fields(fields.delimited(" "))
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // Told on stderr as well, by a macro that panics when stderr is a terminal that was closed.
        .log_internal_errors(false)
        .with_ansi(settings.color_stderr);
    log.try_init()
        .map_err(|error| Failure::unexpected(format!("the log cannot be started: {error}")))
}
