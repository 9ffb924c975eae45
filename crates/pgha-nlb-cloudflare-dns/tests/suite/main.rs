//! The backend against a contract stub of Cloudflare's API, which was written from Cloudflare's documents: there is no emulator
//! of it, and nobody has tried the backend against Cloudflare itself.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test that calls them"
)]

mod conformance;
mod moves;
mod stub;
