//! What a shutdown must pass.

use super::{Consent, SideFacts, access, archive, judge_object_by, role_of, work};
use crate::finding::Findings;
use crate::member::Role;
use crate::site::Part;
use crate::survey::SiteSurvey;

/// The checks of the object that matter to whoever stops or starts it: what a move asks beside them is about its standby
/// section.
const OF_OBJECT: [&str; 4] = [
    "operator-not-paused",
    "no-pending-switchover",
    "not-managed",
    "owner-held",
];

/// What the operator's own selector of a leader looks for (PGO `internal/naming/labels.go`, `RolePatroniLeader`).
const LEADER_LABEL: &str = "master";

/// Checks a shutdown of this side; it may start when nothing fails. `record` says why the record of moves was not seen.
pub fn judge_shutdown(
    side: &SideFacts,
    record: Result<(), &str>,
    peer: Option<&SideFacts>,
    consent: Consent,
) -> Findings {
    let part = Part::Source;
    let mut findings = Findings::default();
    judge_record(part, record, &mut findings);
    judge_operator(part, &side.survey, consent, &mut findings);
    judge_label(&side.survey, &mut findings);
    judge_answer(side, &mut findings);
    judge_backup(side, &mut findings);
    // What it would end is told; that it cannot be seen is told already.
    if side.inspection.leader().is_ok() {
        work::judge_long_transactions(side, &mut findings);
    }
    access::judge_permissions(part, side, &mut findings);
    judge_standby_elsewhere(side, peer, &mut findings);
    findings
}

/// Nobody stops or starts a cluster in the middle of a move that was not seen.
pub(super) fn judge_record(part: Part, record: Result<(), &str>, findings: &mut Findings) {
    let seen = record.err();
    findings.fail_if(
        "record-seen",
        part,
        seen.map(|because| format!("Whether a move is under way was not seen: {because}.")),
        "Make the record readable (`kubectl pgha history`), then run the same command again.",
    );
}

/// What keeps the operator from doing what its object says.
pub(super) fn judge_operator(
    part: Part,
    survey: &SiteSurvey,
    consent: Consent,
    findings: &mut Findings,
) {
    judge_object_by(&OF_OBJECT, part, survey, consent, findings);
}

/// Without a pod of this label the operator remembers no leader, and stops nothing (PGO `instance.go`,
/// `reconcileInstanceSets`).
fn judge_label(survey: &SiteSurvey, findings: &mut Findings) {
    let mut members = survey.members.iter();
    let is_labelled = members.any(|member| member.role_label.as_deref() == Some(LEADER_LABEL));
    findings.fail_if(
        "leader-labelled",
        Part::Source,
        (!is_labelled).then(|| {
            "No pod is labelled as the leader: the operator would take the request and stop nothing.".to_owned()
        }),
        "Run `kubectl pgha leader` there, and wait until a member leads.",
    );
}

/// A server that does not answer may be stopped all the same, but nothing can be proved of it.
fn judge_answer(side: &SideFacts, findings: &mut Findings) {
    let silent = side.postgres.is_none();
    findings.warn_if(
        "postgres-answers",
        Part::Source,
        silent.then(|| {
            "Postgres on the leader does not answer: there is no checkpoint before the stop, and no proof that it ends cleanly."
                .to_owned()
        }),
        "Check that pods/exec is permitted and that the leader's database container runs.",
    );
}

/// One that cannot be asked has no connection to pgBackRest to show: what its object says is all there is.
pub(super) fn judge_backup(side: &SideFacts, findings: &mut Findings) {
    let advice = "Wait for it to finish: a stop ends it, and it has to be made again.";
    let part = Part::Source;
    match archive::running_backup(side) {
        Ok(seen) => findings.fail_if("no-running-backup", part, seen, advice),
        Err(because) => findings.warn_if(
            "no-running-backup",
            part,
            Some(format!("Whether a backup runs was not seen: {because}.")),
            advice,
        ),
    }
}

