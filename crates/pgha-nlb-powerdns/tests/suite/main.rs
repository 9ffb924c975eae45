//! The backend against the real PowerDNS, which `PGHA_PEERS` names, and against servers that misbehave.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test that calls them"
)]

mod answers;
mod conformance;
mod powerdns;
mod server;
mod traffic;
