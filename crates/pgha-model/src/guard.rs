//! The list of guards: what each keeps from happening, which published fault it answers, and which test misses it.
//!
//! A guard is a condition without which a move does not go on. The checks that are made before a move are guards; the
//! others act while it is under way, and decide where [`Guard::holds`] stands in the code. `cargo xtask guards` takes
//! each away in turn and wants its test to fail.

mod engine;
mod judged;
pub mod lifted;
#[cfg(feature = "mutation")]
mod mutation;
pub mod wanted;

use serde::Serialize;

use crate::check::catalog::CHECKS;
use crate::check::list::{Answer, LISTS};

/// A guard that acts while a move is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Control data says `shut down`, or proves nothing.
    CleanEnd,
    /// What is read at the end is the service's own database.
    SameDatabase,
    /// Nobody has promoted the source meanwhile.
    SameBranch,
    /// Every member of the target replayed past the source's end.
    PastTheEnd,
    /// The new history does not fork before the source's end.
    ForkAtEnd,
    /// A decision excludes the other one.
    OneDecision,
    /// Nothing is promoted before that is decided.
    PromotionDecided,
    /// A stopped source comes back only once that is decided.
    ReturnDecided,
    /// Nobody goes back by itself where the target may have been told.
    UntoldTarget,
    /// A promotion that was sent is never taken back.
    ForwardOnly,
    /// Whoever was superseded stops.
    SupersededStops,
    /// An operator works again only where it does no harm.
    HarmlessRelease,
    /// A member that still replays has no end.
    AtRest,
    /// A member that takes writes has no end.
    NobodyWrites,
    /// The target holds all that any member of the source has.
    HoldsSource,
    /// Each member of the target that could be elected holds it too.
    ElectableHolds,
    /// Equal positions are compared byte by byte.
    SameLog,
    /// Segments that were handed over are what their names say.
    WholeSegments,
    /// A leader that was stopped while Patroni is paused comes back as a standby.
    StoppedStaysDown,
    /// A side that returns after a failover is down only when every member of it was seen.
    ReturningDown,
    /// A record of another version is kept, and stands in the way.
    RecordVersion,
    /// A living tool is not taken over by itself.
    LivingTool,
    /// Every write of a side rests on the move's epoch.
    EpochInWrite,
    /// An epoch only rises.
    EpochRises,
    /// A record is written by compare-and-swap.
    RecordSwap,
    /// A record that somebody else has written is not written over.
    RecordOwner,
    /// No move begins beside an unfinished one.
    UnfinishedFirst,
    /// An epoch on an object counts although the record is lost.
    EpochOnObjects,
    /// A patch fails where a value that it rests on has changed.
    TestedValues,
    /// The leader is still the pod that the plan means.
    PlannedLeader,
    /// The operator says that it leaves the cluster alone.
    HoldAcknowledged,
    /// An object that was put back meanwhile stays held.
    RevertedStaysHeld,
    /// Nobody is promoted without a proof beside a member that answers as primary.
    BesidePrimary,
    /// A demotion goes back only beside a standby.
    BackBesideStandby,
    /// Nothing is put in order where both sides would be primary.
    NotBothPrimary,
    /// The contexts lead to the sites of the record.
    RecordedSites,
    /// Silence is no consent.
    Consent,
    /// Text of a cluster does not steer a terminal.
    HarmlessText,
}

impl Guard {
    /// Whether the guard lets a move go on; `condition` is what it asks for.
    ///
    /// Always the condition itself, but in the builds of `cargo xtask guards`.
    #[cfg(not(feature = "mutation"))]
    #[inline]
    pub const fn holds(self, condition: bool) -> bool {
        condition
    }

    /// Whether the guard lets a move go on; `condition` is what it asks for. One guard may have been taken away.
    #[cfg(feature = "mutation")]
    pub fn holds(self, condition: bool) -> bool {
        condition || mutation::is_removed(self.id())
    }

    /// Whether the guard is there: where it is no condition but something that is done.
    pub fn stands(self) -> bool {
        !self.holds(false)
    }

    /// Its stable name, kebab-case.
    #[cfg(feature = "mutation")]
    fn id(self) -> &'static str {
        let mut all = engine::ENGINE.iter();
        all.find(|(guard, _)| *guard == self)
            .map_or("", |(_, entry)| entry.id)
    }
}

/// Whether a check of this name may say that something does not hold: always, but in the builds of `cargo xtask guards`.
#[cfg(not(feature = "mutation"))]
pub(crate) const fn may_speak(_check: &str) -> bool {
    true
}

/// Whether a check of this name may say that something does not hold. One may have been taken away.
#[cfg(feature = "mutation")]
pub(crate) fn may_speak(check: &str) -> bool {
    !mutation::is_removed(check)
}

/// A guard of the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Its stable name, kebab-case.
    pub id: &'static str,
    /// What it keeps from happening.
    pub stops: &'static str,
    /// Where it acts.
    pub place: Place,
    /// The items of [`LISTS`] that it answers.
    pub answers: Vec<&'static str>,
    /// The flag by which a user lifts it; none for what nobody may lift.
    pub lifted_by: Option<&'static str>,
    /// The test that fails without it.
    #[serde(skip)]
    pub missed_by: Test,
}

/// Where a guard acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Place {
    /// Before anything is changed, as a check.
    Check,
    /// Where evidence is judged.
    Proof,
    /// In the order of a move, and in what is decided once and for all.
    Decision,
    /// In each write.
    Write,
    /// Where a person commands.
    Command,
}

impl Place {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Proof => "proof",
            Self::Decision => "decision",
            Self::Write => "write",
            Self::Command => "command",
        }
    }
}

/// A test, by the names that cargo gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Test {
    /// The package.
    pub package: &'static str,
    /// The binary in it: the package's own unit tests, or a file of its folder `tests`.
    pub target: Target,
    /// The test's path in it.
    pub name: &'static str,
}

/// Which tests of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The unit tests in the library.
    Library,
    /// A test target of this name.
    Tests(&'static str),
}

/// Every guard: the checks in the order in which they are made, then what acts later.
pub fn all() -> Vec<Entry> {
    let listed = CHECKS.iter().map(|check| judged::of(check.id, check.why));
    let single = judged::SINGLE
        .iter()
        .map(|&(id, stops)| judged::of(id, stops));
    let engine = engine::ENGINE.iter().map(|(_, entry)| Entry {
        id: entry.id,
        stops: entry.stops,
        place: entry.place,
        answers: entry.answers.to_vec(),
        lifted_by: entry.lifted_by,
        missed_by: entry.missed_by,
    });
    listed.chain(single).chain(engine).collect()
}

/// The items that name this check.
fn origins(check: &str) -> Vec<&'static str> {
    let items = LISTS.iter().flat_map(|list| list.items);
    let of_check = items.filter(|item| match item.answer {
        Answer::Checks(ids) => ids.contains(&check),
        Answer::Not(_) => false,
    });
    of_check.map(|item| item.name).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_guard_is_there_once_and_answers_items_that_exist() {
        let items: BTreeSet<_> = LISTS
            .iter()
            .flat_map(|list| list.items)
            .map(|item| item.name)
            .collect();
        let mut ids = BTreeSet::new();
        for guard in all() {
            assert!(ids.insert(guard.id), "{} twice", guard.id);
            for item in guard.answers {
                assert!(items.contains(item), "{}: {item}", guard.id);
            }
        }
    }

    #[test]
    fn a_guard_asks_for_what_it_is_given() {
        for guard in [Guard::CleanEnd, Guard::HarmlessText] {
            assert!(guard.holds(true) && !guard.holds(false));
        }
    }
}
