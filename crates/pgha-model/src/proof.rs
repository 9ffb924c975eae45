//! The evidence on which a promotion rests.

use serde::{Deserialize, Serialize};

use crate::control::{ClusterState, ControlData};
use crate::guard::Guard;
use crate::lsn::{Lsn, SegmentSize, segment_file_name};
use crate::timeline::{History, Timeline};

/// Where the source's log ends for good, read from the stopped leader itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Closure {
    /// The system identifier, from the same reading.
    pub system_identifier: String,
    /// The source's last timeline.
    pub timeline: Timeline,
    /// What was read there, with its position.
    #[serde(flatten)]
    pub end: LogEnd,
    /// The segment that holds it.
    pub segment: String,
}

/// How the end of a log was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LogEnd {
    /// C: where the shutdown checkpoint's record begins. The record itself is still to be held.
    Checkpoint(Lsn),
    /// L: the end of the last record, from a server that is back in recovery and has replayed all it had.
    Recovered(Lsn),
}

impl LogEnd {
    /// A position whose excess proves that everything is held: the replay position is the end of the last replayed
    /// record, so C itself does not suffice, and L does.
    pub fn to_exceed(self) -> Lsn {
        match self {
            Self::Checkpoint(at) => at,
            Self::Recovered(end) => Lsn::from_bytes(end.as_bytes().saturating_sub(1)),
        }
    }
}

impl std::fmt::Display for LogEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Checkpoint(at) => write!(f, "the shutdown checkpoint at {at}"),
            Self::Recovered(end) => write!(f, "its last record's end at {end}"),
        }
    }
}

/// What a server says that was stopped and is back in recovery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// The system identifier.
    pub system_identifier: String,
    /// The timeline of its last checkpoint.
    pub timeline: Timeline,
    /// Up to where it has replayed.
    pub replayed: Lsn,
}

impl Recovered {
    /// Reads `system identifier|timeline|position`.
    pub fn from_row(row: &str) -> Option<Self> {
        let mut fields = row.trim().split('|');
        let recovered = Self {
            system_identifier: fields.next()?.to_owned(),
            timeline: Timeline(fields.next()?.parse().ok()?),
            replayed: fields.next()?.parse().ok()?,
        };
        fields.next().is_none().then_some(recovered)
    }
}

/// Why a reading proves nothing, or a position does not suffice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotProved {
    /// The server did not end cleanly.
    #[error("the source's control data says `{state}`, not `shut down`")]
    NotShutDown {
        /// What it says.
        state: String,
    },
    /// The control file is another database's.
    #[error("the source's control data belongs to system {found}, expected {expected}")]
    OtherSystem {
        /// The identifier in the file.
        found: String,
        /// The service's.
        expected: String,
    },
    /// The target does not hold the shutdown checkpoint.
    #[error("{member} has replayed up to {replayed}, the source ended with {end}")]
    Behind {
        /// Which member of the target.
        member: String,
        /// Up to where.
        replayed: Lsn,
        /// Where the source ended.
        end: LogEnd,
    },
    /// The source is on another timeline than before: somebody else has promoted it.
    #[error("the source came back on timeline {found}, it was on {expected}")]
    OtherTimeline {
        /// The timeline it says.
        found: Timeline,
        /// The timeline before.
        expected: Timeline,
    },
    /// The new history forks before the source's end.
    #[error("timeline {timeline} forks off at {fork}, the source ended at {end}")]
    ForkedEarly {
        /// The new timeline.
        timeline: Timeline,
        /// Where it forks off.
        fork: Lsn,
        /// The end of the source's last record.
        end: Lsn,
    },
    /// The new history does not name the source's timeline.
    #[error(
        "the history of timeline {timeline} does not name the source's timeline {source_timeline}"
    )]
    NotAChild {
        /// The new timeline.
        timeline: Timeline,
        /// The source's.
        source_timeline: Timeline,
    },
}

impl Closure {
    /// Accepts control data that proves a clean end of this very system.
    ///
    /// Any other state proves nothing: after an immediate stop the checkpoint is an old one and every later test would
    /// pass falsely.
    pub fn from_control(control: &ControlData, system_identifier: &str) -> Result<Self, NotProved> {
        if !Guard::SameDatabase.holds(control.system_identifier == system_identifier) {
            return Err(NotProved::OtherSystem {
                found: control.system_identifier.clone(),
                expected: system_identifier.to_owned(),
            });
        }
        if !Guard::CleanEnd.holds(control.state == ClusterState::ShutDown) {
            return Err(NotProved::NotShutDown {
                state: format!("{:?}", control.state),
            });
        }
        Ok(Self {
            system_identifier: control.system_identifier.clone(),
            timeline: control.timeline,
            end: LogEnd::Checkpoint(control.checkpoint),
            segment: control.redo_wal_file.clone(),
        })
    }

