//! Carries out a plan, step by step, and takes it back when it cannot be finished.

mod aside;
mod beside;
mod branch;
mod claim;
mod deadline;
mod demote;
mod fence;
mod interrupt;
mod keep_down;
mod let_go;
mod operators;
mod promote;
mod promotion;
mod push;
mod rejoin;
mod reset;
mod restart;
mod restore;
mod running;
mod shutdown;
mod side;
mod standstill;
mod startup;
mod steps;
mod switchover;
mod undo;
mod upgrade;
mod upkeep;

use std::time::Duration;

use pgha_model::event::{Event, Outcome, Standing};
use pgha_model::plan::Step;
use pgha_model::proof::NotProved;
use pgha_model::site::Part;

pub use self::aside::Aside;
pub use self::deadline::{DeadlineJob, GoingBack, Verdict, Watched, await_silence};
pub use self::demote::{DemotionRun, demotion_patches};
pub use self::interrupt::{Interrupt, Interrupter, interrupter};
pub use self::let_go::{LettingGo, Readiness};
pub use self::promote::{PromotionRun, look_at_source, look_at_supply, promotion_patches};
pub use self::rejoin::{Keep, RejoinError, RejoinRun, follows};
pub use self::reset::{PasswordSight, ResetRun};
pub use self::restart::RestartRun;
pub use self::restore::{Restoration, put_in_order_alone};
pub use self::shutdown::{ShutdownRun, shutdown_patch};
pub use self::side::{Side, SideError};
pub use self::standstill::compare_ends;
pub use self::startup::{StartupRun, is_up, startup_patches};
pub use self::switchover::{Declare, Gate, GitFailure, PlannedPatch, Switchover, patches};
pub use self::upgrade::{UpgradeRun, upgrade_patch};
pub use self::upkeep::{Told, UpkeepError};
use crate::application::ApplicationError;
use crate::client::CallError;
use crate::exec::ExecError;
use crate::gitops::hold::HoldError;
use crate::journal::JournalError;
use crate::postgres::{ControlError, SqlError};
use crate::secret::SecretError;

/// Takes what happens. Infallible on purpose: a display that fails must not stop a half-finished move.
pub type Reporter<'a> = dyn FnMut(&Event) + Send + 'a;

/// How long each wait of a move may last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For anything outside the write gap.
    pub step: Duration,
    /// For the source's clean stop.
    pub stop: Duration,
    /// For the target to hold everything, after the source has stopped.
    pub proof: Duration,
    /// For the target to take writes, after it was told.
    pub promotion: Duration,
}

impl Limits {
    /// The same for each wait.
    pub const fn each(limit: Duration) -> Self {
        Self {
            step: limit,
            stop: limit,
            proof: limit,
            promotion: limit,
        }
    }

    /// How long a writer of a record may be silent: the longest step waits for a few things in turn.
    pub fn patience(self) -> Duration {
        let longest = [self.step, self.stop, self.proof, self.promotion];
        let longest = longest.into_iter().max().unwrap_or_default();
        longest.saturating_mul(3).min(Duration::from_hours(24))
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::each(Duration::from_mins(1))
    }
}

