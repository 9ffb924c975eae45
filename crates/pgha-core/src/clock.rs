//! The only caller of the clocks: everything else takes the time as an argument.

use jiff::Timestamp;
pub use tokio::time::Instant;

/// The wall clock. For showing and for comparing with times written by other machines; never for measuring.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one function that asks the wall clock"
)]
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// The monotonic clock, for deadlines and durations. It is tokio's, so that tests can pause it.
pub fn monotonic() -> Instant {
    Instant::now()
}
