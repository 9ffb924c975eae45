//! A move that was left unfinished: what it has come to, and what is to be done about it.

use jiff::Timestamp;

use crate::event::Standing;
use crate::guard::Guard;
use crate::record::{Action, Entry, Epoch, Journal, MoveRecord};

/// What is known of one side of an unfinished move, after no earlier writer can write there any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts, each with its own name"
)]
pub struct SideState {
    /// Patroni's configuration makes it a standby.
    pub config_standby: bool,
    /// The operator's object makes it a standby.
    pub object_standby: bool,
    /// Patroni is paused.
    pub patroni_paused: bool,
    /// Some member answers and takes writes.
    pub writes: bool,
}

/// What a side is to be when it is put in order: what it is already, or cannot be kept from becoming.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// A primary.
    Primary,
    /// A standby.
    Standby,
}

impl SideState {
    /// What the side is to be.
    ///
    /// Patroni does what its configuration says. While it is paused it does nothing, and a leader that was stopped by hand
    /// for a demotion must come back as a standby and not as what it was.
    pub fn course(self) -> Course {
        let was_stopped = self.patroni_paused && self.object_standby && !self.writes;
        if self.config_standby || !Guard::StoppedStaysDown.holds(!was_stopped) {
            Course::Standby
        } else {
            Course::Primary
        }
    }
}

/// Where the primary of a service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whereabouts {
    /// At the source of the unfinished move: nothing has happened yet, or it was taken back.
    Source,
    /// At its target: the move has happened.
    Target,
    /// Nowhere: the source is fenced and the target not promoted.
    Nowhere,
    /// On both sides, which no move may leave.
    Both,
}

/// Where the primary will be when both sides are put in order.
pub fn whereabouts(source: SideState, target: SideState) -> Whereabouts {
    match (source.course(), target.course()) {
        (Course::Primary, Course::Standby) => Whereabouts::Source,
        (Course::Standby, Course::Primary) => Whereabouts::Target,
        (Course::Standby, Course::Standby) => Whereabouts::Nowhere,
        (Course::Primary, Course::Primary) => Whereabouts::Both,
    }
}

/// The unfinished move of a service, if there is one: the newest record of both sites, when somebody still has to see to it.
pub fn find_unfinished(journals: &[&Journal]) -> Option<Unfinished> {
    let newest = journals.iter().filter_map(|journal| journal.last());
    let (epoch, entry) = newest.max_by_key(|(epoch, entry)| (*epoch, ended(entry)))?;
    match entry {
        Entry::Readable(record) if record.is_open() => Some(Unfinished {
            epoch,
            began_as: began_as(journals, record),
            record: Some(record.clone()),
        }),
        Entry::Readable(_) => None,
        Entry::Unreadable(_) => Some(Unfinished {
            epoch,
            began_as: None,
            record: None,
        }),
    }
}

/// What the first of the moves was that took each other over.
fn began_as(journals: &[&Journal], last: &MoveRecord) -> Option<Action> {
    let mut record = last;
    while let Some(epoch) = record.continues.filter(|epoch| *epoch < record.epoch) {
        let mut copies = journals.iter();
        match copies.find_map(|journal| journal.readable(epoch)) {
            Some(earlier) => record = earlier,
            None => break,
        }
    }
    let action = record.action;
    (!matches!(action, Action::Resume | Action::Abort)).then_some(action)
}

/// Of two copies of one record the one that knows the end counts.
fn ended(entry: &Entry) -> bool {
    matches!(entry, Entry::Readable(record) if record.ending.is_some())
}

/// A move that somebody has to see to.
#[derive(Clone, Debug, PartialEq)]
pub struct Unfinished {
    /// Its epoch.
    pub epoch: Epoch,
    /// Which command it was, or was of which it is the rest; `None` when that is not known.
    pub began_as: Option<Action>,
    /// Its record, when it can be read.
    pub record: Option<Box<MoveRecord>>,
}

impl Unfinished {
    /// What it was, in one clause: `the switchover of jane, process 7 (epoch 4)`.
    pub fn name(&self) -> String {
        let Some(record) = &self.record else {
            return format!("a move whose record cannot be read (epoch {})", self.epoch);
        };
        format!(
            "the {} of {} (epoch {})",
            record.action.name(),
            record.operator,
            self.epoch
        )
    }

    /// How it was left, as a clause.
    pub fn state(&self) -> String {
        let Some(record) = &self.record else {
            return "how far it came is not known".to_owned();
        };
        let standing = record.ending.as_ref().and_then(|ending| ending.standing);
        match standing {
            None => format!("its record ends as `{}`", record.stage.name()),
            Some(Standing::Held) => "it left holds or settings in place".to_owned(),
            Some(Standing::Fenced) => "it left the source fenced and nobody primary".to_owned(),
            Some(Standing::PromotionUnknown) => {
                "it does not know whether the target was promoted".to_owned()
            }
            Some(
                Standing::Promoted
                | Standing::Released
                | Standing::Unchanged
                | Standing::BackAtSource
                | Standing::Superseded,
            ) => "its last steps were not seen to their end".to_owned(),
        }
    }

    /// Whether its writer may still be at work.
    pub fn may_be_alive(&self, now: Timestamp) -> bool {
        let record = self.record.as_ref();
        record.is_some_and(|record| record.may_be_alive(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIMARY: SideState = SideState {
        config_standby: false,
        object_standby: false,
        patroni_paused: false,
        writes: true,
    };

    const STANDBY: SideState = SideState {
        config_standby: true,
        object_standby: true,
        patroni_paused: false,
        writes: false,
    };

    #[test]
    fn patronis_configuration_decides_and_not_the_object() {
        let half_fenced = SideState {
            object_standby: true,
            ..PRIMARY
        };
        let half_promoted = SideState {
            object_standby: false,
            ..STANDBY
        };
        assert_eq!(whereabouts(half_fenced, half_promoted), Whereabouts::Source);
        assert_eq!(whereabouts(STANDBY, half_promoted), Whereabouts::Nowhere);
        // A source that still stops takes no writes, and will not again.
        let stopping = SideState {
            writes: true,
            ..STANDBY
        };
        assert_eq!(whereabouts(stopping, STANDBY), Whereabouts::Nowhere);
        // A target that was told answers as a standby until Patroni has done it.
        let told = SideState {
            writes: false,
            ..PRIMARY
        };
        assert_eq!(whereabouts(STANDBY, told), Whereabouts::Target);
        assert_eq!(whereabouts(PRIMARY, PRIMARY), Whereabouts::Both);
    }

    #[test]
    fn a_leader_that_was_stopped_while_patroni_is_paused_comes_back_as_a_standby() {
        let paused = SideState {
            patroni_paused: true,
            object_standby: true,
            ..PRIMARY
        };
        assert_eq!(paused.course(), Course::Primary);
        let stopped = SideState {
            writes: false,
            ..paused
        };
        assert_eq!(stopped.course(), Course::Standby);
    }
}
