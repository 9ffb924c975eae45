//! One side by itself: from standby to primary. Until the promotion is sent, a failure takes everything back.
//!
//! It rests on a proof that nothing is lost, on a person's word alone, or, in a failover, on what is known of a source that
//! cannot say where it ended.

mod failover;
mod sight;

use pgha_model::event::Standing;
use pgha_model::failover::Supply;
use pgha_model::guard::lifted::{lifted, sentence};
use pgha_model::login::Logins;
use pgha_model::lsn::Lsn;
use pgha_model::plan::{Feed, Step};
use pgha_model::promotion::{PromotionOutcome, PromotionPlan};
use pgha_model::record::{Action, Epoch, MoveResult, Stage};
use pgha_model::standstill::Standstill;

pub use self::sight::{look_at_source, look_at_supply};
use super::beside::refuse_beside_primary;
use super::claim::{Intent, claim};
use super::fence::check_leader;
use super::operators::Operators;
use super::promotion::{self, NewPrimary};
use super::standstill::compare_ends;
use super::steps::{BACK, Steps, standing_of};
use super::switchover::wait::{await_members, await_replay};
use super::switchover::{owner_patches, planned};
use super::{
    Aside, Interrupt, Limits, MoveError, PlannedPatch, Reporter, Side, StepError, changed,
};
use crate::operator::pgo_v5::render;

/// A promotion under way.
pub struct PromotionRun {
    plan: PromotionPlan,
    target: Side,
    /// The other side. It is held and followed when there is a proof, and only looked at when there is none.
    source: Option<Side>,
    limits: Limits,
    /// The unfinished move that it takes over.
    takes_over: Option<Epoch>,
    aside: Aside,
    /// What came to the target when a failover was planned.
    supply: Supply,
    prepared: bool,
    /// Whether the source of a failover was told to become a standby.
    fenced: bool,
    sent: bool,
    /// Whether what was held may work again.
    operators: Operators,
}

/// The patches that decide a promotion, as they would be sent now.
pub fn promotion_patches(
    plan: &PromotionPlan,
    target: &Side,
    source: Option<&Side>,
) -> Vec<PlannedPatch> {
    let section = target.standby_section_with(source);
    let config = render::config_as_primary(target.config_before());
    let held = source.filter(|_| plan.proof.is_some());
    let holds = held.into_iter().chain([target]);
    let mut patches: Vec<_> = holds
        .flat_map(|side| owner_patches(side).chain([planned(Step::Hold, side, side.hold_patch())]))
        .collect();
    if let Some(source) = source.filter(|_| plan.failover.is_some()) {
        patches.extend(failover::fence_patches(source, target));
    }
    patches.push(planned(
        Step::Promote,
        target,
        target.standby_patch(&section, false),
    ));
    patches.push(planned(Step::Promote, target, target.config_patch(&config)));
    patches
}

impl PromotionRun {
    /// A promotion that carries out a plan made from these sides.
    pub fn new(plan: PromotionPlan, target: Side, source: Option<Side>, limits: Limits) -> Self {
        Self {
            plan,
            target,
            source,
            limits,
            takes_over: None,
            aside: Aside::default(),
            supply: Supply::default(),
            prepared: false,
            fenced: false,
            sent: false,
            operators: Operators::default(),
        }
    }

    /// The same, which takes over an unfinished move, where there is one.
    #[must_use]
    pub const fn taking_over(mut self, unfinished: Option<Epoch>) -> Self {
        self.takes_over = unfinished;
        self
    }

    /// The same, with somebody who notes what happens beside it.
    #[must_use]
    pub fn with_aside(mut self, aside: &Aside) -> Self {
        self.aside = aside.clone();
        self
    }

    /// The same, of a failover: what came to the target when it was planned.
    #[must_use]
    pub fn supplied(mut self, supply: Supply) -> Self {
        self.supply = supply;
        self
    }

