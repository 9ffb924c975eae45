//! Who took writes, and when: judged by acknowledged rows, never by a role that somebody reports.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Ledger, Outcome, Purpose, Server, TimelineId};

/// The time for which one server took writes on one timeline.
///
/// A row was committed somewhere between its sending and its acknowledgement. So the server certainly was a primary
/// from the first acknowledgement to the last sending.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenure {
    /// The site.
    pub site: String,
    /// The server's own address.
    pub server: String,
    /// The timeline.
    pub timeline: TimelineId,
    /// When its first acknowledged row was acknowledged, monotonic microseconds.
    pub first_acked_us: u64,
    /// When its last acknowledged row was sent.
    pub last_sent_us: u64,
    /// When its last acknowledged row was acknowledged.
    pub last_acked_us: u64,
    /// Its acknowledged rows.
    pub rows: u64,
}

/// A time in which two servers both took writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overlap {
    /// The one that had taken writes before.
    pub elder: Tenure,
    /// The one that began.
    pub younger: Tenure,
    /// From this moment both certainly were primaries, monotonic microseconds.
    pub from_us: u64,
    /// Until this one.
    pub until_us: u64,
    /// Rows that were acknowledged by the elder from then on.
    pub elder_rows: u64,
    /// Rows that were acknowledged by the younger until the elder's last.
    pub younger_rows: u64,
}

/// The tenures that the rows of `purposes` show, in the order in which they began.
pub fn tenures(ledger: &Ledger, purposes: &[Purpose]) -> Vec<Tenure> {
    let mut found: BTreeMap<(usize, TimelineId), Tenure> = BTreeMap::new();
    for row in &ledger.rows {
        let Outcome::Acknowledged {
            at_us,
            server,
            timeline,
            ..
        } = row.outcome
        else {
            continue;
        };
        if !ledger
            .purpose(row.id)
            .is_some_and(|purpose| purposes.contains(&purpose))
        {
            continue;
        }
        let tenure = found
            .entry((server, timeline))
            .or_insert_with(|| begin(&ledger.servers[server], timeline, at_us, row.sent_us));
        tenure.first_acked_us = tenure.first_acked_us.min(at_us);
        tenure.last_sent_us = tenure.last_sent_us.max(row.sent_us);
        tenure.last_acked_us = tenure.last_acked_us.max(at_us);
        tenure.rows += 1;
    }
    let mut tenures: Vec<Tenure> = found.into_values().collect();
    tenures.sort_by_key(|tenure| tenure.first_acked_us);
    tenures
}

fn begin(server: &Server, timeline: TimelineId, acked_us: u64, sent_us: u64) -> Tenure {
    Tenure {
        site: server.site.clone(),
        server: server.address.clone(),
        timeline,
        first_acked_us: acked_us,
        last_sent_us: sent_us,
        last_acked_us: acked_us,
        rows: 0,
    }
}

/// Every pair of servers that certainly were primaries at the same time, seen through any lane. The same server on two
/// timelines counts too: it cannot write an older timeline after it began a newer one.
pub fn overlaps(ledger: &Ledger) -> Vec<Overlap> {
    let tenures = tenures(ledger, &[Purpose::Probe, Purpose::Load, Purpose::Member]);
    let mut overlaps = Vec::new();
    for (at, elder) in tenures.iter().enumerate() {
        for younger in &tenures[at + 1..] {
            let from_us = elder.first_acked_us.max(younger.first_acked_us);
            let until_us = elder.last_sent_us.min(younger.last_sent_us);
            if from_us < until_us {
                overlaps.push(Overlap {
                    elder_rows: rows_between(ledger, elder, from_us, until_us),
                    younger_rows: rows_between(ledger, younger, from_us, until_us),
                    elder: elder.clone(),
                    younger: younger.clone(),
                    from_us,
                    until_us,
                });
            }
        }
    }
    overlaps
}

