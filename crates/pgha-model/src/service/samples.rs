//! Two healthy sides of one service, for tests to spoil.

use jiff::Timestamp;

use crate::member::MemberStatus;
use crate::observed::Observed;
use crate::owner::{Owner, OwnerKind, OwnerState, Reverts};
use crate::site::Place;
use crate::survey::{ClusterObject, Images, LeaderLock, Member, PatroniStore, SiteSurvey};
use crate::timeline::History;

/// What the primary's leader says; it sees the standby of [`standby`]`("core2")`.
pub(crate) const PRIMARY: &str = r#"{"state":"running","role":"primary","timeline":1,
    "xlog":{"location":117441024},"replication":[{"application_name":"core2-0","state":"streaming"}],
    "database_system_identifier":"7","patroni":{"version":"4.1.5"}}"#;

/// What the standby's leader says.
pub(crate) const STANDBY: &str = r#"{"state":"running","role":"standby_leader","timeline":1,
    "replication_state":"streaming","xlog":{"received_location":117440952,"replayed_location":117440952},
    "database_system_identifier":"7","patroni":{"version":"4.1.5"}}"#;

/// When these sides were looked at.
pub(crate) fn now() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

/// A healthy primary side with one member, named after the context.
pub(crate) fn primary(context: &str) -> SiteSurvey {
    survey(context, PRIMARY, false)
}

/// A healthy standby side with one member, named after the context.
pub(crate) fn standby(context: &str) -> SiteSurvey {
    survey(context, STANDBY, true)
}

/// Makes the leader say something else, live and on its pod, and the configuration fit it.
pub(crate) fn set_status(survey: &mut SiteSurvey, json: &str) {
    let status = MemberStatus::from_json(json).unwrap();
    let is_standby = json.contains("standby_leader");
    survey.object.standby = is_standby;
    if let Observed::Seen(store) = &mut survey.store {
        store.standby = is_standby;
    }
    let member = &mut survey.members[0];
    member.status = Observed::Seen(status.clone());
    member.live = Observed::Seen(status);
}

/// Makes every source say this system identifier; the empty one is none.
pub(crate) fn set_system_identifier(survey: &mut SiteSurvey, identifier: &str) {
    let identifier = Some(identifier.to_owned()).filter(|text| !text.is_empty());
    survey.object.system_identifier.clone_from(&identifier);
    if let Observed::Seen(store) = &mut survey.store {
        store.system_identifier.clone_from(&identifier);
    }
    if let Observed::Seen(status) = &mut survey.members[0].live {
        status.system_identifier = identifier;
    }
}

/// Makes the primary one that was promoted to this timeline at `fork` and has written up to `written`.
pub(crate) fn promote(survey: &mut SiteSurvey, timeline: u32, fork: &str, written: &str) {
    let fork: crate::lsn::Lsn = fork.parse().unwrap();
    let history = format!(r#"[[{},{},"x"]]"#, timeline - 1, fork.as_bytes());
    if let Observed::Seen(store) = &mut survey.store {
        store.history = Observed::Seen(History::from_patroni(&history).unwrap());
    }
    let member = &mut survey.members[0];
    for status in [&mut member.live, &mut member.status] {
        if let Observed::Seen(status) = status {
            status.timeline = Some(crate::timeline::Timeline(timeline));
            status.written = Some(written.parse().unwrap());
        }
    }
}

/// An owner that takes a change back.
pub(crate) fn helm_release() -> Owner {
    Owner::by_sign(
        OwnerKind::HelmRelease,
        None,
        Some("db".to_owned()),
        "annotation",
    )
}

/// An owner that takes a change back, and that can be held.
pub(crate) fn at_work() -> Owner {
    let mut owner = suspended();
    if let Observed::Seen(state) = &mut owner.state {
        state.reverts = Reverts::AtOnce;
    }
    owner
}

/// An owner that takes nothing back for now.
pub(crate) fn suspended() -> Owner {
    let namespace = Some("flux-system".to_owned());
    let kind = OwnerKind::FluxKustomization;
    let mut owner = Owner::by_sign(kind, namespace, Some("db".to_owned()), "label");
    owner.state = Observed::Seen(OwnerState {
        reverts: Reverts::Held {
            by: "spec.suspend is true".to_owned(),
        },
        source: None,
        revision: None,
        problem: None,
    });
    owner
}

fn survey(context: &str, status: &str, standby: bool) -> SiteSurvey {
    let pod = format!("{context}-0");
    let status = MemberStatus::from_json(status).unwrap();
    SiteSurvey {
        place: Place {
            context: context.to_owned(),
            namespace: "prod".to_owned(),
            cluster: "zitadel".to_owned(),
        },
        seen_at: now(),
        object: ClusterObject {
            operator: "pgo-v5",
            uid: "u".to_owned(),
            generation: Some(1),
            standby,
            standby_section: None,
            paused: false,
            shutdown: false,
            pause_acknowledged: false,
            owners: Vec::new(),
            pending_switchover: None,
            hidden_standby_section: false,
            requested_backup: None,
            manual_backup: None,
            last_backup: Some("2026-11-21T09:00:00Z".to_owned()),
            repos: Vec::new(),
            conditions: Vec::new(),
            system_identifier: Some("7".to_owned()),
            images: Images::default(),
        },
        lock: Observed::Seen(LeaderLock {
            holder: Some(pod.clone()),
            acquired_at: Some(now()),
            renewed_at: Some(now()),
            ttl_seconds: Some(30),
            transitions: Some(0),
        }),
        store: Observed::Seen(PatroniStore {
            config: "{}".to_owned(),
            standby,
            paused: false,
            system_identifier: Some("7".to_owned()),
            history: Observed::Seen(History::default()),
        }),
        members: vec![Member {
            pod,
            uid: "u".to_owned(),
            node: Some("node".to_owned()),
            phase: "Running".to_owned(),
            ready: true,
            terminating: false,
            role_label: Some("master".to_owned()),
            images: Images::default(),
            stuck: None,
            status: Observed::Seen(status.clone()),
            live: Observed::Seen(status),
        }],
    }
}
