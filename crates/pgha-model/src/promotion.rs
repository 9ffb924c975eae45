//! The promotion of one side by itself: its plan, and what it came to.

use jiff::Timestamp;
use serde::Serialize;

use crate::check::{Consent, DataLoss, PromotionFacts, SideFacts, judge_promotion};
use crate::finding::{Finding, Severity};
use crate::login::Logins;
use crate::lsn::Lsn;
use crate::plan::{LeaderIdentity, Refusal, Step, leader_of};
use crate::site::Place;
use crate::standstill::Standstill;
use crate::timeline::Timeline;

/// What a promotion will do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PromotionPlan {
    /// The side that becomes primary.
    pub target: Place,
    /// The other side, which stays a standby; `None` when it was not seen.
    pub source: Option<Place>,
    /// The member that will be promoted.
    pub target_leader: LeaderIdentity,
    /// The proof that nothing is lost; it is read again under both holds.
    pub proof: Option<Standstill>,
    /// What may be lost, when there is no proof.
    pub risk: Option<Risk>,
    /// The steps.
    pub steps: Vec<Step>,
    /// What was seen that does not stop the promotion.
    pub warnings: Vec<Finding>,
}

/// What may be lost: everything after what this side is known to hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Risk {
    /// Up to where this side's leader has replayed.
    pub held: Option<Lsn>,
    /// When the last commit that it replayed was made, by the primary's clock.
    pub held_at: Option<Timestamp>,
    /// The last position that is known of the other side.
    pub last_known: Option<Lsn>,
}

/// A finished promotion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PromotionOutcome {
    /// The side that is primary now.
    pub target: Place,
    /// The other side; `None` when it was not seen.
    pub source: Option<Place>,
    /// The proof that nothing is lost, as read under both holds.
    pub proof: Option<Standstill>,
    /// What may be lost, when there is none.
    pub risk: Option<Risk>,
    /// The new timeline.
    pub timeline: Timeline,
    /// Where it forks off the old one.
    pub fork: Lsn,
    /// What programs can do there: each user, by each way in.
    pub logins: Logins,
    /// How many members of both sides were seen following.
    pub following: usize,
}

/// Whether a side takes writes already: then there is nothing to promote.
pub fn is_primary(side: &SideFacts) -> bool {
    side.postgres
        .as_ref()
        .is_some_and(|facts| !facts.in_recovery)
}

/// Plans a promotion, or says why there is none.
pub fn plan_promotion(
    facts: &PromotionFacts<'_>,
    consent: Consent,
    loss: DataLoss,
    now: Timestamp,
) -> Result<PromotionPlan, Refusal> {
    let findings = judge_promotion(facts, consent, loss, now);
    let leader = leader_of(facts.target);
    let (Some(target_leader), None) = (leader, findings.failures().next()) else {
        return Err(Refusal(findings.failures().cloned().collect()));
    };
    let proof = facts.proof.and_then(Result::ok).cloned();
    Ok(PromotionPlan {
        target: facts.target.survey.place.clone(),
        source: facts.source.ok().map(|side| side.survey.place.clone()),
        target_leader,
        risk: proof.is_none().then(|| risk(facts)),
        steps: steps(proof.is_some()),
        proof,
        warnings: findings
            .0
            .into_iter()
            .filter(|finding| finding.severity == Severity::Warn)
            .collect(),
    })
}

fn steps(is_proved: bool) -> Vec<Step> {
    let steps = [
        Step::Claim,
        Step::Hold,
        Step::Prove,
        Step::Promote,
        Step::Verify,
        Step::Release,
        Step::Rejoin,
    ];
    let wanted = |step: &Step| is_proved || *step != Step::Prove;
    steps.into_iter().filter(wanted).collect()
}

fn risk(facts: &PromotionFacts<'_>) -> Risk {
    let leader = facts.target.survey.lock_holder();
    let status = leader.and_then(|member| member.freshest().ok());
    let written = facts.source.ok().and_then(|source| {
        let positions = source.survey.members.iter();
        positions
            .filter_map(|member| member.freshest().ok()?.written)
            .max()
    });
    let replayed = facts.target.postgres.as_ref().and_then(|own| own.replayed);
    Risk {
        held: replayed.or_else(|| status?.replayed),
        held_at: status.and_then(|status| status.replayed_at),
        last_known: written,
    }
}

impl PromotionPlan {
    /// What a step of a promotion does, as a line of a plan.
    pub const fn purpose(step: Step) -> &'static str {
        match step {
            Step::Hold => "pause the operators; each acknowledges it",
            Step::Prove => "read the ends of both sides' logs once more, and compare them",
            Step::Promote => "make this side primary (point of no return)",
            Step::Verify => {
                "commit and archive here; check where the history forks, and that the other side only reads"
            }
            Step::Release => "resume the operators",
            Step::Rejoin => "see the members follow the new timeline",
            Step::Claim | Step::Prepare | Step::Rehearse | Step::Detach | Step::Fence => {
                step.purpose()
            }
        }
    }
}

impl Risk {
    /// The bound of what may be lost, as full sentences.
    pub fn sentences(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        match (self.held, self.held_at) {
            (Some(held), Some(at)) => sentences.push(format!(
                "This side holds the log up to {held}; the last commit in it is of {at}. Every later commit is lost."
            )),
            (Some(held), None) => sentences.push(format!(
                "This side holds the log up to {held}; when the last commit in it was made is not known. Every later \
                 commit is lost."
            )),
            (None, _) => sentences.push(
                "Up to where this side holds the log is not known, and so is what is lost.".to_owned(),
            ),
        }
        if let (Some(known), Some(held)) = (self.last_known, self.held) {
            sentences.push(format!(
                "The other side was last seen at {known}, {} bytes further; it may have gone on since.",
                known.bytes_ahead_of(held)
            ));
        } else {
            sentences.push("How far the other side has come is not known.".to_owned());
        }
        sentences
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::samples::Sample;
    use crate::service::samples::now;

    fn forced(sample: &Sample) -> PromotionPlan {
        let facts = PromotionFacts {
            target: &sample.target,
            source: Err("it does not answer"),
            proof: None,
        };
        plan_promotion(&facts, sample.consent, DataLoss::Accepted, now()).unwrap()
    }

    #[test]
    fn without_a_proof_the_plan_says_what_may_be_lost() {
        let plan = forced(&Sample::healthy());
        assert!(!plan.steps.contains(&Step::Prove));
        assert_eq!(plan.source, None);
        let sentences = plan.risk.unwrap().sentences();
        assert!(sentences[0].contains("up to 0/70000B8"), "{sentences:?}");
        assert_eq!(
            sentences[1],
            "How far the other side has come is not known."
        );
        assert!(plan.warnings.iter().any(|one| one.check == "peer-seen"));
    }

    #[test]
    fn without_consent_there_is_no_plan_without_a_peer() {
        let sample = Sample::healthy();
        let facts = PromotionFacts {
            target: &sample.target,
            source: Err("it does not answer"),
            proof: None,
        };
        let refused = plan_promotion(&facts, sample.consent, DataLoss::Refused, now());
        assert_eq!(refused.unwrap_err().0[0].check, "peer-seen");
    }

    #[test]
    fn the_last_known_position_of_the_other_side_bounds_the_loss() {
        let risk = Risk {
            held: Some("0/5000000".parse().unwrap()),
            held_at: None,
            last_known: Some("0/5000100".parse().unwrap()),
        };
        assert!(risk.sentences()[1].contains("256 bytes further"));
    }
}
