//! What the write-ahead log itself says: did a side commit anything that the primary's history does not hold?
//!
//! Rows can only tell of rows. A commit on a dead branch that no row of the writer shows is found here, and so is a
//! fork before the source's shutdown checkpoint, which loses no row but leaves the old side unable to follow.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Lsn, TimelineId};

/// Where a timeline was left for the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fork {
    /// The timeline that was left.
    pub timeline: TimelineId,
    /// The position at which the next one begins: everything before it is shared.
    pub at: Lsn,
}

/// The ancestors of a timeline, as in its `.history` file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimelineHistory {
    /// The timeline.
    pub timeline: TimelineId,
    /// Its ancestors, oldest first.
    pub forks: Vec<Fork>,
}

/// A line of a history file that is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryError(String);

impl fmt::Display for HistoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no line of a timeline history", self.0)
    }
}

impl std::error::Error for HistoryError {}

impl TimelineHistory {
    /// Reads the text of `timeline`'s history file (PostgreSQL documentation, "Timelines"; `timeline.c`): parent
    /// timeline, switch position and a reason a line. Timeline 1 has none.
    ///
    /// # Errors
    /// The first line that does not begin with a timeline and a position.
    pub fn parse(timeline: TimelineId, text: &str) -> Result<Self, HistoryError> {
        let lines = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        let fork = |line: &str| {
            let mut words = line.split_whitespace();
            let fork = words.next().zip(words.next()).and_then(|(timeline, at)| {
                Some(Fork {
                    timeline: timeline.parse().ok()?,
                    at: at.parse().ok()?,
                })
            });
            fork.ok_or_else(|| HistoryError(line.to_owned()))
        };
        Ok(Self {
            timeline,
            forks: lines.map(fork).collect::<Result<_, _>>()?,
        })
    }

    /// Whether a record that begins at `lsn` of `timeline` belongs to this history.
    pub fn holds(&self, timeline: TimelineId, lsn: Lsn) -> bool {
        timeline == self.timeline
            || self
                .forks
                .iter()
                .any(|fork| fork.timeline == timeline && lsn < fork.at)
    }
}

/// What a record is, as far as a verdict needs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WalKind {
    /// A transaction's commit, with its number.
    Commit {
        /// The transaction.
        xid: u64,
    },
    /// The checkpoint of a clean stop.
    ShutdownCheckpoint,
    /// Anything else.
    Other,
}

/// A record of the write-ahead log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalRecord {
    /// Where it begins.
    pub lsn: Lsn,
    /// What it is.
    pub kind: WalKind,
}

/// One run of `pg_waldump` over a member's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scan {
    /// The member's site.
    pub site: String,
    /// The member.
    pub member: String,
    /// The member's address, as `inet_server_addr()` gives it.
    pub address: String,
    /// The timeline that was read.
    pub timeline: TimelineId,
    /// The records from the start of the scan to the end of the log.
    pub records: Vec<WalRecord>,
}

impl Scan {
    /// Reads what `pg_waldump` prints, a line a record; its complaint about the end of the log is no record.
    pub fn parse_records(text: &str) -> Vec<WalRecord> {
        text.lines().filter_map(record).collect()
    }
}

/// `rmgr: Transaction len (rec/tot): 34/34, tx: 735, lsn: 0/0154F6A8, prev 0/0154F670, desc: COMMIT 2026-…`.
fn record(line: &str) -> Option<WalRecord> {
    let (head, desc) = line.strip_prefix("rmgr:")?.split_once("desc: ")?;
    let field = |name: &str| head.split_once(name)?.1.split(',').next().map(str::trim);
    let lsn = field("lsn:")?.parse().ok()?;
    let kind = match desc.split_whitespace().next()? {
        "COMMIT" | "COMMIT_PREPARED" => WalKind::Commit {
            xid: field("tx:")?.parse().ok()?,
        },
        "CHECKPOINT_SHUTDOWN" => WalKind::ShutdownCheckpoint,
        _ => WalKind::Other,
    };
    Some(WalRecord { lsn, kind })
}

/// Everything read from write-ahead logs for one verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalEvidence {
    /// The history of the side that is the primary now.
    pub history: TimelineHistory,
    /// The scans of every member of both sites.
    pub scans: Vec<Scan>,
}

/// A record that the primary's history does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stray {
    /// The site that has it.
    pub site: String,
    /// The member that has it.
    pub member: String,
    /// The timeline on which it was written.
    pub timeline: TimelineId,
    /// The record.
    pub record: WalRecord,
}

