//! What a single demotion must pass.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{
    Consent, SideFacts, access, archive, judge_archive, judge_identity, judge_leadership,
    judge_object, judge_patroni, judge_postgres_role, role_of, work,
};
use crate::finding::Findings;
use crate::member::Role;
use crate::site::Part;

/// Checks a demotion of the source; it may start when nothing fails. `section` is what would make it a standby, its own or
/// its peer's; the peer is the side that would be promoted afterwards.
pub fn judge_demotion(
    source: &SideFacts,
    peer: Result<&SideFacts, &str>,
    section: &Map<String, Value>,
    consent: Consent,
    now: Timestamp,
) -> Findings {
    let mut findings = Findings::default();
    let part = Part::Source;
    judge_role(source, &mut findings);
    judge_leadership(part, source, now, &mut findings);
    judge_object(part, &source.survey, consent, &mut findings);
    judge_patroni(part, &source.survey, &mut findings);
    judge_postgres_role(part, source, false, &mut findings);
    judge_archive(source, &mut findings);
    judge_section(source, section, &mut findings);
    archive::judge_repository(part, source, archive::timeline(source), &mut findings);
    archive::judge_source(source, &mut findings);
    work::judge_source(source, &mut findings);
    access::judge_permissions(part, source, &mut findings);
    match peer {
        Ok(peer) => {
            judge_identity(source, peer, &mut findings);
            judge_peer(peer, &mut findings);
        }
        Err(because) => findings.warn_if(
            "peer-seen",
            Part::Target,
            Some(format!(
                "No other side was seen, so nothing shows that anybody can take over: {because}."
            )),
            "Name it with --peer.",
        ),
    }
    findings
}

fn judge_role(source: &SideFacts, findings: &mut Findings) {
    let seen = match role_of(&source.survey) {
        Some(Role::Primary) => None,
        Some(role) => Some(format!("This side's leader is {role}.")),
        None => Some("This side has no leader.".to_owned()),
    };
    findings.fail_if(
        "roles",
        Part::Source,
        seen,
        "Run `kubectl pgha leader` there, and wait until it has settled.",
    );
}

fn judge_peer(peer: &SideFacts, findings: &mut Findings) {
    let part = Part::Target;
    let is_primary = peer
        .postgres
        .as_ref()
        .is_some_and(|facts| !facts.in_recovery)
        || role_of(&peer.survey) == Some(Role::Primary);
    findings.fail_if(
        "peer-not-primary",
        part,
        is_primary.then(|| "Both sides are primary.".to_owned()),
        "Stop writes to one side at once, then compare both; a demotion cannot repair this.",
    );
    let is_standby = role_of(&peer.survey) == Some(Role::StandbyLeader);
    findings.warn_if(
        "peer-ready",
        part,
        (!is_standby && !is_primary)
            .then(|| "The other side has no standby leader that could take over.".to_owned()),
        "Run `kubectl pgha leader` there.",
    );
}

/// Without a source of log the operator refuses the object as a whole (PGO event `InvalidStandbyConfiguration`).
pub(super) fn judge_section(
    source: &SideFacts,
    section: &Map<String, Value>,
    findings: &mut Findings,
) {
    let word = |key: &str| {
        let word = section.get(key).and_then(Value::as_str);
        word.filter(|word| !word.is_empty())
    };
    let repos = &source.survey.object.repos;
    let seen = match (word("host"), word("repoName")) {
        (None, None) => Some(
            "Neither this object nor the other side's says from where this side would get the log."
                .to_owned(),
        ),
        (_, Some(repo)) if !repos.is_empty() && repos.iter().all(|known| known.name != repo) => {
            Some(format!(
                "The standby section names {repo}, which this cluster has not."
            ))
        }
        (_, _) => None,
    };
    findings.fail_if(
        "standby-section",
        Part::Source,
        seen,
        "Add spec.standby with enabled: false and a host or a repoName to the object, or name the other side with --peer.",
    );
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::check::samples::Sample;
    use crate::finding::Severity;
    use crate::service::samples::{PRIMARY, STANDBY, now, set_status};

    fn failing(sample: &Sample, section: &Value) -> Vec<&'static str> {
        let section = section.as_object().unwrap();
        let peer = Ok(&sample.target);
        let findings = judge_demotion(&sample.source, peer, section, sample.consent, now());
        findings.failures().map(|finding| finding.check).collect()
    }

    fn repo1() -> Value {
        json!({"repoName": "repo1"})
    }

    #[test]
    fn a_healthy_primary_may_be_demoted() {
        assert_eq!(failing(&Sample::healthy(), &repo1()), Vec::<&str>::new());
    }

    #[test]
    fn a_section_that_leads_nowhere_is_refused() {
        let sample = Sample::healthy();
        for section in [
            json!({}),
            json!({"enabled": true}),
            json!({"repoName": "", "host": ""}),
        ] {
            assert_eq!(failing(&sample, &section), ["standby-section"]);
        }
        assert_eq!(
            failing(&sample, &json!({"host": "10.0.0.1"})),
            Vec::<&str>::new()
        );
    }

    #[test]
    fn a_side_that_is_no_primary_or_has_a_primary_peer_is_refused() {
        let mut sample = Sample::healthy();
        set_status(&mut sample.source.survey, STANDBY);
        assert!(failing(&sample, &repo1()).contains(&"roles"));
        let mut sample = Sample::healthy();
        set_status(&mut sample.target.survey, PRIMARY);
        assert_eq!(failing(&sample, &repo1()), ["peer-not-primary"]);
    }

    #[test]
    fn a_peer_that_cannot_take_over_is_told() {
        let mut sample = Sample::healthy();
        set_status(
            &mut sample.target.survey,
            &STANDBY.replace("standby_leader", "replica"),
        );
        let section = repo1();
        let section = section.as_object().unwrap();
        let peer = Ok(&sample.target);
        let findings = judge_demotion(&sample.source, peer, section, sample.consent, now());
        let told = findings.0.iter().find(|one| one.check == "peer-ready");
        assert_eq!(told.unwrap().severity, Severity::Warn);
    }

    #[test]
    fn a_held_operator_or_a_broken_archive_is_refused() {
        let mut sample = Sample::healthy();
        sample.source.survey.object.paused = true;
        if let Some(facts) = &mut sample.source.postgres {
            facts.failing_archive = Some("000000010000000000000007".to_owned());
        }
        assert_eq!(
            failing(&sample, &repo1()),
            ["operator-not-paused", "archive-works"]
        );
    }

    #[test]
    fn a_peer_that_was_not_seen_is_told_and_does_not_stop_it() {
        let sample = Sample::healthy();
        let section = repo1();
        let section = section.as_object().unwrap();
        let findings = judge_demotion(
            &sample.source,
            Err("no context leads to it"),
            section,
            sample.consent,
            now(),
        );
        assert!(findings.failures().next().is_none());
        let told: Vec<_> = findings
            .0
            .iter()
            .filter(|one| one.check == "peer-seen")
            .collect();
        assert!(
            told[0].seen.ends_with("no context leads to it."),
            "{}",
            told[0].seen
        );
    }
}
