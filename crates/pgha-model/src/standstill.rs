//! Both sides at rest: what proves, when neither side is primary, that the promotion of one loses nothing.
//!
//! What a side was ever asked to keep is in its own log. A standby that has replayed all of its own log and waits for more
//! says by its position where that log ends. A side that holds every end of the other side may be promoted, and the other
//! side can follow it. The position alone does not tell two branches of one timeline apart, so the bytes before it are
//! compared too.

use serde::{Deserialize, Serialize};

use crate::guard::Guard;
use crate::lsn::{Lsn, SegmentSize, segment_file_name};
use crate::site::Part;
use crate::timeline::{History, Timeline};

/// What the startup process waits for when nothing is left to replay (PostgreSQL documentation, 28.2.3 "`pg_stat_activity`",
/// wait events; `RecoveryWalAll` before Postgres 13).
const AT_REST: [&str; 3] = [
    "RecoveryRetrieveRetryInterval",
    "RecoveryWalStream",
    "RecoveryWalAll",
];

/// Where one member's log ends, as its Postgres says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberEnd {
    /// The member's pod.
    #[serde(default)]
    pub member: String,
    /// `pg_is_in_recovery()`.
    pub in_recovery: bool,
    /// `pg_last_wal_replay_lsn()`: the end of the last record that was replayed.
    pub replayed: Option<Lsn>,
    /// `pg_control_recovery().min_recovery_end_lsn` right after a restart point: the same position, written down.
    pub recorded: Option<Lsn>,
    /// `pg_control_recovery().min_recovery_end_timeline`: the timeline of `recorded`. No other function tells the timeline
    /// that an archive-fed standby replays.
    pub timeline: Timeline,
    /// What the startup process waits for.
    pub waits_for: Option<String>,
    /// Whether its own log was looked into and has no record after `replayed`; looked at only where the wait does not tell.
    #[serde(default)]
    pub has_no_more: bool,
}

/// A position on a timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct End {
    /// The timeline.
    pub timeline: Timeline,
    /// The end of the last record.
    pub at: Lsn,
}

/// One side, the leader first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SideEnds {
    /// Every member of the side.
    pub members: Vec<MemberEnd>,
    /// The ancestors of its leader's timeline.
    pub history: History,
}

/// A stretch of log to be compared: the same bytes of the same segment, at a member of the source and at the target's
/// leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The source's member.
    pub member: String,
    /// The segment's file.
    pub segment: String,
    /// How many bytes of it, from its beginning.
    pub bytes: u64,
    /// Under which names the target may have them, the likeliest first: after a promotion Postgres keeps the old
    /// timeline's last segment as `.partial`, and has copied its beginning to the new timeline's first one (PostgreSQL
    /// source, `xlog.c`, `CleanupAfterArchiveRecovery` and `XLogInitNewTimeline`).
    pub at_target: Vec<String>,
}

/// What both sides have for a stretch: a digest, or nothing where the segment is no longer in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compared {
    /// The stretch.
    pub stretch: Stretch,
    /// The source's digest.
    pub at_source: Option<String>,
    /// The target's digest.
    pub at_target: Option<String>,
}

/// The proof: the target holds everything that the source's members have, and nobody writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Standstill {
    /// The furthest end of the source's members.
    pub source: End,
    /// Where the target's leader ends: the new timeline will fork here.
    pub target: End,
    /// How many members were read, of both sides.
    pub members: usize,
    /// The segments that were compared.
    pub compared: Vec<String>,
}

