//! What a restart of every member must pass.

use jiff::Timestamp;

use super::shutdown::{judge_backup, judge_record};
use super::{
    Consent, SideFacts, access, judge_leadership, judge_object_by, judge_patroni_pause,
    judge_postgres_role, role_of, work,
};
use crate::finding::Findings;
use crate::member::Role;
use crate::site::Part;

/// The checks of the object that matter: no object is written, so that it may be anybody's.
const OF_OBJECT: [&str; 3] = [
    "operator-not-paused",
    "not-shut-down",
    "no-pending-switchover",
];

/// Checks a restart of this side; it may start when nothing fails. `record` says why the record of moves was not seen.
///
/// Every member must run and agree before: one that is down is not brought up by this, and a leader that restarts beside
/// one has nobody to take over.
pub fn judge_restart(side: &SideFacts, record: Result<(), &str>, now: Timestamp) -> Findings {
    let part = Part::Source;
    let mut findings = Findings::default();
    judge_record(part, record, &mut findings);
    judge_object_by(
        &OF_OBJECT,
        part,
        &side.survey,
        Consent::default(),
        &mut findings,
    );
    judge_patroni_pause(part, &side.survey, &mut findings);
    judge_leadership(part, side, now, &mut findings);
    let is_standby = role_of(&side.survey) == Some(Role::StandbyLeader);
    judge_postgres_role(part, side, is_standby, &mut findings);
    judge_backup(side, &mut findings);
    work::judge_long_transactions(side, &mut findings);
    access::judge_permissions(part, side, &mut findings);
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::samples::Sample;
    use crate::service::samples::{helm_release, now};

    fn failing(side: &SideFacts) -> Vec<&'static str> {
        let findings = judge_restart(side, Ok(()), now());
        findings.failures().map(|finding| finding.check).collect()
    }

    #[test]
    fn both_a_primary_and_a_standby_may_be_restarted_whoever_owns_their_object() {
        let mut sample = Sample::healthy();
        sample.source.survey.object.owners = vec![helm_release()];
        for side in [&sample.source, &sample.target] {
            assert_eq!(failing(side), Vec::<&str>::new());
        }
    }

    #[test]
    fn a_member_that_is_down_a_held_operator_and_a_silent_server_forbid_it() {
        let mut sample = Sample::healthy();
        sample.source.unconnected = vec!["core1-1".to_owned()];
        sample.source.survey.object.paused = true;
        sample.source.postgres = None;
        assert_eq!(
            failing(&sample.source),
            [
                "operator-not-paused",
                "members-running",
                "postgres-answers",
                "postgres-role"
            ]
        );
    }

    #[test]
    fn a_backup_is_not_ended_by_it() {
        let mut sample = Sample::healthy();
        sample.server(Part::Source, |member| member.server.backups_running = 1);
        assert_eq!(failing(&sample.source), ["no-running-backup"]);
    }
}
