//! The backend against the real BIND and the real Knot DNS, which `PGHA_PEERS` names.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test that calls them"
)]

mod between;
mod conformance;
mod server;
mod updates;
