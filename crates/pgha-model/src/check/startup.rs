//! What a start must pass: whatever starts as a primary starts read-write, beside whoever else is one.

use serde::Serialize;
use serde_json::{Map, Value};

use super::shutdown::{judge_operator, judge_record};
use super::{
    Consent, PeerSight, SideFacts, access, demotion, judge_identity, judge_patroni_pause, role_of,
};
use crate::finding::Findings;
use crate::member::Role;
use crate::site::Part;
use crate::timeline::Timeline;

/// What a side is when it has started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum StartAs {
    /// It takes writes.
    Primary,
    /// It replays what another side writes.
    Standby,
}

/// What a start is decided from.
#[derive(Clone, Copy, Debug)]
pub struct StartFacts<'a> {
    /// The side to be started.
    pub side: &'a SideFacts,
    /// Whether the record of moves was seen, or why not.
    pub record: Result<(), &'a str>,
    /// The other side.
    pub peer: PeerSight<'a>,
    /// What would make this side a standby, its own or its peer's.
    pub section: &'a Map<String, Value>,
}

/// Checks a start of this side; it may start when nothing fails.
///
/// A side that starts as a standby harms nobody, whatever the other one is. One that starts as a primary may be the second
/// one, or may lack what the other one has.
pub fn judge_startup(facts: &StartFacts<'_>, starts_as: StartAs, consent: Consent) -> Findings {
    let part = Part::Source;
    let side = facts.side;
    let mut findings = Findings::default();
    judge_record(part, facts.record, &mut findings);
    judge_operator(part, &side.survey, consent, &mut findings);
    judge_patroni_pause(part, &side.survey, &mut findings);
    access::judge_permissions(part, side, &mut findings);
    judge_gone(side, &mut findings);
    if let PeerSight::Seen(peer) = facts.peer {
        judge_identity(side, peer, &mut findings);
    }
    match starts_as {
        StartAs::Primary => judge_primary(facts, &mut findings),
        StartAs::Standby => {
            demotion::judge_section(side, facts.section, &mut findings);
            judge_store(side, &mut findings);
        }
    }
    findings
}

/// While a member is still there the operator renders Patroni's configuration from the object, and would write over what
/// is put there for the start.
fn judge_gone(side: &SideFacts, findings: &mut Findings) {
    let left = side.survey.members.iter().map(|member| member.pod.as_str());
    let left: Vec<_> = left.filter(|_| side.survey.object.shutdown).collect();
    findings.fail_if(
        "members-gone",
        Part::Source,
        (!left.is_empty()).then(|| {
            format!(
                "It is still being shut down: {} are there.",
                left.join(", ")
            )
        }),
        "Wait until nothing runs: `kubectl pgha shutdown` does.",
    );
}

/// With nothing running nobody but us writes Patroni's configuration, and the operator comes too late: the first member
/// opens read-write on a new timeline before it is told to be a standby (measured on PGO 6.0 with Patroni 4.1.5).
fn judge_store(side: &SideFacts, findings: &mut Findings) {
    let unseen = side.survey.store.seen().err();
    findings.fail_if(
        "starts-read-only",
        Part::Source,
        unseen.map(|because| {
            format!("Patroni's configuration was not seen, so nothing keeps this side from opening read-write first: {because}.")
        }),
        "Make the Endpoints object that holds it readable.",
    );
}

fn judge_primary(facts: &StartFacts<'_>, findings: &mut Findings) {
    let peer = match facts.peer {
        PeerSight::Seen(peer) => peer,
        PeerSight::Absent => return,
        PeerSight::Unseen(because) => {
            findings.fail_if(
                "peer-seen",
                Part::Target,
                Some(format!(
                    "The other side was not seen, and it may be primary: {because}."
                )),
                "Make it reachable, or name it with --peer or --file; where there is none, say so with --alone; or start \
                 this side with --as-standby.",
            );
            return;
        }
    };
    if judge_peer_writes(peer, findings) {
        return;
    }
    let seen = may_be_primary(peer);
    findings.fail_if(
        "peer-stays-standby",
        Part::Target,
        seen,
        "Start this side with --as-standby, and let `kubectl pgha promote` prove which side holds everything.",
    );
    judge_timeline(facts.side, peer, findings);
}

