//! What asks a command to end: Ctrl-C, and the signal by which systems ask politely.

use std::future::Future;
use std::io;

use crate::failure::Failure;

/// Waits for the next interruption: SIGINT or SIGTERM, either may be the first or the second.
#[cfg(unix)]
pub(crate) async fn interruption() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed,
        _ = terminate.recv() => Ok(()),
    }
}

/// Waits for the next Ctrl-C.
#[cfg(not(unix))]
pub(crate) async fn interruption() -> io::Result<()> {
    tokio::signal::ctrl_c().await
}

/// Does the work, unless an interruption comes first: then the work is dropped where it stands. Only for work that
/// changes nothing.
pub(crate) async fn unless_interrupted<T>(
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::select! {
        result = work => result,
        Ok(()) = interruption() => Err(Failure::interrupted()),
    }
}