/// Why the promotion of the target is not proved to lose nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// A side could not be read.
    #[error("the {part} could not be read: {because}")]
    Unread {
        /// Which side.
        part: Part,
        /// Why, as a fragment.
        because: String,
    },
    /// No member of a side could be read.
    #[error("no member of the {part} could be read")]
    NoMembers {
        /// Which side.
        part: Part,
    },
    /// A member is not a standby.
    #[error("{member} of the {part} takes writes")]
    TakesWrites {
        /// Which side.
        part: Part,
        /// Which member.
        member: String,
    },
    /// A member still replays, or is kept from it.
    #[error("{member} of the {part} is not at rest: its startup process waits for {waits_for}")]
    NotAtRest {
        /// Which side.
        part: Part,
        /// Which member.
        member: String,
        /// Postgres' name of the wait.
        waits_for: String,
    },
    /// The source holds more than the target, and everything that the target holds.
    #[error(
        "{member} of the source holds log up to {} on timeline {}, the target's leader up to {} on timeline {}",
        end.at, end.timeline, held.at, held.timeline
    )]
    SourceAhead {
        /// The source's member.
        member: String,
        /// Its end.
        end: End,
        /// The end of the target's leader.
        held: End,
    },
    /// Neither side holds what the other has.
    #[error(
        "the sides have diverged: {member} of the source ends at {} on timeline {}, the target's leader at {} on timeline {}",
        end.at, end.timeline, held.at, held.timeline
    )]
    Diverged {
        /// The source's member.
        member: String,
        /// Its end.
        end: End,
        /// The end of the target's leader.
        held: End,
    },
    /// Another member of the target holds less: it could be elected.
    #[error("{member} of the target holds log up to {} on timeline {}, the source ends at {}", end.at, end.timeline, wanted.at)]
    ReplicaBehind {
        /// The target's member.
        member: String,
        /// Its end.
        end: End,
        /// The end of the source.
        wanted: End,
    },
    /// The positions fit, and the log before them is another one.
    #[error(
        "the sides have diverged: {segment} of {member} and of the target's leader are two different logs"
    )]
    OtherLog {
        /// The source's member.
        member: String,
        /// The segment.
        segment: String,
    },
    /// The log before the end cannot be compared.
    #[error(
        "{segment}, in which {member} of the source ends, is not in the log of {missing_at} and cannot be compared"
    )]
    NotComparable {
        /// The source's member.
        member: String,
        /// The segment.
        segment: String,
        /// Where it is missing.
        missing_at: &'static str,
    },
}

impl Doubt {
    /// Whether time may remove it.
    ///
    /// A standby that asks the archive restores its last segment at each turn, and for the time of an `fsync` the file is not
    /// there: the old one is removed before the new one is renamed (PostgreSQL source, `xlogarchive.c`,
    /// `KeepFileRestoredFromArchive`).
    pub const fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::NotAtRest { .. }
                | Self::SourceAhead { .. }
                | Self::ReplicaBehind { .. }
                | Self::NotComparable { .. }
        )
    }
}

impl MemberEnd {
    /// Whether the startup process may be in a command that asks the archive, before it has looked into its own log: a
    /// slow one is all that is ever seen. Postgres before 15 names no wait then.
    pub fn asks_archive(&self) -> bool {
        matches!(self.waits_for.as_deref(), None | Some("RestoreCommand"))
    }

    /// Where the member's log ends, when the member is a standby that has nothing left to replay.
    fn end(&self, part: Part) -> Result<End, Doubt> {
        let member = self.member.clone();
        if !Guard::NobodyWrites.holds(self.in_recovery) {
            return Err(Doubt::TakesWrites { part, member });
        }
        let waits_for = self.waits_for.as_deref().unwrap_or("nothing");
        let is_recorded = self.recorded.is_some() && self.recorded == self.replayed;
        let is_at_rest = AT_REST.contains(&waits_for) || (self.asks_archive() && self.has_no_more);
        match self.replayed {
            Some(at) if Guard::AtRest.holds(is_recorded && is_at_rest) => Ok(End {
                timeline: self.timeline,
                at,
            }),
            _ => Err(Doubt::NotAtRest {
                part,
                member,
                waits_for: waits_for.to_owned(),
            }),
        }
    }
}

