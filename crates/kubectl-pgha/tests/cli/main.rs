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
mod by_config_map;
#[expect(
    clippy::unwrap_used,
    reason = "a place for tests that cannot be made fails the test"
)]
mod by_default;
mod by_file;
#[expect(
    clippy::unwrap_used,
    reason = "a place for tests that cannot be made fails the test"
)]
mod canary;
#[expect(
    clippy::unwrap_used,
    reason = "a shell that cannot be asked fails the test"
)]
mod completion;
mod deadline;
#[expect(
    clippy::unwrap_used,
    reason = "a repository that cannot be made fails the test"
)]
mod desired;
mod failover;
#[expect(
    clippy::unwrap_used,
    reason = "a repository that cannot be made fails the test"
)]
#[path = "../../../pgha-git/tests/suite/git.rs"]
mod git;
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
#[expect(
    clippy::unwrap_used,
    reason = "a place for tests that cannot be made fails the test"
)]
mod house;
#[expect(
    clippy::unwrap_used,
    reason = "a place for tests that cannot be written to fails the test"
)]
mod init;
#[expect(
    clippy::unwrap_used,
    reason = "a fake issuer that cannot do its part fails the test"
)]
mod issuer;
mod leader;
mod lint;
#[expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test that calls them"
)]
mod objects;
mod one_side;
mod output;
#[expect(
    clippy::unwrap_used,
    reason = "a place for tests that cannot be made fails the test"
)]
mod plugin;
#[expect(
    clippy::unwrap_used,
    reason = "a provider that does not do its part fails the test"
)]
mod provider;
mod proxy;
mod refusal;
mod release;
mod report;
mod request;
#[expect(clippy::unwrap_used, reason = "what a fake site lacks fails the test")]
mod reset_password;
#[cfg(all(feature = "aws", feature = "schema"))]
#[expect(
    clippy::unwrap_used,
    reason = "a document that is not there fails the test"
)]
mod schema;
mod status;
mod switchover;
#[expect(clippy::unwrap_used, reason = "what a fake site lacks fails the test")]
mod sync_secrets;
mod test_login;
#[expect(
    clippy::unwrap_used,
    reason = "a place for tests that cannot be made fails the test"
)]
mod token_check;
mod token_input;
mod traffic;
mod unfinished;
mod upgrade;
mod upkeep;
mod validate;
mod web;
