//! What a person should know of a side of a service.

use serde::Serialize;

use crate::finding::Severity;
use crate::leader::LeaderVerdict;
use crate::member::{PatroniVersion, Role};
use crate::owner;
use crate::site::Place;
use crate::survey::{Member, SiteSurvey};

/// Something worth knowing of one side, or of a whole service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Notice {
    /// Stable name of the check, kebab-case.
    pub check: &'static str,
    /// [`Severity::Fail`]: the service is not as it should be. [`Severity::Warn`]: worth knowing before a move.
    pub severity: Severity,
    /// The side; `None` when it is about the whole service.
    pub place: Option<Place>,
    /// What was seen, as a full sentence.
    pub seen: String,
    /// What to do, as a full sentence.
    pub advice: String,
}

/// What one side says of itself, by one reading: the leader's evidence first, then what stands in the way of a move.
pub fn judge_side(survey: &SiteSurvey, leader: &LeaderVerdict<'_>) -> Vec<Notice> {
    let mut notices = Notices {
        place: &survey.place,
        list: Vec::new(),
    };
    for disagreement in &leader.disagreements {
        notices.fail(
            "leader",
            disagreement.clone(),
            "Look again after Patroni's next turn; where it stays, look at its log.",
        );
    }
    judge_freshness(leader, &mut notices);
    judge_object(survey, &mut notices);
    judge_backups(survey, leader, &mut notices);
    judge_store(survey, &mut notices);
    judge_members(survey, leader, &mut notices);
    judge_versions(&survey.members, &mut notices);
    notices.list
}

struct Notices<'a> {
    place: &'a Place,
    list: Vec<Notice>,
}

impl Notices<'_> {
    fn fail(&mut self, check: &'static str, seen: String, advice: &str) {
        self.note(Severity::Fail, check, seen, advice);
    }

    fn warn(&mut self, check: &'static str, seen: impl Into<String>, advice: &str) {
        self.note(Severity::Warn, check, seen.into(), advice);
    }

    fn note(&mut self, severity: Severity, check: &'static str, seen: String, advice: &str) {
        self.list.push(Notice {
            check,
            severity,
            place: Some(self.place.clone()),
            seen,
            advice: advice.to_owned(),
        });
    }
}

fn judge_freshness(leader: &LeaderVerdict<'_>, notices: &mut Notices<'_>) {
    let Some(Err(because)) = leader.member.map(|member| member.live.seen()) else {
        return;
    };
    notices.warn(
        "not-live",
        format!("The leader itself could not be asked: {because}."),
        "What is shown of it is what its pod says, which may be some seconds old.",
    );
}

fn judge_object(survey: &SiteSurvey, notices: &mut Notices<'_>) {
    let object = &survey.object;
    if object.paused {
        notices.warn(
            "operator-paused",
            "The operator is told to leave this cluster alone.",
            "Unpause the cluster's object before a move.",
        );
    }
    if object.shutdown {
        notices.warn(
            "shutdown",
            "The operator is told to shut this cluster down.",
            "Start it with `kubectl pgha startup`, where the other side is primary with --as-standby. Do not just set the \
             object, not as a standby either: it opens read-write first.",
        );
    }
    if let Some(switchover) = &object.pending_switchover {
        notices.warn(
            "pending-switchover",
            format!(
                "The operator has not finished a switchover inside this cluster: {switchover}."
            ),
            "Until it is finished or taken back, the operator does nothing else here.",
        );
    }
    if object.hidden_standby_section {
        notices.warn(
            "hidden-standby-section",
            "The object's own Patroni configuration has a standby_cluster section, which survives a promotion.",
            "Move it into the object's standby section.",
        );
    }
    if let Some(told) = owner::writing(&object.owners) {
        notices.warn(
            "managed",
            told,
            "It will take a move back unless it is suspended or its source is changed too.",
        );
    }
    if let Some(told) = owner::held(&object.owners) {
        notices.warn(
            "owner-held",
            told,
            "See that its source says what the cluster is, before it is released.",
        );
    }
    let cluster = format!("{}/{}", survey.place.namespace, survey.place.cluster);
    for owner in &object.owners {
        for (named, held) in owner.held_for(&cluster) {
            let epoch = held.epoch;
            notices.fail(
                "owner-held-by-move",
                format!("{named} is held by a move of this cluster (epoch {epoch})."),
                "Commit what the move has made of the object, then let it go with `kubectl pgha release`.",
            );
        }
    }
}

