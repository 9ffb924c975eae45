//! The evidence on which a promotion rests.

use serde::Serialize;

use crate::control::{ClusterState, ControlData};
use crate::lsn::Lsn;
use crate::timeline::{History, Timeline};

/// Where the source's log ends for good, read from the stopped leader's own control file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Closure {
    /// The system identifier, from the same reading.
    pub system_identifier: String,
    /// The source's last timeline.
    pub timeline: Timeline,
    /// C: where the shutdown checkpoint's record begins.
    pub checkpoint: Lsn,
    /// The segment that holds it.
    pub segment: String,
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
    #[error(
        "{member} has replayed up to {replayed}, the shutdown checkpoint begins at {checkpoint}"
    )]
    Behind {
        /// Which member of the target.
        member: String,
        /// Up to where.
        replayed: Lsn,
        /// C.
        checkpoint: Lsn,
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
        if control.system_identifier != system_identifier {
            return Err(NotProved::OtherSystem {
                found: control.system_identifier.clone(),
                expected: system_identifier.to_owned(),
            });
        }
        if control.state != ClusterState::ShutDown {
            return Err(NotProved::NotShutDown {
                state: format!("{:?}", control.state),
            });
        }
        Ok(Self {
            system_identifier: control.system_identifier.clone(),
            timeline: control.timeline,
            checkpoint: control.checkpoint,
            segment: control.redo_wal_file.clone(),
        })
    }

    /// Whether a member of the target holds everything: strictly more than C, because the replay position is the end of
    /// the last replayed record and the shutdown checkpoint is that record.
    pub fn covers(&self, member: &str, replayed: Lsn) -> Result<(), NotProved> {
        if replayed > self.checkpoint {
            return Ok(());
        }
        Err(NotProved::Behind {
            member: member.to_owned(),
            replayed,
            checkpoint: self.checkpoint,
        })
    }

    /// Whether the new primary's history forks exactly at the end of the source's last record.
    pub fn judge_fork(
        &self,
        timeline: Timeline,
        history: &History,
        end: Lsn,
    ) -> Result<Lsn, NotProved> {
        let Some(fork) = history.fork_of(self.timeline) else {
            return Err(NotProved::NotAChild {
                timeline,
                source_timeline: self.timeline,
            });
        };
        if fork < end {
            return Err(NotProved::ForkedEarly {
                timeline,
                fork,
                end,
            });
        }
        Ok(fork)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lsn::SegmentSize;
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
            closure().judge_fork(Timeline(2), &history("0/50000A0"), end),
            Ok(end)
        );
        assert!(matches!(
            closure().judge_fork(Timeline(2), &history("0/5000000"), end),
            Err(NotProved::ForkedEarly { .. })
        ));
        assert!(matches!(
            closure().judge_fork(Timeline(3), &History::default(), end),
            Err(NotProved::NotAChild { .. })
        ));
    }
}
