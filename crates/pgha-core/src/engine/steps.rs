//! The steps of an action as they are told and recorded, each until it is settled or interrupted.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pgha_model::event::{Event, Follower, Standing};
use pgha_model::plan::Step;
use pgha_model::record::{BackupBefore, Ending, Epoch, MoveRecord, MoveResult, Stage};
use tokio::sync::Mutex as AsyncMutex;

use super::{Aside, Interrupt, MoveError, Reporter, Side, StepError};
use crate::clock;
use crate::diagnose::chain_of;
use crate::journal::Claim;

/// What is told of the way back, where there is no other side to go back to.
pub(super) const BACK: &str = "taking back what was done";

/// What the record says of a move that no Job watches.
const NOBODY_WATCHES: &str =
    "No Job goes back to the source if this command dies: it was given no --deadline-image.";

/// Tells and records what happens, and stops where it is told to. A clone tells the same reader, so that a step that is told
/// can tell something itself.
#[derive(Clone)]
pub(super) struct Steps<'a> {
    interrupt: Interrupt,
    report: Arc<Mutex<&'a mut Reporter<'a>>>,
    /// The record of the move, once it is claimed.
    claim: Arc<AsyncMutex<Option<Claim>>>,
    /// What the record says of what is beside the steps, where that is known.
    beside: Option<(Vec<Follower>, Option<BackupBefore>)>,
}

impl<'a> Steps<'a> {
    pub(super) fn new(interrupt: Interrupt, report: &'a mut Reporter<'a>) -> Self {
        let report = Arc::new(Mutex::new(report));
        Self {
            interrupt,
            report,
            claim: Arc::default(),
            beside: None,
        }
    }

    /// The same, with others who note what happens beside.
    pub(super) fn beside(self, aside: &Aside) -> Self {
        // What they noted in before is the record of an earlier move, which this one may have taken over.
        if let Ok(mut earlier) = aside.claim.try_lock() {
            earlier.take();
        }
        Self {
            claim: Arc::clone(&aside.claim),
            beside: Some((aside.followers.clone(), aside.backup.clone())),
            ..self
        }
    }

    /// From now on what happens is recorded.
    pub(super) async fn keep(&self, mut claim: Claim) {
        if let Some((followers, backup)) = self.beside.clone() {
            claim.beside(followers, backup);
        }
        *self.claim.lock().await = Some(claim);
    }

    /// The epoch of the record, once there is one.
    pub(super) async fn epoch(&self) -> Option<Epoch> {
        self.claim.lock().await.as_ref().map(Claim::epoch)
    }

    /// The record of an earlier move as it was when this one was claimed.
    pub(super) async fn earlier(&self, epoch: Epoch) -> Option<MoveRecord> {
        self.claim.lock().await.as_ref()?.earlier(epoch).cloned()
    }

    /// Names the Job that goes back when this move falls silent; without one, why there is none is recorded.
    pub(super) async fn watched_by(&self, job: Option<String>) {
        let mut claim = self.claim.lock().await;
        let Some(claim) = claim.as_mut() else {
            return;
        };
        match job {
            Some(job) => claim.watched_by(job),
            None => claim.note(&Event::noted(Step::Claim, NOBODY_WATCHES.to_owned())),
        }
    }

    /// Whether what happens is recorded.
    pub(super) async fn is_recorded(&self) -> bool {
        self.claim.lock().await.is_some()
    }

    /// A step that no interruption stops: it is short, and what it writes must be known.
    pub(super) async fn steadily<T>(
        &self,
        step: Step,
        work: impl Future<Output = Result<(T, String), StepError>>,
    ) -> Result<T, (Step, StepError)> {
        self.tell(step, Box::pin(work)).await
    }

    /// A step that the first interruption stops.
    pub(super) async fn stops<T>(
        &self,
        step: Step,
        work: impl Future<Output = Result<(T, String), StepError>>,
    ) -> Result<T, (Step, StepError)> {
        let work = self.interrupt.stops(work);
        self.tell(step, Box::pin(work)).await
    }

    /// A step that goes on until a second interruption gives up waiting.
    pub(super) async fn gives_up<T>(
        &self,
        step: Step,
        work: impl Future<Output = Result<(T, String), StepError>>,
    ) -> Result<T, (Step, StepError)> {
        let work = self.interrupt.gives_up(work);
        self.tell(step, Box::pin(work)).await
    }

    async fn tell<T>(
        &self,
        step: Step,
        work: impl Future<Output = Result<(T, String), StepError>>,
    ) -> Result<T, (Step, StepError)> {
        let failed = |error| (step, error);
        let started = Event::Started { step };
        self.report(&started);
        self.record(&started, step, !is_within_gap(step))
            .await
            .map_err(failed)?;
        let begun = clock::monotonic();
        let (result, evidence) = work.await.map_err(failed)?;
        let took: Duration = clock::monotonic() - begun;
        let settled = Event::Settled {
            step,
            took,
            evidence,
        };
        self.report(&settled);
        let is_urgent = matches!(step, Step::Fence | Step::Prove);
        self.record(&settled, step, !is_urgent)
            .await
            .map_err(failed)?;
        Ok(result)
    }

