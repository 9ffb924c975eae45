//! How long nobody took a write.

use serde::{Deserialize, Serialize};

use crate::{Ledger, Outcome, Purpose, Tenure, TimelineId, tenures};

/// What kind of change of primary it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HandoverKind {
    /// Another site.
    Move,
    /// Another server of the same site.
    WithinSite,
    /// The same server on a newer timeline: a move that was undone, or a restart with a promotion.
    SameServer,
}

/// A change of primary as the probe saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handover {
    /// What kind it was.
    pub kind: HandoverKind,
    /// The site that took writes before.
    pub source: String,
    /// The timeline before.
    pub source_timeline: TimelineId,
    /// The site that took writes afterwards.
    pub target: String,
    /// The timeline afterwards.
    pub target_timeline: TimelineId,
    /// When the source's last row was acknowledged, monotonic microseconds.
    pub last_acked_us: u64,
    /// When the target's first row was acknowledged.
    pub first_acked_us: u64,
    /// The write gap in microseconds; negative if the source still took writes after the target began.
    pub gap_us: i64,
    /// The longest time within the gap for which the writer itself did not run.
    pub stall_us: u64,
    /// The probe's acknowledged rows on the source.
    pub rows_before: u64,
    /// The probe's acknowledged rows on the target.
    pub rows_after: u64,
}

/// The longest time without any acknowledged row, through any lane and on any side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// The acknowledgement before it (or the writer's first one), monotonic microseconds.
    pub from_us: u64,
    /// The acknowledgement after it, or the ledger's end.
    pub until_us: u64,
}

impl Silence {
    /// Its length in microseconds.
    pub fn length_us(self) -> u64 {
        self.until_us - self.from_us
    }
}

/// Every change of primary that the probe saw, in order.
pub fn handovers(ledger: &Ledger) -> Vec<Handover> {
    let tenures = tenures(ledger, &[Purpose::Probe]);
    tenures
        .windows(2)
        .map(|pair| handover(ledger, &pair[0], &pair[1]))
        .collect()
}

fn handover(ledger: &Ledger, source: &Tenure, target: &Tenure) -> Handover {
    let kind = if source.site != target.site {
        HandoverKind::Move
    } else if source.server != target.server {
        HandoverKind::WithinSite
    } else {
        HandoverKind::SameServer
    };
    Handover {
        kind,
        source: source.site.clone(),
        source_timeline: source.timeline,
        target: target.site.clone(),
        target_timeline: target.timeline,
        last_acked_us: source.last_acked_us,
        first_acked_us: target.first_acked_us,
        gap_us: target.first_acked_us.cast_signed() - source.last_acked_us.cast_signed(),
        stall_us: stall_within(ledger, source.last_acked_us, target.first_acked_us),
        rows_before: source.rows,
        rows_after: target.rows,
    }
}

/// The longest silence between the run's first acknowledgement and its end; none without an acknowledgement.
pub fn longest_silence(ledger: &Ledger) -> Option<Silence> {
    let mut acked: Vec<u64> = ledger
        .rows
        .iter()
        .filter_map(|row| match row.outcome {
            Outcome::Acknowledged { at_us, .. } => Some(at_us),
            Outcome::Refused { .. } | Outcome::Unknown => None,
        })
        .collect();
    acked.sort_unstable();
    let last = *acked.last()?;
    acked.push(ledger.until_us().max(last));
    let silences = acked.windows(2).map(|pair| Silence {
        from_us: pair[0],
        until_us: pair[1],
    });
    silences.max_by_key(|silence| silence.length_us())
}

/// The longest time for which the writer did not show that it was running, microseconds.
pub fn longest_stall_us(ledger: &Ledger) -> u64 {
    stall_within(ledger, 0, u64::MAX)
}

fn stall_within(ledger: &Ledger, from_us: u64, until_us: u64) -> u64 {
    let beats = ledger.beats.iter().map(|(at_us, _)| *at_us);
    let moments: Vec<u64> = std::iter::once(0)
        .chain(beats)
        .chain(ledger.ended_us)
        .collect();
    let touching = moments
        .windows(2)
        .filter(|pair| pair[1] > from_us && pair[0] < until_us);
    touching
        .map(|pair| pair[1].saturating_sub(pair[0]))
        .max()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::tests::Script;

    #[test]
    fn the_gap_runs_from_the_last_acknowledgement_to_the_first_on_the_other_side() {
        let mut script = Script::begin();
        script.ack(1, 0, 1);
        script.ack(1, 5, 1);
        script.ack(2, 105, 2);
        let handovers = handovers(&script.ledger());
        assert_eq!(handovers.len(), 1);
        let handover = &handovers[0];
        assert_eq!(handover.kind, HandoverKind::Move);
        assert_eq!(
            (handover.source.as_str(), handover.target.as_str()),
            ("core1", "core2")
        );
        assert_eq!(
            (handover.gap_us, handover.rows_before, handover.rows_after),
            (100_000, 2, 1)
        );
    }

    #[test]
    fn a_gap_is_measured_by_the_probe_alone() {
        let mut script = Script::begin();
        script.lane(3, Purpose::Load, "core2", "10.102.128.5");
        script.ack(1, 0, 1);
        script.ack(3, 50, 2);
        script.ack(2, 105, 2);
        assert_eq!(handovers(&script.ledger())[0].gap_us, 105_000);
    }

    #[test]
    fn an_undone_move_and_a_failover_within_the_site_are_no_moves() {
        let mut script = Script::begin();
        script.ack(1, 0, 1);
        script.ack(1, 50, 2);
        let (lane, address, started) = (1, "10.101.128.6".to_owned(), "later".to_owned());
        script.push(&crate::Record::Up {
            at_us: 52_000,
            lane,
            server: address,
            started,
            in_recovery: false,
        });
        script.ack(1, 60, 3);
        let kinds: Vec<_> = handovers(&script.ledger())
            .into_iter()
            .map(|handover| handover.kind)
            .collect();
        assert_eq!(kinds, [HandoverKind::SameServer, HandoverKind::WithinSite]);
    }

    #[test]
    fn a_source_that_went_on_makes_the_gap_negative() {
        let mut script = Script::begin();
        script.ack(1, 0, 1);
        script.ack(2, 10, 2);
        script.ack(1, 50, 1);
        assert_eq!(handovers(&script.ledger())[0].gap_us, -40_000);
    }

    #[test]
    fn a_stall_of_the_writer_within_the_gap_is_told() {
        let mut script = Script::begin();
        for at_ms in [50, 100] {
            script.beat(at_ms);
        }
        script.ack(1, 100, 1);
        script.beat(150);
        script.beat(550);
        script.ack(2, 560, 2);
        script.beat(2000);
        script.end(2010);
        let ledger = script.ledger();
        assert_eq!(handovers(&ledger)[0].stall_us, 1_450_000);
        assert_eq!(longest_stall_us(&ledger), 1_450_000);
    }

    #[test]
    fn silence_counts_every_lane_and_the_end() {
        let mut script = Script::begin();
        script.ack(1, 0, 1);
        script.ack(2, 10, 2);
        script.end(50);
        let silence = longest_silence(&script.ledger()).unwrap();
        assert_eq!((silence.from_us, silence.until_us), (11_000, 50_000));
        assert_eq!(longest_silence(&Script::begin().ledger()), None);
    }
}
