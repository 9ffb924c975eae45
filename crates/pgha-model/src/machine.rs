//! The order of a move as a state machine: what was observed goes in, the next command comes out.
//!
//! It performs nothing, asks no clock and knows no site. Whoever carries commands out tells with each observation how far
//! requests have gone, because a request that was sent may have taken hold whatever its answer was.

use crate::event::Standing;
use crate::guard::Guard;
use crate::plan::Step;

/// What is decided once and for all, by one compare-and-swap on the source's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// The target becomes primary.
    Promote,
    /// The source becomes primary again.
    GoBack,
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// Carry out a step until its effect is real.
    Perform(Step),
    /// Make a decision durable.
    Decide(Decision),
    /// Take back everything that was done.
    Undo,
    /// Give the operators back although a check failed.
    ReleaseAllTheSame,
    /// Nothing more.
    Stop(End),
}

/// How a move ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// As planned.
    Done,
    /// With this left behind.
    Left(Standing),
}

/// What came of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Observation {
    /// Its effect is real.
    Settled,
    /// Everything is taken back.
    Undone {
        /// Whether the source had been told to stop.
        was_fenced: bool,
    },
    /// It is not, or that is not known.
    Failed(Cause),
}

/// Why something did not settle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// It could not be done, or not be seen.
    Trouble,
    /// A person wants to stop.
    Interrupted,
    /// A person waits no longer.
    GivenUp,
    /// Another move has taken over: nothing may be written any more.
    Superseded,
}

/// How far requests have gone. Each is set before its request is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts, each with its own name"
)]
pub struct Reached {
    /// The record of this move is at the sites, or may be.
    pub claimed: bool,
    /// The source was told to become a standby.
    pub fence_sent: bool,
    /// The target was told to become primary.
    pub promotion_sent: bool,
    /// The new history holds everything and the source is read-only: operators that work do no harm.
    pub harmless: bool,
    /// The operators work again.
    pub released: bool,
}

/// Where a move stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Machine {
    awaited: Command,
}

impl Machine {
    /// A move that has not begun, and its first command.
    pub const fn begin() -> (Self, Command) {
        let first = Command::Perform(Step::ALL[0]);
        (Self { awaited: first }, first)
    }

    /// The next command after what came of the last one.
    #[must_use]
    pub fn step(self, seen: Observation, reached: Reached) -> (Self, Command) {
        let next = match seen {
            Observation::Failed(cause)
                if !Guard::SupersededStops.holds(cause != Cause::Superseded) =>
            {
                Command::Stop(End::Left(Standing::Superseded))
            }
            Observation::Failed(cause) => self.after_failure(cause, reached),
            Observation::Settled | Observation::Undone { .. } => self.after_success(seen, reached),
        };
        (Self { awaited: next }, next)
    }

    fn after_success(self, seen: Observation, reached: Reached) -> Command {
        match self.awaited {
            // Between the proof and the promotion nothing else may decide.
            Command::Perform(step) if !Guard::PromotionDecided.holds(step != Step::Prove) => {
                Command::Decide(Decision::Promote)
            }
            Command::Perform(step) => {
                following(step).map_or(Command::Stop(End::Done), Command::Perform)
            }
            Command::Decide(Decision::Promote) => Command::Perform(Step::Promote),
            Command::Decide(Decision::GoBack) => Command::Undo,
            Command::Undo => {
                let was_fenced = matches!(seen, Observation::Undone { was_fenced: true });
                Command::Stop(End::Left(if was_fenced {
                    Standing::BackAtSource
                } else {
                    Standing::Unchanged
                }))
            }
            Command::ReleaseAllTheSame => Command::Stop(End::Left(after_promotion(reached))),
            stop @ Command::Stop(_) => stop,
        }
    }

    fn after_failure(self, cause: Cause, reached: Reached) -> Command {
        match self.awaited {
            Command::Perform(Step::Promote)
                if !Guard::ForwardOnly.holds(!reached.promotion_sent) =>
            {
                Command::Stop(End::Left(Standing::PromotionUnknown))
            }
            Command::Perform(Step::Verify)
                if Guard::HarmlessRelease.holds(reached.harmless) && cause != Cause::GivenUp =>
            {
                Command::ReleaseAllTheSame
            }
            Command::Perform(step) if step > Step::Promote => {
                Command::Stop(End::Left(after_promotion(reached)))
            }
            Command::Perform(_) | Command::Decide(Decision::Promote) => go_back(reached),
            Command::Decide(Decision::GoBack) | Command::Undo => {
                Command::Stop(End::Left(if reached.fence_sent {
                    Standing::Fenced
                } else {
                    Standing::Held
                }))
            }
            Command::ReleaseAllTheSame => Command::Stop(End::Left(after_promotion(reached))),
            stop @ Command::Stop(_) => stop,
        }
    }
}

/// The way back. Once the source was told to stop, going back is a decision that excludes the promotion, and whoever cannot
/// make it durable must not act on it.
fn go_back(reached: Reached) -> Command {
    if !reached.claimed {
        Command::Stop(End::Left(Standing::Unchanged))
    } else if !Guard::ReturnDecided.holds(!reached.fence_sent) {
        Command::Decide(Decision::GoBack)
    } else {
        Command::Undo
    }
}

const fn after_promotion(reached: Reached) -> Standing {
    if reached.released {
        Standing::Released
    } else {
        Standing::Promoted
    }
}

fn following(step: Step) -> Option<Step> {
    Step::ALL.into_iter().find(|other| *other > step)
}

#[cfg(test)]
mod tests;
