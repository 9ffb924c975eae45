//! A planned move, from the hold to the last member that follows.

mod after;
mod before;
mod fence;
mod handover;
pub(super) mod pause;
mod prove;
mod repository;
mod schedule;
pub(super) mod wait;

use self::handover::Handover;
use pgha_model::event::{GapParts, Outcome, Standing};
use pgha_model::lsn::Lsn;
use pgha_model::plan::{Demotion, Feed, Plan, Step};
use pgha_model::proof::Closure;
use pgha_model::site::Part;
use serde::Serialize;
use tokio::task::JoinSet;

use super::fence::Fence;
use super::operators::Operators;
use super::steps::Steps;
use super::{Interrupt, Limits, MoveError, MoveResult, Reporter, Side, StepError};
use crate::clock::Instant;
use crate::exec::{ExecError, Output};
use crate::operator::pgo_v5::render;
use crate::patch::ObjectPatch;

/// A move under way.
pub struct Switchover<'a> {
    pub(super) plan: Plan,
    pub(super) source: Side,
    pub(super) target: Side,
    pub(super) limits: Limits,
    pub(super) steps: Steps<'a>,
    pub(super) reached: Reached,
    /// The push of the source's last segment, which may outlast the promotion.
    pushing: JoinSet<Result<Output, ExecError>>,
    /// The waiting ends of the direct way from the source's log to the target's.
    handover: Option<Handover>,
    parts: GapParts,
}

/// How far a move has come, for the way back: each is set before its request is sent.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reached {
    /// Something of the preparation was changed.
    pub(super) prepared: bool,
    /// When the source was told to become a standby.
    pub(super) fence_sent: Option<Instant>,
    /// The target was told to become primary.
    pub(super) promotion_sent: bool,
    /// Whether the operators may work, after the promotion.
    pub(super) operators: Operators,
}

/// What the source's end and the target's position prove together.
#[derive(Clone, Debug)]
pub(super) struct Proof {
    pub(super) closure: Closure,
    /// The end of the last record that the target's leader has replayed.
    pub(super) replayed: Lsn,
    /// The last segment came by the archive, which otherwise lacks it.
    pub(super) by_archive: bool,
}

/// A patch of the plan, at its step.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedPatch {
    /// When it is sent.
    pub step: Step,
    /// Where.
    pub part: Part,
    /// What.
    #[serde(flatten)]
    pub patch: ObjectPatch,
}

/// A patch of this side, at this step.
pub(super) fn planned(step: Step, side: &Side, patch: ObjectPatch) -> PlannedPatch {
    PlannedPatch {
        step,
        part: side.part,
        patch,
    }
}

/// The patches that decide a move, as they would be sent now.
pub fn patches(source: &Side, target: &Side) -> Vec<PlannedPatch> {
    let section = source.standby_section(target);
    let fenced = render::config_as_standby(source.config_before(), &section);
    let promoted = render::config_as_primary(target.config_before());
    let target_section = target.standby_section(source);
    vec![
        planned(Step::Hold, source, source.hold_patch()),
        planned(Step::Hold, target, target.hold_patch()),
        planned(Step::Fence, source, source.standby_patch(&section, true)),
        planned(Step::Fence, source, source.config_patch(&fenced)),
        planned(
            Step::Promote,
            target,
            target.standby_patch(&target_section, false),
        ),
        planned(Step::Promote, target, target.config_patch(&promoted)),
    ]
}

impl<'a> Switchover<'a> {
    /// A move that carries out a plan made from these two sides.
    pub fn new(
        plan: Plan,
        source: Side,
        target: Side,
        limits: Limits,
        interrupt: Interrupt,
        report: &'a mut Reporter<'a>,
    ) -> Self {
        let pushing = JoinSet::new();
        let reached = Reached::default();
        Self {
            plan,
            source,
            target,
            limits,
            steps: Steps::new(interrupt, report),
            reached,
            pushing,
            handover: None,
            parts: GapParts::default(),
        }
    }

    /// Carries the plan out. Before the promotion every failure is taken back to the source; after it, the move goes on.
    pub async fn run(mut self) -> MoveResult {
        let steps = self.steps.clone();
        let proof = match Box::pin(self.until_proved(&steps)).await {
            Ok(proof) => proof,
            Err((step, error)) => return Err(Box::pin(self.take_back(step, error)).await),
        };
        // From here a single interruption no longer stops anything.
        let (primary, write_gap) = match steps.gives_up(Step::Promote, self.promote()).await {
            Ok(primary) => primary,
            Err((step, error)) if self.reached.promotion_sent => {
                return Err(MoveError::new(step, Standing::PromotionUnknown, error));
            }
            Err((step, error)) => return Err(Box::pin(self.take_back(step, error)).await),
        };
        let verified = Box::pin(self.verify(&proof, &primary));
        let (fork, logins) = match steps.gives_up(Step::Verify, verified).await {
            Ok(verified) => verified,
            Err(failed) => {
                let operators = self.reached.operators;
                let release = Box::pin(self.release());
                return Err(operators
                    .release_all_the_same(&steps, failed, release)
                    .await);
            }
        };
        let released = steps.gives_up(Step::Release, self.release()).await;
        released.map_err(|failed| self.late(failed))?;
        let rejoined = steps
            .gives_up(Step::Rejoin, self.rejoin(primary.mark))
            .await;
        rejoined.map_err(|failed| self.late(failed))?;
        Ok(Outcome {
            source: self.plan.source,
            target: self.plan.target,
            write_gap,
            parts: self.parts,
            closure: proof.closure,
            replayed: proof.replayed,
            timeline: primary.timeline,
            fork,
            logins,
        })
    }

    /// Everything before the promotion, each step stopped by the first interruption.
    async fn until_proved(&mut self, steps: &Steps<'_>) -> Result<Proof, (Step, StepError)> {
        steps.stops(Step::Hold, self.hold()).await?;
        steps.stops(Step::Prepare, self.prepare()).await?;
        steps.stops(Step::Rehearse, self.rehearse()).await?;
        steps.stops(Step::Detach, self.detach()).await?;
        let closure = steps.stops(Step::Fence, self.fence()).await?;
        steps.stops(Step::Prove, self.prove(closure)).await
    }

    /// A failure after the promotion.
    fn late(&self, (step, error): (Step, StepError)) -> MoveError {
        MoveError::new(step, self.reached.operators.standing(), error)
    }

    pub(super) fn note(&self, step: Step, text: String) {
        self.steps.note(step, text);
    }

    /// Whether the source's Patroni needs the pause recipe.
    fn pauses(&self) -> bool {
        self.plan.demotion == Demotion::WhilePaused
    }

    pub(super) fn fence_of_source(&self) -> Fence {
        Fence {
            section: self.source.standby_section(&self.target),
            demotion: self.plan.demotion,
            leader: self.plan.source_leader.clone(),
            asks_archive: false,
        }
    }

    fn is_archive_only(&self) -> bool {
        self.plan.feed == Feed::Archive
    }
}