impl End {
    /// Whether a log with this end and this history has everything up to another end.
    fn holds(self, history: &History, other: Self) -> bool {
        if self.timeline == other.timeline {
            return self.at >= other.at;
        }
        history
            .fork_of(other.timeline)
            .is_some_and(|fork| fork >= other.at && self.at >= other.at)
    }
}

/// Where each member of a side ends, the leader first, when all of them are standbys that have nothing left to replay.
pub fn at_rest(side: &SideEnds, part: Part) -> Result<Vec<(String, End)>, Doubt> {
    let ends = side
        .members
        .iter()
        .map(|member| Ok((member.member.clone(), member.end(part)?)));
    let ends: Vec<_> = ends.collect::<Result<_, Doubt>>()?;
    if ends.is_empty() {
        return Err(Doubt::NoMembers { part });
    }
    Ok(ends)
}

/// Judges the positions of both sides; what is left to compare are the stretches.
pub fn judge_positions(
    source: &SideEnds,
    target: &SideEnds,
    size: SegmentSize,
) -> Result<(Standstill, Vec<Stretch>), Doubt> {
    // Who takes writes is told before anything else.
    let (at_source, at_target) = (at_rest(source, Part::Source), at_rest(target, Part::Target));
    let (at_source, at_target) = match (at_source, at_target) {
        (Err(doubt @ Doubt::TakesWrites { .. }), _)
        | (_, Err(doubt @ Doubt::TakesWrites { .. })) => {
            return Err(doubt);
        }
        (at_source, at_target) => (at_source?, at_target?),
    };
    let no_leader = || Doubt::NoMembers { part: Part::Target };
    let held = at_target.first().ok_or_else(no_leader)?.1;
    for (member, end) in &at_source {
        judge_end(source, target, member, *end, held)?;
    }
    let furthest = at_source.iter().map(|(_, end)| *end);
    let furthest = furthest
        .max_by_key(|end| (end.timeline, end.at))
        .ok_or_else(no_leader)?;
    for &(ref member, end) in &at_target {
        if !Guard::ElectableHolds.holds(end.holds(&target.history, furthest)) {
            return Err(Doubt::ReplicaBehind {
                member: member.clone(),
                end,
                wanted: furthest,
            });
        }
    }
    let stretches: Vec<_> = at_source
        .iter()
        .map(|(member, end)| stretch(member, *end, held.timeline, size))
        .collect();
    let mut compared: Vec<_> = stretches.iter().map(|one| one.segment.clone()).collect();
    compared.dedup();
    let standstill = Standstill {
        source: furthest,
        target: held,
        members: at_source.len() + at_target.len(),
        compared,
    };
    Ok((standstill, stretches))
}

fn judge_end(
    source: &SideEnds,
    target: &SideEnds,
    member: &str,
    end: End,
    held: End,
) -> Result<(), Doubt> {
    if Guard::HoldsSource.holds(held.holds(&target.history, end)) {
        return Ok(());
    }
    let member = member.to_owned();
    if end.holds(&source.history, held) {
        return Err(Doubt::SourceAhead { member, end, held });
    }
    Err(Doubt::Diverged { member, end, held })
}

/// The segment in which a log ends, up to its end. An end at a segment's beginning is the end of the one before.
fn stretch(member: &str, end: End, target: Timeline, size: SegmentSize) -> Stretch {
    let last = Lsn::from_bytes(end.at.as_bytes().saturating_sub(1));
    let begins = last.segment_number(size) * size.as_bytes();
    let segment = segment_file_name(end.timeline.0, last, size);
    let mut at_target = vec![segment.clone()];
    if target != end.timeline {
        at_target.push(format!("{segment}.partial"));
        at_target.push(segment_file_name(target.0, last, size));
    }
    Stretch {
        member: member.to_owned(),
        segment,
        bytes: end.at.as_bytes() - begins,
        at_target,
    }
}

