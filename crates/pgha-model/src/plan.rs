//! The steps of a move.

use serde::{Deserialize, Serialize};

use crate::check::{Consent, SideFacts, by_hand, judge_switchover};
use crate::finding::{Finding, Severity};
use crate::member::PatroniVersion;
use crate::site::Place;
use crate::survey::Member;

/// One settled change of a move, in the order of the move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Step {
    /// The record of this move and its epoch are at both sites: no earlier move can write any more.
    Claim,
    /// Both operators leave their cluster alone.
    Hold,
    /// The target polls its source of log often; the source keeps what the target may still ask for.
    Prepare,
    /// A canary written on the source is replayed on the target, by the very ways that the move will use.
    Rehearse,
    /// The application has no pods at the source, where it is part of the move.
    Drain,
    /// The target no longer asks the archive: each failing request would delay the promotion.
    Detach,
    /// The source's leader stops cleanly and its site becomes a standby.
    Fence,
    /// Every member of the target that could be elected has replayed the source's shutdown checkpoint.
    Prove,
    /// The target takes writes. The point of no return.
    Promote,
    /// The new primary commits and archives, its history forks where the source ended, and the source is read-only.
    Verify,
    /// Settings are put back and both operators work again.
    Release,
    /// Every member of both sites follows the new timeline.
    Rejoin,
}

impl Step {
    /// Every step, in order.
    pub const ALL: [Self; 12] = [
        Self::Claim,
        Self::Hold,
        Self::Prepare,
        Self::Rehearse,
        Self::Drain,
        Self::Detach,
        Self::Fence,
        Self::Prove,
        Self::Promote,
        Self::Verify,
        Self::Release,
        Self::Rejoin,
    ];

    /// Its name, one word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Claim => "claim",
            Self::Hold => "hold",
            Self::Prepare => "prepare",
            Self::Rehearse => "rehearse",
            Self::Drain => "drain",
            Self::Detach => "detach",
            Self::Fence => "fence",
            Self::Prove => "prove",
            Self::Promote => "promote",
            Self::Verify => "verify",
            Self::Release => "release",
            Self::Rejoin => "rejoin",
        }
    }

    /// What it does, as a line of a plan.
    pub const fn purpose(self) -> &'static str {
        match self {
            Self::Claim => {
                "write the record of this move to both sites; no earlier move can write any more"
            }
            Self::Hold => "pause both operators; each acknowledges it",
            Self::Prepare => "make the target poll often and the source keep its log",
            Self::Rehearse => "push a segment, checkpoint, and see a canary replayed on the target",
            Self::Drain => "stop the application at the source, and see its pods gone",
            Self::Detach => "take archive-get out of the target's way until the move is over",
            Self::Fence => "stop the source's leader cleanly and make its site a standby",
            Self::Prove => "push the last segment; every member replays the shutdown checkpoint",
            Self::Promote => "make the target primary (point of no return)",
            Self::Verify => "commit and archive on the new primary; check where its history forks",
            Self::Release => "put settings back and resume both operators",
            Self::Rejoin => "see every member of both sites follow the new timeline",
        }
    }
}

/// How the target gets the source's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Feed {
    /// From the repository only.
    Archive,
    /// From the source itself, with the repository behind it.
    Streaming,
}

/// How the source's leader is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Demotion {
    /// Patroni stops it cleanly when its cluster becomes a standby: 4.1 and newer.
    InPlace,
    /// Patroni is paused, Postgres is stopped by `pg_ctl`, and the cluster becomes a standby before Patroni goes on. Older
    /// ones would stop Postgres at once.
    WhilePaused,
}

/// What a move will do. Immutable: when a fact it rests on changes, it stops and is made anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The side that is primary now.
    pub source: Place,
    /// The side that will be.
    pub target: Place,
    /// How the target is fed.
    pub feed: Feed,
    /// How the source is stopped.
    pub demotion: Demotion,
    /// The member that will be stopped: only this one's control data counts.
    pub source_leader: LeaderIdentity,
    /// The member that will be promoted.
    pub target_leader: LeaderIdentity,
    /// The steps.
    pub steps: Vec<Step>,
    /// What was seen that does not stop the move.
    pub warnings: Vec<Finding>,
}

/// A member by name and by the pod behind the name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeaderIdentity {
    /// The pod's name.
    pub pod: String,
    /// The pod's UID.
    pub uid: String,
}

impl LeaderIdentity {
    /// Of a member as it was seen.
    pub fn of(member: &Member) -> Self {
        Self {
            pod: member.pod.clone(),
            uid: member.uid.clone(),
        }
    }
}

/// Why there is no plan. Nothing was attempted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Refusal(pub Vec<Finding>);

