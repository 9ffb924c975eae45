//! What is known of a request before it is sent: where it goes, what can become of it, what it waits for.

use crate::script::Todo;
use crate::tool::Tool;
use crate::world::{A, B, Guards, World};

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fate {
    /// It arrives, and so does its answer.
    Answered,
    /// It has no effect, and that is known.
    Refused,
    /// It has its effect, and the answer is lost.
    Lost,
    /// It is given up, and may have its effect at any later time.
    Late,
}

/// The site that an action speaks to.
pub(crate) const fn site_of(todo: Todo, target: usize) -> Option<usize> {
    match todo {
        Todo::Claim(at) | Todo::End(at) => Some(copy(at, target)),
        Todo::StampObject(at)
        | Todo::StampConfig(at)
        | Todo::Look(at)
        | Todo::Hold(at)
        | Todo::Enter(at)
        | Todo::Config(at, _)
        | Todo::Unhold(at, _)
        | Todo::OrderObject(at)
        | Todo::OrderConfig(at)
        | Todo::OrderUnhold(at)
        | Todo::AwaitOrder(at) => Some(at),
        Todo::ReadSource
        | Todo::CheckLeader
        | Todo::FenceObject
        | Todo::FenceConfig
        | Todo::AwaitClosure
        | Todo::AwaitUnfenceable
        | Todo::UnfenceObject
        | Todo::UnfenceConfig
        | Todo::AwaitUnfenced => Some(A),
        Todo::AwaitReplay => Some(B),
        // Whoever promotes by itself decides where the record's first copy is, which is the other side's.
        Todo::Decide(_) | Todo::CheckReadOnly => Some(1 - target),
        Todo::PromoteObject | Todo::PromoteConfig | Todo::AwaitPromoted => Some(target),
        Todo::Read
        | Todo::Stamped
        | Todo::Work
        | Todo::AwaitStandstill
        | Todo::JudgeUntold
        | Todo::JudgeUndo
        | Todo::JudgeOrder => None,
    }
}

/// Where a copy of the record is: the first is at the side that is not to be promoted.
pub(crate) const fn copy(at: usize, target: usize) -> usize {
    if target == B { at } else { 1 - at }
}

/// Whether anything is sent that a network can lose.
pub(crate) const fn is_write(todo: Todo) -> bool {
    matches!(
        todo,
        Todo::Claim(_)
            | Todo::StampObject(_)
            | Todo::StampConfig(_)
            | Todo::Hold(_)
            | Todo::Enter(_)
            | Todo::FenceObject
            | Todo::FenceConfig
            | Todo::Decide(_)
            | Todo::PromoteObject
            | Todo::PromoteConfig
            | Todo::UnfenceObject
            | Todo::UnfenceConfig
            | Todo::Config(..)
            | Todo::Unhold(..)
            | Todo::OrderObject(_)
            | Todo::OrderConfig(_)
            | Todo::OrderUnhold(_)
            | Todo::End(_)
    )
}

/// What is judged from what was read cannot fail for want of an answer.
pub(crate) const fn may_fail(todo: Todo) -> bool {
    !matches!(
        todo,
        Todo::JudgeUntold | Todo::JudgeUndo | Todo::JudgeOrder | Todo::Stamped
    )
}

/// What a wait is for, as it stands; `None` for what is no wait.
pub(crate) fn awaited(todo: Todo, tool: &Tool, world: &World, guards: Guards) -> Option<bool> {
    let sites = &world.sites;
    let target = &sites[tool.target];
    Some(match todo {
        Todo::AwaitClosure => !sites[A].writes(),
        // A source that takes writes again has written after the position that the target is asked for.
        Todo::AwaitReplay => !guards.proof || sites[B].complete || sites[A].writes(),
        Todo::AwaitStandstill => {
            !sites[A].writes() && !sites[B].writes() && (target.complete || !guards.proof)
        }
        Todo::AwaitPromoted => target.writes(),
        Todo::CheckReadOnly => !sites[1 - tool.target].writes(),
        Todo::AwaitUnfenceable => !tool.was_fenced || !sites[A].writes(),
        Todo::AwaitUnfenced => !tool.was_fenced || sites[A].writes(),
        Todo::AwaitOrder(at) => sites[at].writes() != tool.standby[at],
        Todo::Read
        | Todo::ReadSource
        | Todo::JudgeUntold
        | Todo::Claim(_)
        | Todo::StampObject(_)
        | Todo::StampConfig(_)
        | Todo::Stamped
        | Todo::Look(_)
        | Todo::Hold(_)
        | Todo::Work
        | Todo::Enter(_)
        | Todo::CheckLeader
        | Todo::FenceObject
        | Todo::FenceConfig
        | Todo::Decide(_)
        | Todo::PromoteObject
        | Todo::PromoteConfig
        | Todo::JudgeUndo
        | Todo::UnfenceObject
        | Todo::UnfenceConfig
        | Todo::Config(..)
        | Todo::Unhold(..)
        | Todo::JudgeOrder
        | Todo::OrderObject(_)
        | Todo::OrderConfig(_)
        | Todo::OrderUnhold(_)
        | Todo::End(_) => return None,
    })
}

/// Whether the tool's next request can go out: a wait ends when it is fulfilled, or when nothing more will happen.
pub(crate) fn is_ready(tool: &Tool, world: &World, guards: Guards) -> bool {
    let Some(todo) = tool.todo().filter(|_| tool.is_active()) else {
        return false;
    };
    awaited(todo, tool, world, guards).unwrap_or(true) || world.own().next().is_none()
}
