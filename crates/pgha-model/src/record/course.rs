//! When each part of a move began and ended, and when nobody took writes: what a picture of a record shows.

use std::time::Duration;

use jiff::Timestamp;

use super::{Action, MoveRecord};
use crate::event::Event;
use crate::plan::Step;

/// What was done for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A step.
    Step(Step),
    /// The way back to the source.
    Undo,
}

impl What {
    /// Its name, one word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Step(step) => step.name(),
            Self::Undo => "undo",
        }
    }
}

/// A part of a move, by the writer's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// What was done.
    pub what: What,
    /// Since when.
    pub began: Timestamp,
    /// Until when.
    pub ended: Timestamp,
    /// What came of it.
    pub fate: Fate,
}

/// What came of a part of a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Its effect became real.
    Settled,
    /// It was given up.
    GivenUp,
    /// The record does not say: it ends here, and its writer meant to write again until then.
    Untold,
}

impl Stretch {
    /// How long it took.
    pub fn took(&self) -> Duration {
        Duration::try_from(self.ended.duration_since(self.began)).unwrap_or_default()
    }
}

/// The time in which nobody took writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoWrites {
    /// Since when.
    pub began: Timestamp,
    /// Until when; `None` when the record does not say that it ended.
    pub ended: Option<Timestamp>,
    /// How it is known.
    pub known: Known,
}

/// How the time in which nobody took writes is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// The tool measured it.
    Measured,
    /// The source was seen stopped, and the events around it tell: it was no longer than this.
    ByEvents,
    /// The source was told to stop, or was about to be, and the record does not say what came of it.
    Perhaps,
}

/// The parts of a move in the order in which they began.
pub fn course(record: &MoveRecord) -> Vec<Stretch> {
    let mut stretches = Vec::new();
    let mut open: Option<(What, Timestamp)> = None;
    for recorded in &record.events {
        let at = recorded.at;
        match &recorded.event {
            Event::Noted { .. } => {}
            Event::Started { step } => {
                give_up(open.replace((What::Step(*step), at)), at, &mut stretches);
            }
            Event::Undoing { .. } => give_up(open.replace((What::Undo, at)), at, &mut stretches),
            Event::Settled { step, took, .. } => {
                let what = What::Step(*step);
                give_up(
                    open.take().filter(|(begun, _)| *begun != what),
                    at,
                    &mut stretches,
                );
                // What comes before the work, the writing of the record, is no part of the step.
                let began = at.checked_sub(*took).unwrap_or(at);
                stretches.push(stretch(what, began, at, Fate::Settled));
            }
            Event::Undone { .. } => {
                let began = open.take().map_or(at, |(_, began)| began);
                stretches.push(stretch(What::Undo, began, at, Fate::Settled));
            }
        }
    }
    if let Some((what, began)) = open {
        let (until, fate) = match &record.ending {
            Some(ending) => (ending.at, Fate::GivenUp),
            None => (record.deadline, Fate::Untold),
        };
        stretches.push(stretch(what, began, until, fate));
    }
    stretches
}

/// When nobody took writes; `None` for a move that never told the source to stop.
pub fn no_writes(record: &MoveRecord) -> Option<NoWrites> {
    // Its fence is around the side that returns: the primary goes on writing.
    if record.action == Action::Rejoin {
        return None;
    }
    let stretches = course(record);
    let of = |what| stretches.iter().rfind(|stretch| stretch.what == what);
    let promoted = of(What::Step(Step::Promote)).filter(|stretch| stretch.fate == Fate::Settled);
    let result = record
        .ending
        .as_ref()
        .and_then(|ending| ending.result.as_ref());
    let measured = result.and_then(|result| result.write_gap);
    if let (Some(promoted), Some(gap)) = (promoted, measured) {
        return Some(NoWrites {
            began: promoted.ended.checked_sub(gap).unwrap_or(promoted.ended),
            ended: Some(promoted.ended),
            known: Known::Measured,
        });
    }
    let fence = of(What::Step(Step::Fence))?;
    let undone = of(What::Undo).filter(|stretch| stretch.fate == Fate::Settled);
    Some(NoWrites {
        began: fence.began,
        ended: promoted.or(undone).map(|stretch| stretch.ended),
        known: if fence.fate == Fate::Settled {
            Known::ByEvents
        } else {
            Known::Perhaps
        },
    })
}

fn give_up(open: Option<(What, Timestamp)>, at: Timestamp, stretches: &mut Vec<Stretch>) {
    if let Some((what, began)) = open {
        stretches.push(stretch(what, began, at, Fate::GivenUp));
    }
}

