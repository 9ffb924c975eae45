//! The backend against a contract stub of iControl REST, which was written from F5's documents: there is no emulator of BIG-IP
//! DNS, and nobody has tried the backend against a BIG-IP.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test that calls them"
)]

mod conformance;
mod faults;
mod moves;
mod stub;
