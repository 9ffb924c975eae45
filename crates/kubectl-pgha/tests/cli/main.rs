//! The plugin as a process: arguments in, both streams and the exit code out.
//!
//! Each process has an environment of its own and meets a fake API server on a loopback port.

#[expect(clippy::unwrap_used, reason = "what a fake site lacks fails the test")]
mod backup;
#[expect(
    clippy::unwrap_used,
    reason = "a place for tests that cannot be made fails the test"
)]
mod bench;
#[expect(
    clippy::unwrap_used,
    reason = "a place for tests that cannot be made fails the test"
)]
mod canary;
mod completion;
mod failover;
mod guards;
mod help;
#[expect(
    clippy::unwrap_used,
    reason = "a record that cannot be made fails the test"
)]
mod history;
#[expect(
    clippy::unwrap_used,
    reason = "an object that lacks what is replaced in it fails the test"
)]
mod hostile;
mod leader;
mod one_side;
mod output;
#[expect(
    clippy::unwrap_used,
    reason = "a place for tests that cannot be made fails the test"
)]
mod plugin;
mod proxy;
mod refusal;
mod status;
mod switchover;
#[expect(clippy::unwrap_used, reason = "what a fake site lacks fails the test")]
mod sync_secrets;
mod unfinished;
mod validate;
