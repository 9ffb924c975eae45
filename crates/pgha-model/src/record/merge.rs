//! The copies that the sites keep of the same moves, put together.

use std::collections::BTreeMap;

use super::{Action, Entry, Epoch, Journal, MoveRecord, Stage};
use crate::site::Place;

/// One site's copy of a record.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptCopy {
    /// Where it is kept.
    pub place: Place,
    /// The copy.
    pub entry: Entry,
}

/// A move as every site that was read keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct PastMove {
    /// Its epoch.
    pub epoch: Epoch,
    /// The copy that says most: one that can be read, has an ending, has more events, in this order.
    pub best: KeptCopy,
    /// The other sites' copies.
    pub others: Vec<KeptCopy>,
    /// The later move that took it over.
    pub continued_by: Option<Epoch>,
}

/// Puts the records of all sites together by their epochs, oldest first. Of equal copies the first site's is taken.
pub fn merge(journals: &[(Place, Journal)]) -> Vec<PastMove> {
    let mut copies: BTreeMap<Epoch, Vec<KeptCopy>> = BTreeMap::new();
    for (place, journal) in journals {
        for (epoch, entry) in &journal.moves {
            copies.entry(*epoch).or_default().push(KeptCopy {
                place: place.clone(),
                entry: entry.clone(),
            });
        }
    }
    let mut moves: Vec<PastMove> = copies
        .into_iter()
        .filter_map(|(epoch, copies)| PastMove::of(epoch, copies))
        .collect();
    let takeovers: BTreeMap<Epoch, Epoch> = moves
        .iter()
        .filter_map(|past| Some((past.record()?.continues?, past.epoch)))
        .collect();
    for past in &mut moves {
        past.continued_by = takeovers.get(&past.epoch).copied();
    }
    moves
}

impl PastMove {
    fn of(epoch: Epoch, mut copies: Vec<KeptCopy>) -> Option<Self> {
        // The sort is stable: of equal copies the first site's stays first.
        copies.sort_by_key(|copy| std::cmp::Reverse(weight(&copy.entry)));
        let mut copies = copies.into_iter();
        Some(Self {
            epoch,
            best: copies.next()?,
            others: copies.collect(),
            continued_by: None,
        })
    }

    /// The record, when any copy of it can be read.
    pub fn record(&self) -> Option<&MoveRecord> {
        self.best.record()
    }

    /// Why no copy of it can be read, as a fragment.
    pub fn unreadable(&self) -> Option<&str> {
        match &self.best.entry {
            Entry::Readable(_) => None,
            Entry::Unreadable(reason) => Some(reason),
        }
    }

    /// Where it is kept, the best copy's site first.
    pub fn places(&self) -> impl Iterator<Item = &Place> {
        std::iter::once(&self.best)
            .chain(&self.others)
            .map(|copy| &copy.place)
    }

    /// What the other copies say otherwise of what matters, a full sentence each.
    pub fn disagreements(&self) -> Vec<String> {
        let others = self.others.iter();
        others
            .filter_map(|other| disagreement(&self.best, other))
            .collect()
    }
}

impl KeptCopy {
    fn record(&self) -> Option<&MoveRecord> {
        match &self.entry {
            Entry::Readable(record) => Some(record),
            Entry::Unreadable(_) => None,
        }
    }
}

/// How much a copy says: whether it can be read, has an ending, how many events, how far the decision is.
fn weight(entry: &Entry) -> Option<(bool, usize, u8)> {
    match entry {
        Entry::Unreadable(_) => None,
        Entry::Readable(record) => Some((
            record.ending.is_some(),
            record.events.len(),
            order(record.stage),
        )),
    }
}

/// The order in which [`Stage::allows`] lets them follow each other.
const fn order(stage: Stage) -> u8 {
    match stage {
        Stage::Preparing => 0,
        Stage::Fenced => 1,
        Stage::Promoting => 2,
        Stage::Undone => 3,
        Stage::Ended => 4,
    }
}