/// Any answer that says so is enough, an old one too.
fn judge_peer_writes(peer: &SideFacts, findings: &mut Findings) -> bool {
    let by_postgres = peer
        .postgres
        .as_ref()
        .is_some_and(|facts| !facts.in_recovery);
    let mut members = peer.survey.members.iter();
    let by_patroni = members.find(|member| {
        let said = [member.live.as_seen(), member.status.as_seen()];
        said.into_iter()
            .flatten()
            .any(|status| status.role == Role::Primary)
    });
    let seen = match by_patroni {
        Some(member) => Some(format!("{} of the other side is primary.", member.pod)),
        None if by_postgres => Some("Postgres of the other side is not in recovery.".to_owned()),
        None => None,
    };
    let writes = seen.is_some();
    findings.fail_if(
        "peer-not-primary",
        Part::Target,
        seen,
        "Start this side with --as-standby: it never opens read-write then. Nothing lifts this.",
    );
    writes
}

/// Why the other side, which does not take writes now, may do so later.
fn may_be_primary(peer: &SideFacts) -> Option<String> {
    let survey = &peer.survey;
    if !survey.object.standby {
        return Some("The object of the other side asks for a primary.".to_owned());
    }
    if !survey.store.as_seen().is_some_and(|store| store.standby) {
        return Some(
            "Patroni's configuration of the other side makes no standby of it.".to_owned(),
        );
    }
    let is_down = survey.object.shutdown && survey.members.is_empty();
    match role_of(survey) {
        Some(Role::StandbyLeader) => None,
        None if is_down => None,
        Some(role) => Some(format!("The leader of the other side is {role}.")),
        None => Some("The other side has no leader.".to_owned()),
    }
}

