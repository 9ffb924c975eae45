//! Git, where it leads: what a side is to be is committed first, and those who apply it write the object.
//!
//! The operator is paused all the while, so that nothing of it reaches Postgres before the fence and the promotion do. What Git says
//! may be ahead of the move, never behind it.

use std::time::Duration;

use pgha_model::owner::{Named, Owner};
use pgha_model::plan::Step;
use pgha_model::site::Part;

use super::Switchover;
use crate::client::CallError;
use crate::diagnose::chain_of;
use crate::engine::StepError;

/// How long those who apply Git's word may take within the write gap before it is written without them. Flux takes half a second and
/// Argo CD one, with a small source (measured with kustomize-controller 1.9.5 and Argo CD 3.2.11).
const APPLIES: Duration = Duration::from_secs(15);

impl Switchover<'_> {
    /// Whether Git leads.
    pub(in crate::engine) const fn declares(&self) -> bool {
        self.declare.is_some()
    }

    /// The source is a standby in Git and in its object; Postgres is told nothing of it yet, and the application still serves.
    pub(super) async fn declare_source(&mut self) -> Result<(), StepError> {
        let Some(owners) = self.declared(Step::Rehearse, Part::Source).await? else {
            return Ok(());
        };
        let limit = self.limits.step;
        let taken = self.source.take_turn(owners?, true, limit).await?;
        self.note_turn(Step::Rehearse, Part::Source, &taken);
        self.source.hold_owners(limit).await
    }

    /// The target is the primary in Git, and in its object as soon as that is applied. An owner that does not apply it in time stops
    /// nothing: the object is written all the same, and says what Git says.
    pub(super) async fn declare_target(&mut self) -> Result<(), StepError> {
        let Some(owners) = self.declared(Step::Promote, Part::Target).await? else {
            return Ok(());
        };
        // From here on somebody else may write it.
        self.reached.promotion_sent = true;
        let limit = self.limits.step.min(APPLIES);
        let taken = match owners {
            Ok(owners) => self.target.take_turn(owners, false, limit).await,
            Err(error) => Err(error.into()),
        };
        match taken {
            Ok(taken) => self.note_turn(Step::Promote, Part::Target, &taken),
            Err(error) => {
                let because = chain_of(&error);
                let text = format!("The object is written without waiting for Git: {because}.");
                self.note(Step::Promote, text);
                self.target.refresh().await?;
            }
        }
        Ok(())
    }

    /// Has Git say it, and looks meanwhile who is to apply it; none where Git does not lead.
    async fn declared(
        &mut self,
        step: Step,
        part: Part,
    ) -> Result<Option<Result<Vec<Owner>, CallError>>, StepError> {
        let Some(declare) = &mut self.declare else {
            return Ok(None);
        };
        let epoch = self.steps.epoch().await.unwrap_or_default();
        let side = match part {
            Part::Source => &self.source,
            Part::Target => &self.target,
        };
        let (said, owners) = tokio::join!(declare(part, epoch), side.look_at_owners());
        let said = said.map_err(StepError::Git)?;
        self.note(step, said);
        Ok(Some(owners))
    }

    fn note_turn(&self, step: Step, part: Part, taken: &[Named]) {
        if taken.is_empty() {
            return;
        }
        let names: Vec<String> = taken.iter().map(ToString::to_string).collect();
        let text = format!(
            "{} has applied it to the object of the {part}.",
            names.join(" and ")
        );
        self.note(step, text);
    }
}