/// The rows of `tenure` that may have been committed between the two moments.
fn rows_between(ledger: &Ledger, tenure: &Tenure, from_us: u64, until_us: u64) -> u64 {
    let inside = ledger.rows.iter().filter(|row| match row.outcome {
        Outcome::Acknowledged {
            at_us,
            server,
            timeline,
            ..
        } => {
            let server = &ledger.servers[server];
            timeline == tenure.timeline
                && server.address == tenure.server
                && server.site == tenure.site
                && row.sent_us <= until_us
                && at_us >= from_us
        }
        Outcome::Refused { .. } | Outcome::Unknown => false,
    });
    u64::try_from(inside.count()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::tests::Script;

    #[test]
    fn a_move_there_and_back_overlaps_nowhere() {
        let mut script = Script::begin();
        for (lane, at_ms, tli) in [
            (1, 0, 1),
            (1, 10, 1),
            (2, 50, 2),
            (2, 60, 2),
            (1, 90, 3),
            (1, 95, 3),
        ] {
            script.ack(lane, at_ms, tli);
        }
        let ledger = script.ledger();
        let seen: Vec<_> = tenures(&ledger, &[Purpose::Probe])
            .into_iter()
            .map(|t| (t.site, t.timeline, t.rows))
            .collect();
        assert_eq!(
            seen,
            [
                ("core1".into(), 1, 2),
                ("core2".into(), 2, 2),
                ("core1".into(), 3, 2)
            ]
        );
        assert!(overlaps(&ledger).is_empty());
    }

    #[test]
    fn an_old_primary_that_writes_after_the_new_one_began_is_an_overlap() {
        let mut script = Script::begin();
        for (lane, at_ms, tli) in [(1, 0, 1), (2, 50, 2), (1, 60, 1), (2, 70, 2)] {
            script.ack(lane, at_ms, tli);
        }
        let overlaps = overlaps(&script.ledger());
        assert_eq!(overlaps.len(), 1);
        let overlap = &overlaps[0];
        assert_eq!(
            (overlap.elder.site.as_str(), overlap.younger.site.as_str()),
            ("core1", "core2")
        );
        assert_eq!((overlap.from_us, overlap.until_us), (51_000, 60_000));
        assert_eq!((overlap.elder_rows, overlap.younger_rows), (1, 1));
    }

    #[test]
    fn a_write_window_of_another_timeline_is_an_overlap() {
        let mut script = Script::begin();
        for (lane, at_ms, tli) in [(2, 0, 5), (1, 20, 6), (1, 40, 6), (2, 60, 5)] {
            script.ack(lane, at_ms, tli);
        }
        let overlaps = overlaps(&script.ledger());
        assert_eq!(overlaps.len(), 1);
        assert_eq!(
            (overlaps[0].elder.timeline, overlaps[0].younger.timeline),
            (5, 6)
        );
    }

    #[test]
    fn two_members_of_one_site_overlap_too() {
        let mut script = Script::begin();
        script.lane(3, Purpose::Member, "core1", "10.101.128.6");
        for (lane, at_ms) in [(1, 0), (3, 10), (1, 20), (3, 30)] {
            script.ack(lane, at_ms, 1);
        }
        assert_eq!(overlaps(&script.ledger()).len(), 1);
    }

    #[test]
    fn writes_that_only_touch_are_no_overlap() {
        let mut script = Script::begin();
        // The second row is sent before the first one's acknowledgement is read: nothing certain follows.
        script.push(&crate::Record::Try {
            at_us: 0,
            lane: 1,
            seq: 50,
        });
        script.push(&crate::Record::Try {
            at_us: 10,
            lane: 2,
            seq: 51,
        });
        script.push(&crate::Record::Ack {
            at_us: 20,
            lane: 1,
            seq: 50,
            tli: 1,
            lsn: crate::Lsn(1),
        });
        script.push(&crate::Record::Ack {
            at_us: 30,
            lane: 2,
            seq: 51,
            tli: 2,
            lsn: crate::Lsn(2),
        });
        assert!(overlaps(&script.ledger()).is_empty());
    }
}
