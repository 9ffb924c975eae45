//! One service across its sites: which side is primary, and whether the others follow it.

use jiff::Timestamp;
use serde::Serialize;

use crate::finding::Severity;
use crate::follow::{Branch, Feed, Following, judge_following};
use crate::leader::{LeaderVerdict, judge_leader};
use crate::member::{MemberStatus, Role};
use crate::notice::{Notice, judge_side};
use crate::observed::Observed;
use crate::site::Place;
use crate::survey::SiteSurvey;
use crate::timeline::History;

/// The sides of one service, which have the same system identifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service<'a> {
    /// The database system identifier; `None` when the only side does not say one.
    pub system_identifier: Option<&'a str>,
    /// Which side is primary.
    pub state: ServiceState,
    /// The sides, in the order in which they were seen.
    pub sides: Vec<Side<'a>>,
    /// What a person should know, worst first.
    pub notices: Vec<Notice>,
}

/// One side of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side<'a> {
    /// What was read there.
    pub survey: &'a SiteSurvey,
    /// Who leads there.
    pub leader: LeaderVerdict<'a>,
    /// How a standby side follows the primary one; `None` on a primary, and where there is no primary to follow.
    pub following: Option<Following>,
}

/// Which side of a service is primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ServiceState {
    /// Exactly one.
    OnePrimary,
    /// More than one takes writes.
    BothPrimary,
    /// Every side is a standby, and there are at least two.
    BothStandby,
    /// The only side that was seen is a standby: the primary is elsewhere.
    PrimaryElsewhere,
    /// No side is primary, and at least one does not say what it is.
    NoPrimary,
}

impl<'a> Side<'a> {
    fn judge(survey: &'a SiteSurvey, now: Timestamp) -> Self {
        Self {
            survey,
            leader: judge_leader(survey, now),
            following: None,
        }
    }

    fn has_role(&self, role: &Role) -> bool {
        self.leader.role.as_ref() == Some(role)
    }

    /// The leader's freshest description of itself.
    pub fn status(&self) -> Option<&'a MemberStatus> {
        self.leader.member?.freshest().ok()
    }

    fn history(&self) -> Observed<History> {
        match self.survey.store.seen() {
            Ok(store) => store.history.clone(),
            Err(because) => Observed::unseen(because),
        }
    }
}

impl Service<'_> {
    /// The primary side, when there is exactly one.
    pub fn primary(&self) -> Option<&Side<'_>> {
        match self.state {
            ServiceState::OnePrimary => {
                self.sides.iter().find(|side| side.has_role(&Role::Primary))
            }
            ServiceState::BothPrimary
            | ServiceState::BothStandby
            | ServiceState::PrimaryElsewhere
            | ServiceState::NoPrimary => None,
        }
    }

    /// Whether nothing is wrong with the service; warnings do not count.
    pub fn is_healthy(&self) -> bool {
        self.notices
            .iter()
            .all(|notice| notice.severity < Severity::Fail)
    }
}

/// Puts what was read at all sites together: sides with one system identifier are one service.
///
/// The surveys should have been read at the same time: lags are differences between them.
pub fn judge_services(surveys: &[SiteSurvey], now: Timestamp) -> Vec<Service<'_>> {
    let mut groups: Vec<(Option<&str>, Vec<Side<'_>>)> = Vec::new();
    for survey in surveys {
        let identifier = survey.system_identifier();
        let side = Side::judge(survey, now);
        let group = groups
            .iter_mut()
            .find(|(other, _)| identifier.is_some() && *other == identifier);
        match group {
            Some((_, sides)) => sides.push(side),
            None => groups.push((identifier, vec![side])),
        }
    }
    groups
        .into_iter()
        .map(|(identifier, sides)| judge_service(identifier, sides))
        .collect()
}

fn judge_service<'a>(system_identifier: Option<&'a str>, mut sides: Vec<Side<'a>>) -> Service<'a> {
    let state = judge_state(&sides);
    if state == ServiceState::OnePrimary {
        follow(&mut sides);
    }
    let mut notices: Vec<Notice> = judge_whole(state, &sides).into_iter().collect();
    for side in &sides {
        notices.extend(judge_follower(side));
        notices.extend(judge_side(side.survey, &side.leader));
    }
    notices.sort_by_key(|notice| std::cmp::Reverse(notice.severity));
    Service {
        system_identifier,
        state,
        sides,
        notices,
    }
}