/// Judges what both sides have for each stretch.
pub fn judge_stretches(compared: &[Compared]) -> Result<(), Doubt> {
    for one in compared {
        let (member, segment) = (one.stretch.member.clone(), one.stretch.segment.clone());
        let missing_at = match (&one.at_source, &one.at_target) {
            (Some(source), Some(target)) if Guard::SameLog.holds(source == target) => continue,
            (Some(_), Some(_)) => return Err(Doubt::OtherLog { member, segment }),
            (None, _) => "that member",
            (Some(_), None) => "the target's leader",
        };
        return Err(Doubt::NotComparable {
            member,
            segment,
            missing_at,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::Fork;

    fn lsn(text: &str) -> Lsn {
        text.parse().unwrap()
    }

    fn member(name: &str, timeline: u32, at: &str) -> MemberEnd {
        MemberEnd {
            member: name.to_owned(),
            in_recovery: true,
            replayed: Some(lsn(at)),
            recorded: Some(lsn(at)),
            timeline: Timeline(timeline),
            waits_for: Some("RecoveryRetrieveRetryInterval".to_owned()),
            has_no_more: false,
        }
    }

    fn side(timeline: u32, ends: &[&str], history: &[(u32, &str)]) -> SideEnds {
        let members = ends.iter().enumerate();
        let fork = |&(timeline, at): &(u32, &str)| Fork {
            timeline: Timeline(timeline),
            at: lsn(at),
            promoted_at: None,
        };
        SideEnds {
            members: members
                .map(|(number, at)| member(&format!("m-{number}"), timeline, at))
                .collect(),
            history: History(history.iter().map(fork).collect()),
        }
    }

    fn judge(source: &SideEnds, target: &SideEnds) -> Result<(Standstill, Vec<Stretch>), Doubt> {
        judge_positions(source, target, SegmentSize::DEFAULT)
    }

    #[test]
    fn equal_ends_of_one_timeline_are_a_proof_and_name_what_to_compare() {
        let source = side(3, &["0/50000A0", "0/50000A0"], &[]);
        let (proof, stretches) = judge(&source, &source).unwrap();
        assert_eq!((proof.source.at, proof.members), (lsn("0/50000A0"), 4));
        assert_eq!(proof.compared, ["000000030000000000000005"]);
        assert_eq!((stretches.len(), stretches[0].bytes), (2, 0xA0));
    }

    #[test]
    fn an_end_between_segments_is_the_end_of_the_one_before() {
        let source = side(1, &["0/6000000"], &[]);
        let (_, stretches) = judge(&source, &source).unwrap();
        assert_eq!(stretches[0].segment, "000000010000000000000005");
        assert_eq!(stretches[0].bytes, 16 << 20);
    }

    #[test]
    fn a_source_that_holds_more_is_ahead() {
        let (source, target) = (side(1, &["0/50000A0"], &[]), side(1, &["0/5000000"], &[]));
        let doubt = judge(&source, &target).unwrap_err();
        assert!(matches!(doubt, Doubt::SourceAhead { .. }), "{doubt}");
        assert!(doubt.may_pass());
        assert!(judge(&target, &source).is_ok());
    }

    #[test]
    fn any_member_of_the_source_counts() {
        let source = side(1, &["0/5000000", "0/50000A0"], &[]);
        let doubt = judge(&source, &side(1, &["0/5000000"], &[])).unwrap_err();
        assert!(
            doubt
                .to_string()
                .starts_with("m-1 of the source holds log up to 0/50000A0")
        );
    }

    #[test]
    fn cnpg_4284_a_member_that_could_be_elected_must_hold_it_too() {
        let source = side(1, &["0/50000A0"], &[]);
        let doubt = judge(&source, &side(1, &["0/50000A0", "0/5000000"], &[])).unwrap_err();
        assert!(matches!(doubt, Doubt::ReplicaBehind { .. }), "{doubt}");
    }

    #[test]
    fn a_source_whose_end_is_before_the_fork_is_held_by_the_child() {
        let target = side(2, &["0/7000028"], &[(1, "0/50000A0")]);
        let (_, stretches) = judge(&side(1, &["0/50000A0"], &[]), &target).unwrap();
        assert_eq!(
            stretches[0].at_target,
            [
                "000000010000000000000005",
                "000000010000000000000005.partial",
                "000000020000000000000005"
            ]
        );
        let doubt = judge(&side(1, &["0/50000B0"], &[]), &target).unwrap_err();
        assert!(matches!(doubt, Doubt::Diverged { .. }), "{doubt}");
        let ahead = judge(&target, &side(1, &["0/50000A0"], &[])).unwrap_err();
        assert!(matches!(ahead, Doubt::SourceAhead { .. }), "{ahead}");
    }

    #[test]
    fn who_takes_writes_is_told_first() {
        let mut source = side(1, &["0/5000000"], &[]);
        source.members[0].waits_for = Some("RecoveryPause".to_owned());
        let mut target = side(1, &["0/5000000"], &[]);
        target.members[0].in_recovery = false;
        let doubt = judge(&source, &target).unwrap_err();
        assert!(matches!(
            doubt,
            Doubt::TakesWrites {
                part: Part::Target,
                ..
            }
        ));
        assert!(!doubt.may_pass());
    }

    #[test]
    fn whoever_still_replays_has_no_end() {
        type Spoil = fn(&mut MemberEnd);
        let spoilers: [Spoil; 4] = [
            |end| end.waits_for = Some("RecoveryApplyDelay".to_owned()),
            |end| end.waits_for = None,
            |end| end.recorded = Some(lsn("0/4000000")),
            |end| end.replayed = None,
        ];
        for spoil in spoilers {
            let mut source = side(1, &["0/5000000"], &[]);
            spoil(&mut source.members[0]);
            let doubt = judge(&source, &side(1, &["0/5000000"], &[])).unwrap_err();
            assert!(matches!(doubt, Doubt::NotAtRest { .. }), "{doubt}");
        }
        let nobody = side(1, &[], &[]);
        assert_eq!(
            judge(&nobody, &side(1, &["0/5000000"], &[])),
            Err(Doubt::NoMembers { part: Part::Source })
        );
    }

    #[test]
    fn whoever_asks_a_slow_archive_is_at_rest_when_its_own_log_has_no_more() {
        for wait in [None, Some("RestoreCommand".to_owned())] {
            let mut source = side(1, &["0/5000000"], &[]);
            source.members[0].waits_for = wait;
            assert!(at_rest(&source, Part::Source).is_err());
            source.members[0].has_no_more = true;
            assert!(at_rest(&source, Part::Source).is_ok());
            source.members[0].waits_for = Some("RecoveryPause".to_owned());
            assert!(at_rest(&source, Part::Source).is_err());
        }
    }

    #[test]
    fn only_equal_bytes_are_the_same_log() {
        let compared = |source: Option<&str>, target: Option<&str>| {
            let end = End {
                timeline: Timeline(1),
                at: lsn("0/50000A0"),
            };
            judge_stretches(&[Compared {
                stretch: stretch("m-0", end, Timeline(1), SegmentSize::DEFAULT),
                at_source: source.map(str::to_owned),
                at_target: target.map(str::to_owned),
            }])
        };
        assert_eq!(compared(Some("aa"), Some("aa")), Ok(()));
        assert!(matches!(
            compared(Some("aa"), Some("bb")),
            Err(Doubt::OtherLog { .. })
        ));
        for (source, target) in [(None, None), (None, Some("aa")), (Some("aa"), None)] {
            let doubt = compared(source, target).unwrap_err();
            assert!(matches!(doubt, Doubt::NotComparable { .. }), "{doubt}");
            // A standby that restores its last segment once more does not have it for a moment.
            assert!(doubt.may_pass());
        }
    }
}
