//! Going back to the source when the tool that has fenced it says nothing any more: what a Job at the source may do.
//!
//! The Job sees one site. What it may do there rests on the source's record alone: a move whose record does not say that the
//! target may be told to become primary has told it nothing, and once the record is taken over it never will.

use crate::event::Standing;
use crate::guard::Guard;
use crate::record::{Action, Ending, Entry, Epoch, Journal, MoveRecord, Stage};

/// What the source's records say to the Job that watches one move.
#[derive(Clone, Debug, PartialEq)]
pub enum Watch {
    /// Nothing is left to do for it; why, as a clause.
    Over(String),
    /// The tool may be at work: it goes on watching, and acts when this record has not changed for long enough.
    Silence(Box<MoveRecord>),
    /// It has begun to go back itself, in an earlier life: it goes on at once.
    Begun(Box<MoveRecord>),
}

/// What the Job named `job`, which watches the move of `epoch`, finds in the source's records.
pub fn watch(journal: &Journal, epoch: Epoch, job: &str) -> Watch {
    let Some((newest, entry)) = journal.last() else {
        return Watch::Over("the records of the moves are gone".to_owned());
    };
    let Entry::Readable(record) = entry else {
        return Watch::Over(format!("the record of epoch {newest} cannot be read"));
    };
    if journal.epoch > newest {
        let lost = journal.epoch;
        return Watch::Over(format!("the record of epoch {lost} is gone"));
    }
    if newest != epoch {
        let is_own = record.action == Action::Abort && is_of(record, job);
        let ending = record.ending.as_ref();
        let has_failed = |ending: &Ending| ending.standing == Some(Standing::Fenced);
        if is_own && ending.is_none_or(has_failed) {
            return Watch::Begun(record.clone());
        }
        return Watch::Over(if is_own {
            "it has gone back already".to_owned()
        } else {
            let (action, operator) = (record.action.name(), &record.operator);
            format!("the {action} of {operator} (epoch {newest}) has taken over")
        });
    }
    match end_of(record) {
        Some(text) => Watch::Over(text.to_owned()),
        None => Watch::Silence(record.clone()),
    }
}

/// Why an ended move leaves nothing to the Job.
fn end_of(record: &MoveRecord) -> Option<&'static str> {
    let ending = record.ending.as_ref()?;
    match ending.standing {
        // Whoever ended so has told the target nothing, and never will.
        Some(Standing::Held | Standing::Fenced) => None,
        Some(Standing::PromotionUnknown | Standing::Promoted | Standing::Released) => {
            Some("the target was told to become primary")
        }
        None | Some(Standing::Unchanged | Standing::BackAtSource | Standing::Superseded) => {
            Some("the move has ended")
        }
    }
}

/// The Job that watches the newest move of these records, while there is anything left to it.
pub fn job_of(journal: &Journal) -> Option<&str> {
    match journal.last()? {
        (_, Entry::Readable(record)) if end_of(record).is_none() => record.deadline_job.as_deref(),
        (_, Entry::Readable(_) | Entry::Unreadable(_)) => None,
    }
}

fn is_of(record: &MoveRecord, job: &str) -> bool {
    record.deadline_job.as_deref() == Some(job)
}

