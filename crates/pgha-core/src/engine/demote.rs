//! One side by itself: from primary to standby. Until every member is seen at rest as a standby, a failure makes it
//! primary again.

use pgha_model::demotion::{DemotionOutcome, DemotionPlan};
use pgha_model::event::Standing;
use pgha_model::guard::lifted::lifted;
use pgha_model::plan::{Demotion, Step};
use pgha_model::proof::Closure;
use pgha_model::record::{Action, Stage};
use pgha_model::standstill::{End, at_rest};
use serde_json::{Map, Value};

use super::beside::refuse_unless_standby;
use super::claim::{Intent, claim};
use super::fence::{Fence, check_leader};
use super::push::{push_archived, push_script};
use super::standstill::read_side;
use super::steps::{BACK, Steps, standing_of};
use super::switchover::pause::{pause_patroni, resume_as_standby};
use super::switchover::wait::{await_archived, emit_canary, switch_segment};
use super::switchover::{owner_patches, planned};
use super::{Interrupt, Limits, MoveError, PlannedPatch, Reporter, Side, StepError};
use crate::client::SiteClient;
use crate::clock::{self, Instant};
use crate::operator::pgo_v5::render;
use crate::settle::{Look, await_until};

/// Pause between two looks at a side that comes to rest.
const LOOK: std::time::Duration = std::time::Duration::from_millis(200);

/// A demotion under way.
pub struct DemotionRun {
    plan: DemotionPlan,
    side: Side,
    /// Where the other side is, when it was seen: it must not be primary when this side becomes so again.
    peer: Option<SiteClient>,
    limits: Limits,
    fence: Fence,
    prepared: bool,
    fence_sent: Option<Instant>,
}

/// The patches that decide a demotion, as they would be sent now.
pub fn demotion_patches(side: &Side, section: &Map<String, Value>) -> Vec<PlannedPatch> {
    let config = render::config_as_standby(side.config_before(), section);
    let moved = [
        planned(Step::Hold, side, side.hold_patch()),
        planned(Step::Fence, side, side.standby_patch(section, true)),
        planned(Step::Fence, side, side.config_patch(&config)),
    ];
    owner_patches(side).chain(moved).collect()
}

impl DemotionRun {
    /// A demotion that carries out a plan made from this side.
    pub fn new(plan: DemotionPlan, side: Side, peer: Option<&Side>, limits: Limits) -> Self {
        let fence = Fence {
            section: plan.standby.clone(),
            demotion: plan.demotion,
            leader: plan.source_leader.clone(),
            asks_archive: true,
        };
        Self {
            peer: peer.map(|peer| peer.site.clone()),
            plan,
            side,
            limits,
            fence,
            prepared: false,
            fence_sent: None,
        }
    }