fn disagreement(best: &KeptCopy, other: &KeptCopy) -> Option<String> {
    let (here, there) = (&best.place.context, &other.place.context);
    let (ours, theirs) = match (&best.entry, &other.entry) {
        (Entry::Readable(ours), Entry::Readable(theirs)) => (ours, theirs),
        (Entry::Readable(_), Entry::Unreadable(reason)) => {
            return Some(format!("The copy at {there} cannot be read: {reason}."));
        }
        (Entry::Unreadable(_), _) => return None,
    };
    if are_of_each_side(ours, theirs) {
        return None;
    }
    if !is_same_move(ours, theirs) {
        return Some(format!(
            "Two moves have this epoch: {} at {here}, and {} at {there}.",
            claim(ours),
            claim(theirs)
        ));
    }
    if ours.ending.is_some() && theirs.ending.is_none() {
        return Some(format!(
            "The copy at {there} has no ending and stands at `{}`; the one at {here} has ended.",
            theirs.stage.name()
        ));
    }
    if ours.ending != theirs.ending {
        return Some(format!(
            "The copies end differently: {} at {here}, {} at {there}.",
            ending(ours),
            ending(theirs)
        ));
    }
    (ours.stage != theirs.stage).then(|| {
        format!(
            "The copies stand at different stages: `{}` at {here}, `{}` at {there}.",
            ours.stage.name(),
            theirs.stage.name()
        )
    })
}

/// Whether two records of one epoch are of one move: of two that were claimed at once, each may have reached one site.
fn is_same_move(one: &MoveRecord, other: &MoveRecord) -> bool {
    one.operator == other.operator
        && one.claimed_at == other.claimed_at
        && one.action == other.action
        && one.system_identifier == other.system_identifier
}

/// Whether one command has let the owners of each side go: each side is released by itself, and counts its own epochs.
fn are_of_each_side(one: &MoveRecord, other: &MoveRecord) -> bool {
    let side = |record: &MoveRecord| record.source.as_ref().map(|side| side.place.clone());
    one.action == Action::Release
        && other.action == Action::Release
        && one.operator == other.operator
        && side(one) != side(other)
}

fn claim(record: &MoveRecord) -> String {
    let (action, time) = (record.action.name(), record.claimed_at);
    format!("a {action} of {} that began {time}", record.operator)
}

