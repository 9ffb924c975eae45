//! What becomes of the operators that were held, once a side was promoted.

use pgha_model::event::Standing;
use pgha_model::plan::Step;

use super::steps::{Steps, standing_of};
use super::{MoveError, StepError};

/// The operators that were held, after the promotion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Operators {
    /// They are held: a side may be lost, or both may be primary.
    #[default]
    Held,
    /// The new history holds everything and the side that is to follow is read-only: they do no harm.
    Harmless,
    /// They work again.
    Released,
}

impl Operators {
    /// Where things stand.
    pub(super) const fn standing(self) -> Standing {
        match self {
            Self::Released => Standing::Released,
            Self::Held | Self::Harmless => Standing::Promoted,
        }
    }

    /// What was to be seen after the promotion was not. Where the operators do no harm they get their clusters back, so
    /// that nobody has to find the holds; where a side may be lost or both may be primary, everything stays as it is.
    pub(super) async fn release_all_the_same(
        self,
        steps: &Steps<'_>,
        (step, error): (Step, StepError),
        release: impl Future<Output = Result<((), String), StepError>>,
    ) -> MoveError {
        let gave_up = matches!(error, StepError::GivenUp | StepError::Superseded { .. });
        if gave_up || self == Self::Held {
            let standing = standing_of(&error, self.standing());
            return MoveError::new(step, standing, error);
        }
        match steps.gives_up(Step::Release, release).await {
            Ok(()) => MoveError::new(step, Self::Released.standing(), error),
            Err((_, failed)) => MoveError {
                undo: Some(Box::new(failed)),
                ..MoveError::new(step, self.standing(), error)
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use pgha_model::event::Event;

    use super::*;
    use crate::engine::interrupter;

    fn failed() -> StepError {
        StepError::BasisChanged {
            what: "the archive is full".to_owned(),
        }
    }

    /// How it ended, and what was told meanwhile.
    async fn release(
        operators: Operators,
        because: StepError,
        released: Result<((), String), StepError>,
    ) -> (MoveError, Vec<Event>) {
        let mut told = Vec::new();
        let mut report = |event: &Event| told.push(event.clone());
        let (_interrupter, interrupt) = interrupter();
        let steps = Steps::new(interrupt, &mut report);
        let release = async { released };
        let error = operators
            .release_all_the_same(&steps, (Step::Verify, because), release)
            .await;
        drop(steps);
        (error, told)
    }

    fn done() -> ((), String) {
        ((), "They work.".to_owned())
    }

    #[tokio::test]
    async fn operators_that_do_no_harm_get_their_clusters_back() {
        let (error, told) = release(Operators::Harmless, failed(), Ok(done())).await;
        assert_eq!(error.standing, Standing::Released);
        assert_eq!(error.step, Step::Verify);
        assert!(error.undo.is_none());
        assert!(matches!(
            *told,
            [
                Event::Started {
                    step: Step::Release
                },
                Event::Settled {
                    step: Step::Release,
                    ..
                }
            ]
        ));
    }

    #[tokio::test]
    async fn operators_that_cannot_be_released_are_told_with_what_came_first() {
        let (error, _) = release(Operators::Harmless, failed(), Err(StepError::Interrupted)).await;
        assert_eq!(error.standing, Standing::Promoted);
        assert!(matches!(*error.source, StepError::BasisChanged { .. }));
        assert!(matches!(
            error.undo.as_deref(),
            Some(StepError::Interrupted)
        ));
    }

    #[tokio::test]
    async fn operators_stay_held_where_they_may_do_harm_or_where_nobody_waits() {
        let (error, told) = release(Operators::Held, failed(), Ok(done())).await;
        assert_eq!((error.standing, told.len()), (Standing::Promoted, 0));
        let (error, told) = release(Operators::Harmless, StepError::GivenUp, Ok(done())).await;
        assert_eq!((error.standing, told.len()), (Standing::Promoted, 0));
    }
}