/// A backup that a standby was asked for waits for its promotion, whenever that is.
fn judge_backups(survey: &SiteSurvey, leader: &LeaderVerdict<'_>, notices: &mut Notices<'_>) {
    let object = &survey.object;
    let accepted = object.manual_backup.as_ref().map(|backup| &backup.id);
    if let Some(id) = &object.requested_backup
        && leader.role == Some(Role::StandbyLeader)
        && accepted != Some(id)
    {
        notices.warn(
            "pending-backup",
            format!("Backup {id} was asked for here and waits: a standby makes none."),
            "It starts by itself after a promotion; take the request back if it should not.",
        );
    }
}

fn judge_store(survey: &SiteSurvey, notices: &mut Notices<'_>) {
    match survey.store.seen() {
        Ok(store) if store.paused => notices.warn(
            "patroni-paused",
            "Patroni is paused here: nobody would take over from a leader that fails.",
            "Resume Patroni before a move.",
        ),
        Ok(_) => {}
        Err(because) => notices.warn(
            "patroni-unseen",
            format!("Patroni's configuration could not be read: {because}."),
            "Without it neither the side's role nor its history is known.",
        ),
    }
}

/// A member that failed in Patroni's own words. Without a leader, or as the leader, it is why the side is down.
fn judge_members(survey: &SiteSurvey, leader: &LeaderVerdict<'_>, notices: &mut Notices<'_>) {
    for member in &survey.members {
        let others_lead = leader.member.is_some_and(|leader| leader.pod != member.pod);
        let severity = if others_lead {
            Severity::Warn
        } else {
            Severity::Fail
        };
        if let Some(because) = &member.stuck {
            notices.note(
                severity,
                "member-stuck",
                format!("{} does not start: {because}.", member.pod),
                "Give the object an image that is there, or what the container lacks (`kubectl describe pod`).",
            );
        }
        let Some(status) = member.freshest().ok().filter(|status| status.has_failed()) else {
            continue;
        };
        notices.note(
            severity,
            "member-failed",
            format!(
                "Patroni on {} says `{}`: its Postgres does not run.",
                member.pod, status.state
            ),
            "Its Postgres log says why. Do not delete its data before you know whether it holds commits that the \
             primary lacks.",
        );
    }
}

