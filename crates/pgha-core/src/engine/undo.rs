//! The way back to the source, open until the promotion was sent.

use pgha_model::event::Standing;
use pgha_model::plan::Step;

use super::switchover::Switchover;
use super::{MoveError, StepError};

/// What is told of the way back.
const BACK: &str = "going back to the source";

impl Switchover<'_> {
    /// Takes everything back and says where that has led.
    pub(super) async fn take_back(mut self, step: Step, because: StepError) -> MoveError {
        if !self.reached.prepared {
            return MoveError::new(step, Standing::Unchanged, because);
        }
        let (steps, fenced) = (self.steps.clone(), self.reached.fence_sent.is_some());
        match steps.undo(&because, BACK, self.undo()).await {
            Ok(standing) => MoveError::new(step, standing, because),
            Err(undo) => {
                let standing = if fenced {
                    Standing::Fenced
                } else {
                    Standing::Held
                };
                MoveError {
                    undo: Some(Box::new(undo)),
                    ..MoveError::new(step, standing, because)
                }
            }
        }
    }

    async fn undo(&mut self) -> Result<(Standing, String), StepError> {
        self.source.refresh().await?;
        self.target.refresh().await?;
        // What was sent and refused has fenced nothing; what was sent and not answered may have.
        let fenced = self.reached.fence_sent.is_some()
            && (self.source.object_says_standby() || self.source.config_says_standby());
        let result = if fenced {
            self.unfence().await?;
            let at = self.source_writes().await?;
            (
                Standing::BackAtSource,
                format!("The source committed at {at} on a new timeline."),
            )
        } else {
            (
                Standing::Unchanged,
                "The source was never told to stop.".to_owned(),
            )
        };
        self.restore().await?;
        Ok(result)
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
