//! The backend against moto, which stands for AWS and which `PGHA_PEERS` names, and against servers that misbehave.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test that calls them"
)]

mod answers;
mod conformance;
mod keys;
mod listeners;
mod moto;
mod route53;
mod server;