/// A peer whose timeline is later than the last one that this side was primary on was primary after it.
fn judge_timeline(side: &SideFacts, peer: &SideFacts, findings: &mut Findings) {
    let store = side.survey.store.as_seen();
    let history = store.and_then(|store| store.history.as_seen());
    let own = history.map(|history| {
        let last = history.0.last().map_or(0, |fork| fork.timeline.0);
        Timeline(last + 1)
    });
    let postgres = peer.postgres.as_ref();
    let by_postgres = postgres.and_then(|facts| {
        let known = [facts.received_timeline, facts.recovery_timeline];
        known.into_iter().flatten().max()
    });
    let members = peer.survey.members.iter();
    let by_patroni = members.filter_map(|member| member.freshest().ok()?.timeline);
    let theirs = by_patroni.chain(by_postgres.map(Timeline)).max();
    let later = own.zip(theirs).filter(|(own, theirs)| theirs > own);
    findings.fail_if(
        "same-timeline",
        None,
        later.map(|(own, theirs)| {
            format!(
                "The other side is on timeline {}, and this side was primary on timeline {} at last: writes may have been \
                 taken after it was.",
                theirs.0, own.0
            )
        }),
        "Start this side with --as-standby, and let `kubectl pgha promote` prove which side holds everything.",
    );
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::check::samples::Sample;
    use crate::lsn::Lsn;
    use crate::observed::Observed;
    use crate::service::samples::{PRIMARY, set_status};
    use crate::timeline::{Fork, History};

    /// A pair whose source is shut down.
    fn down() -> Sample {
        let mut sample = Sample::healthy();
        shut_down(&mut sample.source);
        sample
    }

    fn shut_down(side: &mut SideFacts) {
        side.survey.object.shutdown = true;
        side.survey.members.clear();
        side.postgres = None;
        if let Observed::Seen(lock) = &mut side.survey.lock {
            lock.holder = None;
        }
    }

    fn failing_with(sample: &Sample, peer: PeerSight<'_>, starts_as: StartAs) -> Vec<&'static str> {
        let section = json!({"repoName": "repo1"});
        let facts = StartFacts {
            side: &sample.source,
            record: Ok(()),
            peer,
            section: section.as_object().unwrap(),
        };
        let findings = judge_startup(&facts, starts_as, sample.consent);
        findings.failures().map(|finding| finding.check).collect()
    }

    fn failing(sample: &Sample, starts_as: StartAs) -> Vec<&'static str> {
        failing_with(sample, PeerSight::Seen(&sample.target), starts_as)
    }

    const NONE: [&str; 0] = [];

    #[test]
    fn a_side_starts_as_primary_beside_a_standby() {
        assert_eq!(failing(&down(), StartAs::Primary), NONE);
        let mut both_down = down();
        shut_down(&mut both_down.target);
        assert_eq!(failing(&both_down, StartAs::Primary), NONE);
    }

    #[test]
    fn a_primary_peer_lets_it_start_as_a_standby_only() {
        let mut sample = down();
        set_status(&mut sample.target.survey, PRIMARY);
        assert_eq!(failing(&sample, StartAs::Primary), ["peer-not-primary"]);
        assert_eq!(failing(&sample, StartAs::Standby), NONE);
        // Its pod says so although it does not answer.
        sample.target.survey.members[0].live = Observed::unseen("no answer");
        sample.target.postgres = None;
        assert_eq!(failing(&sample, StartAs::Primary), ["peer-not-primary"]);
        // Postgres alone says so.
        let mut sample = down();
        sample.target.postgres.as_mut().unwrap().in_recovery = false;
        assert_eq!(failing(&sample, StartAs::Primary), ["peer-not-primary"]);
    }

    #[test]
    fn a_peer_that_may_be_or_become_primary_forbids_a_second_one() {
        let stays = ["peer-stays-standby"];
        let mut sample = down();
        sample.target.survey.object.standby = false;
        assert_eq!(failing(&sample, StartAs::Primary), stays);
        shut_down(&mut sample.target);
        assert_eq!(failing(&sample, StartAs::Primary), stays);
        let mut sample = down();
        if let Observed::Seen(store) = &mut sample.target.survey.store {
            store.standby = false;
        }
        assert_eq!(failing(&sample, StartAs::Primary), stays);
        let mut sample = down();
        sample.target.survey.members.clear();
        assert_eq!(failing(&sample, StartAs::Primary), stays);
    }

    #[test]
    fn a_peer_that_was_not_seen_forbids_a_primary_unless_there_is_none() {
        let sample = down();
        let unseen = PeerSight::Unseen("core2 does not answer");
        assert_eq!(
            failing_with(&sample, unseen, StartAs::Primary),
            ["peer-seen"]
        );
        assert_eq!(failing_with(&sample, unseen, StartAs::Standby), NONE);
        assert_eq!(
            failing_with(&sample, PeerSight::Absent, StartAs::Primary),
            NONE
        );
    }

    #[test]
    fn a_peer_that_was_primary_after_this_side_may_hold_more() {
        let mut sample = down();
        sample.target.postgres.as_mut().unwrap().recovery_timeline = Some(2);
        assert_eq!(failing(&sample, StartAs::Primary), ["same-timeline"]);
        if let Observed::Seen(store) = &mut sample.source.survey.store {
            store.history = Observed::Seen(History(vec![Fork {
                timeline: Timeline(1),
                at: Lsn::from_bytes(7),
                promoted_at: None,
            }]));
        }
        assert_eq!(failing(&sample, StartAs::Primary), NONE);
    }

    #[test]
    fn nothing_is_started_that_still_stops() {
        let mut sample = Sample::healthy();
        sample.source.survey.object.shutdown = true;
        for starts_as in [StartAs::Primary, StartAs::Standby] {
            assert_eq!(failing(&sample, starts_as), ["members-gone"]);
        }
    }

    #[test]
    fn a_standby_is_not_started_without_patronis_configuration_or_a_source_of_log() {
        let mut sample = down();
        sample.source.survey.store = Observed::unseen("forbidden");
        assert_eq!(failing(&sample, StartAs::Standby), ["starts-read-only"]);
        let sample = down();
        let facts = StartFacts {
            side: &sample.source,
            record: Ok(()),
            peer: PeerSight::Absent,
            section: &Map::new(),
        };
        let findings = judge_startup(&facts, StartAs::Standby, sample.consent);
        assert_eq!(findings.failures().next().unwrap().check, "standby-section");
    }
}
