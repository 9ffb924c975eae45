//! Commands of a simulation in place of those in containers.
//!
//! Only builds with debug assertions have it. Requests to the API server still go through the real client: a command is the
//! one thing that a simulation answers beside it, since its connection is no request and no answer.

use std::io;
use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::io::{BufReader, ReadHalf, SimplexStream, WriteHalf};
use tokio::sync::oneshot;

use super::{Container, Ending, ExecError, Process, not_opened};
use crate::client::SiteClient;

/// The streams of a simulated command, each the end that the caller of the command has.
pub struct Started {
    /// Its standard input.
    pub stdin: WriteHalf<SimplexStream>,
    /// Its standard output.
    pub stdout: ReadHalf<SimplexStream>,
    /// Its standard error.
    pub stderr: ReadHalf<SimplexStream>,
    /// Its exit code; a sender that is dropped is a connection that was lost.
    pub exit: oneshot::Receiver<i32>,
}

/// Starts the command `argv` in a container; an error is that of the connection to the API server.
pub type Commands =
    Arc<dyn Fn(Container, Vec<String>) -> BoxFuture<'static, io::Result<Started>> + Send + Sync>;

pub(super) async fn start(
    commands: &Commands,
    site: &SiteClient,
    container: &Container,
    argv: &[&str],
    has_input: bool,
) -> Result<Process, ExecError> {
    let argv = argv.iter().map(|word| (*word).to_owned()).collect();
    let started = commands(container.clone(), argv)
        .await
        .map_err(|error| not_opened(site, container, kube::Error::Service(Box::new(error))))?;
    Ok(Process {
        container: container.clone(),
        stdin: has_input.then_some(started.stdin),
        stdout: BufReader::new(started.stdout),
        stderr: started.stderr,
        ending: Ending::Simulated(started.exit),
    })
}
