//! One service across its sites: which side is primary, and whether the others follow it.

use jiff::Timestamp;
use serde::Serialize;

use crate::check::promote_either;
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
    notices.extend(judge_backups(&sides));
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
    let both_standby = match sides {
        [one, other] => promote_either(one.survey, other.survey),
        _ => "Promote the side that holds the last commit, with `kubectl pgha promote`.".to_owned(),
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
            "Unless one of them is a clone on purpose, stop the applications' writes to one side at once. After a failover, \
             `kubectl pgha rejoin` makes the old one a standby and keeps what only it holds.",
        ),
        ServiceState::BothStandby => (
            "both-standby",
            Severity::Fail,
            format!(
                "{} are standbys, and none of the sides asked is primary.",
                places(&Role::StandbyLeader)
            ),
            both_standby.as_str(),
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

/// The sides may share a repository, so a backup that any of them knows of will do.
fn judge_backups(sides: &[Side<'_>]) -> Option<Notice> {
    let has_backup = |side: &Side<'_>| {
        let object = &side.survey.object;
        let mut repos = object.repos.iter();
        object.last_backup.is_some() || repos.any(|repo| repo.replica_create_backup_complete)
    };
    let primary = sides.iter().find(|side| side.has_role(&Role::Primary))?;
    if sides.iter().any(has_backup) {
        return None;
    }
    Some(notice(
        &primary.survey.place,
        "no-backup",
        Severity::Warn,
        "No finished backup is on record.".to_owned(),
        "Take one before a move.",
    ))
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
    const COMPARE: &str = "It can never follow: do not promote it. It may be the only copy of commits that the primary \
                           lacks: `kubectl pgha rejoin` copies them away before it makes a new copy.";
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
                 timeline at {forked_at}, before this side's end.{}",
                branch
                    .bytes_of_its_own()
                    .map_or(String::new(), |bytes| format!(
                        " The {bytes} bytes between may hold commits that are lost on the primary."
                    ))
            ),
            if branch.bytes_of_its_own().is_some() {
                COMPARE
            } else {
                REBUILD
            },
        ),
        Branch::Foreign { timeline } => (
            "wedged",
            Severity::Fail,
            format!(
                "This side is wedged: it is on timeline {timeline}, which is no ancestor of the primary's; it was a \
                 primary on a branch of its own."
            ),
            COMPARE,
        ),
        Branch::Undecided { timeline } => (
            "fork-undecided",
            Severity::Warn,
            format!(
                "The primary was promoted, and this side still reports timeline {timeline} at a position after the fork: \
                 nothing shows yet whether it followed."
            ),
            "Its control file does not show it either, or may not be read (create on pods/exec). With \
             `select pg_logical_emit_message(true, 'pgha', ''), pg_switch_wal()` in the primary's psql it gets something to \
             replay: -w shows whether it moves, and where it does not it is wedged, or not fed.",
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
mod tests;