/// Whether the move of this record can never have told its target to become primary, now that it is taken over: then the
/// source may be primary again.
///
/// `record` is as it was at the very moment at which it was taken over.
pub fn may_go_back(record: &MoveRecord) -> bool {
    let is_untold = match record.stage {
        Stage::Preparing | Stage::Fenced | Stage::Undone => true,
        Stage::Promoting => false,
        Stage::Ended => end_of(record).is_none(),
    };
    Guard::UntoldTarget.holds(is_untold)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::Timestamp;

    use super::*;
    use crate::record::tests::record;

    const JOB: &str = "zitadel-pgha-7";

    fn moving(stage: Stage) -> MoveRecord {
        MoveRecord {
            stage,
            ending: None,
            ..record(7)
        }
    }

    fn left(standing: Option<Standing>) -> MoveRecord {
        let ending = Ending {
            at: Timestamp::UNIX_EPOCH,
            standing,
            because: None,
            result: None,
        };
        MoveRecord {
            ending: Some(ending),
            ..moving(Stage::Ended)
        }
    }

    fn journal(records: &[MoveRecord]) -> Journal {
        let mut data = BTreeMap::new();
        for record in records {
            let text = serde_json::to_string(record).unwrap();
            data.insert(Journal::key(record.epoch), text);
            data.insert(Journal::epoch_key().to_owned(), record.epoch.to_string());
        }
        Journal::from_data(&data)
    }

    fn watched(records: &[MoveRecord]) -> Watch {
        watch(&journal(records), Epoch(7), JOB)
    }

    fn is_over(watch: &Watch) -> bool {
        matches!(watch, Watch::Over(_))
    }

    #[test]
    fn a_move_under_way_is_watched_until_it_ends() {
        for stage in [
            Stage::Preparing,
            Stage::Fenced,
            Stage::Promoting,
            Stage::Undone,
        ] {
            let record = moving(stage);
            let seen = watched(std::slice::from_ref(&record));
            assert_eq!(seen, Watch::Silence(Box::new(record)), "{stage:?}");
        }
        assert!(is_over(&watched(&[left(None)])));
        assert!(is_over(&watched(&[left(Some(Standing::BackAtSource))])));
        assert!(is_over(&watched(&[left(Some(Standing::PromotionUnknown))])));
        // A tool that gave up waiting leaves a fence as one that died does.
        let fenced = left(Some(Standing::Fenced));
        assert!(matches!(watched(&[fenced]), Watch::Silence(_)));
        assert!(is_over(&watched(&[])));
    }

    #[test]
    fn a_job_is_named_until_its_move_has_ended() {
        let watched = |record: MoveRecord| MoveRecord {
            deadline_job: Some(JOB.to_owned()),
            ..record
        };
        let named = |record| job_of(&journal(&[watched(record)])).map(str::to_owned);
        assert_eq!(named(moving(Stage::Fenced)).as_deref(), Some(JOB));
        assert_eq!(named(left(Some(Standing::Fenced))).as_deref(), Some(JOB));
        assert_eq!(named(left(None)), None);
        assert_eq!(job_of(&journal(&[moving(Stage::Fenced)])), None);
    }

    #[test]
    fn only_its_own_record_is_gone_on_with() {
        let other = MoveRecord {
            action: Action::Abort,
            continues: Some(Epoch(7)),
            ..record(8)
        };
        let other = MoveRecord {
            ending: None,
            stage: Stage::Preparing,
            ..other
        };
        assert!(is_over(&watched(&[moving(Stage::Fenced), other.clone()])));
        let own = MoveRecord {
            deadline_job: Some(JOB.to_owned()),
            ..other
        };
        let seen = watched(&[moving(Stage::Fenced), own.clone()]);
        assert_eq!(seen, Watch::Begun(Box::new(own.clone())));
        let ended = |standing| MoveRecord {
            ending: left(Some(standing)).ending,
            stage: Stage::Ended,
            ..own.clone()
        };
        let failed = ended(Standing::Fenced);
        assert!(matches!(watched(&[failed]), Watch::Begun(_)));
        let ended = ended(Standing::Held);
        assert!(is_over(&watched(&[moving(Stage::Fenced), ended])));
    }

    #[test]
    fn a_source_whose_target_may_be_told_to_become_primary_stays_fenced() {
        assert!(may_go_back(&moving(Stage::Fenced)));
        assert!(may_go_back(&moving(Stage::Preparing)));
        assert!(may_go_back(&moving(Stage::Undone)));
        assert!(may_go_back(&left(Some(Standing::Fenced))));
        assert!(!may_go_back(&moving(Stage::Promoting)));
        assert!(!may_go_back(&left(Some(Standing::PromotionUnknown))));
        assert!(!may_go_back(&left(None)));
    }
}
