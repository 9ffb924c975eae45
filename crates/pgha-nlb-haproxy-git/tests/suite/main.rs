//! The backend against real git repositories with hooks, and against the real HAProxy where `PGHA_PEERS` names one.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test that calls them"
)]

mod conformance;
mod haproxy;
mod push;
mod repository;

#[path = "../../../pgha-git/tests/suite/git.rs"]
mod git;