/// What the logs say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalFinding {
    /// Forks that were looked at: those of the timelines on which the run's rows were acknowledged.
    pub forks: Vec<Fork>,
    /// Commits outside the primary's history.
    pub stray_commits: Vec<Stray>,
    /// Other records outside it: the log went on after the fork without a commit, so the member cannot follow.
    pub stray_others: Vec<Stray>,
    /// Forks whose last shared record on the source is not its shutdown checkpoint.
    pub unclean_forks: Vec<Fork>,
    /// What could not be looked at, in words.
    pub uncovered: Vec<String>,
}

impl WalFinding {
    /// Says that no log could be read.
    pub fn unreadable(why: &str) -> Self {
        Self {
            uncovered: vec![why.to_owned()],
            ..Self::default()
        }
    }
}

/// Judges the logs. `sources` names, for each timeline on which the run's rows were acknowledged, the site and server
/// address that took them; older timelines are other runs' business.
pub fn judge_wal(evidence: &WalEvidence, sources: &[(TimelineId, String, String)]) -> WalFinding {
    let mut finding = WalFinding::default();
    let oldest = sources
        .iter()
        .map(|(timeline, ..)| *timeline)
        .min()
        .unwrap_or(0);
    for scan in evidence.scans.iter().filter(|scan| scan.timeline >= oldest) {
        collect_strays(&evidence.history, scan, &mut finding);
    }
    count_once(&mut finding.stray_commits);
    count_once(&mut finding.stray_others);
    for (timeline, site, address) in sources {
        match evidence
            .history
            .forks
            .iter()
            .find(|fork| fork.timeline == *timeline)
        {
            Some(fork) => judge_fork(evidence, *fork, site, address, &mut finding),
            None if *timeline == evidence.history.timeline => {}
            // Not an ancestor at all: the scan must show what was written there.
            None => require_scan(evidence, *timeline, site, &mut finding),
        }
    }
    finding
}

fn collect_strays(history: &TimelineHistory, scan: &Scan, finding: &mut WalFinding) {
    for record in scan
        .records
        .iter()
        .filter(|record| !history.holds(scan.timeline, record.lsn))
    {
        let stray = Stray {
            site: scan.site.clone(),
            member: scan.member.clone(),
            timeline: scan.timeline,
            record: record.clone(),
        };
        let strays = match record.kind {
            WalKind::Commit { .. } => &mut finding.stray_commits,
            WalKind::ShutdownCheckpoint | WalKind::Other => &mut finding.stray_others,
        };
        strays.push(stray);
    }
}

/// A site's members replicate each other: the same record on several of them is one.
fn count_once(strays: &mut Vec<Stray>) {
    let mut seen = BTreeSet::new();
    strays.retain(|stray| seen.insert((stray.site.clone(), stray.timeline, stray.record.lsn)));
}

fn judge_fork(
    evidence: &WalEvidence,
    fork: Fork,
    site: &str,
    address: &str,
    finding: &mut WalFinding,
) {
    finding.forks.push(fork);
    let scans: Vec<&Scan> = evidence
        .scans
        .iter()
        .filter(|scan| scan.timeline == fork.timeline && scan.site == site)
        .collect();
    // The member that wrote is the one whose log counts. Where no member has its address any more (its pod was made
    // anew on the same volume), any member of its site may show it.
    let own = scans.iter().find(|scan| scan.address == address);
    let before_fork = |scan: &Scan| {
        scan.records
            .iter()
            .rfind(|record| record.lsn < fork.at)
            .cloned()
    };
    let last = own.map_or_else(
        || scans.iter().find_map(|scan| before_fork(scan)),
        |scan| before_fork(scan),
    );
    match last {
        Some(record) if record.kind == WalKind::ShutdownCheckpoint => {}
        Some(_) => finding.unclean_forks.push(fork),
        None => finding.uncovered.push(format!(
            "the log of {site} ({address}) around the fork of timeline {} at {} could not be read",
            fork.timeline, fork.at
        )),
    }
}

fn require_scan(
    evidence: &WalEvidence,
    timeline: TimelineId,
    site: &str,
    finding: &mut WalFinding,
) {
    let is_scanned = evidence
        .scans
        .iter()
        .any(|scan| scan.timeline == timeline && scan.site == site && !scan.records.is_empty());
    if !is_scanned {
        finding.uncovered.push(format!(
            "the log of {site} on timeline {timeline}, a dead branch, could not be read"
        ));
    }
}

#[cfg(test)]
mod tests;
