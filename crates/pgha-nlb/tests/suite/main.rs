//! The port's suite on a backend in memory, which can be told to do wrong; and the composite of such backends.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test that calls them"
)]

mod composite;
mod laws;
mod memory;
mod product;