    /// Something that was learned during a step.
    pub(super) fn note(&self, step: Step, text: String) {
        let noted = Event::noted(step, text);
        self.report(&noted);
        // Whoever holds the record writes it at this moment; what is noted then is told all the same.
        if let Ok(mut claim) = self.claim.try_lock()
            && let Some(claim) = claim.as_mut()
        {
            claim.note(&noted);
        }
    }

    /// Tells which owners stay held after the release, and what lets them go.
    pub(super) fn note_left<'s>(&self, sides: impl IntoIterator<Item = &'s Side>) {
        for text in sides.into_iter().filter_map(Side::told_left) {
            self.note(Step::Release, text);
        }
    }

    /// Tells why and how everything is taken back, and takes it back; `Err` when that failed too.
    pub(super) async fn undo<T>(
        &self,
        because: &StepError,
        how: &str,
        work: impl Future<Output = Result<(T, String), StepError>>,
    ) -> Result<T, StepError> {
        let because = format!("{because}; {how}.");
        self.happen(Event::Undoing { because }).await;
        let (result, evidence) = Box::pin(self.interrupt.gives_up(work)).await?;
        self.happen(Event::Undone { evidence }).await;
        Ok(result)
    }

    /// Tells something that belongs to no step; it is recorded with the next write.
    async fn happen(&self, event: Event) {
        self.report(&event);
        if let Some(claim) = self.claim.lock().await.as_mut() {
            claim.note(&event);
        }
    }

    /// Makes a decision durable that excludes the other one.
    pub(super) async fn decide(&self, stage: Stage, limit: Duration) -> Result<(), StepError> {
        match self.claim.lock().await.as_mut() {
            Some(claim) => Ok(claim.decide(stage, limit).await?),
            None => Ok(()),
        }
    }

    /// Records how it ended, where that may still be written.
    pub(super) async fn end(
        &self,
        standing: Option<Standing>,
        because: Option<&StepError>,
        result: Option<MoveResult>,
    ) {
        if standing == Some(Standing::Superseded) {
            return;
        }
        let ending = Ending {
            at: clock::now(),
            standing,
            because: because.map(|error| format!("{}.", chain_of(error))),
            result,
        };
        if let Some(claim) = self.claim.lock().await.as_mut() {
            for lost in claim.end(ending).await {
                tracing::warn!("{lost}");
            }
        }
    }

    /// Records how an action ended: one that came to its end with what it leaves and what it came to.
    pub(super) async fn conclude<T>(
        &self,
        ended: &Result<T, MoveError>,
        leaves: Option<Standing>,
        result: Option<MoveResult>,
    ) {
        match ended {
            Ok(_) => self.end(leaves, None, result).await,
            Err(error) => {
                self.end(Some(error.standing), Some(&error.source), None)
                    .await;
            }
        }
    }

    /// Notes an event and, unless it can wait, makes it durable. Before the promotion a record that cannot be written stops
    /// the move; after it only a later move does.
    async fn record(&self, event: &Event, step: Step, now: bool) -> Result<(), StepError> {
        let mut claim = self.claim.lock().await;
        let Some(claim) = claim.as_mut() else {
            return Ok(());
        };
        claim.note(event);
        if step == Step::Fence {
            claim.enter(Stage::Fenced);
        }
        if !now {
            return Ok(());
        }
        let error = match claim.flush().await {
            Ok(lost) if lost.is_empty() => return Ok(()),
            Ok(lost) => {
                let text = format!("While it was recorded, {}.", lost.join("; "));
                self.report(&Event::noted(step, text));
                return Ok(());
            }
            Err(error) => StepError::from(error),
        };
        if step < Step::Promote || error.is_superseded() {
            return Err(error);
        }
        let text = format!("It was not recorded: {}.", chain_of(&error));
        self.report(&Event::noted(step, text));
        Ok(())
    }

    fn report(&self, event: &Event) {
        // A reader that has panicked once still has to be told what was changed since.
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        report(event);
    }
}

/// Nobody takes writes while these begin. That they begin is durable beforehand: the fence's record says that the source is
/// told to stop and what follows from it, the decision's that the target is to be told.
const fn is_within_gap(step: Step) -> bool {
    matches!(step, Step::Prove | Step::Promote)
}

/// Where things stand after an error: whoever was superseded no longer knows.
pub(super) const fn standing_of(error: &StepError, otherwise: Standing) -> Standing {
    if error.is_superseded() {
        Standing::Superseded
    } else {
        otherwise
    }
}
