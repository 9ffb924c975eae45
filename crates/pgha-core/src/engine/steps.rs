//! The steps of an action as they are told, each until it is settled or interrupted.

use std::time::Duration;

use pgha_model::event::Event;
use pgha_model::plan::Step;

use super::{Interrupt, Reporter, StepError};
use crate::clock;

/// Tells what happens, and stops where it is told to.
pub(super) struct Steps<'a> {
    interrupt: Interrupt,
    report: &'a mut Reporter<'a>,
}

impl<'a> Steps<'a> {
    pub(super) fn new(interrupt: Interrupt, report: &'a mut Reporter<'a>) -> Self {
        Self { interrupt, report }
    }

    /// A step that the first interruption stops.
    pub(super) async fn stops<T>(
        &mut self,
        step: Step,
        work: impl Future<Output = Result<(T, String), StepError>>,
    ) -> Result<T, (Step, StepError)> {
        let interrupt = self.interrupt.clone();
        self.tell(step, Box::pin(interrupt.stops(work))).await
    }

    /// A step that goes on until a second interruption gives up waiting.
    pub(super) async fn gives_up<T>(
        &mut self,
        step: Step,
        work: impl Future<Output = Result<(T, String), StepError>>,
    ) -> Result<T, (Step, StepError)> {
        let interrupt = self.interrupt.clone();
        self.tell(step, Box::pin(interrupt.gives_up(work))).await
    }

    async fn tell<T>(
        &mut self,
        step: Step,
        work: impl Future<Output = Result<(T, String), StepError>>,
    ) -> Result<T, (Step, StepError)> {
        (self.report)(&Event::Started { step });
        let begun = clock::monotonic();
        let (result, evidence) = work.await.map_err(|error| (step, error))?;
        let took: Duration = clock::monotonic() - begun;
        (self.report)(&Event::Settled {
            step,
            took,
            evidence,
        });
        Ok(result)
    }

    /// Tells that everything is taken back, and takes it back; `Err` when that failed too.
    pub(super) async fn undo<T>(
        &mut self,
        because: &StepError,
        work: impl Future<Output = Result<(T, String), StepError>>,
    ) -> Result<T, StepError> {
        let because = format!("{because}; taking back what was done.");
        (self.report)(&Event::Undoing { because });
        let interrupt = self.interrupt.clone();
        let (result, evidence) = Box::pin(interrupt.gives_up(work)).await?;
        (self.report)(&Event::Undone { evidence });
        Ok(result)
    }
}
