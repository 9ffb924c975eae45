//! Waiting for a condition, with a deadline: the only place that sleeps.

use std::time::Duration;

use crate::clock::{self, Instant};

/// What one look at a condition found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look<T, S> {
    /// The condition holds; the value is its evidence.
    Settled(T),
    /// It does not hold yet; the value is what was seen instead.
    NotYet(S),
}

/// How the waiting ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settlement<T, S> {
    /// The condition held before the deadline.
    Settled(T),
    /// The deadline passed first.
    TimedOut {
        /// What the last finished look saw; `None` when no look finished.
        last_seen: Option<S>,
    },
}

/// The shortest pause of those who look eagerly.
const SHORTEST: Duration = Duration::from_millis(40);

/// Looks until the condition holds or the deadline passes, at least once, with a pause between looks.
///
/// A look that is still under way at the deadline is dropped, except that it counts as no look. An error of a look ends
/// the waiting at once: a probe that can live with an error turns it into [`Look::NotYet`].
pub async fn await_until<T, S, E>(
    deadline: Instant,
    interval: Duration,
    probe: impl AsyncFnMut() -> Result<Look<T, S>, E>,
) -> Result<Settlement<T, S>, E> {
    await_with(deadline, |_| interval, probe).await
}

/// The same for what mostly holds in a moment, and for which somebody waits: the pauses begin short and grow with the time that was
/// waited, up to `longest`.
pub async fn await_eagerly<T, S, E>(
    deadline: Instant,
    longest: Duration,
    probe: impl AsyncFnMut() -> Result<Look<T, S>, E>,
) -> Result<Settlement<T, S>, E> {
    let grown = |waited: Duration| (waited / 20).clamp(SHORTEST.min(longest), longest);
    await_with(deadline, grown, probe).await
}

async fn await_with<T, S, E>(
    deadline: Instant,
    interval: impl Fn(Duration) -> Duration,
    mut probe: impl AsyncFnMut() -> Result<Look<T, S>, E>,
) -> Result<Settlement<T, S>, E> {
    let begun = clock::monotonic();
    let mut last_seen = None;
    loop {
        match tokio::time::timeout_at(deadline, probe()).await {
            Ok(look) => match look? {
                Look::Settled(evidence) => return Ok(Settlement::Settled(evidence)),
                Look::NotYet(seen) => last_seen = Some(seen),
            },
            Err(_elapsed) => return Ok(Settlement::TimedOut { last_seen }),
        }
        let now = clock::monotonic();
        if now >= deadline {
            return Ok(Settlement::TimedOut { last_seen });
        }
        pause(interval(now - begun).min(deadline - now)).await;
    }
}

/// Waits for that long: for what has its own way of looking again.
#[expect(
    clippy::disallowed_methods,
    reason = "the pause between two looks at a condition that nobody announces"
)]
pub async fn pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    const INTERVAL: Duration = Duration::from_millis(100);

    fn after(duration: Duration) -> Instant {
        clock::monotonic() + duration
    }

    #[tokio::test(start_paused = true)]
    async fn who_looks_eagerly_looks_often_at_first_and_seldom_later() {
        let mut last = clock::monotonic();
        let mut pauses = Vec::new();
        let settled = await_eagerly(after(Duration::from_secs(10)), INTERVAL, async || {
            let now = clock::monotonic();
            pauses.push(now - last);
            last = now;
            Ok::<_, Infallible>(if pauses.len() == 100 {
                Look::Settled(())
            } else {
                Look::NotYet(())
            })
        })
        .await;
        assert_eq!(settled, Ok(Settlement::Settled(())));
        assert_eq!(pauses[1], SHORTEST);
        assert!(pauses.is_sorted(), "{pauses:?}");
        assert_eq!(pauses.last(), Some(&INTERVAL));
    }

    #[tokio::test(start_paused = true)]
    async fn the_evidence_comes_back_as_soon_as_the_condition_holds() {
        let started = clock::monotonic();
        let mut looks = 0;
        let settled = await_until(after(Duration::from_secs(10)), INTERVAL, async || {
            looks += 1;
            Ok::<_, Infallible>(if looks == 4 {
                Look::Settled("here")
            } else {
                Look::NotYet(looks)
            })
        })
        .await;
        assert_eq!(settled, Ok(Settlement::Settled("here")));
        assert_eq!(clock::monotonic() - started, 3 * INTERVAL);
    }

    #[tokio::test(start_paused = true)]
    async fn a_passed_deadline_tells_what_was_seen_last() {
        let settled = await_until(after(Duration::from_secs(1)), INTERVAL, async || {
            Ok::<Look<(), _>, Infallible>(Look::NotYet("standby leader"))
        })
        .await;
        let last_seen = Some("standby leader");
        assert_eq!(settled, Ok(Settlement::TimedOut { last_seen }));
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_hangs_ends_at_the_deadline() {
        let started = clock::monotonic();
        let settled = await_until(after(Duration::from_secs(1)), INTERVAL, async || {
            std::future::pending::<Result<Look<(), ()>, Infallible>>().await
        })
        .await;
        assert_eq!(settled, Ok(Settlement::TimedOut { last_seen: None }));
        assert_eq!(clock::monotonic() - started, Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_ends_the_waiting() {
        let settled: Result<Settlement<(), ()>, _> =
            await_until(after(Duration::from_secs(1)), INTERVAL, async || {
                Err("gone")
            })
            .await;
        assert_eq!(settled, Err("gone"));
    }
}
