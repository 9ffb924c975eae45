//! Who leads a cluster, and whether the evidence agrees.

use jiff::Timestamp;
use serde::Serialize;

use crate::member::{MemberStatus, Role};
use crate::survey::{Member, SiteSurvey};

/// A member that may lead, and everything that speaks against it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LeaderVerdict<'a> {
    /// The member that holds Patroni's lock.
    pub member: Option<&'a Member>,
    /// What it is, by the freshest word there is.
    pub role: Option<Role>,
    /// Each contradiction, as a full sentence. Empty: everything agrees.
    pub disagreements: Vec<String>,
}

/// Identifies the leader and compares every source: Patroni's lock and its age, the pod's status, the label, Patroni's
/// configuration, and the member's own live answer.
pub fn judge_leader(survey: &SiteSurvey, now: Timestamp) -> LeaderVerdict<'_> {
    let mut disagreements = Vec::new();
    judge_lock(survey, now, &mut disagreements);
    let member = survey.lock_holder();
    if let Some(member) = member {
        judge_pod(member, &mut disagreements);
        judge_live(member, &mut disagreements);
        judge_store(survey, member, &mut disagreements);
    }
    judge_others(survey, member, &mut disagreements);
    let role = member
        .and_then(|member| member.freshest().ok())
        .map(|status| status.role.clone());
    LeaderVerdict {
        member,
        role,
        disagreements,
    }
}

fn judge_lock(survey: &SiteSurvey, now: Timestamp, disagreements: &mut Vec<String>) {
    let lock = match survey.lock.seen() {
        Ok(lock) => lock,
        Err(because) => {
            disagreements.push(format!("Patroni's lock could not be read: {because}."));
            return;
        }
    };
    let Some(holder) = &lock.holder else {
        disagreements.push("No member holds Patroni's lock.".to_owned());
        return;
    };
    if lock.is_expired(now) {
        let age = lock
            .age_seconds(now)
            .map_or("never renewed".to_owned(), |age| {
                format!(
                    "last renewed {age} s ago, it holds {} s",
                    lock.ttl_seconds.unwrap_or_default()
                )
            });
        disagreements.push(format!("Patroni's lock of {holder} is stale: {age}."));
    }
    if survey.lock_holder().is_none() {
        disagreements.push(format!(
            "Patroni's lock names {holder}, and there is no such pod."
        ));
    }
}

fn judge_pod(member: &Member, disagreements: &mut Vec<String>) {
    let pod = &member.pod;
    if member.phase != "Running" {
        disagreements.push(format!("Pod {pod} holds the lock and is {}.", member.phase));
    }
    if member.terminating {
        disagreements.push(format!("Pod {pod} holds the lock and is being deleted."));
    }
    match member.role_label.as_deref() {
        Some("master" | "primary") => {}
        Some(label) => {
            disagreements.push(format!("Pod {pod} holds the lock and is labelled {label}."));
        }
        None => disagreements.push(format!("Pod {pod} holds the lock and has no role label.")),
    }
    match member.status.seen() {
        Ok(status) if !leads(status) => disagreements.push(format!(
            "Pod {pod} holds the lock and its status says {} ({}).",
            status.role, status.state
        )),
        Ok(_) => {}
        Err(because) => disagreements.push(format!(
            "Pod {pod} holds the lock and its status cannot be read: {because}."
        )),
    }
}

fn judge_live(member: &Member, disagreements: &mut Vec<String>) {
    let Some(live) = member.live.as_seen() else {
        return;
    };
    if !leads(live) {
        disagreements.push(format!(
            "{} holds the lock and itself says {} ({}).",
            member.pod, live.role, live.state
        ));
    }
    if let Some(status) = member.status.as_seen()
        && status.role != live.role
    {
        disagreements.push(format!(
            "{} itself says {}, its pod's status says {}.",
            member.pod, live.role, status.role
        ));
    }
}

fn judge_store(survey: &SiteSurvey, member: &Member, disagreements: &mut Vec<String>) {
    let Some(store) = survey.store.as_seen() else {
        return;
    };
    let Ok(status) = member.freshest() else {
        return;
    };
    match (&status.role, store.standby) {
        (Role::Primary, true) => disagreements.push(format!(
            "{} is primary and Patroni's configuration makes the cluster a standby.",
            member.pod
        )),
        (Role::StandbyLeader, false) => disagreements.push(format!(
            "{} is standby leader and Patroni's configuration makes the cluster a primary.",
            member.pod
        )),
        (_, _) => {}
    }
    if survey.object.standby != store.standby && !survey.object.paused {
        let word = |standby| if standby { "a standby" } else { "a primary" };
        disagreements.push(format!(
            "The {} object asks for {}, Patroni's configuration is that of {}.",
            survey.place.cluster,
            word(survey.object.standby),
            word(store.standby)
        ));
    }
}

fn judge_others(survey: &SiteSurvey, leader: Option<&Member>, disagreements: &mut Vec<String>) {
    // Who holds a lock that was not seen is not known: nobody can be said not to.
    if survey.lock.as_seen().is_none() {
        return;
    }
    for member in &survey.members {
        if leader.is_some_and(|leader| leader.pod == member.pod) {
            continue;
        }
        if matches!(member.role_label.as_deref(), Some("master" | "primary")) {
            disagreements.push(format!(
                "Pod {} is labelled as the leader without holding the lock.",
                member.pod
            ));
        }
        if let Ok(status) = member.freshest()
            && leads(status)
        {
            disagreements.push(format!(
                "{} says {} without holding the lock.",
                member.pod, status.role
            ));
        }
    }
}

fn leads(status: &MemberStatus) -> bool {
    status.is_running() && matches!(status.role, Role::Primary | Role::StandbyLeader)
}
