//! The probe against servers that count connections and handshakes.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test that calls them"
)]

mod http;
mod server;
mod tls;
