//! What asks a command to end: Ctrl-C, the signal by which systems ask politely, and a terminal that is closed.

use std::future::Future;
use std::io;

use crate::failure::Failure;

/// What asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Asked,
    HungUp,
}

/// The interruptions of one command, one after the other.
///
/// A terminal that is closed is only ever the first: its kernel and its shell each send SIGHUP, often more than once,
/// and nobody is left who could have meant to give up waiting.
#[derive(Debug, Default)]
pub(crate) struct Interruptions {
    seen: bool,
}

impl Interruptions {
    /// Waits for the next one: SIGINT, SIGTERM or SIGHUP, each may be the first.
    pub(crate) async fn next(&mut self) -> io::Result<()> {
        while signalled().await? == Cause::HungUp && self.seen {}
        self.seen = true;
        Ok(())
    }
}

#[cfg(unix)]
async fn signalled() -> io::Result<Cause> {
    use tokio::signal::unix::{SignalKind, signal};

    let hung_up = async {
        if hangup::is_ignored() {
            return std::future::pending().await;
        }
        signal(SignalKind::hangup())?.recv().await;
        io::Result::Ok(())
    };
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed.map(|()| Cause::Asked),
        _ = terminate.recv() => Ok(Cause::Asked),
        result = hung_up => result.map(|()| Cause::HungUp),
    }
}

#[cfg(not(unix))]
async fn signalled() -> io::Result<Cause> {
    tokio::signal::ctrl_c().await.map(|()| Cause::Asked)
}

/// Does the work, unless an interruption comes first: then the work is dropped where it stands. Only for work that
/// changes nothing.
pub(crate) async fn unless_interrupted<T>(
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let mut interruptions = Interruptions::default();
    tokio::select! {
        result = work => result,
        Ok(()) = interruptions.next() => Err(Failure::interrupted()),
    }
}

#[cfg(unix)]
mod hangup {
    use std::sync::OnceLock;

    static IGNORED: OnceLock<bool> = OnceLock::new();

    /// Whether whoever started this process has it outlive its terminal, as `nohup` does. Asked before the first handler
    /// is there, which takes the answer away.
    pub(super) fn is_ignored() -> bool {
        *IGNORED.get_or_init(|| {
            // Without a /proc the signal is taken: half a move is worse than a move that goes back.
            let status = std::fs::read_to_string("/proc/self/status");
            status.is_ok_and(|status| ignores_hangup(&status))
        })
    }

    /// Reads the mask of ignored signals, of which SIGHUP, 1, is the lowest bit (`proc_pid_status(5)`, `SigIgn`).
    fn ignores_hangup(status: &str) -> bool {
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        mask.is_some_and(|mask| mask & 1 == 1)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn the_lowest_bit_is_hangup() {
            assert!(ignores_hangup("Name:\tpgha\nSigIgn:\t0000000000001001\n"));
            assert!(!ignores_hangup("Name:\tpgha\nSigIgn:\t0000000000001000\n"));
            assert!(!ignores_hangup("Name:\tpgha\n"));
        }
    }
}