    /// Carries the plan out.
    pub async fn run<'a>(
        self,
        interrupt: Interrupt,
        report: &'a mut Reporter<'a>,
    ) -> Result<DemotionOutcome, MoveError> {
        let steps = Steps::new(interrupt, report);
        let ended = Box::pin(self.carry_out(&steps)).await;
        steps.conclude(&ended, None, None).await;
        ended
    }

    async fn carry_out(mut self, steps: &Steps<'_>) -> Result<DemotionOutcome, MoveError> {
        let (closure, (end, members)) = match self.until_standby(steps).await {
            Ok(ended) => ended,
            Err((step, error)) => {
                return Err(Box::pin(self.take_back(steps, step, error)).await);
            }
        };
        let released = steps.gives_up(Step::Release, self.release()).await;
        released.map_err(|(step, error)| {
            let standing = standing_of(&error, Standing::Fenced);
            MoveError::new(step, standing, error)
        })?;
        steps.note_left([&self.side]);
        Ok(DemotionOutcome {
            source: self.plan.source,
            peer: self.plan.peer,
            closure,
            end,
            members,
        })
    }

    async fn until_standby(
        &mut self,
        steps: &Steps<'_>,
    ) -> Result<(Closure, (End, usize)), (Step, StepError)> {
        steps.steadily(Step::Claim, self.claim(steps)).await?;
        steps.stops(Step::Hold, self.hold()).await?;
        steps.stops(Step::Rehearse, self.rehearse()).await?;
        let closure = steps.stops(Step::Fence, self.fence()).await?;
        steps.stops(Step::Prove, self.push(&closure)).await?;
        let end = steps.stops(Step::Verify, self.verify(&closure)).await?;
        Ok((closure, end))
    }

    async fn claim(&mut self, steps: &Steps<'_>) -> Result<((), String), StepError> {
        let lifted = lifted(&self.plan.warnings, false);
        let intent = Intent {
            demotion: Some(self.plan.demotion),
            lifted: &lifted,
            ..Intent::of(Action::Demote)
        };
        claim(steps, intent, Some(&mut self.side), None, self.limits).await
    }

    async fn hold(&mut self) -> Result<((), String), StepError> {
        self.prepared = true;
        self.side.hold(self.limits.step).await?;
        Ok((
            (),
            "The object says Progressing=False, reason Paused.".to_owned(),
        ))
    }

    /// What the push will need works now: a segment reaches the archive, and the later command pushes it once more.
    async fn rehearse(&mut self) -> Result<((), String), StepError> {
        let limit = self.limits.step;
        let psql = self.side.psql()?;
        psql.query("checkpoint", limit)
            .await
            .map_err(StepError::Sql)?;
        emit_canary(psql).await?;
        let segment = switch_segment(psql).await?;
        await_archived(psql, &segment, limit).await?;
        push_archived(&mut self.side, &segment, limit).await?;
        if self.pauses() {
            pause_patroni(&mut self.side, limit).await?;
        }
        Ok(((), format!("{segment} is in the archive.")))
    }

    async fn fence(&mut self) -> Result<(Closure, String), StepError> {
        check_leader(&self.side, &self.plan.source_leader).await?;
        let sent = &mut self.fence_sent;
        let stopped = self.fence.stop(&mut self.side, self.limits, sent).await?;
        let mut evidence = stopped.evidence(&self.plan.source_leader);
        if let Some(missed) = &stopped.missed {
            evidence = format!("{evidence} {missed}");
        }
        Ok((stopped.closure, evidence))
    }

    async fn push(&mut self, closure: &Closure) -> Result<((), String), StepError> {
        let script = push_script(&self.side, closure)?;
        let shell = self.side.shell()?;
        let container = shell.container().clone();
        let pushed = shell.run(&script, self.limits.proof).await;
        pushed
            .map_err(StepError::Exec)?
            .ok(&container)
            .map_err(StepError::Exec)?;
        let evidence = format!("{}, the last segment, is in the archive.", closure.segment);
        Ok(((), evidence))
    }

    /// Every member is in recovery, has replayed the shutdown checkpoint, and waits for more.
    async fn verify(&mut self, closure: &Closure) -> Result<((End, usize), String), StepError> {
        let limit = self.limits.step;
        if self.pauses() {
            resume_as_standby(&mut self.side, &self.fence.section, limit).await?;
        }
        if !self.side.leader_in_recovery(self.limits.stop).await? {
            return Err(StepError::NotSettled {
                what: "the start as a standby",
                limit: self.limits.stop,
                seen: format!("{} is not in recovery", self.plan.source_leader.pod),
            });
        }
        self.side.reconnect(limit).await?;
        let side = &mut self.side;
        let settlement = await_until(clock::monotonic() + limit, LOOK, async || {
            let rests = read_side(side)
                .await
                .and_then(|ends| at_rest(&ends, side.part));
            Ok::<_, StepError>(match rests {
                Ok(ends) => match ends
                    .iter()
                    .find(|(_, end)| end.at <= closure.end.to_exceed())
                {
                    None => Look::Settled(ends),
                    Some((member, end)) => Look::NotYet(format!("{member} is at {}", end.at)),
                },
                Err(doubt) => Look::NotYet(doubt.to_string()),
            })
        });
        let ends = super::side::settled("rest as a standby", limit, settlement.await?)?;
        let end = ends.first().map(|(_, end)| *end);
        let end = end.ok_or_else(|| StepError::BasisChanged {
            what: "this side has no members".to_owned(),
        })?;
        let evidence = format!(
            "{} members are in recovery and at rest, the leader at {} on timeline {}.",
            ends.len(),
            end.at,
            end.timeline
        );
        Ok(((end, ends.len()), evidence))
    }

    async fn release(&mut self) -> Result<((), String), StepError> {
        let config = render::config_as_standby(self.side.config_before(), &self.fence.section);
        self.side.send_config(&config).await?;
        self.side.unhold(self.limits.step).await?;
        let evidence = match self.side.await_agreement(self.limits.step).await {
            None => "The operator works again, and every source names the same leader.".to_owned(),
            Some(doubt) => format!("The operator works again. {doubt}"),
        };
        Ok(((), evidence))
    }

    async fn take_back(self, steps: &Steps<'_>, step: Step, because: StepError) -> MoveError {
        if because.is_superseded() {
            return MoveError::new(step, Standing::Superseded, because);
        }
        if !self.prepared {
            return MoveError::new(step, Standing::Unchanged, because);
        }
        let fenced = self.fence_sent.is_some();
        let undo = async {
            if fenced {
                steps.decide(Stage::Undone, self.limits.step).await?;
            }
            Box::pin(self.undo()).await
        };
        match Box::pin(steps.undo(&because, BACK, undo)).await {
            Ok(standing) => MoveError::new(step, standing, because),
            Err(undo) => {
                let left = if fenced {
                    Standing::Fenced
                } else {
                    Standing::Held
                };
                let standing = standing_of(&undo, left);
                MoveError {
                    undo: Some(Box::new(undo)),
                    ..MoveError::new(step, standing, because)
                }
            }
        }
    }

    async fn undo(mut self) -> Result<(Standing, String), StepError> {
        self.side.refresh().await?;
        // What was sent and refused has fenced nothing; what was sent and not answered may have.
        let fenced = self.fence_sent.is_some()
            && (self.side.object_says_standby() || self.side.config_says_standby());
        let result = if fenced {
            self.refuse_second_primary().await?;
            self.fence.take_back(&mut self.side, self.limits).await?;
            self.side.await_primary(self.limits.promotion).await?;
            let at = emit_canary(self.side.psql()?).await?;
            let text = format!("This side committed at {at} on a new timeline.");
            (Standing::BackAtSource, text)
        } else {
            let text = "This side was never told to stop.".to_owned();
            (Standing::Unchanged, text)
        };
        let before = self.side.config_before().clone();
        self.side.send_config(&before).await?;
        self.side.unhold(self.limits.step).await?;
        Ok(result)
    }

    /// Somebody may have promoted the other side meanwhile. `pgha promote` does not while this side is held.
    async fn refuse_second_primary(&self) -> Result<(), StepError> {
        match &self.peer {
            Some(peer) => refuse_unless_standby(peer, &self.side.cluster).await,
            None => Ok(()),
        }
    }

    fn pauses(&self) -> bool {
        self.plan.demotion == Demotion::WhilePaused
    }
}
