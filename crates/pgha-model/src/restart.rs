//! A cluster whose Postgres is restarted, member by member: the plan, and what it came to.

use jiff::Timestamp;
use serde::Serialize;

use crate::check::{SideFacts, judge_restart, role_of};
use crate::finding::{Finding, Severity};
use crate::lsn::Lsn;
use crate::member::Role;
use crate::plan::{LeaderIdentity, Refusal, leader_of};
use crate::site::Place;

/// What a restart will do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RestartPlan {
    /// What is restarted.
    pub place: Place,
    /// Whether it takes writes, which wait while the leader restarts.
    pub is_primary: bool,
    /// The members in their order, the leader last.
    pub members: Vec<LeaderIdentity>,
    /// What was seen that does not stop it.
    pub warnings: Vec<Finding>,
}

/// A cluster of which every server was started anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RestartOutcome {
    /// What was restarted.
    pub place: Place,
    /// The members in their order.
    pub restarted: Vec<Restarted>,
    /// The member that leads, as it did before.
    pub leader: String,
    /// Where a transaction was committed afterwards, on a primary.
    pub committed: Option<Lsn>,
}

/// A member whose Postgres was started anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Restarted {
    /// Which.
    pub pod: String,
    /// Since when it ran before, by its own clock (`pg_postmaster_start_time()`).
    pub before: Timestamp,
    /// Since when it runs now.
    pub since: Timestamp,
}

/// Plans a restart, or says why there is none.
pub fn plan_restart(
    side: &SideFacts,
    record: Result<(), &str>,
    now: Timestamp,
) -> Result<RestartPlan, Refusal> {
    let findings = judge_restart(side, record, now);
    let leader = leader_of(side);
    let (Some(leader), None) = (leader, findings.failures().next()) else {
        return Err(Refusal(findings.failures().cloned().collect()));
    };
    let others = side
        .survey
        .members
        .iter()
        .filter(|member| member.pod != leader.pod);
    Ok(RestartPlan {
        place: side.survey.place.clone(),
        is_primary: role_of(&side.survey) == Some(Role::Primary),
        members: others
            .map(LeaderIdentity::of)
            .chain([leader.clone()])
            .collect(),
        warnings: findings
            .0
            .into_iter()
            .filter(|finding| finding.severity == Severity::Warn)
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::samples::Sample;
    use crate::observed::Observed;
    use crate::service::samples::now;

    #[test]
    fn replicas_come_first_and_the_leader_last() {
        let mut sample = Sample::healthy();
        let mut replica = sample.source.survey.members[0].clone();
        "core1-1".clone_into(&mut replica.pod);
        replica.role_label = Some("replica".to_owned());
        for status in [&mut replica.status, &mut replica.live] {
            if let Observed::Seen(status) = status {
                status.role = Role::Replica;
            }
        }
        sample.source.survey.members.push(replica);
        let plan = plan_restart(&sample.source, Ok(()), now()).unwrap();
        let pods: Vec<_> = plan
            .members
            .iter()
            .map(|member| member.pod.as_str())
            .collect();
        assert_eq!(pods, ["core1-1", "core1-0"]);
        assert!(plan.is_primary);
        let standby = plan_restart(&sample.target, Ok(()), now()).unwrap();
        assert!(!standby.is_primary);
        let refused = plan_restart(&sample.source, Err("forbidden"), now()).unwrap_err();
        assert_eq!(refused.0[0].check, "record-seen");
    }
}
