//! A side that was failed over from comes back: where its log left the service's, what only it holds, and what is to be done.

use serde::Serialize;

use crate::lsn::{Lsn, SegmentSize};
use crate::site::Place;
use crate::timeline::{History, Timeline};

/// A stretch of log that only one side holds, on one timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stray {
    /// The timeline.
    pub timeline: Timeline,
    /// Where it left what both sides hold, or where this timeline begins.
    pub from: Lsn,
    /// Where the next timeline begins; `None` of the last one, which ends with the log.
    pub to: Option<Lsn>,
}

/// A line of descent: a timeline with its ancestors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The timeline.
    pub timeline: Timeline,
    /// Its ancestors.
    pub history: History,
}

impl Line {
    /// Every timeline with where it ends; the last one has no end.
    fn stretches(&self) -> Vec<(Timeline, Option<Lsn>)> {
        let ancestors = self.history.0.iter();
        let ancestors = ancestors.map(|fork| (fork.timeline, Some(fork.at)));
        ancestors.chain([(self.timeline, None)]).collect()
    }

    /// The stretches in which this line is no part of another: nothing where it is an ancestor of it or the same.
    pub fn strays_from(&self, other: &Self) -> Vec<Stray> {
        let (own, theirs) = (self.stretches(), other.stretches());
        let common = own.iter().zip(&theirs).take_while(|(a, b)| a == b).count();
        // What both have on the first timeline that they leave at different places.
        let shared = match (own.get(common), theirs.get(common)) {
            (Some((a, ends)), Some((b, left))) if a == b => match (ends, left) {
                (Some(ends), Some(left)) => Some((*ends).min(*left)),
                (one, other) => one.or(*other),
            },
            _ => None,
        };
        let mut begins = match (shared, common.checked_sub(1)) {
            (Some(at), _) => at,
            (None, Some(last)) => own.get(last).and_then(|(_, end)| *end).unwrap_or_default(),
            (None, None) => Lsn::default(),
        };
        let mut strays = Vec::new();
        for &(timeline, to) in own.iter().skip(common) {
            if to.is_none_or(|to| to > begins) {
                strays.push(Stray {
                    timeline,
                    from: begins,
                    to,
                });
            }
            begins = to.unwrap_or(begins);
        }
        strays
    }
}

impl Stray {
    /// The name of the segment in which it begins.
    pub fn first_segment(&self, size: SegmentSize) -> String {
        crate::lsn::segment_file_name(self.timeline.0, self.from, size)
    }
}

/// What only the returning side holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tail {
    /// The member that holds it.
    pub member: String,
    /// Its stretches of log.
    pub strays: Vec<Stray>,
    /// Transactions that committed there, one line each as `pg_waldump` prints it.
    #[serde(skip)]
    pub commits: Vec<String>,
    /// How many they are.
    pub committed: usize,
    /// Whether there is any record at all.
    pub is_empty: bool,
    /// The files that hold it, names in `pg_wal`.
    pub files: Vec<String>,
}

/// A file that was kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeptFile {
    /// Its name.
    pub name: String,
    /// Its size, in bytes.
    pub bytes: u64,
    /// SHA-256 of it, as hexadecimal digits, equal at the member and here.
    pub sha256: String,
}

/// What was kept of a side's own log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeptTail {
    /// What it is.
    #[serde(flatten)]
    pub tail: Tail,
    /// Where it is on this machine; `None` where there was nothing to keep.
    pub folder: Option<String>,
    /// Its files.
    pub kept: Vec<KeptFile>,
}

/// A side that follows again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RejoinOutcome {
    /// The side that is a standby again.
    pub source: Place,
    /// The side that is primary.
    pub target: Place,
    /// What only the source held.
    pub tail: Option<KeptTail>,
    /// The members whose data was set aside and made anew, each with where its old data is.
    pub rebuilt: Vec<(String, String)>,
    /// How many members of the source replayed what only the primary has written.
    pub following: usize,
}

/// The commits in what `pg_waldump --rmgr=Transaction` printed.
pub fn commits(text: &str) -> Vec<String> {
    let is_commit = |line: &&str| {
        ["desc: COMMIT", "desc: PREPARE"]
            .iter()
            .any(|what| line.contains(what))
    };
    text.lines().filter(is_commit).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::Fork;

    fn lsn(text: &str) -> Lsn {
        text.parse().unwrap()
    }

    fn line(timeline: u32, history: &[(u32, &str)]) -> Line {
        let fork = |&(timeline, at): &(u32, &str)| Fork {
            timeline: Timeline(timeline),
            at: lsn(at),
            promoted_at: None,
        };
        Line {
            timeline: Timeline(timeline),
            history: History(history.iter().map(fork).collect()),
        }
    }

    fn strays(own: &Line, other: &Line) -> Vec<(u32, String, Option<String>)> {
        let strays = own.strays_from(other).into_iter();
        let text = |lsn: Lsn| lsn.to_string();
        strays
            .map(|stray| (stray.timeline.0, text(stray.from), stray.to.map(text)))
            .collect()
    }

    #[test]
    fn a_side_that_stayed_on_its_timeline_strays_from_where_the_other_left_it() {
        let primary = line(4, &[(1, "0/3000000"), (3, "0/5000000")]);
        let old = line(3, &[(1, "0/3000000")]);
        assert_eq!(strays(&old, &primary), [(3, "0/5000000".to_owned(), None)]);
    }

    #[test]
    fn a_side_that_follows_strays_nowhere() {
        let primary = line(4, &[(1, "0/3000000"), (3, "0/5000000")]);
        assert_eq!(strays(&primary, &primary), []);
        assert_eq!(strays(&line(1, &[]), &line(1, &[])), []);
    }

    #[test]
    fn a_side_that_was_promoted_inside_itself_strays_with_each_of_its_timelines() {
        let primary = line(4, &[(3, "0/5000000")]);
        // The same number, promoted elsewhere.
        let old = line(4, &[(3, "0/6000000")]);
        assert_eq!(
            strays(&old, &primary),
            [
                (3, "0/5000000".to_owned(), Some("0/6000000".to_owned())),
                (4, "0/6000000".to_owned(), None)
            ]
        );
        let before = line(4, &[(3, "0/4000000")]);
        assert_eq!(
            strays(&before, &primary),
            [(4, "0/4000000".to_owned(), None)]
        );
    }

    #[test]
    fn a_side_that_was_promoted_off_the_primarys_own_timeline_strays_too() {
        let old = line(4, &[(3, "0/6000000")]);
        assert_eq!(
            strays(&old, &line(3, &[])),
            [(4, "0/6000000".to_owned(), None)]
        );
    }

    #[test]
    fn an_ancestor_of_the_primarys_line_strays_only_past_the_fork() {
        let primary = line(7, &[(1, "0/3000000"), (6, "0/9000000")]);
        assert_eq!(
            strays(&line(1, &[]), &primary),
            [(1, "0/3000000".to_owned(), None)]
        );
    }

    #[test]
    fn commits_are_told_from_other_records() {
        let text = "rmgr: Transaction len (rec/tot): 34/34, tx: 740, lsn: 0/05000100, prev 0/050000C8, desc: COMMIT 2026-11-26\n\
                    rmgr: Transaction len (rec/tot): 34/34, tx: 741, lsn: 0/05000140, prev 0/05000100, desc: ABORT 2026-11-26\n\
                    rmgr: Transaction len (rec/tot): 34/34, tx: 742, lsn: 0/05000180, prev 0/05000140, desc: PREPARE gid x\n";
        assert_eq!(commits(text).len(), 2);
    }
}
