//! A cluster that is shut down: the plan, what its leader said at its end, and what it came to.

use serde::Serialize;

use crate::check::{Consent, SideFacts, judge_shutdown};
use crate::control::{ClusterState, ControlData};
use crate::finding::{Finding, Severity};
use crate::lsn::Lsn;
use crate::plan::{LeaderIdentity, Refusal, leader_of};
use crate::site::Place;
use crate::timeline::Timeline;

/// What a shutdown will do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShutdownPlan {
    /// What is shut down.
    pub place: Place,
    /// How many members are stopped.
    pub members: usize,
    /// The member that is stopped last; `None` where nobody holds Patroni's lock.
    pub leader: Option<LeaderIdentity>,
    /// Whether the object asks for it already: the rest is waited for.
    pub asked: bool,
    /// What was seen that does not stop it.
    pub warnings: Vec<Finding>,
}

/// A cluster of which nothing runs any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShutdownOutcome {
    /// What was shut down.
    pub place: Place,
    /// How many members were stopped.
    pub members: usize,
    /// What the leader's own control data said when it had stopped; `None` when that was not seen.
    pub end: Option<CleanEnd>,
    /// Whether Patroni let its lock go, which it does once it has seen its Postgres stop (Patroni `ha.py`, `shutdown`);
    /// `None` when that was not seen.
    pub lock_released: Option<bool>,
    /// What could not be proved, as full sentences.
    pub unproved: Vec<String>,
}

/// The end of a server that was stopped cleanly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CleanEnd {
    /// Which member.
    pub pod: String,
    /// `shut down` of a primary, `shut down in recovery` of a standby.
    pub state: ClusterState,
    /// Where its last checkpoint is: the shutdown checkpoint of a primary, the last restart point of a standby.
    pub checkpoint: Lsn,
    /// The timeline of it.
    pub timeline: Timeline,
}

/// Control data that proves no clean stop.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotClean {
    /// The server did not stop, or not cleanly.
    #[error("its control data says another state than `shut down`")]
    State,
    /// It is another database's.
    #[error("its control data has the system identifier {found}, and the cluster's is {expected}")]
    OtherDatabase {
        /// What it says.
        found: String,
        /// The cluster's.
        expected: String,
    },
}

impl CleanEnd {
    /// What a member's control data proves of its stop.
    pub fn from_control(
        pod: &str,
        control: &ControlData,
        system_identifier: &str,
    ) -> Result<Self, NotClean> {
        if control.system_identifier != system_identifier {
            return Err(NotClean::OtherDatabase {
                found: control.system_identifier.clone(),
                expected: system_identifier.to_owned(),
            });
        }
        match control.state {
            ClusterState::ShutDown | ClusterState::ShutDownInRecovery => Ok(Self {
                pod: pod.to_owned(),
                state: control.state.clone(),
                checkpoint: control.checkpoint,
                timeline: control.timeline,
            }),
            ClusterState::InProduction
            | ClusterState::InArchiveRecovery
            | ClusterState::Other(_) => Err(NotClean::State),
        }
    }
}

/// Plans a shutdown, or says why there is none. One that the object asks for already is only waited for, whatever stands
/// in the way of asking.
pub fn plan_shutdown(
    side: &SideFacts,
    record: Result<(), &str>,
    peer: Option<&SideFacts>,
    consent: Consent,
) -> Result<ShutdownPlan, Refusal> {
    let asked = side.survey.object.shutdown;
    let findings = judge_shutdown(side, record, peer, consent);
    if !asked && findings.failures().next().is_some() {
        return Err(Refusal(findings.failures().cloned().collect()));
    }
    let is_told = |finding: &Finding| finding.severity == Severity::Warn && !asked;
    Ok(ShutdownPlan {
        place: side.survey.place.clone(),
        members: side.survey.members.len(),
        leader: leader_of(side),
        asked,
        warnings: findings.0.into_iter().filter(is_told).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::samples::Sample;
    use crate::lsn::SegmentSize;

    fn control(state: ClusterState) -> ControlData {
        ControlData {
            system_identifier: "7".to_owned(),
            state,
            checkpoint: "0/7000028".parse().unwrap(),
            redo: "0/7000028".parse().unwrap(),
            redo_wal_file: "000000010000000000000007".to_owned(),
            timeline: Timeline(1),
            segment_size: SegmentSize::from_bytes(16 << 20).unwrap(),
        }
    }

    #[test]
    fn only_a_stopped_server_of_this_database_ended_cleanly() {
        let of = |state| CleanEnd::from_control("core1-0", &control(state), "7");
        let end = of(ClusterState::ShutDown).unwrap();
        assert_eq!(
            (end.checkpoint.to_string(), end.timeline),
            ("0/7000028".to_owned(), Timeline(1))
        );
        assert!(of(ClusterState::ShutDownInRecovery).is_ok());
        for state in [
            ClusterState::InProduction,
            ClusterState::Other("shutting down".to_owned()),
        ] {
            assert_eq!(of(state), Err(NotClean::State));
        }
        let other = CleanEnd::from_control("core1-0", &control(ClusterState::ShutDown), "8");
        assert!(matches!(other, Err(NotClean::OtherDatabase { .. })));
    }

    #[test]
    fn a_plan_names_who_is_stopped_last_and_a_refusal_why_not() {
        let mut sample = Sample::healthy();
        let peer = sample.target.clone();
        let plan =
            |sample: &Sample| plan_shutdown(&sample.source, Ok(()), Some(&peer), sample.consent);
        let planned = plan(&sample).unwrap();
        assert_eq!(planned.leader.unwrap().pod, "core1-0");
        assert!(!planned.asked);
        sample.source.survey.object.paused = true;
        assert_eq!(plan(&sample).unwrap_err().0[0].check, "operator-not-paused");
    }

    #[test]
    fn what_is_asked_for_already_is_waited_for() {
        let mut sample = Sample::healthy();
        sample.source.survey.object.shutdown = true;
        sample.source.survey.object.paused = true;
        let plan = plan_shutdown(&sample.source, Err("forbidden"), None, sample.consent).unwrap();
        assert!(plan.asked && plan.warnings.is_empty());
    }
}
