//! What the writer shows while it runs: a ready file, a status file and a line each second.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::time::interval;

use super::journal::Counts;
use super::shared::Shared;

/// How often to look whether the first row was acknowledged.
const LOOK: Duration = Duration::from_millis(20);
/// How many looks make a second.
const LOOKS: u64 = 50;

/// Reports until the writer stops.
///
/// # Errors
/// The ready file or the status file cannot be written.
pub(super) async fn report(shared: Arc<Shared>) -> Result<()> {
    let mut stopped = shared.stopped.clone();
    let mut ticks = interval(LOOK);
    let (mut looks, mut is_ready) = (0_u64, false);
    loop {
        let is_over = tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => true,
            _ = ticks.tick() => false,
        };
        let counts = shared.journal.counts();
        if !is_ready && counts.acknowledged > 0 {
            is_ready = true;
            replace(&shared.config.ready(), shared.journal.run().as_bytes())?;
            say("ready");
        }
        if is_over || looks.is_multiple_of(LOOKS) {
            show(&shared, &counts)?;
        }
        if is_over {
            return Ok(());
        }
        looks += 1;
    }
}

fn show(shared: &Shared, counts: &Counts) -> Result<()> {
    let status = serde_json::to_vec(counts).context("cannot write the status")?;
    replace(&shared.config.status(), &status)?;
    let now_us = shared.journal.now_us();
    say(&format!(
        "{:>6} s  {} rows acknowledged, {} refused, {} unknown; the last {} ms ago; \
         longest silence {} ms",
        now_us / 1_000_000,
        counts.acknowledged,
        counts.refused,
        counts.unknown,
        now_us.saturating_sub(counts.last_acknowledged_us) / 1000,
        counts.longest_silence_us / 1000,
    ));
    Ok(())
}

/// Replaces a file at once, so that nobody reads half of it.
fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let new = path.with_extension("new");
    std::fs::write(&new, content).with_context(|| format!("cannot write {}", new.display()))?;
    std::fs::rename(&new, path).with_context(|| format!("cannot replace {}", path.display()))
}

/// A closed standard output must not stop a measurement.
fn say(line: &str) {
    drop(writeln!(std::io::stdout(), "{line}"));
}
