//! The fence: the leader of the source stops cleanly, and says itself where it ended.

use pgha_model::plan::Step;
use pgha_model::proof::Closure;

use super::Switchover;
use crate::engine::StepError;
use crate::engine::deadline::await_watching;
use crate::engine::fence::check_leader;

impl Switchover<'_> {
    /// The leader of the source stops cleanly; its own control data says where.
    pub(super) async fn fence(&mut self) -> Result<(Closure, String), StepError> {
        if let Some(job) = &self.deadline_job {
            await_watching(&self.source, job, self.limits.step).await?;
        }
        tokio::try_join!(
            check_leader(&self.source, &self.plan.source_leader),
            check_leader(&self.target, &self.plan.target_leader)
        )?;
        if let Some(gate) = self.gate.take() {
            let closed = gate().await;
            let said = closed.map_err(|because| StepError::Gate { because })?;
            self.note(Step::Fence, said);
        }
        let fence = self.fence_of_source();
        let begun = &mut self.fenced_at;
        let stopped = fence.stop(&mut self.source, self.limits, begun).await?;
        self.parts.stop = stopped.stop;
        self.parts.reaction = stopped.reaction;
        let evidence = stopped.evidence(&self.plan.source_leader);
        if let Some(missed) = stopped.missed {
            self.note(Step::Fence, missed);
        }
        Ok((stopped.closure, evidence))
    }
}
