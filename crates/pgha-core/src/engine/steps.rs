//! The steps of an action as they are told, each until it is settled or interrupted.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pgha_model::event::Event;
use pgha_model::plan::Step;

use super::{Interrupt, Reporter, StepError};
use crate::clock;

/// What is told of the way back, where there is no other side to go back to.
pub(super) const BACK: &str = "taking back what was done";

/// Tells what happens, and stops where it is told to. A clone tells the same reader, so that a step that is told can tell
/// something itself.
#[derive(Clone)]
pub(super) struct Steps<'a> {
    interrupt: Interrupt,
    report: Arc<Mutex<&'a mut Reporter<'a>>>,
}

impl<'a> Steps<'a> {
    pub(super) fn new(interrupt: Interrupt, report: &'a mut Reporter<'a>) -> Self {
        let report = Arc::new(Mutex::new(report));
        Self { interrupt, report }
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
        self.report(&Event::Started { step });
        let begun = clock::monotonic();
        let (result, evidence) = work.await.map_err(|error| (step, error))?;
        let took: Duration = clock::monotonic() - begun;
        self.report(&Event::Settled {
            step,
            took,
            evidence,
        });
        Ok(result)
    }

    /// Something that was learned during a step.
    pub(super) fn note(&self, step: Step, text: String) {
        self.report(&Event::Noted { step, text });
    }

    /// Tells why and how everything is taken back, and takes it back; `Err` when that failed too.
    pub(super) async fn undo<T>(
        &self,
        because: &StepError,
        how: &str,
        work: impl Future<Output = Result<(T, String), StepError>>,
    ) -> Result<T, StepError> {
        let because = format!("{because}; {how}.");
        self.report(&Event::Undoing { because });
        let (result, evidence) = Box::pin(self.interrupt.gives_up(work)).await?;
        self.report(&Event::Undone { evidence });
        Ok(result)
    }

    fn report(&self, event: &Event) {
        // A reader that has panicked once still has to be told what was changed since.
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        report(event);
    }
}
