//! What the ledger says of each row against what a side holds.

use serde::{Deserialize, Serialize};

use crate::{Ledger, Outcome, RowId, SideRows};
use std::collections::BTreeMap;

/// The account of a run's rows on one side.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Rows that were sent.
    pub attempted: u64,
    /// Rows whose commit was acknowledged.
    pub acknowledged: u64,
    /// Rows that the server refused.
    pub refused: u64,
    /// Rows whose fate the writer does not know.
    pub unknown: u64,
    /// Different rows that the side holds.
    pub present: u64,
    /// Acknowledged rows that the side does not hold: lost, or not there yet.
    pub missing: Vec<RowId>,
    /// Rows that the side holds more than once.
    pub duplicates: Vec<RowId>,
    /// Rows of unknown fate that the side holds: committed without an acknowledgement, which is no fault.
    pub unknown_present: u64,
    /// Rows that the side holds although the server refused them.
    pub refused_present: Vec<RowId>,
    /// Rows that the side holds and the ledger does not know.
    pub unheard_of: Vec<RowId>,
    /// Rows sent after the ledger was read; only a running writer has some.
    pub later: u64,
}

/// Sets `held` against the ledger. With `is_open` (the writer is still running) a row past its lane's last known one
/// counts as later and not as unheard of.
pub fn account(ledger: &Ledger, held: &SideRows, is_open: bool) -> Account {
    let mut account = Account {
        present: count(held.len()),
        ..Account::default()
    };
    let mut last: BTreeMap<u32, u64> = BTreeMap::new();
    let mut known = SideRows::new();
    for row in &ledger.rows {
        known.insert(row.id, 1);
        let end = last.entry(row.id.lane).or_default();
        *end = (*end).max(row.id.seq);
        let is_held = held.contains_key(&row.id);
        account.attempted += 1;
        match &row.outcome {
            Outcome::Acknowledged { .. } => {
                account.acknowledged += 1;
                if !is_held {
                    account.missing.push(row.id);
                }
            }
            Outcome::Refused { .. } => {
                account.refused += 1;
                if is_held {
                    account.refused_present.push(row.id);
                }
            }
            Outcome::Unknown => {
                account.unknown += 1;
                account.unknown_present += u64::from(is_held);
            }
        }
    }
    account.duplicates = held
        .iter()
        .filter(|(_, times)| **times > 1)
        .map(|(id, _)| *id)
        .collect();
    for id in held.keys().filter(|id| !known.contains_key(id)) {
        if is_open && id.seq > last.get(&id.lane).copied().unwrap_or(0) {
            account.later += 1;
        } else {
            account.unheard_of.push(*id);
        }
    }
    account
}

fn count(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::tests::Script;

    #[test]
    fn every_kind_of_row_is_counted_once() {
        let mut script = Script::begin();
        let (kept, missing) = (script.ack(1, 1, 1), script.ack(1, 2, 1));
        let (refused, refused_held) = (script.refused(2, 3), script.refused(2, 4));
        let (lost, lost_held) = (script.lost(1, 5), script.lost(1, 6));
        let stranger = RowId { lane: 1, seq: 99 };
        let held = SideRows::from([(kept, 2), (refused_held, 1), (lost_held, 1), (stranger, 1)]);
        let account = account(&script.ledger(), &held, false);
        let expected = Account {
            attempted: 6,
            acknowledged: 2,
            refused: 2,
            unknown: 2,
            present: 4,
            missing: vec![missing],
            duplicates: vec![kept],
            unknown_present: 1,
            refused_present: vec![refused_held],
            unheard_of: vec![stranger],
            later: 0,
        };
        assert_eq!(account, expected);
        assert!(!held.contains_key(&refused) && !held.contains_key(&lost));
    }

    #[test]
    fn a_running_writer_may_have_sent_more_since() {
        let mut script = Script::begin();
        let kept = script.ack(1, 1, 1);
        let later = RowId {
            lane: 1,
            seq: kept.seq + 1,
        };
        let earlier = RowId { lane: 1, seq: 0 };
        let held = SideRows::from([(kept, 1), (later, 1), (earlier, 1)]);
        let account = account(&script.ledger(), &held, true);
        assert_eq!((account.later, account.unheard_of), (1, vec![earlier]));
    }
}
