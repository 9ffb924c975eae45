//! The promotion of one side by itself: its plan, and what it came to.

use jiff::Timestamp;
use serde::Serialize;

use crate::check::archive;
use crate::check::{
    Consent, DataLoss, FailoverConsent, FailoverFacts, PromotionFacts, SideFacts, judge_failover,
    judge_promotion,
};
use crate::failover::{Failover, FenceProof, Risk, SourceSight};
use crate::finding::{Finding, Findings, Severity};
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
    /// What a failover adds; `None` of a promotion by hand.
    pub failover: Option<Failover>,
    /// The steps.
    pub steps: Vec<Step>,
    /// What was seen that does not stop the promotion.
    pub warnings: Vec<Finding>,
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
    /// What a failover adds; `None` of a promotion by hand.
    pub failover: Option<Failover>,
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
        failover: None,
        steps: steps(proof.is_some()),
        proof,
        warnings: warnings(findings),
    })
}

/// Plans the promotion of a side whose source cannot say where it ended, or says why there is none.
pub fn plan_failover(
    facts: &FailoverFacts<'_>,
    consent: FailoverConsent<'_>,
    now: Timestamp,
) -> Result<PromotionPlan, Refusal> {
    let findings = judge_failover(facts, consent, now);
    let leader = leader_of(facts.target);
    let (Some(target_leader), None) = (leader, findings.failures().next()) else {
        return Err(Refusal(findings.failures().cloned().collect()));
    };
    let fence = match (facts.sight.silence(), consent.word) {
        (Some(_), Some(reason)) => FenceProof::Word {
            reason: reason.to_owned(),
        },
        (_, _) => FenceProof::Source,
    };
    let is_seen = facts.source.is_some();
    let wanted = |step: &Step| is_seen || *step != Step::Fence;
    Ok(PromotionPlan {
        target: facts.target.survey.place.clone(),
        source: is_seen.then(|| facts.sight.place.clone()),
        target_leader,
        proof: None,
        risk: Some(facts.risk.clone()),
        failover: Some(Failover {
            source: facts.sight.place.clone(),
            fenced_at_source: is_seen,
            standby_section: facts
                .source
                .and_then(|side| side.survey.object.standby_section.clone()),
            fence,
            accepted: consent.accepted,
            risk: facts.risk.clone(),
        }),
        steps: FAILOVER_STEPS.into_iter().filter(wanted).collect(),
        warnings: warnings(findings),
    })
}

/// What may be lost when this target is promoted and the source stays as it was seen.
pub fn risk_of_failover(target: &SideFacts, sight: &SourceSight) -> Risk {
    let risk = Risk {
        last_known: sight.last_known,
        ..held_by(target)
    };
    risk.ending_at(sight.closure.as_ref(), archive::timeline(target))
}

const FAILOVER_STEPS: [Step; 8] = [
    Step::Claim,
    Step::Hold,
    Step::Fence,
    Step::Prove,
    Step::Promote,
    Step::Verify,
    Step::Release,
    Step::Rejoin,
];

fn warnings(findings: Findings) -> Vec<Finding> {
    let all = findings.0.into_iter();
    all.filter(|finding| finding.severity == Severity::Warn)
        .collect()
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
    let written = facts.source.ok().and_then(|source| {
        let positions = source.survey.members.iter();
        positions
            .filter_map(|member| member.freshest().ok()?.written)
            .max()
    });
    Risk {
        last_known: written,
        ..held_by(facts.target)
    }
}

fn held_by(target: &SideFacts) -> Risk {
    let leader = target.survey.lock_holder();
    let status = leader.and_then(|member| member.freshest().ok());
    let own = target.postgres.as_ref();
    Risk {
        held: own
            .and_then(|own| own.replayed)
            .or_else(|| status?.replayed),
        held_at: own
            .and_then(|own| own.replayed_at)
            .or_else(|| status?.replayed_at),
        ..Risk::default()
    }
}

impl PromotionPlan {
    /// What a step does, as a line of this plan.
    pub const fn purpose_of(&self, step: Step) -> &'static str {
        match step {
            _ if self.failover.is_none() => Self::purpose(step),
            Step::Hold => "pause this side's operator; it acknowledges it",
            Step::Fence => {
                "make the source a standby by its configuration; none of its members takes writes"
            }
            Step::Prove => "replay everything that was received; nothing more comes",
            Step::Verify => "commit and archive here; read where the history forks",
            Step::Release => "resume this side's operator",
            Step::Rejoin => "see this side's members follow the new timeline",
            Step::Claim
            | Step::Prepare
            | Step::Rehearse
            | Step::Drain
            | Step::Detach
            | Step::Promote => Self::purpose(step),
        }
    }

    /// What a step of a promotion by hand does.
    const fn purpose(step: Step) -> &'static str {
        match step {
            Step::Hold => "pause the operators; each acknowledges it",
            Step::Prove => "read the ends of both sides' logs once more, and compare them",
            Step::Promote => "make this side primary (point of no return)",
            Step::Verify => {
                "commit and archive here; check where the history forks, and that the other side only reads"
            }
            Step::Release => "resume the operators",
            Step::Rejoin => "see the members follow the new timeline",
            Step::Claim
            | Step::Prepare
            | Step::Rehearse
            | Step::Drain
            | Step::Detach
            | Step::Fence => step.purpose(),
        }
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
}
