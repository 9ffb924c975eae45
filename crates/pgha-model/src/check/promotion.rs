//! What a single promotion must pass.

use jiff::Timestamp;

use super::{
    Consent, SideFacts, access, archive, judge_identity, judge_leadership, judge_members,
    judge_object, judge_patroni_pause, judge_postgres_role, promote_command, replay, replication,
    role_of,
};
use crate::finding::{Finding, Findings, Severity};
use crate::member::Role;
use crate::site::Part;
use crate::standstill::{Doubt, Standstill};
use crate::timeline::Timeline;

/// What a promotion is decided from. The target is the side to be promoted, the source is its peer.
#[derive(Clone, Copy, Debug)]
pub struct PromotionFacts<'a> {
    /// The side to be promoted.
    pub target: &'a SideFacts,
    /// The other side, or why it was not seen.
    pub source: Result<&'a SideFacts, &'a str>,
    /// The proof that the target holds everything, or why there is none; `None` when the source was not seen.
    pub proof: Option<Result<&'a Standstill, &'a Doubt>>,
}

/// Whether a promotion that may lose data is allowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DataLoss {
    /// Only what is proved to lose nothing.
    #[default]
    Refused,
    /// A person has typed the cluster's name.
    Accepted,
}

/// Checks a promotion; it may start when nothing fails.
///
/// With consent to a loss of data, what is about the peer and about the proof is only told, with one exception that no
/// consent lifts: a peer that takes writes. Two primaries are never made.
pub fn judge_promotion(
    facts: &PromotionFacts<'_>,
    consent: Consent,
    loss: DataLoss,
    now: Timestamp,
) -> Findings {
    let mut hard = Findings::default();
    judge_target(facts.target, consent, now, &mut hard);
    let mut soft = Findings::default();
    // A member that is down now can be elected later without the last writes.
    judge_members(Part::Target, facts.target, &mut soft);
    judge_repository(facts, &mut soft);
    match facts.source {
        Ok(source) => {
            judge_identity(source, facts.target, &mut hard);
            // Beside a primary nothing else matters.
            if !judge_peer_writes(source, &mut hard) {
                judge_peer(source, consent, now, &mut soft);
                access::judge_secrets(source, facts.target, &mut soft);
                judge_proof(source, facts, &mut soft);
            }
        }
        Err(because) => soft.fail_if(
            "peer-seen",
            Part::Source,
            Some(format!("The other side was not seen: {because}.")),
            "Make it reachable, or name it with --peer. What is not seen may be primary.",
        ),
    }
    if loss == DataLoss::Accepted {
        for finding in &mut soft.0 {
            finding.severity = finding.severity.min(Severity::Warn);
        }
    }
    hard.0.append(&mut soft.0);
    hard
}

/// What a promotion would not work without.
pub(super) fn judge_target(
    target: &SideFacts,
    consent: Consent,
    now: Timestamp,
    findings: &mut Findings,
) {
    let part = Part::Target;
    let mut leadership = Findings::default();
    judge_leadership(part, target, now, &mut leadership);
    let of_leader = |finding: &Finding| finding.check == "leader-evidence";
    findings
        .0
        .extend(leadership.0.into_iter().filter(of_leader));
    judge_object(part, &target.survey, consent, findings);
    judge_patroni_pause(part, &target.survey, findings);
    judge_postgres_role(part, target, true, findings);
    replay::judge(target, findings);
    replication::judge_synchronous(target, findings);
    archive::judge_target(target, findings);
    access::judge_permissions(part, target, findings);
}

/// Only the proof tells the timeline exactly: without it this side's control file does, which may still name an older one.
fn judge_repository(facts: &PromotionFacts<'_>, findings: &mut Findings) {
    let proved = facts.proof.and_then(Result::ok);
    let timeline: Option<Timeline> = proved.map(|proof| proof.target.timeline);
    let timeline = timeline.or_else(|| archive::timeline(facts.target));
    archive::judge_repository(Part::Target, facts.target, timeline, findings);
}