/// A clock that was set back makes no negative time.
fn stretch(what: What, began: Timestamp, ended: Timestamp, fate: Fate) -> Stretch {
    Stretch {
        what,
        began,
        ended: ended.max(began),
        fate,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, record};
    use super::super::{Ending, MoveResult, RecordedEvent};
    use super::*;
    use crate::timeline::Timeline;

    fn with(events: Vec<(i64, Event)>) -> MoveRecord {
        let events = events.into_iter().map(|(second, event)| RecordedEvent {
            at: at(second),
            event,
        });
        MoveRecord {
            events: events.collect(),
            ..record(3)
        }
    }

    fn started(step: Step) -> Event {
        Event::Started { step }
    }

    fn settled(step: Step, seconds: u64) -> Event {
        Event::Settled {
            step,
            took: Duration::from_secs(seconds),
            evidence: "So.".to_owned(),
        }
    }

    fn ended(mut record: MoveRecord, write_gap: Option<Duration>) -> MoveRecord {
        record.ending = Some(Ending {
            at: at(50),
            standing: None,
            because: None,
            result: Some(MoveResult {
                write_gap,
                closure: None,
                timeline: Timeline(2),
                fork: "0/5000028".parse().unwrap(),
            }),
        });
        record
    }

    fn shape(record: &MoveRecord) -> Vec<(&'static str, i64, i64, Fate)> {
        let second = |time: Timestamp| time.as_second() - at(0).as_second();
        course(record)
            .iter()
            .map(|part| {
                let (began, ended) = (second(part.began), second(part.ended));
                (part.what.name(), began, ended, part.fate)
            })
            .collect()
    }

    #[test]
    fn a_step_lasts_as_long_as_it_took() {
        let record = with(vec![
            (2, settled(Step::Claim, 1)),
            (2, started(Step::Hold)),
            (9, settled(Step::Hold, 5)),
        ]);
        assert_eq!(
            shape(&record),
            [
                ("claim", 1, 2, Fate::Settled),
                ("hold", 4, 9, Fate::Settled)
            ]
        );
    }

    #[test]
    fn what_did_not_settle_ends_where_the_way_back_begins() {
        let record = with(vec![
            (10, started(Step::Fence)),
            (12, settled(Step::Fence, 2)),
            (12, started(Step::Prove)),
            (
                20,
                Event::Undoing {
                    because: "late".to_owned(),
                },
            ),
            (
                26,
                Event::Undone {
                    evidence: "So.".to_owned(),
                },
            ),
        ]);
        assert_eq!(
            shape(&record),
            [
                ("fence", 10, 12, Fate::Settled),
                ("prove", 12, 20, Fate::GivenUp),
                ("undo", 20, 26, Fate::Settled)
            ]
        );
        assert_eq!(
            no_writes(&record),
            Some(NoWrites {
                began: at(10),
                ended: Some(at(26)),
                known: Known::ByEvents
            })
        );
    }

    #[test]
    fn a_writer_that_fell_silent_is_awaited_until_its_deadline() {
        let record = with(vec![(10, started(Step::Fence))]);
        assert_eq!(shape(&record), [("fence", 10, 60, Fate::Untold)]);
        assert_eq!(
            no_writes(&record),
            Some(NoWrites {
                began: at(10),
                ended: None,
                known: Known::Perhaps
            })
        );
    }

    #[test]
    fn a_measured_gap_ends_with_the_promotion() {
        let record = ended(
            with(vec![
                (10, started(Step::Fence)),
                (13, settled(Step::Fence, 2)),
                (17, settled(Step::Promote, 3)),
            ]),
            Some(Duration::from_secs(5)),
        );
        assert_eq!(
            no_writes(&record),
            Some(NoWrites {
                began: at(12),
                ended: Some(at(17)),
                known: Known::Measured
            })
        );
    }

    #[test]
    fn a_move_that_did_not_stop_the_source_has_no_gap() {
        assert_eq!(no_writes(&with(vec![(2, settled(Step::Hold, 1))])), None);
    }

    #[test]
    fn times_that_make_no_sense_do_no_harm() {
        let record = with(vec![
            (9, settled(Step::Hold, u64::MAX)),
            (
                5,
                Event::Undone {
                    evidence: "So.".to_owned(),
                },
            ),
            (4, started(Step::Fence)),
            (2, started(Step::Prove)),
        ]);
        assert_eq!(
            shape(&record),
            [
                ("hold", 9, 9, Fate::Settled),
                ("undo", 5, 5, Fate::Settled),
                ("fence", 4, 4, Fate::GivenUp),
                ("prove", 2, 60, Fate::Untold)
            ]
        );
    }
}
