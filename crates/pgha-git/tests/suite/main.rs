//! Real git repositories with real hooks.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test that calls them"
)]

mod commit;
mod git;
mod push;
mod repository;