/// Any answer that says so is enough. What a pod's annotation says may be old: that is for [`judge_peer`].
fn judge_peer_writes(source: &SideFacts, findings: &mut Findings) -> bool {
    let by_postgres = source
        .postgres
        .as_ref()
        .is_some_and(|facts| !facts.in_recovery);
    let by_patroni = source.survey.members.iter().find(|member| {
        let live = member.live.as_seen();
        live.is_some_and(|status| status.role == Role::Primary)
    });
    let seen = match by_patroni {
        Some(member) => Some(format!("{} of the other side is primary.", member.pod)),
        None if by_postgres => Some("Postgres of the other side is not in recovery.".to_owned()),
        None => None,
    };
    let place = &source.survey.place;
    let advice = format!(
        "Move the service with `switchover` and `--from {}`, or stop that side first with `{}`. Nothing lifts this.",
        place.context,
        place.command("demote")
    );
    let writes = seen.is_some();
    findings.fail_if("peer-not-primary", Part::Source, seen, &advice);
    writes
}

/// What leaves open whether the peer is, or becomes, primary.
fn judge_peer(source: &SideFacts, consent: Consent, now: Timestamp, findings: &mut Findings) {
    let part = Part::Source;
    let role = role_of(&source.survey);
    let is_standby = role == Some(Role::StandbyLeader);
    let seen = match role {
        Some(role) => format!("The leader of the other side is {role}."),
        None => "The other side has no leader.".to_owned(),
    };
    findings.fail_if(
        "roles",
        part,
        (!is_standby).then_some(seen),
        "Run `kubectl pgha leader` there, and wait until it has settled.",
    );
    let asks_for_primary = (!source.survey.object.standby)
        .then(|| "The object of the other side asks for a primary.".to_owned());
    findings.fail_if(
        "peer-stays-standby",
        part,
        asks_for_primary,
        "Set spec.standby.enabled to true there: its operator would promote it.",
    );
    judge_leadership(part, source, now, findings);
    judge_object(part, &source.survey, consent, findings);
    judge_postgres_role(part, source, true, findings);
    access::judge_permissions(part, source, findings);
}

