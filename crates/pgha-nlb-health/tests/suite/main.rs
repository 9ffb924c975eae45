//! The backend over fake API servers, by the real client.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test that calls them"
)]

mod conformance;
mod moves;
mod preflight;
mod world;