/// Plans a move that loses no committed write, or says why there is none.
pub fn plan_switchover(
    source: &SideFacts,
    target: &SideFacts,
    consent: Consent,
    now: jiff::Timestamp,
) -> Result<Plan, Refusal> {
    let findings = judge_switchover(source, target, consent, now);
    let leaders = leader_of(source).zip(leader_of(target));
    let (Some((source_leader, target_leader)), None) = (leaders, findings.failures().next()) else {
        return Err(Refusal(findings.failures().cloned().collect()));
    };
    let demotion = demotion_of(source);
    let streams = target
        .postgres
        .as_ref()
        .is_some_and(|facts| facts.receiver_status.is_some());
    Ok(Plan {
        source: source.survey.place.clone(),
        target: target.survey.place.clone(),
        feed: if streams {
            Feed::Streaming
        } else {
            Feed::Archive
        },
        demotion,
        source_leader,
        target_leader,
        steps: without_application(),
        warnings: findings
            .0
            .into_iter()
            .filter(|f| f.severity == Severity::Warn && !by_hand::CHECKS.contains(&f.check))
            .collect(),
    })
}

fn without_application() -> Vec<Step> {
    let steps = Step::ALL.into_iter();
    steps.filter(|step| *step != Step::Drain).collect()
}

impl Plan {
    /// The same move, with an application that stops at the source before it.
    #[must_use]
    pub fn draining(self) -> Self {
        Self {
            steps: Step::ALL.to_vec(),
            ..self
        }
    }
}

/// How a side's Patroni wants to be stopped. The checks have seen that every member has the same version.
pub fn demotion_of(side: &SideFacts) -> Demotion {
    let versions = side
        .survey
        .members
        .iter()
        .map(|member| member.freshest().ok()?.patroni);
    let clean = PatroniVersion::FIRST_WITH_CLEAN_DEMOTION;
    if versions
        .into_iter()
        .all(|version| version.is_some_and(|version| version >= clean))
    {
        Demotion::InPlace
    } else {
        Demotion::WhilePaused
    }
}

/// The member that holds a side's lock, by name and pod.
pub fn leader_of(side: &SideFacts) -> Option<LeaderIdentity> {
    let member = side.survey.lock_holder()?;
    Some(LeaderIdentity::of(member))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::samples::{Sample, run_patroni};
    use crate::service::samples::now;

    fn plan(sample: &Sample) -> Result<Plan, Refusal> {
        plan_switchover(&sample.source, &sample.target, sample.consent, now())
    }

    fn refused_by(sample: &Sample) -> Vec<&'static str> {
        plan(sample)
            .unwrap_err()
            .0
            .iter()
            .map(|finding| finding.check)
            .collect()
    }

    #[test]
    fn a_healthy_pair_gets_every_step_in_order() {
        let sample = Sample::healthy();
        let plan = plan(&sample).unwrap();
        assert!(!plan.steps.contains(&Step::Drain));
        assert_eq!(plan.clone().draining().steps, Step::ALL);
        assert!(
            plan.steps.is_sorted(),
            "undo rests on the order of the steps"
        );
        assert_eq!(
            (plan.feed, plan.demotion),
            (Feed::Streaming, Demotion::InPlace)
        );
        let leader = sample.source.survey.lock_holder().unwrap();
        assert_eq!(
            (&plan.source_leader.pod, &plan.source_leader.uid),
            (&leader.pod, &leader.uid)
        );
    }

    #[test]
    fn a_target_without_a_receiver_is_fed_by_the_archive() {
        let mut sample = Sample::healthy();
        sample.target.postgres.as_mut().unwrap().receiver_status = None;
        assert_eq!(plan(&sample).unwrap().feed, Feed::Archive);
    }

    #[test]
    fn the_sources_patroni_decides_how_it_is_stopped() {
        let mut sample = Sample::healthy();
        run_patroni(&mut sample.source, "3.3.11");
        assert_eq!(plan(&sample).unwrap().demotion, Demotion::WhilePaused);
        run_patroni(&mut sample.source, "4.1.0");
        run_patroni(&mut sample.target, "3.3.11");
        assert_eq!(plan(&sample).unwrap().demotion, Demotion::InPlace);
    }

    #[test]
    fn what_only_another_way_would_do_is_no_warning_of_the_plan() {
        let mut sample = Sample::healthy();
        run_patroni(&mut sample.source, "3.3.11");
        sample.target.survey.object.requested_backup = Some("b7".to_owned());
        let warned: Vec<_> = plan(&sample).unwrap().warnings;
        let warned: Vec<_> = warned.iter().map(|finding| finding.check).collect();
        assert_eq!(warned, ["no-pending-backup"]);
    }

    #[test]
    fn an_unknown_version_is_refused() {
        let mut sample = Sample::healthy();
        run_patroni(&mut sample.source, "of my own");
        assert_eq!(refused_by(&sample), ["patroni-version"]);
    }

    #[test]
    fn a_source_that_did_not_answer_is_refused_and_not_assumed() {
        let mut sample = Sample::healthy();
        sample.source.postgres = None;
        assert!(refused_by(&sample).contains(&"postgres-answers"));
    }
}