fn judge_proof(source: &SideFacts, facts: &PromotionFacts<'_>, findings: &mut Findings) {
    let doubt = match facts.proof {
        Some(Ok(_)) => None,
        Some(Err(doubt)) => Some(doubt),
        None => Some(&Doubt::NoMembers { part: Part::Source }),
    };
    let advice = match doubt {
        Some(Doubt::SourceAhead { .. }) => format!(
            "Promote that side instead: `{}`. Or wait until this side has caught up.",
            promote_command(&source.survey, &facts.target.survey)
        ),
        Some(Doubt::Diverged { .. } | Doubt::OtherLog { .. }) => {
            "Compare the data of both sides; whichever is promoted, the other one must be rebuilt from it.".to_owned()
        }
        Some(Doubt::NotAtRest { .. } | Doubt::ReplicaBehind { .. }) => {
            "Let it replay all that it has, then run the same command again.".to_owned()
        }
        Some(Doubt::Unread { .. } | Doubt::TakesWrites { .. } | Doubt::NoMembers { .. } | Doubt::NotComparable { .. }) | None => {
            "What is not read from both sides is not proved.".to_owned()
        }
    };
    let seen = doubt.map(|doubt| format!("It is not proved that nothing is lost: {doubt}."));
    findings.fail_if("holds-everything", Part::Target, seen, &advice);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::check::samples::Sample;
    use crate::lsn::Lsn;
    use crate::observed::Observed;
    use crate::service::samples::{PRIMARY, STANDBY, now, set_status};
    use crate::standstill::End;

    /// A pair of which both sides are standbys.
    fn both_standby() -> Sample {
        let mut sample = Sample::healthy();
        set_status(&mut sample.source.survey, STANDBY);
        sample.source.survey.object.standby = true;
        sample.source.survey.object.standby_section = Some(json!({"repoName": "repo1"}));
        if let Some(facts) = &mut sample.source.postgres {
            facts.in_recovery = true;
        }
        sample
    }

    fn proof() -> Standstill {
        let end = End {
            timeline: Timeline(1),
            at: Lsn::from_bytes(0x50_000A0),
        };
        Standstill {
            source: end,
            target: end,
            members: 4,
            compared: Vec::new(),
        }
    }

    fn failing(
        sample: &Sample,
        proof: Result<&Standstill, &Doubt>,
        loss: DataLoss,
    ) -> Vec<&'static str> {
        let facts = PromotionFacts {
            target: &sample.target,
            source: Ok(&sample.source),
            proof: Some(proof),
        };
        let findings = judge_promotion(&facts, sample.consent, loss, now());
        findings.failures().map(|finding| finding.check).collect()
    }

    #[test]
    fn both_standbys_at_rest_may_be_promoted() {
        let sample = both_standby();
        assert_eq!(
            failing(&sample, Ok(&proof()), DataLoss::Refused),
            Vec::<&str>::new()
        );
    }

    #[test]
    fn a_primary_peer_forbids_it_whatever_is_consented_to() {
        let mut sample = both_standby();
        set_status(&mut sample.source.survey, PRIMARY);
        assert_eq!(
            failing(&sample, Ok(&proof()), DataLoss::Accepted),
            ["peer-not-primary"]
        );
        let mut sample = both_standby();
        if let Some(facts) = &mut sample.source.postgres {
            facts.in_recovery = false;
        }
        assert_eq!(
            failing(&sample, Ok(&proof()), DataLoss::Accepted),
            ["peer-not-primary"]
        );
    }

    #[test]
    fn what_may_be_or_become_primary_needs_consent() {
        type Spoil = fn(&mut Sample);
        let spoilers: [(&str, Spoil); 6] = [
            ("dead-branch", |s| {
                if let Observed::Seen(branches) = &mut s.target.inspection.branches {
                    branches[0].newest = Some(Timeline(7));
                }
            }),
            ("peer-stays-standby", |s| {
                s.source.survey.object.standby = false;
            }),
            ("operator-not-paused", |s| {
                s.source.survey.object.paused = true;
            }),
            ("postgres-answers", |s| s.source.postgres = None),
            ("leader-evidence", |s| {
                s.source.survey.members[0].role_label = Some("replica".to_owned());
            }),
            ("members-running", |s| {
                for member in &mut s.target.survey.members {
                    member.live = Observed::unseen("gone");
                    member.status = Observed::unseen("gone");
                }
            }),
        ];
        for (check, spoil) in spoilers {
            let mut sample = both_standby();
            spoil(&mut sample);
            let refused = failing(&sample, Ok(&proof()), DataLoss::Refused);
            assert!(refused.contains(&check), "{check}: {refused:?}");
            let forced = failing(&sample, Ok(&proof()), DataLoss::Accepted);
            assert!(!forced.contains(&check), "{check}: {forced:?}");
        }
    }

    #[test]
    fn a_peer_that_is_ahead_is_named_with_the_command_that_promotes_it() {
        let sample = both_standby();
        let end = proof().source;
        let doubt = Doubt::SourceAhead {
            member: "core1-0".to_owned(),
            end,
            held: end,
        };
        let facts = PromotionFacts {
            target: &sample.target,
            source: Ok(&sample.source),
            proof: Some(Err(&doubt)),
        };
        let findings = judge_promotion(&facts, sample.consent, DataLoss::Refused, now());
        let finding = findings.failures().next().unwrap();
        assert_eq!(finding.check, "holds-everything");
        assert!(
            finding.advice.contains("--context core1 --peer core2"),
            "{}",
            finding.advice
        );
        assert!(failing(&sample, Err(&doubt), DataLoss::Accepted).is_empty());
    }

    #[test]
    fn a_peer_that_was_not_seen_needs_consent_and_this_side_is_checked_all_the_same() {
        let mut sample = both_standby();
        sample.target.survey.object.hidden_standby_section = true;
        let facts = PromotionFacts {
            target: &sample.target,
            source: Err("core1 does not answer"),
            proof: None,
        };
        let checks = |loss| {
            let findings = judge_promotion(&facts, sample.consent, loss, now());
            findings
                .failures()
                .map(|finding| finding.check)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            checks(DataLoss::Refused),
            ["no-hidden-standby", "peer-seen"]
        );
        assert_eq!(checks(DataLoss::Accepted), ["no-hidden-standby"]);
    }
}
