//! The exit codes.

use std::process::ExitCode;

/// How the plugin ends. The numbers are a promise to scripts: the help names them, and a test of it keeps them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done, and what was asked for is as it should be.
    Done = 0,
    /// A bug.
    Unexpected = 1,
    /// The arguments or the kubeconfig are wrong.
    Usage = 2,
    /// Refused, or not seen: nothing was changed.
    Refused = 3,
    /// Stopped part-way, and safe to run again.
    Stopped = 4,
    /// The effect is unknown, or something is held: look before acting.
    Held = 5,
    /// Interrupted before anything was changed.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
