//! The demotion of one side by itself: its plan, and what it came to.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::check::{Consent, SideFacts, judge_demotion};
use crate::finding::{Finding, Severity};
use crate::plan::{Demotion, LeaderIdentity, Refusal, Step, demotion_of, leader_of};
use crate::proof::Closure;
use crate::site::Place;
use crate::standstill::End;

/// What a demotion will do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DemotionPlan {
    /// The side that becomes a standby.
    pub source: Place,
    /// The side that may be promoted afterwards; `None` when it was not seen.
    pub peer: Option<Place>,
    /// How it is stopped.
    pub demotion: Demotion,
    /// The member that will be stopped: only this one's control data counts.
    pub source_leader: LeaderIdentity,
    /// The section of the object that makes it a standby.
    pub standby: Map<String, Value>,
    /// The steps.
    pub steps: Vec<Step>,
    /// What was seen that does not stop the demotion.
    pub warnings: Vec<Finding>,
}

/// A finished demotion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DemotionOutcome {
    /// The side that is a standby now.
    pub source: Place,
    /// The side that may be promoted; `None` when it was not seen.
    pub peer: Option<Place>,
    /// Where its log ended: the shutdown checkpoint, its timeline and the segment that was pushed.
    pub closure: Closure,
    /// The end of its log after it: what a promotion compares.
    pub end: End,
    /// How many members are in recovery.
    pub members: usize,
}

/// Plans a demotion, or says why there is none.
pub fn plan_demotion(
    source: &SideFacts,
    peer: Result<&SideFacts, &str>,
    section: &Map<String, Value>,
    consent: Consent,
    now: Timestamp,
) -> Result<DemotionPlan, Refusal> {
    let findings = judge_demotion(source, peer, section, consent, now);
    let leader = leader_of(source);
    let (Some(source_leader), None) = (leader, findings.failures().next()) else {
        return Err(Refusal(findings.failures().cloned().collect()));
    };
    Ok(DemotionPlan {
        source: source.survey.place.clone(),
        peer: peer.ok().map(|side| side.survey.place.clone()),
        demotion: demotion_of(source),
        source_leader,
        standby: section.clone(),
        steps: vec![
            Step::Claim,
            Step::Hold,
            Step::Rehearse,
            Step::Fence,
            Step::Prove,
            Step::Verify,
            Step::Release,
        ],
        warnings: findings
            .0
            .into_iter()
            .filter(|finding| finding.severity == Severity::Warn)
            .collect(),
    })
}

impl DemotionPlan {
    /// What a step of a demotion does, as a line of a plan.
    pub const fn purpose(step: Step) -> &'static str {
        match step {
            Step::Hold => "pause the operator; it acknowledges it",
            Step::Rehearse => "checkpoint, and see a segment archived and pushed",
            Step::Fence => {
                "stop the leader cleanly and make this side a standby; nobody takes writes from here on"
            }
            Step::Prove => {
                "push what the archive lacks, the shutdown checkpoint's segment included"
            }
            Step::Verify => {
                "see every member in recovery, at rest, holding the shutdown checkpoint"
            }
            Step::Release => "resume the operator",
            Step::Claim
            | Step::Prepare
            | Step::Drain
            | Step::Detach
            | Step::Promote
            | Step::Rejoin => step.purpose(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::check::samples::Sample;
    use crate::service::samples::now;

    #[test]
    fn a_plan_names_who_is_stopped_and_what_makes_it_a_standby() {
        let sample = Sample::healthy();
        let section = json!({"repoName": "repo1"});
        let section = section.as_object().unwrap();
        let plan = plan_demotion(
            &sample.source,
            Ok(&sample.target),
            section,
            sample.consent,
            now(),
        )
        .unwrap();
        assert_eq!(plan.source_leader.pod, "core1-0");
        assert_eq!(plan.peer, Some(sample.target.survey.place.clone()));
        assert_eq!(&plan.standby, section);
        assert!(plan.steps.is_sorted());
        let refused = plan_demotion(
            &sample.source,
            Err("nobody"),
            &Map::new(),
            sample.consent,
            now(),
        );
        assert_eq!(refused.unwrap_err().0[0].check, "standby-section");
    }
}