fn judge_standby_elsewhere(side: &SideFacts, peer: Option<&SideFacts>, findings: &mut Findings) {
    let is_primary = role_of(&side.survey) == Some(Role::Primary);
    let standby = peer.filter(|peer| is_primary && peer.survey.object.standby);
    let seen = standby.map(|peer| {
        let here = &side.survey.place;
        format!(
            "{} is a standby of it and stays one: nobody takes writes until this side is started again, or that one is \
             promoted. To move the primary there first: `{}`.",
            peer.survey.place,
            here.command_toward("switchover", &peer.survey.place)
        )
    });
    findings.warn_if(
        "standby-elsewhere",
        Part::Target,
        seen,
        "Move the primary to the other side first.",
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::samples::Sample;
    use crate::finding::{Finding, Severity};
    use crate::observed::Observed;
    use crate::service::samples::suspended;

    fn judged(sample: &Sample, record: Result<(), &str>) -> Findings {
        let peer = Some(&sample.target);
        judge_shutdown(&sample.source, record, peer, sample.consent)
    }

    fn failing(sample: &Sample) -> Vec<&'static str> {
        let findings = judged(sample, Ok(()));
        findings.failures().map(|finding| finding.check).collect()
    }

    fn told(findings: &Findings, check: &str) -> Option<Finding> {
        let mut all = findings.0.iter();
        all.find(|one| one.check == check && one.severity == Severity::Warn)
            .cloned()
    }

    #[test]
    fn a_healthy_primary_may_be_shut_down_and_its_standby_is_told_of() {
        let sample = Sample::healthy();
        assert_eq!(failing(&sample), Vec::<&str>::new());
        let told = told(&judged(&sample, Ok(())), "standby-elsewhere").unwrap();
        assert!(
            told.seen.contains("kubectl pgha switchover zitadel"),
            "{}",
            told.seen
        );
    }

    #[test]
    fn what_the_operator_would_not_do_is_not_asked_for() {
        let mut sample = Sample::healthy();
        sample.source.survey.object.paused = true;
        sample.source.survey.object.pending_switchover = Some("now".to_owned());
        assert_eq!(
            failing(&sample),
            ["operator-not-paused", "no-pending-switchover"]
        );
    }

    #[test]
    fn without_a_labelled_leader_nothing_is_stopped() {
        let mut sample = Sample::healthy();
        sample.source.survey.members[0].role_label = None;
        assert_eq!(failing(&sample), ["leader-labelled"]);
    }

    #[test]
    fn a_record_that_was_not_seen_forbids_it() {
        let findings = judged(&Sample::healthy(), Err("forbidden"));
        let failing: Vec<_> = findings.failures().map(|finding| finding.check).collect();
        assert_eq!(failing, ["record-seen"]);
    }

    #[test]
    fn a_running_backup_forbids_it_and_one_that_cannot_be_seen_is_told() {
        let mut sample = Sample::healthy();
        sample.server(Part::Source, |member| member.server.backups_running = 1);
        assert_eq!(failing(&sample), ["no-running-backup"]);
        sample.source.inspection.members[0].1 = Observed::unseen("no exec");
        sample.source.postgres = None;
        assert_eq!(failing(&sample), Vec::<&str>::new());
        let findings = judged(&sample, Ok(()));
        assert!(told(&findings, "no-running-backup").is_some());
        assert!(told(&findings, "postgres-answers").is_some());
    }

    #[test]
    fn an_owner_that_takes_it_back_forbids_it_unless_that_is_allowed_or_it_is_held() {
        let mut sample = Sample::healthy();
        sample.source.survey.object.owners = vec![crate::service::samples::helm_release()];
        assert_eq!(failing(&sample), ["not-managed"]);
        sample.consent = Consent {
            managed: true,
            ..Consent::default()
        };
        assert_eq!(failing(&sample), Vec::<&str>::new());
        sample.consent = Consent::default();
        sample.source.survey.object.owners = vec![suspended()];
        assert_eq!(failing(&sample), Vec::<&str>::new());
        assert!(told(&judged(&sample, Ok(())), "owner-held").is_some());
    }
}
