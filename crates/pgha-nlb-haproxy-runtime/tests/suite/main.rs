//! The backend against the real HAProxy, which `PGHA_PEERS` names.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test that calls them"
)]

mod conformance;
mod haproxy;
mod traffic;
