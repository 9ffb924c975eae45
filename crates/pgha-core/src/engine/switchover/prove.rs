//! The proof: the target holds everything that the source has ever acknowledged.

use std::time::Duration;

use pgha_model::lsn::Lsn;
use pgha_model::plan::Feed;
use pgha_model::proof::Closure;

use super::wait::await_replay;
use super::{Proof, Switchover};
use crate::clock;
use crate::engine::StepError;
use crate::engine::push::push_script;

/// Up to where each member of the target has replayed, its leader first.
type Positions = Vec<(String, Lsn)>;

/// How long a target that streams may take for the last records. A server that stops sends them before it is gone (PostgreSQL
/// source, `walsender.c`, `WalSndDone`): what has not come soon is held up by the network, or was sent to a receiver that is lost.
const STREAMED: Duration = Duration::from_secs(3);

impl Switchover<'_> {
    /// The target holds everything, on every member that Patroni could elect.
    ///
    /// Where the archive is not on the target's way the push waits until the promotion is over: it would take the
    /// processor from it.
    pub(super) async fn prove(&mut self, closure: Closure) -> Result<(Proof, String), StepError> {
        let begun = clock::monotonic();
        let direct = match self.handover.take() {
            Some(handover) => self.hand_over(handover, &closure).await,
            None => !self.is_archive_only(),
        };
        let shipped = clock::monotonic();
        let past = closure.end.to_exceed();
        tracing::debug!(end = %closure.end, direct, "the log is where the target looks");
        let came = if direct {
            self.await_direct(past).await?
        } else {
            None
        };
        let by_archive = came.is_none();
        let positions = if let Some(positions) = came {
            positions
        } else {
            self.start_push(&closure)?;
            self.await_replay_by_archive(past).await?
        };
        self.parts.ship = shipped - begun;
        self.parts.replay = clock::monotonic() - shipped;
        for (member, replayed) in &positions {
            closure
                .covers(member, *replayed)
                .map_err(StepError::NotProved)?;
        }
        let replayed = positions
            .first()
            .map(|(_, replayed)| *replayed)
            .unwrap_or_default();
        let evidence = format!(
            "{} members of the target replayed to {replayed}; the source ended with {}.",
            positions.len(),
            closure.end
        );
        let proof = Proof {
            closure,
            replayed,
            by_archive,
        };
        Ok((proof, evidence))
    }

    /// Waits for the replay of what came without the archive. `None`: it did not come from the source, which the target no longer
    /// asks.
    async fn await_direct(&mut self, past: Lsn) -> Result<Option<Positions>, StepError> {
        let feed = self.plan.feed;
        let limit = match feed {
            Feed::Archive => self.limits.proof,
            Feed::Streaming => self.limits.proof.min(STREAMED),
        };
        let seen = match await_replay(&mut self.target, past, limit, feed).await {
            Ok(positions) => return Ok(Some(positions)),
            Err(StepError::NotSettled { seen, .. }) if feed == Feed::Streaming => seen,
            Err(error) => return Err(error),
        };
        let because = format!("{seen} {} s after the source's end", limit.as_secs());
        self.ask_archive(&because).await;
        Ok(None)
    }

    /// Waits for the replay of what the push brings, and no longer than that can work.
    async fn await_replay_by_archive(&mut self, past: Lsn) -> Result<Positions, StepError> {
        let limit = self.limits.proof;
        let mut replay = std::pin::pin!(await_replay(&mut self.target, past, limit, Feed::Archive));
        loop {
            tokio::select! {
                positions = &mut replay => return positions,
                Some(pushed) = self.pushing.join_next() => {
                    if !pushed.is_ok_and(|output| output.is_ok_and(|output| output.exit_code == 0)) {
                        return Err(StepError::BasisChanged {
                            what: "the last segment could not be pushed to the repository".to_owned(),
                        });
                    }
                }
            }
        }
    }

    pub(super) fn start_push(&mut self, closure: &Closure) -> Result<(), StepError> {
        let script = push_script(&self.source, closure)?;
        let limit = self.limits.proof;
        let mut shell = self.source.take_shell()?;
        self.pushing
            .spawn(async move { shell.run(&script, limit).await });
        Ok(())
    }
}
