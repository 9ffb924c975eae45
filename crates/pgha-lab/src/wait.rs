//! Waits for conditions, never for time.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

/// How long to let a condition be before it is looked at again.
const INTERVAL: Duration = Duration::from_millis(50);

/// Calls `probe` until it succeeds, and returns what it returned.
///
/// # Errors
/// The deadline passed: the error says for what and for how long, and why the last probe failed.
pub fn until<T>(what: &str, deadline: Duration, mut probe: impl FnMut() -> Result<T>) -> Result<T> {
    let started = Instant::now();
    loop {
        match probe() {
            Ok(value) => return Ok(value),
            Err(error) if started.elapsed() >= deadline => {
                return Err(error)
                    .with_context(|| format!("waited {} s for {what}", deadline.as_secs()));
            }
            Err(_) => thread::sleep(INTERVAL),
        }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::ensure;

    use super::*;

    #[test]
    fn a_condition_that_comes_true_is_returned() {
        let mut calls = 0;
        let seen = until("three", Duration::from_secs(5), || {
            calls += 1;
            ensure!(calls == 3, "only {calls}");
            Ok(calls)
        });
        assert_eq!(seen.unwrap(), 3);
    }

    #[test]
    fn a_deadline_says_what_was_seen_last() {
        let error = until("a pod", Duration::ZERO, || -> Result<()> {
            anyhow::bail!("it is Pending")
        })
        .unwrap_err();
        assert_eq!(format!("{error:#}"), "waited 0 s for a pod: it is Pending");
    }
}
