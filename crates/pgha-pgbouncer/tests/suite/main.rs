//! A real `PgBouncer`, before a server that only knows where a transaction begins and ends.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "helpers of tests fail the test that calls them, tell what they leave out, and do more than one thing at a time"
)]

mod backend;
mod console;
mod server;
mod waiting;