fn judge_state(sides: &[Side<'_>]) -> ServiceState {
    let count = |role| sides.iter().filter(|side| side.has_role(&role)).count();
    match (count(Role::Primary), count(Role::StandbyLeader)) {
        (1, _) => ServiceState::OnePrimary,
        (0, standbys) if standbys < sides.len() => ServiceState::NoPrimary,
        (0, 1) => ServiceState::PrimaryElsewhere,
        (0, _) => ServiceState::BothStandby,
        (_, _) => ServiceState::BothPrimary,
    }
}

fn follow(sides: &mut [Side<'_>]) {
    let Some(primary) = sides.iter().find(|side| side.has_role(&Role::Primary)) else {
        return;
    };
    let (Some(ahead), history) = (primary.status(), primary.history()) else {
        return;
    };
    for side in sides {
        if let (true, Some(member), Some(behind)) = (
            side.has_role(&Role::StandbyLeader),
            side.leader.member,
            side.status(),
        ) {
            side.following = Some(judge_following(ahead, &history, behind, &member.pod));
        }
    }
}

fn judge_whole(state: ServiceState, sides: &[Side<'_>]) -> Option<Notice> {
    let places = |role: &Role| {
        let places: Vec<String> = sides
            .iter()
            .filter(|side| side.has_role(role))
            .map(|side| side.survey.place.to_string())
            .collect();
        places.join(" and ")
    };
    let (check, severity, seen, advice) = match state {
        ServiceState::OnePrimary => return None,
        // What is wrong with a leader says it already.
        ServiceState::NoPrimary if sides.len() == 1 => return None,
        ServiceState::BothPrimary => (
            "both-primary",
            Severity::Fail,
            format!(
                "{} are primary: two histories of one database system.",
                places(&Role::Primary)
            ),
            "Unless one of them is a clone on purpose, stop the applications' writes to one side at once.",
        ),
        ServiceState::BothStandby => (
            "both-standby",
            Severity::Fail,
            format!(
                "{} are standbys, and none of the sides asked is primary.",
                places(&Role::StandbyLeader)
            ),
            "Promote the side that holds the last commit.",
        ),
        ServiceState::NoPrimary => (
            "no-primary",
            Severity::Fail,
            "None of the sides asked is primary.".to_owned(),
            "Look at the side without a leader first.",
        ),
        ServiceState::PrimaryElsewhere => (
            "primary-elsewhere",
            Severity::Warn,
            "This side is a standby, and its primary is not among the sites asked.".to_owned(),
            "Name the other site too, with another --context.",
        ),
    };
    Some(Notice {
        check,
        severity,
        place: None,
        seen,
        advice: advice.to_owned(),
    })
}

fn judge_follower(side: &Side<'_>) -> Vec<Notice> {
    let Some(following) = &side.following else {
        return Vec::new();
    };
    let place = &side.survey.place;
    [
        judge_branch(place, &following.branch),
        judge_feed(place, following),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn judge_branch(place: &Place, branch: &Branch) -> Option<Notice> {
    const REBUILD: &str = "It can never follow: do not promote it, and rebuild it.";
    let (check, severity, seen, advice) = match branch {
        Branch::Same | Branch::Ancestor { .. } => return None,
        Branch::Wedged {
            timeline,
            forked_at,
            end,
        } => (
            "wedged",
            Severity::Fail,
            format!(
                "This side is wedged: it holds timeline {timeline} up to {end}, and the primary's history left that \
                 timeline at {forked_at}, before this side's end."
            ),
            REBUILD,
        ),
        Branch::Foreign { timeline } => (
            "wedged",
            Severity::Fail,
            format!(
                "This side is wedged: it is on timeline {timeline}, which is no ancestor of the primary's."
            ),
            REBUILD,
        ),
        Branch::Undecided { timeline } => (
            "fork-undecided",
            Severity::Warn,
            format!(
                "The primary was promoted, and this side still reports timeline {timeline}: nothing shows yet whether \
                 it followed."
            ),
            "Look again in a minute, or watch it move with -w.",
        ),
        Branch::Unseen { because } => (
            "fork-unseen",
            Severity::Warn,
            format!("Whether this side is on the primary's history is not known: {because}."),
            "Do not promote it on this evidence.",
        ),
    };
    Some(notice(place, check, severity, seen, advice))
}

fn judge_feed(place: &Place, following: &Following) -> Option<Notice> {
    if following.branch.is_lost() {
        return None;
    }
    let (check, seen, advice) = match &following.feed {
        Feed::Streaming {
            from_primary: Some(true) | None,
        }
        | Feed::Archive => return None,
        Feed::Streaming {
            from_primary: Some(false),
        } => (
            "fed-from-elsewhere",
            "This side streams, and not from the primary's leader.".to_owned(),
            "Find out from where before a move.",
        ),
        Feed::Nothing => (
            "not-receiving",
            "This side receives no log: it neither streams nor reads the archive.".to_owned(),
            "Look at its standby section and at its Postgres log.",
        ),
        Feed::Unseen { because } => (
            "feed-unseen",
            format!("Whether this side receives log is not known: {because}."),
            "Watch its position with -w.",
        ),
    };
    Some(notice(place, check, Severity::Warn, seen, advice))
}

fn notice(
    place: &Place,
    check: &'static str,
    severity: Severity,
    seen: String,
    advice: &str,
) -> Notice {
    Notice {
        check,
        severity,
        place: Some(place.clone()),
        seen,
        advice: advice.to_owned(),
    }
}

#[cfg(test)]
pub(crate) mod samples;

#[cfg(test)]
mod tests {
    use super::*;

    fn checks(service: &Service<'_>) -> Vec<&'static str> {
        service.notices.iter().map(|notice| notice.check).collect()
    }

    fn demoted(mut survey: SiteSurvey) -> SiteSurvey {
        samples::set_status(&mut survey, samples::STANDBY);
        survey
    }

    #[test]
    fn one_system_identifier_is_one_service() {
        let mut other = samples::primary("core3");
        samples::set_system_identifier(&mut other, "8");
        let surveys = [samples::primary("core1"), other, samples::standby("core2")];
        let services = judge_services(&surveys, samples::now());
        let contexts: Vec<Vec<&str>> = services
            .iter()
            .map(|service| {
                let sides = service.sides.iter();
                sides
                    .map(|side| side.survey.place.context.as_str())
                    .collect()
            })
            .collect();
        assert_eq!(contexts, [vec!["core1", "core2"], vec!["core3"]]);
        assert!(services.iter().all(Service::is_healthy));
    }

    #[test]
    fn sides_that_do_not_say_who_they_are_stay_apart() {
        let mut silent = samples::primary("core1");
        samples::set_system_identifier(&mut silent, "");
        silent.members[0].live = Observed::unseen("not permitted");
        silent.store = Observed::unseen("not permitted");
        let surveys = [silent.clone(), silent];
        assert_eq!(judge_services(&surveys, samples::now()).len(), 2);
    }

    #[test]
    fn the_standby_side_follows_the_primary_one() {
        let surveys = [samples::standby("core2"), samples::primary("core1")];
        let services = judge_services(&surveys, samples::now());
        let service = &services[0];
        assert_eq!(service.state, ServiceState::OnePrimary);
        assert_eq!(service.primary().unwrap().survey.place.context, "core1");
        assert_eq!(
            service.sides[0].following,
            Some(Following {
                lag_bytes: Some(0x48),
                feed: Feed::Streaming {
                    from_primary: Some(true)
                },
                branch: Branch::Same,
            })
        );
        assert_eq!(service.sides[1].following, None);
        assert_eq!(checks(service), [""; 0]);
    }

    #[test]
    fn every_state_but_one_primary_has_its_notice() {
        let (primary, standby) = (samples::primary("core1"), samples::standby("core2"));
        let mut leaderless = standby.clone();
        leaderless.lock = Observed::unseen("not permitted");
        let cases = [
            (
                vec![primary.clone(), samples::primary("core2")],
                ServiceState::BothPrimary,
                "both-primary",
            ),
            (
                vec![demoted(primary), standby.clone()],
                ServiceState::BothStandby,
                "both-standby",
            ),
            (
                vec![standby.clone(), leaderless],
                ServiceState::NoPrimary,
                "no-primary",
            ),
            (
                vec![standby],
                ServiceState::PrimaryElsewhere,
                "primary-elsewhere",
            ),
        ];
        for (surveys, state, check) in cases {
            let services = judge_services(&surveys, samples::now());
            assert_eq!(services[0].state, state);
            assert!(checks(&services[0]).contains(&check), "{check}");
            assert!(services[0].primary().is_none());
            let is_warning = state == ServiceState::PrimaryElsewhere;
            assert_eq!(services[0].is_healthy(), is_warning, "{check}");
        }
    }

    #[test]
    fn a_side_alone_without_a_leader_says_it_once() {
        let mut side = samples::primary("core1");
        side.lock = Observed::unseen("there is none yet");
        let surveys = [side];
        let services = judge_services(&surveys, samples::now());
        assert_eq!(services[0].state, ServiceState::NoPrimary);
        assert_eq!(checks(&services[0]), ["leader"]);
        assert!(!services[0].is_healthy());
    }

    #[test]
    fn a_wedged_standby_is_named_first_and_alone() {
        let mut primary = samples::primary("core1");
        samples::promote(&mut primary, 2, "0/6000000", "0/9000000");
        let surveys = [primary, samples::standby("core2")];
        let services = judge_services(&surveys, samples::now());
        assert_eq!(checks(&services[0]), ["wedged"]);
        assert_eq!(services[0].notices[0].severity, Severity::Fail);
        assert!(!services[0].is_healthy());
    }

    #[test]
    fn a_standby_fed_by_nobody_or_by_another_is_told() {
        let mut primary = samples::primary("core1");
        samples::set_status(
            &mut primary,
            &samples::PRIMARY.replace("core2-0", "other-0"),
        );
        let surveys = [primary.clone(), samples::standby("core2")];
        let services = judge_services(&surveys, samples::now());
        assert_eq!(checks(&services[0]), ["fed-from-elsewhere"]);

        let mut idle = samples::standby("core2");
        samples::set_status(
            &mut idle,
            &samples::STANDBY.replace(r#""replication_state":"streaming","#, ""),
        );
        let surveys = [primary, idle];
        let services = judge_services(&surveys, samples::now());
        assert_eq!(checks(&services[0]), ["not-receiving"]);
    }
}
