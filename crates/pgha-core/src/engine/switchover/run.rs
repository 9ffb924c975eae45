//! The machine's commands carried out, and what came of each told to it.

use pgha_model::event::{Outcome, Standing};
use pgha_model::guard::lifted::lifted;
use pgha_model::machine::{Cause, Command, Decision, End, Machine, Observation};
use pgha_model::plan::Step;
use pgha_model::record::{Action, MoveResult as RecordedResult, Stage};

use super::Switchover;
use crate::engine::claim::{Intent, claim};
use crate::engine::deadline::place;
use crate::engine::{MoveError, MoveResult, StepError};

/// What came of a command, or at which step it failed and why.
type Done = Result<Observation, (Step, StepError)>;

/// What stopped a move, and what stopped the way back from there.
#[derive(Default)]
struct Trouble {
    first: Option<(Step, StepError)>,
    later: Option<StepError>,
}

impl Switchover<'_> {
    /// Carries the plan out. Before the promotion every failure is taken back to the source; after it, the move goes on.
    pub async fn run(mut self) -> MoveResult {
        let (mut machine, mut command) = Machine::begin();
        let mut trouble = Trouble::default();
        loop {
            let done = match command {
                Command::Stop(end) => return self.conclude(end, trouble).await,
                Command::Perform(step) => Box::pin(self.perform(step)).await,
                Command::Decide(decision) => self.decide(decision).await,
                Command::Undo => Box::pin(self.take_back(&trouble)).await,
                Command::ReleaseAllTheSame => self.perform(Step::Release).await,
            };
            let seen = done.unwrap_or_else(|(step, error)| {
                let cause = cause_of(&error);
                if trouble.first.is_none() {
                    trouble.first = Some((step, error));
                } else {
                    trouble.later = Some(error);
                }
                Observation::Failed(cause)
            });
            // A step that was interrupted could not say so itself.
            self.reached.fence_sent = self.fenced_at.is_some();
            (machine, command) = machine.step(seen, self.reached);
        }
    }

    async fn perform(&mut self, step: Step) -> Done {
        let steps = self.steps.clone();
        match step {
            Step::Claim => steps.steadily(step, self.claim()).await?,
            Step::Hold => steps.stops(step, self.hold()).await?,
            Step::Prepare => steps.stops(step, self.prepare()).await?,
            Step::Rehearse => steps.stops(step, self.rehearse()).await?,
            // A move without an application has no such step.
            Step::Drain if !self.plan.steps.contains(&step) => {}
            Step::Drain => steps.stops(step, self.drain()).await?,
            Step::Detach => steps.stops(step, self.detach()).await?,
            Step::Fence => {
                self.bound.closure = Some(steps.stops(step, self.fence()).await?);
            }
            Step::Prove => {
                let closure = bound(step, self.bound.closure.as_ref())?.clone();
                self.bound.proof = Some(steps.stops(step, self.prove(closure)).await?);
            }
            // From here a single interruption no longer stops anything.
            Step::Promote => {
                self.bound.primary = Some(steps.gives_up(step, self.promote()).await?);
            }
            Step::Verify => {
                let proof = bound(step, self.bound.proof.as_ref())?.clone();
                let (primary, _) = bound(step, self.bound.primary.as_ref())?.clone();
                let verified = Box::pin(self.verify(&proof, &primary));
                self.bound.verified = Some(steps.gives_up(step, verified).await?);
            }
            Step::Release => steps.gives_up(step, self.release()).await?,
            Step::Rejoin => {
                let mark = bound(step, self.bound.primary.as_ref())?.0.mark;
                steps.gives_up(step, self.rejoin(mark)).await?;
            }
        }
        Ok(Observation::Settled)
    }

    async fn claim(&mut self) -> Result<((), String), StepError> {
        let lifted = lifted(&self.plan.warnings, false);
        let application = self.application.counts.clone();
        let intent = Intent {
            feed: Some(self.plan.feed),
            demotion: Some(self.plan.demotion),
            application: &application,
            lifted: &lifted,
            ..Intent::of(Action::Switchover)
        };
        let (steps, limits) = (self.steps.clone(), self.limits);
        let sides = (Some(&mut self.source), Some(&mut self.target));
        let claimed = claim(&steps, intent, sides.0, sides.1, limits).await;
        self.reached.claimed = steps.is_recorded().await;
        let ((), evidence) = claimed?;
        self.place_deadline_job(evidence).await
    }

    /// From now on a Job at the source watches the record, where there is an image for it.
    async fn place_deadline_job(&mut self, evidence: String) -> Result<((), String), StepError> {
        let Some(job) = &self.deadline else {
            self.steps.watched_by(None).await;
            return Ok(((), evidence));
        };
        let epoch = self.steps.epoch().await.unwrap_or_default();
        let name = place(job, &self.source, epoch, self.limits).await?;
        self.steps.watched_by(Some(name.clone())).await;
        let after = self.limits.patience().as_secs();
        let evidence = format!(
            "{evidence} Job {name} goes back to the source after {after} s without a word."
        );
        self.deadline_job = Some(name);
        Ok(((), evidence))
    }

    async fn decide(&self, decision: Decision) -> Done {
        let (stage, step) = match decision {
            Decision::Promote => (Stage::Promoting, Step::Promote),
            Decision::GoBack => (Stage::Undone, Step::Fence),
        };
        let decided = self.steps.decide(stage, self.limits.step).await;
        decided.map_err(|error| (step, error))?;
        Ok(Observation::Settled)
    }

    /// How it ended, recorded and for the caller.
    async fn conclude(self, end: End, trouble: Trouble) -> MoveResult {
        let standing = match end {
            End::Done => match self.outcome() {
                Ok(outcome) => {
                    let result = RecordedResult {
                        write_gap: Some(outcome.write_gap),
                        closure: Some(outcome.closure.clone()),
                        timeline: outcome.timeline,
                        fork: outcome.fork,
                    };
                    self.steps.end(None, None, Some(result)).await;
                    return Ok(outcome);
                }
                Err((step, error)) => {
                    return Err(MoveError::new(step, Standing::Released, error));
                }
            },
            End::Left(standing) => standing,
        };
        let (step, error) = trouble
            .first
            .unwrap_or((Step::Claim, StepError::Interrupted));
        self.steps.end(Some(standing), Some(&error), None).await;
        Err(MoveError {
            undo: trouble.later.map(Box::new),
            ..MoveError::new(step, standing, error)
        })
    }

    fn outcome(&self) -> Result<Outcome, (Step, StepError)> {
        let proof = bound(Step::Rejoin, self.bound.proof.as_ref())?;
        let (primary, write_gap) = bound(Step::Rejoin, self.bound.primary.as_ref())?;
        let (fork, logins) = bound(Step::Rejoin, self.bound.verified.as_ref())?;
        Ok(Outcome {
            source: self.plan.source.clone(),
            target: self.plan.target.clone(),
            write_gap: *write_gap,
            parts: self.parts,
            closure: proof.closure.clone(),
            replayed: proof.replayed,
            timeline: primary.timeline,
            fork: *fork,
            logins: logins.clone(),
        })
    }

    /// Takes everything back and says whether the source had been told to stop.
    async fn take_back(&mut self, trouble: &Trouble) -> Done {
        let steps = self.steps.clone();
        let interrupted = StepError::Interrupted;
        let (step, because) = trouble
            .first
            .as_ref()
            .map_or((Step::Claim, &interrupted), |(step, error)| (*step, error));
        let undone = steps.undo(because, BACK, Box::pin(self.undo())).await;
        let was_fenced = undone.map_err(|error| (step, error))?;
        Ok(Observation::Undone { was_fenced })
    }
}

/// What is told of the way back.
const BACK: &str = "going back to the source";

fn cause_of(error: &StepError) -> Cause {
    match error {
        StepError::Superseded { .. } => Cause::Superseded,
        StepError::Interrupted => Cause::Interrupted,
        StepError::GivenUp => Cause::GivenUp,
        StepError::Call(_)
        | StepError::Application(_)
        | StepError::Gate { .. }
        | StepError::Git(_)
        | StepError::Secret(_)
        | StepError::Owner(_)
        | StepError::Exec(_)
        | StepError::Sql(_)
        | StepError::Control(_)
        | StepError::NotProved(_)
        | StepError::OperatorSilent { .. }
        | StepError::NotSettled { .. }
        | StepError::BasisChanged { .. }
        | StepError::Journal(_) => Cause::Trouble,
    }
}

/// What an earlier step has found out.
fn bound<T>(step: Step, fact: Option<&T>) -> Result<&T, (Step, StepError)> {
    fact.ok_or_else(|| {
        let what = format!("`{}` needs what no step before it has read", step.name());
        (step, StepError::BasisChanged { what })
    })
}
