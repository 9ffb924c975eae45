//! A cluster whose members get other images: the plan, and what it came to.

use jiff::Timestamp;
use serde::Serialize;

use crate::check::{Consent, PeerSight, SideFacts, judge_upgrade, role_of};
use crate::finding::{Finding, Severity};
use crate::lsn::Lsn;
use crate::member::{PatroniVersion, Role};
use crate::plan::{LeaderIdentity, Refusal, leader_of};
use crate::site::Place;
use crate::startup::Replay;
use crate::survey::{Images, Member};

/// What an upgrade will do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UpgradePlan {
    /// What gets other images.
    pub place: Place,
    /// Whether it takes writes, which wait while the leader is replaced; by its object where no leader says what it is.
    pub is_primary: bool,
    /// The images that were asked for; what was not asked for stays.
    pub images: Images,
    /// What the object says now.
    pub before: Images,
    /// The members, the leader last, with what each runs now.
    pub members: Vec<MemberBefore>,
    /// Whether the object asks for it already: the rest is waited for.
    pub asked: bool,
    /// What was seen that does not stop it.
    pub warnings: Vec<Finding>,
}

/// A member before it is replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberBefore {
    /// Its pod.
    #[serde(flatten)]
    pub identity: LeaderIdentity,
    /// What it runs.
    #[serde(flatten)]
    pub runs: Versions,
}

/// What a member runs, by its own word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Versions {
    /// Postgres' version as a number, `150018`; `None` where it was not told.
    pub server_version: Option<u32>,
    /// Patroni's.
    pub patroni: Option<PatroniVersion>,
}

impl Versions {
    /// What a member says of itself, most recently.
    pub fn of(member: &Member) -> Self {
        let live = member.live.as_seen();
        Self {
            server_version: live.and_then(|live| live.server_version),
            patroni: member.freshest().ok().and_then(|status| status.patroni),
        }
    }
}

/// A cluster whose every member runs the images that were asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UpgradeOutcome {
    /// Where.
    pub place: Place,
    /// The members, by their names.
    pub members: Vec<Upgraded>,
    /// The member that leads now.
    pub leader: String,
    /// Where a transaction was committed afterwards, on a primary.
    pub committed: Option<Lsn>,
    /// How far a standby is.
    pub replay: Option<Replay>,
    /// What could not be proved, as full sentences.
    pub unproved: Vec<String>,
}

/// A member that runs the images that were asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Upgraded {
    /// Its pod.
    pub pod: String,
    /// What ran there before; `None` where nothing of this name did.
    pub before: Option<Versions>,
    /// What runs there now.
    pub now: Versions,
}

impl UpgradePlan {
    /// Whether every member runs what was asked for already.
    pub fn is_done(&self, side: &SideFacts) -> bool {
        let mut members = side.survey.members.iter();
        self.asked && members.all(|member| member.images.have(&self.images))
    }
}

/// Plans an upgrade, or says why there is none. One that the object asks for already is only waited for, whatever stands in the
/// way of asking.
pub fn plan_upgrade(
    side: &SideFacts,
    record: Result<(), &str>,
    peer: PeerSight<'_>,
    images: &Images,
    consent: Consent,
    now: Timestamp,
) -> Result<UpgradePlan, Refusal> {
    let survey = &side.survey;
    let asked = survey.object.images.have(images);
    let findings = judge_upgrade(side, record, peer, images, consent, now);
    if !asked && findings.failures().next().is_some() {
        return Err(Refusal(findings.failures().cloned().collect()));
    }
    let leader = leader_of(side).map(|leader| leader.pod);
    let mut members: Vec<&Member> = survey.members.iter().collect();
    members.sort_by_key(|member| (Some(&member.pod) == leader.as_ref(), &member.pod));
    let before = |member: &Member| MemberBefore {
        identity: LeaderIdentity::of(member),
        runs: Versions::of(member),
    };
    let is_told = |finding: &Finding| finding.severity == Severity::Warn && !asked;
    Ok(UpgradePlan {
        place: survey.place.clone(),
        is_primary: role_of(survey).map_or(!survey.object.standby, |role| role == Role::Primary),
        images: images.clone(),
        before: survey.object.images.clone(),
        members: members.into_iter().map(before).collect(),
        asked,
        warnings: findings.0.into_iter().filter(is_told).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::samples::{Sample, images};
    use crate::service::samples::now;

    fn plan(sample: &Sample) -> Result<UpgradePlan, Refusal> {
        let peer = PeerSight::Absent;
        plan_upgrade(
            &sample.source,
            Ok(()),
            peer,
            &images("postgres:2"),
            sample.consent,
            now(),
        )
    }

    #[test]
    fn the_leader_is_last_and_what_each_runs_is_kept() {
        let mut sample = Sample::healthy();
        let mut replica = sample.source.survey.members[0].clone();
        "a-0".clone_into(&mut replica.pod);
        replica.role_label = Some("replica".to_owned());
        for status in [&mut replica.status, &mut replica.live] {
            if let crate::observed::Observed::Seen(status) = status {
                status.role = Role::Replica;
            }
        }
        sample.source.survey.members.push(replica);
        let plan = plan(&sample).unwrap();
        let pods: Vec<_> = plan
            .members
            .iter()
            .map(|member| member.identity.pod.as_str())
            .collect();
        assert_eq!(pods, ["a-0", "core1-0"]);
        assert!(plan.is_primary && !plan.asked && !plan.is_done(&sample.source));
    }

    #[test]
    fn what_is_asked_for_already_is_waited_for_until_every_member_runs_it() {
        let mut sample = Sample::healthy();
        sample.source.survey.object.paused = true;
        assert_eq!(plan(&sample).unwrap_err().0[0].check, "operator-not-paused");
        sample.source.survey.object.images = images("postgres:2");
        let waiting = plan(&sample).unwrap();
        assert!(waiting.asked && !waiting.is_done(&sample.source));
        sample.source.survey.members[0].images = images("postgres:2");
        assert!(plan(&sample).unwrap().is_done(&sample.source));
    }
}
