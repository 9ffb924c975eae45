//! The verdict: assumptions first, then one ruling for each promise, each with what it rests on.

use serde::{Deserialize, Serialize};

use crate::checks::{
    clock_monotonic, follow_checks, ledger_complete, moves_measured, one_primary, one_writer,
    row_checks, same_service, wal_checks, writer_ran_through,
};
use crate::{
    Account, Handover, HandoverKind, Ledger, Overlap, Purpose, Side, Silence, TimelineId, Unread,
    WalEvidence, WalFinding, account, handovers, judge_wal, longest_silence, longest_stall_us,
    overlaps, tenures,
};

/// What the judge is asked, beyond what always holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// How many moves between sites the run must show; none: as many as there were.
    pub expected_moves: Option<usize>,
    /// The fewest rows of the probe on each side of a move that make its gap a measurement.
    pub min_rows: u64,
    /// The longest time for which the writer may not have run, microseconds.
    pub max_stall_us: u64,
    /// The writer is known to be running still, so its ledger has no end yet.
    pub is_open: bool,
}

impl Default for Question {
    fn default() -> Self {
        Self {
            expected_moves: None,
            min_rows: 20,
            max_stall_us: 1_000_000,
            is_open: false,
        }
    }
}

/// All that a verdict rests on.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// What the writer knew.
    pub ledger: &'a Ledger,
    /// What each member of each site holds.
    pub sides: &'a [Side],
    /// The members that could not be read.
    pub unread: &'a [Unread],
    /// What the logs say.
    pub wal: WalReading<'a>,
}

/// What is known of the write-ahead logs.
#[derive(Clone, Copy, Debug)]
pub enum WalReading<'a> {
    /// Nobody asked: the verdict has no promise that rests on them.
    NotAsked,
    /// They were asked for and could not be read, with the reason.
    Unreadable(&'a str),
    /// What they say.
    Read(&'a WalEvidence),
}

/// Whether something holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It holds.
    Holds,
    /// It does not.
    Broken,
    /// The evidence does not decide it.
    Unjudged,
}

/// One assumption or promise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Its stable name.
    pub id: String,
    /// Whether it holds.
    pub state: State,
    /// What that rests on, in words.
    pub rests_on: String,
}

/// The whole in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ruling {
    /// Every assumption and every promise holds.
    Pass,
    /// A promise is broken. That stands even where an assumption failed.
    Fail,
    /// Nothing was seen to be broken, but an assumption failed or a promise could not be judged.
    Inconclusive,
}

/// What the judge says of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The whole in one word.
    pub ruling: Ruling,
    /// The run.
    pub run: String,
    /// What must hold for the rest to mean anything.
    pub assumptions: Vec<Check>,
    /// The promises.
    pub checks: Vec<Check>,
    /// The members as they were read.
    pub sides: Vec<Side>,
    /// The rows on the member that is the primary now.
    pub account: Option<Account>,
    /// Changes of primary.
    pub handovers: Vec<Handover>,
    /// The longest time without an acknowledged row.
    pub longest_silence: Option<Silence>,
    /// The longest time for which the writer did not run, microseconds.
    pub longest_stall_us: u64,
    /// Times at which two servers took writes.
    pub overlaps: Vec<Overlap>,
    /// What the logs say.
    pub wal: Option<WalFinding>,
}

impl Verdict {
    /// The check or assumption of this name.
    pub fn check(&self, id: &str) -> Option<&Check> {
        self.assumptions
            .iter()
            .chain(&self.checks)
            .find(|check| check.id == id)
    }

    /// Whether the check of this name was made and holds.
    pub fn holds(&self, id: &str) -> bool {
        self.check(id)
            .is_some_and(|check| check.state == State::Holds)
    }

    /// The moves between sites.
    pub fn moves(&self) -> impl Iterator<Item = &Handover> {
        self.handovers
            .iter()
            .filter(|handover| handover.kind == HandoverKind::Move)
    }
}

/// Judges a run.
pub fn judge(evidence: Evidence<'_>, question: &Question) -> Verdict {
    let Evidence {
        ledger,
        sides,
        unread,
        wal,
    } = evidence;
    let primaries: Vec<&Side> = sides.iter().filter(|side| !side.in_recovery).collect();
    let primary = if let [only] = primaries[..] {
        Some(only)
    } else {
        None
    };
    let account = primary.map(|side| account(ledger, &side.rows, question.is_open));
    let handovers = handovers(ledger);
    let overlaps = overlaps(ledger);
    let longest_stall_us = longest_stall_us(ledger);
    let wal = match wal {
        WalReading::NotAsked => None,
        WalReading::Unreadable(why) => Some(WalFinding::unreadable(why)),
        WalReading::Read(wal) => Some(judge_wal(wal, &sources(ledger))),
    };
    let assumptions = vec![
        ledger_complete(ledger, question),
        clock_monotonic(ledger),
        writer_ran_through(longest_stall_us, question),
        moves_measured(&handovers, question),
        same_service(sides, unread),
    ];
    let mut checks = vec![
        one_primary(&primaries, unread),
        one_writer(&overlaps, ledger),
    ];
    checks.extend(row_checks(account.as_ref()));
    checks.extend(follow_checks(ledger, sides, primary, unread));
    checks.extend(wal.as_ref().map(wal_checks).into_iter().flatten());
    Verdict {
        ruling: rule(&assumptions, &checks),
        run: ledger.run.clone(),
        assumptions,
        checks,
        sides: sides.to_vec(),
        account,
        longest_silence: longest_silence(ledger),
        handovers,
        longest_stall_us,
        overlaps,
        wal,
    }
}

fn rule(assumptions: &[Check], checks: &[Check]) -> Ruling {
    if checks.iter().any(|check| check.state == State::Broken) {
        Ruling::Fail
    } else if assumptions
        .iter()
        .chain(checks)
        .all(|check| check.state == State::Holds)
    {
        Ruling::Pass
    } else {
        Ruling::Inconclusive
    }
}

/// The site and server that took the run's rows on each timeline.
fn sources(ledger: &Ledger) -> Vec<(TimelineId, String, String)> {
    let tenures = tenures(ledger, &[Purpose::Probe, Purpose::Load, Purpose::Member]);
    tenures
        .into_iter()
        .map(|tenure| (tenure.timeline, tenure.site, tenure.server))
        .collect()
}

#[cfg(test)]
mod tests;