fn ending(record: &MoveRecord) -> String {
    let Some(ending) = &record.ending else {
        return "not at all".to_owned();
    };
    let standing = ending
        .standing
        .map_or("as planned", crate::event::Standing::words);
    format!("{standing} at {}", ending.at)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, record};
    use super::super::{Ending, RecordedEvent};
    use super::*;
    use crate::event::{Event, Standing};
    use crate::plan::Step;

    fn place(context: &str) -> Place {
        Place {
            context: context.to_owned(),
            namespace: "prod".to_owned(),
            cluster: "db".to_owned(),
        }
    }

    fn site(context: &str, entries: Vec<(u64, Entry)>) -> (Place, Journal) {
        let moves = entries
            .into_iter()
            .map(|(epoch, entry)| (Epoch(epoch), entry));
        let journal = Journal {
            epoch: Epoch(9),
            moves: moves.collect(),
        };
        (place(context), journal)
    }

    fn readable(record: MoveRecord) -> Entry {
        Entry::Readable(Box::new(record))
    }

    fn longer(mut record: MoveRecord) -> MoveRecord {
        record.events.push(RecordedEvent {
            at: at(2),
            event: Event::Started {
                step: Step::Prepare,
            },
        });
        record
    }

    fn ended(mut record: MoveRecord, standing: Option<Standing>) -> MoveRecord {
        record.stage = Stage::Ended;
        record.ending = Some(Ending {
            at: at(9),
            standing,
            because: None,
            result: None,
        });
        record
    }

    fn merged(here: Entry, there: Entry) -> PastMove {
        let sites = [
            site("core1", vec![(3, here)]),
            site("core2", vec![(3, there)]),
        ];
        merge(&sites).remove(0)
    }

    #[test]
    fn equal_copies_are_one_move_and_the_first_site_is_named_first() {
        let past = merged(readable(record(3)), readable(record(3)));
        assert_eq!(past.disagreements(), Vec::<String>::new());
        let places: Vec<_> = past.places().map(|place| place.context.as_str()).collect();
        assert_eq!(places, ["core1", "core2"]);
    }

    #[test]
    fn moves_of_all_sites_are_shown_oldest_first() {
        let sites = [
            site("core1", vec![(4, readable(record(4)))]),
            site(
                "core2",
                vec![(2, readable(record(2))), (4, readable(record(4)))],
            ),
        ];
        let epochs: Vec<_> = merge(&sites).iter().map(|past| past.epoch).collect();
        assert_eq!(epochs, [Epoch(2), Epoch(4)]);
        assert_eq!(merge(&[]), []);
    }

    #[test]
    fn more_events_win_and_are_no_disagreement() {
        let past = merged(readable(record(3)), readable(longer(record(3))));
        assert_eq!(past.best.place, place("core2"));
        assert_eq!(past.disagreements(), Vec::<String>::new());
    }

    #[test]
    fn an_ending_wins_over_more_events_and_the_difference_is_told() {
        let whole = ended(record(3), None);
        let past = merged(readable(longer(record(3))), readable(whole.clone()));
        assert_eq!(past.record(), Some(&whole));
        assert_eq!(
            past.disagreements(),
            [
                "The copy at core1 has no ending and stands at `preparing`; the one at core2 has ended."
            ]
        );
    }

    #[test]
    fn the_later_decision_wins_and_the_difference_is_told() {
        let mut decided = record(3);
        decided.stage = Stage::Undone;
        let mut before = record(3);
        before.stage = Stage::Promoting;
        let past = merged(readable(before), readable(decided.clone()));
        assert_eq!(past.record(), Some(&decided));
        assert_eq!(
            past.disagreements(),
            ["The copies stand at different stages: `undone` at core2, `promoting` at core1."]
        );
    }

    #[test]
    fn different_endings_are_told() {
        let past = merged(
            readable(ended(record(3), None)),
            readable(ended(record(3), Some(Standing::Fenced))),
        );
        let [told] = past.disagreements().try_into().unwrap();
        assert!(told.contains("as planned at 2026"), "{told}");
        assert!(told.contains("nobody is primary at 2026"), "{told}");
    }

    #[test]
    fn two_moves_of_one_epoch_are_told() {
        let other = MoveRecord {
            operator: "bob, process 9".to_owned(),
            ..record(3)
        };
        let past = merged(readable(record(3)), readable(other));
        assert_eq!(
            past.disagreements(),
            [
                "Two moves have this epoch: a switchover of jane@laptop, process 7 that began 2026-09-21T14:13:20Z at core1, \
                 and a switchover of bob, process 9 that began 2026-09-21T14:13:20Z at core2."
            ]
        );
    }

    #[test]
    fn each_side_is_released_by_itself() {
        let release = |context: &str| {
            let mut release = record(4);
            release.action = Action::Release;
            release.source.as_mut().unwrap().place = place(context);
            release
        };
        let past = merged(readable(release("core1")), readable(release("core2")));
        assert_eq!(past.disagreements(), [""; 0]);
        let of_another = MoveRecord {
            operator: "bob, process 9".to_owned(),
            ..release("core2")
        };
        let past = merged(readable(release("core1")), readable(of_another));
        assert_eq!(past.disagreements().len(), 1);
    }

    #[test]
    fn a_copy_that_can_be_read_wins_and_none_is_dropped() {
        let broken = || Entry::Unreadable("it has version 2".to_owned());
        let past = merged(broken(), readable(record(3)));
        assert_eq!(past.record(), Some(&record(3)));
        assert_eq!(
            past.disagreements(),
            ["The copy at core1 cannot be read: it has version 2."]
        );
        let past = merged(broken(), broken());
        assert_eq!(past.unreadable(), Some("it has version 2"));
        assert_eq!((past.record(), past.others.len()), (None, 1));
    }

    #[test]
    fn a_move_that_was_taken_over_says_by_which() {
        let mut later = record(4);
        later.continues = Some(Epoch(3));
        let entries = vec![(3, readable(record(3))), (4, readable(later))];
        let moves = merge(&[site("core1", entries)]);
        let by: Vec<_> = moves.iter().map(|past| past.continued_by).collect();
        assert_eq!(by, [Some(Epoch(4)), None]);
    }
}
