//! What a tool sends and waits for, one request after the other: the engine's steps without what they carry.

use pgha_model::event::Standing;
use pgha_model::machine::{Cause, Command, Decision};
use pgha_model::plan::Step;
use pgha_model::record::Stage;

use crate::world::{A, B};

/// One request, or one thing to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Todo {
    /// Reads both records and both sides.
    Read,
    /// Reads the source's record alone.
    ReadSource,
    /// The target cannot have been told to become primary.
    JudgeUntold,
    /// Writes the record for the first time.
    Claim(usize),
    StampObject(usize),
    StampConfig(usize),
    /// Every object carries the epoch: both sides are read again.
    Stamped,
    Look(usize),
    Hold(usize),
    /// Something that changes nothing here, and may fail.
    Work,
    /// The fence becomes durable at this site.
    Enter(usize),
    /// The source is still led by whom the plan names.
    CheckLeader,
    FenceObject,
    FenceConfig,
    /// The source has stopped and says where.
    AwaitClosure,
    /// The target has replayed all of it.
    AwaitReplay,
    /// Both sides are at rest, and the one to promote has everything.
    AwaitStandstill,
    Decide(Stage),
    PromoteObject,
    PromoteConfig,
    AwaitPromoted,
    /// The other side takes no writes.
    CheckReadOnly,
    /// Whether the source has to be taken back from a fence.
    JudgeUndo,
    AwaitUnfenceable,
    UnfenceObject,
    UnfenceConfig,
    AwaitUnfenced,
    /// Patroni's configuration, as a standby's or not.
    Config(usize, bool),
    /// The hold is taken back from a standby or not.
    Unhold(usize, bool),
    /// Where the primary is.
    JudgeOrder,
    OrderObject(usize),
    OrderConfig(usize),
    OrderUnhold(usize),
    AwaitOrder(usize),
    /// The record says how it ended.
    End(usize),
}

/// A part of a promotion by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Leg {
    Claim,
    Hold,
    Send,
    Verify,
    Release,
    Back,
}

/// What follows when the end is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Then {
    Stop,
    /// The same, where only the source has a record.
    StopAtSource,
    /// This failure is told.
    Fail(Cause),
    /// This side is promoted.
    Promote(usize),
    /// A new move begins.
    Move,
}

/// What a tool is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Job {
    /// What the machine of a switchover commands.
    Command(Command),
    /// A taker-over claims.
    TakeOver,
    /// It puts both sides in order.
    Order,
    Promotion(Leg),
    /// The Job at the source takes a move over there.
    TakeSource,
    /// It makes the source primary again.
    GoBack,
    /// The end is written.
    Ending(Option<Standing>, Then),
}

const CLAIM: &[Todo] = &[
    Todo::Read,
    Todo::Claim(A),
    Todo::Claim(B),
    Todo::StampObject(A),
    Todo::StampConfig(A),
    Todo::StampObject(B),
    Todo::StampConfig(B),
    Todo::Stamped,
];
const HOLD: &[Todo] = &[Todo::Hold(A), Todo::Hold(B)];
const FENCE: &[Todo] = &[
    Todo::Enter(A),
    Todo::Enter(B),
    Todo::CheckLeader,
    Todo::FenceObject,
    Todo::FenceConfig,
    Todo::AwaitClosure,
];
const PROMOTE: &[Todo] = &[
    Todo::PromoteObject,
    Todo::PromoteConfig,
    Todo::AwaitPromoted,
];
const VERIFY: &[Todo] = &[Todo::CheckReadOnly];
const RELEASE: &[Todo] = &[
    Todo::Config(A, true),
    Todo::Unhold(A, true),
    Todo::Config(B, false),
    Todo::Unhold(B, false),
];
const UNDO: &[Todo] = &[
    Todo::Look(A),
    Todo::Look(B),
    Todo::JudgeUndo,
    Todo::AwaitUnfenceable,
    Todo::UnfenceObject,
    Todo::UnfenceConfig,
    Todo::AwaitUnfenced,
    Todo::Config(A, false),
    Todo::Unhold(A, false),
    Todo::Config(B, true),
    Todo::Unhold(B, true),
];
const ORDER: &[Todo] = &[
    Todo::Look(A),
    Todo::Look(B),
    Todo::JudgeOrder,
    Todo::OrderObject(A),
    Todo::OrderConfig(A),
    Todo::OrderUnhold(A),
    Todo::OrderObject(B),
    Todo::OrderConfig(B),
    Todo::OrderUnhold(B),
    Todo::AwaitOrder(A),
    Todo::AwaitOrder(B),
];
const TAKE_SOURCE: &[Todo] = &[
    Todo::ReadSource,
    Todo::Claim(A),
    Todo::StampObject(A),
    Todo::StampConfig(A),
    Todo::Look(A),
    Todo::JudgeUntold,
];
const GO_BACK: &[Todo] = &[
    Todo::Decide(Stage::Undone),
    Todo::AwaitUnfenceable,
    Todo::UnfenceObject,
    Todo::UnfenceConfig,
    Todo::AwaitUnfenced,
    Todo::Config(A, false),
    Todo::Unhold(A, false),
];
const SEND: &[Todo] = &[
    Todo::AwaitStandstill,
    Todo::Decide(Stage::Promoting),
    Todo::PromoteObject,
    Todo::PromoteConfig,
    Todo::AwaitPromoted,
];
const END: &[Todo] = &[Todo::End(A), Todo::End(B)];

impl Job {
    /// Everything that it takes, in order.
    pub(crate) const fn script(self) -> &'static [Todo] {
        match self {
            Self::Command(Command::Perform(step)) => of_step(step),
            Self::Command(Command::Decide(Decision::Promote)) => &[Todo::Decide(Stage::Promoting)],
            Self::Command(Command::Decide(Decision::GoBack)) => &[Todo::Decide(Stage::Undone)],
            Self::Command(Command::Undo) => UNDO,
            Self::Command(Command::ReleaseAllTheSame) => RELEASE,
            Self::Command(Command::Stop(_)) => &[],
            Self::TakeOver | Self::Promotion(Leg::Claim) => CLAIM,
            Self::Order => ORDER,
            Self::Promotion(Leg::Hold) => HOLD,
            Self::Promotion(Leg::Send) => SEND,
            Self::Promotion(Leg::Verify) => VERIFY,
            // What the sides are is told by the tool, which knows which of them it has promoted.
            Self::Promotion(Leg::Release | Leg::Back) => {
                &[Todo::OrderUnhold(A), Todo::OrderUnhold(B)]
            }
            Self::TakeSource => TAKE_SOURCE,
            Self::GoBack => GO_BACK,
            Self::Ending(_, Then::Fail(_) | Then::StopAtSource) => &[Todo::End(A)],
            Self::Ending(..) => END,
        }
    }
}

const fn of_step(step: Step) -> &'static [Todo] {
    match step {
        Step::Claim => CLAIM,
        Step::Hold => HOLD,
        // These change what nobody's role depends on; one of them may fail for all.
        Step::Prepare | Step::Drain | Step::Detach | Step::Rejoin => &[],
        Step::Rehearse => &[Todo::Work],
        Step::Fence => FENCE,
        Step::Prove => &[Todo::AwaitReplay],
        Step::Promote => PROMOTE,
        Step::Verify => VERIFY,
        Step::Release => RELEASE,
    }
}
