//! The only caller of clocks and the only one that sleeps; the runtime's clock is paused and jumps.

use std::time::Duration;

use jiff::Timestamp;

/// The wall clock, which stands still while a schedule runs: leases are as fresh as they look.
#[expect(
    clippy::disallowed_methods,
    reason = "the product compares what the world writes with this clock"
)]
pub(crate) fn wall_clock() -> Timestamp {
    Timestamp::now()
}

#[expect(
    clippy::disallowed_methods,
    reason = "simulated time passes by sleeping"
)]
pub(crate) async fn pass(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}