fn judge_versions(members: &[Member], notices: &mut Notices<'_>) {
    let mut known: Vec<PatroniVersion> = members
        .iter()
        .filter_map(|member| member.freshest().ok()?.patroni)
        .collect();
    known.sort_unstable();
    known.dedup();
    if known.len() > 1 {
        let versions: Vec<String> = known.iter().map(ToString::to_string).collect();
        notices.warn(
            "patroni-mixed",
            format!(
                "The members run different Patronis: {}.",
                versions.join(", ")
            ),
            "A move is refused until they run one version.",
        );
    }
    if let Some(oldest) = known
        .first()
        .filter(|version| **version < PatroniVersion::FIRST_WITH_CLEAN_DEMOTION)
    {
        notices.warn(
            "patroni-old",
            format!(
                "Patroni {oldest} stops a primary at once when its cluster becomes a standby: \
                 what was not archived or sent stays behind."
            ),
            "Never demote this side through its object alone.",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leader::judge_leader;
    use crate::member::MemberStatus;
    use crate::observed::Observed;
    use crate::owner::{HeldFor, Holds};
    use crate::record::Epoch;
    use crate::service::samples::{self, helm_release};

    fn checks(survey: &SiteSurvey) -> Vec<&'static str> {
        let leader = judge_leader(survey, samples::now());
        judge_side(survey, &leader)
            .iter()
            .map(|notice| notice.check)
            .collect()
    }

    #[test]
    fn a_healthy_side_says_nothing() {
        assert_eq!(checks(&samples::primary("core1")), [""; 0]);
        assert_eq!(checks(&samples::standby("core2")), [""; 0]);
    }

    #[test]
    fn each_fact_of_the_object_has_its_notice() {
        let mut survey = samples::primary("core1");
        survey.object.paused = true;
        survey.object.shutdown = true;
        survey.object.pending_switchover = Some("to a-1".to_owned());
        survey.object.hidden_standby_section = true;
        survey.object.owners = vec![helm_release()];
        assert_eq!(
            checks(&survey),
            [
                "operator-paused",
                "shutdown",
                "pending-switchover",
                "hidden-standby-section",
                "managed"
            ]
        );
    }

    #[test]
    fn what_a_move_holds_is_a_failure_until_it_is_let_go() {
        let mut survey = samples::primary("core1");
        let mut owner = samples::suspended();
        let cluster = format!("{}/{}", survey.place.namespace, survey.place.cluster);
        let mark = |cluster: &str| HeldFor {
            cluster: cluster.to_owned(),
            epoch: Epoch(7),
            standby: false,
            may_differ: false,
        };
        owner.holds = Some(Holds {
            before: None,
            by: vec![mark("prod/another")],
        });
        survey.object.owners = vec![owner.clone()];
        assert_eq!(checks(&survey), ["owner-held"]);
        owner.holds = owner.holds.map(|holds| holds.with(mark(&cluster)));
        survey.object.owners = vec![owner];
        assert_eq!(checks(&survey), ["owner-held", "owner-held-by-move"]);
    }

    #[test]
    fn a_backup_that_waits_for_a_promotion_is_told() {
        let mut survey = samples::standby("core2");
        survey.object.requested_backup = Some("b7".to_owned());
        assert_eq!(checks(&survey), ["pending-backup"]);
    }

    #[test]
    fn a_paused_and_an_unseen_patroni_are_told() {
        let mut survey = samples::primary("core1");
        if let Observed::Seen(store) = &mut survey.store {
            store.paused = true;
        }
        assert_eq!(checks(&survey), ["patroni-paused"]);
        survey.store = Observed::unseen("not permitted");
        assert_eq!(checks(&survey), ["patroni-unseen"]);
    }

    #[test]
    fn a_leader_that_could_not_be_asked_is_told() {
        let mut survey = samples::primary("core1");
        survey.members[0].live = Observed::unseen("not permitted");
        assert_eq!(checks(&survey), ["not-live"]);
    }

    #[test]
    fn old_and_mixed_patronis_are_told() {
        let mut survey = samples::primary("core1");
        let mut replica = survey.members[0].clone();
        replica.pod = "core1-1".to_owned();
        replica.role_label = Some("replica".to_owned());
        replica.live = Observed::unseen("not asked");
        replica.status = Observed::Seen(
            MemberStatus::from_json(r#"{"state":"running","role":"replica","version":"3.3.8"}"#)
                .unwrap(),
        );
        survey.members.push(replica);
        assert_eq!(checks(&survey), ["patroni-mixed", "patroni-old"]);
    }

    #[test]
    fn a_member_that_failed_is_told_and_is_a_failure_where_nobody_else_leads() {
        let told = |survey: &SiteSurvey| -> Vec<(Severity, String)> {
            let leader = judge_leader(survey, samples::now());
            let notices = judge_side(survey, &leader).into_iter();
            let failed = notices.filter(|notice| notice.check == "member-failed");
            failed
                .map(|notice| (notice.severity, notice.seen))
                .collect()
        };
        let mut survey = samples::primary("core1");
        let mut replica = survey.members[0].clone();
        "core1-1".clone_into(&mut replica.pod);
        replica.live = Observed::unseen("it was not asked");
        replica.status = Observed::Seen(
            MemberStatus::from_json(r#"{"state":"start failed","role":"replica"}"#).unwrap(),
        );
        survey.members.push(replica);
        let seen = "Patroni on core1-1 says `start failed`: its Postgres does not run.".to_owned();
        assert_eq!(told(&survey), [(Severity::Warn, seen.clone())]);
        if let Observed::Seen(lock) = &mut survey.lock {
            lock.holder = None;
        }
        assert_eq!(told(&survey), [(Severity::Fail, seen)]);
    }

    #[test]
    fn a_member_that_does_not_start_is_told_with_kubernetes_reason() {
        let mut survey = samples::primary("core1");
        let mut replica = survey.members[0].clone();
        "core1-1".clone_into(&mut replica.pod);
        replica.stuck = Some("database of it is in ImagePullBackOff: no such image".to_owned());
        replica.live = Observed::unseen("it was not asked");
        replica.status = Observed::unseen("the pod has no status annotation");
        survey.members.push(replica);
        let leader = judge_leader(&survey, samples::now());
        let notices = judge_side(&survey, &leader);
        let stuck = notices.iter().find(|one| one.check == "member-stuck");
        let stuck = stuck.unwrap();
        assert_eq!(stuck.severity, Severity::Warn);
        assert_eq!(
            stuck.seen,
            "core1-1 does not start: database of it is in ImagePullBackOff: no such image."
        );
    }

    #[test]
    fn a_contradiction_at_the_leader_is_a_failure() {
        let mut survey = samples::primary("core1");
        survey.members[0].role_label = Some("replica".to_owned());
        let leader = judge_leader(&survey, samples::now());
        let notices = judge_side(&survey, &leader);
        assert_eq!(notices[0].severity, Severity::Fail);
        assert_eq!(notices[0].place, Some(survey.place.clone()));
    }
}
