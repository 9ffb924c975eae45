//! Ctrl-C, as a value: once asks the move to stop safely, twice gives up waiting.

use tokio::sync::watch;

use super::StepError;

/// The end that counts interruptions.
#[derive(Clone, Debug)]
pub struct Interrupter(watch::Sender<u32>);

/// The end that the engine looks at.
#[derive(Clone, Debug)]
pub struct Interrupt(watch::Receiver<u32>);

/// Both ends.
pub fn interrupter() -> (Interrupter, Interrupt) {
    let (sender, receiver) = watch::channel(0);
    (Interrupter(sender), Interrupt(receiver))
}

impl Interrupter {
    /// Counts one interruption.
    pub fn interrupt(&self) {
        self.0.send_modify(|count| *count += 1);
    }
}

impl Interrupt {
    /// Runs to its end unless interrupted once.
    pub(super) async fn stops<T>(
        &self,
        work: impl Future<Output = Result<T, StepError>>,
    ) -> Result<T, StepError> {
        tokio::select! {
            biased;
            () = self.reached(1) => Err(StepError::Interrupted),
            result = work => result,
        }
    }

    /// Runs to its end unless interrupted twice.
    pub(super) async fn gives_up<T>(
        &self,
        work: impl Future<Output = Result<T, StepError>>,
    ) -> Result<T, StepError> {
        tokio::select! {
            biased;
            () = self.reached(2) => Err(StepError::GivenUp),
            result = work => result,
        }
    }

    async fn reached(&self, count: u32) {
        let mut receiver = self.0.clone();
        if receiver.wait_for(|seen| *seen >= count).await.is_err() {
            // Nobody is left who could interrupt.
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn forever() -> Result<(), StepError> {
        std::future::pending().await
    }

    #[tokio::test]
    async fn the_first_interruption_stops_and_the_second_gives_up() {
        let (interrupter, interrupt) = interrupter();
        interrupter.interrupt();
        assert!(matches!(
            interrupt.stops(forever()).await,
            Err(StepError::Interrupted)
        ));
        assert!(interrupt.gives_up(async { Ok(()) }).await.is_ok());
        interrupter.interrupt();
        assert!(matches!(
            interrupt.gives_up(forever()).await,
            Err(StepError::GivenUp)
        ));
    }

    #[tokio::test]
    async fn nobody_who_could_interrupt_interrupts_nothing() {
        let (interrupter, interrupt) = interrupter();
        drop(interrupter);
        assert!(interrupt.stops(async { Ok(()) }).await.is_ok());
    }
}