/// Why a step did not settle.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// A request to an API server failed.
    #[error("a request failed")]
    Call(#[source] Box<CallError>),
    /// The application was not stopped.
    #[error("the application was not stopped")]
    Application(#[source] Box<ApplicationError>),
    /// Clients were not seen to wait.
    #[error("the clients do not wait: {because}")]
    Gate {
        /// Why not, as a clause.
        because: String,
    },
    /// Git does not say what a side is to be.
    #[error("Git does not say it")]
    Git(#[source] GitFailure),
    /// Who owns an object was not held, or not let go.
    #[error("an owner takes changes back")]
    Owner(#[source] HoldError),
    /// A command in a container failed.
    #[error("a command failed")]
    Exec(#[source] ExecError),
    /// A Secret was not read or written.
    #[error("a Secret stands in the way")]
    Secret(#[source] SecretError),
    /// Postgres could not be asked, or refused.
    #[error("a statement failed")]
    Sql(#[source] SqlError),
    /// Control data could not be read.
    #[error("the source's end could not be read")]
    Control(#[source] ControlError),
    /// The evidence does not suffice.
    #[error("the proof does not hold")]
    NotProved(#[source] NotProved),
    /// The operator did not do what its object says.
    #[error("the operator of the {part} did not answer within {} s: {seen}", limit.as_secs())]
    OperatorSilent {
        /// On which side.
        part: Part,
        /// How long was waited.
        limit: Duration,
        /// What its object said last.
        seen: String,
    },
    /// Something that was awaited did not come.
    #[error("{what} did not happen within {} s: {seen}", limit.as_secs())]
    NotSettled {
        /// What was awaited, as a noun phrase.
        what: &'static str,
        /// How long was waited.
        limit: Duration,
        /// What was seen last.
        seen: String,
    },
    /// What the plan rests on is no longer so.
    #[error("{what}")]
    BasisChanged {
        /// What changed, as a fragment.
        what: String,
    },
    /// The record of the move could not be written, or says what forbids to go on.
    #[error(transparent)]
    Journal(Box<JournalError>),
    /// Another move has taken over: nothing may be written any more.
    #[error("{by}")]
    Superseded {
        /// Which, as a clause.
        by: String,
    },
    /// The user interrupted the move.
    #[error("interrupted")]
    Interrupted,
    /// The user interrupted a second time: nothing is awaited any more.
    #[error("interrupted twice, the wait was given up")]
    GivenUp,
}

impl From<HoldError> for StepError {
    fn from(error: HoldError) -> Self {
        Self::Owner(error)
    }
}

impl From<CallError> for StepError {
    fn from(error: CallError) -> Self {
        Self::Call(Box::new(error))
    }
}

impl StepError {
    /// Whether another move has taken over: then nothing may be written any more.
    pub const fn is_superseded(&self) -> bool {
        matches!(self, Self::Superseded { .. })
    }

    /// Whether what a write rests on had changed in between: nothing was applied.
    fn is_outdated(&self) -> bool {
        matches!(self, Self::Call(error) if error.is_outdated())
    }

    /// Whether the same may be answered in a moment: a site or a container was not reached.
    fn may_pass(&self) -> bool {
        match self {
            Self::Call(error) => error.may_pass(),
            Self::Exec(error) => matches!(error, ExecError::Open { .. } | ExecError::Lost { .. }),
            Self::Owner(error) => error.may_pass(),
            Self::Application(_)
            | Self::Gate { .. }
            | Self::Git(_)
            | Self::Secret(_)
            | Self::Sql(_)
            | Self::Control(_)
            | Self::NotProved(_)
            | Self::OperatorSilent { .. }
            | Self::NotSettled { .. }
            | Self::BasisChanged { .. }
            | Self::Journal(_)
            | Self::Superseded { .. }
            | Self::Interrupted
            | Self::GivenUp => false,
        }
    }
}

impl From<JournalError> for StepError {
    fn from(error: JournalError) -> Self {
        if matches!(error, JournalError::Superseded { .. }) {
            let by = error.to_string();
            return Self::Superseded { by };
        }
        Self::Journal(Box::new(error))
    }
}

fn changed(what: impl Into<String>) -> StepError {
    StepError::BasisChanged { what: what.into() }
}

/// A move that did not finish.
#[derive(Debug, thiserror::Error)]
#[error("the move stopped at `{}`", step.name())]
pub struct MoveError {
    /// At which step.
    pub step: Step,
    /// Where it has left things.
    pub standing: Standing,
    /// What stopped it.
    #[source]
    pub source: Box<StepError>,
    /// What stopped the way back, when that failed too; after the promotion, what stopped the release of the operators.
    pub undo: Option<Box<StepError>>,
}

impl MoveError {
    fn new(step: Step, standing: Standing, source: StepError) -> Self {
        Self {
            step,
            standing,
            source: Box::new(source),
            undo: None,
        }
    }
}

/// How a move ended.
pub type MoveResult = Result<Outcome, MoveError>;