    /// Accepts what a server says that is back in recovery, when the moment in which it was shut down was missed.
    ///
    /// A server that takes connections in recovery has replayed the whole log that it had when it stopped, whichever way
    /// it stopped, and nobody else has written on its timeline (PostgreSQL source, `xlogrecovery.c`: a server that was in
    /// production recovers from its own log first, and is consistent at that log's end).
    pub fn from_recovered(
        seen: &Recovered,
        system_identifier: &str,
        timeline: Timeline,
        size: SegmentSize,
    ) -> Result<Self, NotProved> {
        if !Guard::SameDatabase.holds(seen.system_identifier == system_identifier) {
            return Err(NotProved::OtherSystem {
                found: seen.system_identifier.clone(),
                expected: system_identifier.to_owned(),
            });
        }
        if !Guard::SameBranch.holds(seen.timeline == timeline) {
            return Err(NotProved::OtherTimeline {
                found: seen.timeline,
                expected: timeline,
            });
        }
        let end = LogEnd::Recovered(seen.replayed);
        Ok(Self {
            system_identifier: seen.system_identifier.clone(),
            timeline,
            end,
            segment: segment_file_name(timeline.0, end.to_exceed(), size),
        })
    }

    /// Whether a member of the target holds everything.
    pub fn covers(&self, member: &str, replayed: Lsn) -> Result<(), NotProved> {
        if Guard::PastTheEnd.holds(replayed > self.end.to_exceed()) {
            return Ok(());
        }
        Err(NotProved::Behind {
            member: member.to_owned(),
            replayed,
            end: self.end,
        })
    }
}

/// Where a new timeline forks off an old one, when that is not before `end`, the end of the last record of the old one.
pub fn judge_fork(
    timeline: Timeline,
    history: &History,
    from: Timeline,
    end: Lsn,
) -> Result<Lsn, NotProved> {
    let Some(fork) = history.fork_of(from) else {
        return Err(NotProved::NotAChild {
            timeline,
            source_timeline: from,
        });
    };
    if !Guard::ForkAtEnd.holds(fork >= end) {
        return Err(NotProved::ForkedEarly {
            timeline,
            fork,
            end,
        });
    }
    Ok(fork)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::Fork;

    fn control(state: ClusterState) -> ControlData {
        ControlData {
            system_identifier: "7".to_owned(),
            state,
            checkpoint: "0/5000028".parse().unwrap(),
            redo: "0/5000028".parse().unwrap(),
            redo_wal_file: "000000010000000000000005".to_owned(),
            timeline: Timeline(1),
            segment_size: SegmentSize::DEFAULT,
        }
    }

    fn closure() -> Closure {
        Closure::from_control(&control(ClusterState::ShutDown), "7").unwrap()
    }

    #[test]
    fn only_a_clean_end_of_the_same_system_closes_the_source() {
        for state in [
            ClusterState::InProduction,
            ClusterState::ShutDownInRecovery,
            ClusterState::InArchiveRecovery,
            ClusterState::Other("in crash recovery".to_owned()),
        ] {
            assert!(Closure::from_control(&control(state), "7").is_err());
        }
        assert!(Closure::from_control(&control(ClusterState::ShutDown), "8").is_err());
    }

    #[test]
    fn a_target_exactly_at_the_checkpoint_does_not_hold_it() {
        let closure = closure();
        assert!(closure.covers("b-0", "0/5000028".parse().unwrap()).is_err());
        assert!(closure.covers("b-0", "0/50000A0".parse().unwrap()).is_ok());
    }

    #[test]
    fn a_server_back_in_recovery_closes_its_own_timeline() {
        let seen = |timeline| Recovered {
            system_identifier: "7".to_owned(),
            timeline: Timeline(timeline),
            replayed: "0/50000A0".parse().unwrap(),
        };
        let close = |seen: &Recovered, system| {
            Closure::from_recovered(seen, system, Timeline(1), SegmentSize::DEFAULT)
        };
        let closure = close(&seen(1), "7").unwrap();
        assert_eq!(closure.segment, "000000010000000000000005");
        assert!(closure.covers("b-0", "0/5000098".parse().unwrap()).is_err());
        assert!(closure.covers("b-0", "0/50000A0".parse().unwrap()).is_ok());
        assert!(matches!(
            close(&seen(2), "7"),
            Err(NotProved::OtherTimeline { .. })
        ));
        assert!(matches!(
            close(&seen(1), "8"),
            Err(NotProved::OtherSystem { .. })
        ));
        assert_eq!(Recovered::from_row("7|1|0/50000A0\n"), Some(seen(1)));
        for row in ["", "7|1|", "7|x|0/50000A0", "7|1|0/50000A0|more"] {
            assert_eq!(Recovered::from_row(row), None, "{row}");
        }
        let mut at_a_segments_end = seen(1);
        at_a_segments_end.replayed = "0/6000000".parse().unwrap();
        let closure = close(&at_a_segments_end, "7").unwrap();
        assert_eq!(closure.segment, "000000010000000000000005");
    }

    #[test]
    fn a_fork_before_the_end_of_the_last_record_is_told() {
        let history = |at: &str| {
            History(vec![Fork {
                timeline: Timeline(1),
                at: at.parse().unwrap(),
                promoted_at: None,
            }])
        };
        let end = "0/50000A0".parse().unwrap();
        assert_eq!(
            judge_fork(Timeline(2), &history("0/50000A0"), Timeline(1), end),
            Ok(end)
        );
        assert!(matches!(
            judge_fork(Timeline(2), &history("0/5000000"), Timeline(1), end),
            Err(NotProved::ForkedEarly { .. })
        ));
        assert!(matches!(
            judge_fork(Timeline(3), &History::default(), Timeline(1), end),
            Err(NotProved::NotAChild { .. })
        ));
    }
}
