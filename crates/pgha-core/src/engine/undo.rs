//! The way back to the source, open until the promotion was sent.

use std::time::Duration;

use pgha_model::plan::Step;

use super::StepError;
use super::switchover::Switchover;
use crate::clock;
use crate::diagnose::chain_of;
use crate::settle::{Look, Settlement, await_until};

/// Pause between two tries.
const LOOK: Duration = Duration::from_secs(1);

impl Switchover<'_> {
    /// Takes everything back; whether the source had been told to stop. A site that does not answer is asked again: what is
    /// given up here leaves holds, or nobody primary.
    pub(super) async fn undo(&mut self) -> Result<(bool, String), StepError> {
        let deadline = clock::monotonic() + self.limits.patience();
        let mut told = false;
        let settlement = await_until(deadline, LOOK, async || match self.undo_once().await {
            Ok(undone) => Ok(Look::Settled(undone)),
            Err(error) if error.may_pass() => {
                if !told {
                    told = true;
                    let text = format!("The way back is tried again: {}.", chain_of(&error));
                    self.note(Step::Fence, text);
                }
                Ok(Look::NotYet(error))
            }
            Err(error) => Err(error),
        });
        match settlement.await? {
            Settlement::Settled(undone) => Ok(undone),
            Settlement::TimedOut { last_seen } => Err(last_seen.unwrap_or(StepError::NotSettled {
                what: "the way back",
                limit: self.limits.patience(),
                seen: "it was not seen to its end".to_owned(),
            })),
        }
    }

    async fn undo_once(&mut self) -> Result<(bool, String), StepError> {
        self.source.refresh().await?;
        self.target.refresh().await?;
        // What was sent and refused has fenced nothing; what was sent and not answered may have.
        let fenced = self.reached.fence_sent
            && (self.source.object_says_standby() || self.source.config_says_standby());
        let held = self.hold_owners_again().await;
        let result = if fenced {
            self.unfence().await?;
            let at = self.source_writes().await?;
            (
                true,
                format!("The source committed at {at} on a new timeline."),
            )
        } else {
            (false, "The source was never told to stop.".to_owned())
        };
        held?;
        self.withdraw_declared().await?;
        self.restore().await?;
        if self.declares() {
            self.steps.note_left([&self.source, &self.target]);
        }
        Ok(result)
    }

    /// Those who may write what Git says are held again where they work: what follows contradicts Git, until that is changed back.
    async fn hold_owners_again(&mut self) -> Result<(), StepError> {
        if !self.declares() {
            return Ok(());
        }
        let limit = self.limits.step;
        let (source, target) = tokio::join!(
            self.source.hold_owners(limit),
            self.target.hold_owners(limit)
        );
        source.and(target)
    }

    /// What Git's word has made of the objects: nothing of it has reached Postgres.
    async fn withdraw_declared(&mut self) -> Result<(), StepError> {
        if !self.declares() {
            return Ok(());
        }
        self.source.refresh().await?;
        self.target.refresh().await?;
        if !self.target.object_says_standby() {
            let section = self.target.standby_section(&self.source);
            let patch = self.target.standby_patch(&section, true);
            self.target.send_object(&patch).await?;
        }
        if self.source.object_says_standby() {
            let section = self.source.standby_section(&self.target);
            let patch = self.source.standby_patch(&section, false);
            self.source.send_object(&patch).await?;
        }
        Ok(())
    }

    async fn unfence(&mut self) -> Result<(), StepError> {
        let fence = self.fence_of_source();
        if !fence.take_back(&mut self.source, self.limits).await? {
            let text = "the source's leader did not come back in recovery; it is told to be primary all the same";
            self.note(Step::Fence, format!("While going back, {text}."));
        }
        Ok(())
    }

    async fn source_writes(&mut self) -> Result<String, StepError> {
        let limit = self.limits.promotion;
        self.source.await_primary(limit).await?;
        let at = super::switchover::wait::emit_canary(self.source.psql()?).await?;
        Ok(at.to_string())
    }

    /// Both sides' settings are as they were, and both operators work again.
    async fn restore(&mut self) -> Result<(), StepError> {
        let limit = self.limits.step;
        let (source, target) = (
            self.source.config_before().clone(),
            self.target.config_before().clone(),
        );
        let (source, target) = tokio::join!(
            self.source.release(&source, limit),
            self.target.release(&target, limit)
        );
        source.and(target)
    }
}