    /// Carries the plan out.
    pub async fn run<'a>(
        self,
        interrupt: Interrupt,
        report: &'a mut Reporter<'a>,
    ) -> Result<PromotionOutcome, MoveError> {
        let steps = Steps::new(interrupt, report).beside(&self.aside);
        let ended = Box::pin(self.carry_out(&steps)).await;
        let result = ended.as_ref().ok().map(|outcome| MoveResult {
            write_gap: None,
            closure: None,
            timeline: outcome.timeline,
            fork: outcome.fork,
        });
        steps.conclude(&ended, None, result).await;
        ended
    }

    async fn carry_out(mut self, steps: &Steps<'_>) -> Result<PromotionOutcome, MoveError> {
        let proof = match self.until_proved(steps).await {
            Ok(proof) => proof,
            Err((step, error)) => {
                return Err(Box::pin(self.take_back(steps, step, error)).await);
            }
        };
        let primary = match steps.gives_up(Step::Promote, self.promote(steps)).await {
            Ok(primary) => primary,
            Err((step, error)) if self.sent => {
                let standing = standing_of(&error, Standing::PromotionUnknown);
                return Err(MoveError::new(step, standing, error));
            }
            Err((step, error)) => {
                return Err(Box::pin(self.take_back(steps, step, error)).await);
            }
        };
        let verified = Box::pin(self.verify(&primary, proof.as_ref()));
        let (fork, logins) = match steps.gives_up(Step::Verify, verified).await {
            Ok(verified) => verified,
            Err(failed) => {
                let operators = self.operators;
                let release = Box::pin(self.release());
                return Err(operators.release_all_the_same(steps, failed, release).await);
            }
        };
        let released = steps.gives_up(Step::Release, self.release()).await;
        released.map_err(|failed| self.late(failed))?;
        steps.note_left(self.source.iter().chain([&self.target]));
        let following = steps
            .gives_up(Step::Rejoin, self.rejoin(primary.mark))
            .await;
        let following = following.map_err(|failed| self.late(failed))?;
        Ok(PromotionOutcome {
            target: self.plan.target,
            source: self.plan.source,
            proof,
            risk: self.plan.risk,
            failover: self.plan.failover,
            timeline: primary.timeline,
            fork,
            logins,
            following,
        })
    }

    /// A failure after the promotion.
    fn late(&self, (step, error): (Step, StepError)) -> MoveError {
        let standing = standing_of(&error, self.operators.standing());
        MoveError::new(step, standing, error)
    }

    async fn until_proved(
        &mut self,
        steps: &Steps<'_>,
    ) -> Result<Option<Standstill>, (Step, StepError)> {
        steps.steadily(Step::Claim, self.claim(steps)).await?;
        steps.stops(Step::Hold, self.hold()).await?;
        if self.is_proved() {
            return steps.stops(Step::Prove, self.prove()).await.map(Some);
        }
        if self.plan.failover.is_some() {
            if self.source.is_some() {
                steps.steadily(Step::Fence, self.fence()).await?;
            }
            steps.stops(Step::Prove, self.drain()).await?;
        }
        Ok(None)
    }

    /// Whether this promotion rests on a proof, and so on the other side.
    fn is_proved(&self) -> bool {
        self.plan.proof.is_some()
    }

    fn peer(&mut self) -> Option<&mut Side> {
        let is_proved = self.is_proved();
        self.source.as_mut().filter(|_| is_proved)
    }

    /// Without a proof the other side is left alone, its record too; a failover fences it where it answers.
    async fn claim(&mut self, steps: &Steps<'_>) -> Result<((), String), StepError> {
        let failover = self.plan.failover.as_ref();
        let action = failover.map_or(Action::Promote, |_| Action::Failover);
        let by_force = self.plan.proof.is_none() && failover.is_none();
        let mut lifted = lifted(&self.plan.warnings, by_force);
        if let Some(epoch) = self.takes_over.filter(|_| by_force) {
            let seen = format!("The move of epoch {epoch} was not finished.");
            lifted.push(sentence("unfinished-first", "--force", &seen));
        }
        let intent = Intent {
            takes_over: self.takes_over,
            failover,
            lifted: &lifted,
            ..Intent::of(action)
        };
        let takes_part = self.plan.proof.is_some() || failover.is_some();
        let limits = self.limits;
        let source = self.source.as_mut().filter(|_| takes_part);
        claim(steps, intent, source, Some(&mut self.target), limits).await
    }

    async fn hold(&mut self) -> Result<((), String), StepError> {
        self.prepared = true;
        let limit = self.limits.step;
        let is_proved = self.is_proved();
        match self.source.as_mut().filter(|_| is_proved) {
            Some(source) => {
                tokio::try_join!(source.hold(limit), self.target.hold(limit))?;
            }
            None => self.target.hold(limit).await?,
        }
        let evidence = if is_proved {
            "Both objects say Progressing=False, reason Paused."
        } else {
            "The object says Progressing=False, reason Paused; the other side is left alone."
        };
        Ok(((), evidence.to_owned()))
    }

    async fn prove(&mut self) -> Result<(Standstill, String), StepError> {
        let Some(source) = &mut self.source else {
            return Err(changed("the other side is no longer connected"));
        };
        let proof = compare_ends(source, &mut self.target, self.limits.proof).await;
        let proof = proof.map_err(|doubt| changed(doubt.to_string()))?;
        let evidence = format!(
            "{} members of both sides are at rest; the other side ends at {}, this one at {} on timeline {}.",
            proof.members, proof.source.at, proof.target.at, proof.target.timeline
        );
        Ok((proof, evidence))
    }

    async fn promote(&mut self, steps: &Steps<'_>) -> Result<(NewPrimary, String), StepError> {
        check_leader(&self.target, &self.plan.target_leader).await?;
        if self.plan.failover.is_some() {
            self.look_again().await?;
        } else {
            self.refuse_second_primary().await?;
        }
        steps.decide(Stage::Promoting, self.limits.step).await?;
        let section = self.target.standby_section_with(self.source.as_ref());
        let repeated = promotion::send(&mut self.target, &section, &mut self.sent).await?;
        let primary = promotion::await_primary(&mut self.target, self.limits.promotion).await?;
        let mut evidence = primary.evidence();
        if let Some(error) = repeated {
            evidence =
                format!("{evidence} Patroni's configuration was not written at first: {error}.");
        }
        Ok((primary, evidence))
    }

    /// With a proof every member of the other side was read a moment ago, and is held. Without one, it is asked once more.
    async fn refuse_second_primary(&self) -> Result<(), StepError> {
        match &self.source {
            Some(source) if !self.is_proved() => {
                refuse_beside_primary(&source.site, &source.cluster).await
            }
            Some(_) | None => Ok(()),
        }
    }

    /// What the database says of itself, and beside it what programs can do.
    async fn verify(
        &mut self,
        primary: &NewPrimary,
        proof: Option<&Standstill>,
    ) -> Result<((Lsn, Logins), String), StepError> {
        let (programs, limit) = (self.target.programs(), self.limits.step);
        let log_in = Box::pin(promotion::log_in(programs, limit));
        let database = Box::pin(self.verify_database(primary, proof));
        let (verified, logins) = tokio::join!(database, log_in);
        let (fork, evidence) = verified?;
        let remarks = logins
            .remarks()
            .into_iter()
            .map(|remark| format!(" {remark}"));
        let remarks: String = remarks.collect();
        let evidence = format!("{evidence} {}{remarks}", logins.evidence());
        Ok(((fork, logins), evidence))
    }

    async fn verify_database(
        &mut self,
        primary: &NewPrimary,
        proof: Option<&Standstill>,
    ) -> Result<(Lsn, String), StepError> {
        let limit = self.limits.step;
        let fork = if let Some(proof) = proof {
            let (from, end) = (proof.target.timeline, proof.target.at);
            promotion::read_fork(&mut self.target, primary, from, end).await?
        } else {
            let history = promotion::read_history(self.target.psql()?, primary.timeline).await?;
            let last = history.0.last();
            last.ok_or_else(|| changed("the new timeline has no history"))?
                .at
        };
        let other = match self.peer() {
            Some(source) => {
                promotion::check_reads_only(source, limit).await?;
                "; the other side is read-only"
            }
            None => "",
        };
        // Without a proof the other side was never held, and nothing of it depends on what is released here.
        self.operators = Operators::Harmless;
        let segment = promotion::archive_segment(&mut self.target, limit).await?;
        let evidence = format!(
            "Timeline {} forks at {fork} and archives {segment}{other}.",
            primary.timeline
        );
        Ok((fork, evidence))
    }

    async fn release(&mut self) -> Result<((), String), StepError> {
        let limit = self.limits.step;
        let is_proved = self.is_proved();
        match self.source.as_mut().filter(|_| is_proved) {
            Some(source) => {
                tokio::try_join!(source.unhold(limit), self.target.unhold(limit))?;
            }
            None => self.target.unhold(limit).await?,
        }
        self.operators = Operators::Released;
        Ok(((), "What was held works again.".to_owned()))
    }

    /// The members that are to follow have replayed a position that exists only on the new timeline.
    async fn rejoin(&mut self, mark: Lsn) -> Result<(usize, String), StepError> {
        let limit = self.limits.step;
        let replicas = self.target.members.get_mut(1..).unwrap_or_default();
        let mut following = await_members(replicas, mark, limit).await?.len();
        if let Some(source) = self.peer() {
            following += await_replay(source, mark, limit, Feed::Archive)
                .await?
                .len();
        }
        let evidence = if self.is_proved() {
            format!("{following} members replayed past {mark}, which only the new timeline has.")
        } else {
            format!(
                "{following} members of this side replayed past {mark}; the other side was not looked at."
            )
        };
        Ok((following, evidence))
    }

    async fn take_back(self, steps: &Steps<'_>, step: Step, because: StepError) -> MoveError {
        if because.is_superseded() {
            return MoveError::new(step, Standing::Superseded, because);
        }
        if !self.prepared {
            return MoveError::new(step, Standing::Unchanged, because);
        }
        // A source that was told to become a standby stays one: nobody is primary there whichever way this ends.
        let undone = if self.fenced {
            Standing::Fenced
        } else {
            Standing::Unchanged
        };
        match Box::pin(steps.undo(&because, BACK, self.undo())).await {
            Ok(()) => MoveError::new(step, undone, because),
            Err(undo) => {
                let standing = standing_of(&undo, Standing::Held);
                MoveError {
                    undo: Some(Box::new(undo)),
                    ..MoveError::new(step, standing, because)
                }
            }
        }
    }

    async fn undo(mut self) -> Result<((), String), StepError> {
        self.release().await?;
        Ok(((), "This side was never told to become primary.".to_owned()))
    }
}
