//! The sides of each service.

mod page;

use std::time::Duration;

use jiff::Timestamp;
use pgha_model::finding::Severity;
use pgha_model::follow::{Branch, Feed};
use pgha_model::lsn::Lsn;
use pgha_model::member::Role;
use pgha_model::notice::Notice;
use pgha_model::owner::Owner;
use pgha_model::service::{Service, ServiceState, Side};
use pgha_model::site::Place;
use serde::Serialize;

use super::leader::patroni;
use super::member::role_word;
use super::{API_VERSION, PlaceView};
use crate::args::Format;
use crate::failure::Failure;
use crate::ui::{Detail, Page, View};

/// The answer of `status`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StatusView {
    api_version: &'static str,
    kind: &'static str,
    seen_at: Timestamp,
    /// Whether everything that was asked for was seen and no service has a notice of severity `fail`.
    healthy: bool,
    services: Vec<ServiceView>,
    unseen: Vec<UnseenView>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ServiceView {
    system_identifier: Option<String>,
    state: ServiceState,
    sides: Vec<SideView>,
    notices: Vec<NoticeView>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SideView {
    place: PlaceView,
    operator: &'static str,
    role: Option<String>,
    leader: Option<String>,
    node: Option<String>,
    members: MembersView,
    timeline: Option<u32>,
    /// Written by a primary, replayed by a standby.
    lsn: Option<Lsn>,
    /// How it follows the primary side; absent on a primary side.
    #[serde(skip_serializing_if = "Option::is_none")]
    following: Option<FollowingView>,
    /// How far `lsn` moved since the last reading of a watch.
    #[serde(skip_serializing_if = "Option::is_none")]
    moved: Option<MovedView>,
    patroni: Option<String>,
    /// When the newest backup ended, in the object's own text.
    last_backup: Option<String>,
    /// Whether the backup from which replicas are made is there; the object does not say when it ended.
    has_first_backup: bool,
    /// Who else writes the operator's object.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    owners: Vec<Owner>,
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct MembersView {
    ready: usize,
    total: usize,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct FollowingView {
    lag_bytes: Option<u64>,
    feed: Feed,
    branch: Branch,
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct MovedView {
    bytes: u64,
    seconds: f64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct NoticeView {
    check: &'static str,
    severity: Severity,
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<PlaceView>,
    seen: String,
    advice: String,
}

/// A site, or a cluster of one, that was asked and not seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct UnseenView {
    context: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<String>,
    because: String,
}

/// Something that was asked and not seen.
pub(crate) struct Unseen {
    pub(crate) context: String,
    pub(crate) cluster: Option<String>,
    pub(crate) failure: Failure,
}

impl StatusView {
    pub(crate) fn new(services: &[Service<'_>], unseen: &[Unseen], seen_at: Timestamp) -> Self {
        Self {
            api_version: API_VERSION,
            kind: "Status",
            seen_at,
            healthy: unseen.is_empty() && services.iter().all(Service::is_healthy),
            services: services.iter().map(ServiceView::new).collect(),
            unseen: unseen
                .iter()
                .map(|unseen| UnseenView {
                    context: unseen.context.clone(),
                    cluster: unseen.cluster.clone(),
                    because: unseen.failure.in_one_line(),
                })
                .collect(),
        }
    }

    /// What is wrong, when something is.
    pub(crate) fn complaint(&self, form: Format) -> Option<Failure> {
        let wrong = self
            .services
            .iter()
            .flat_map(|service| &service.notices)
            .filter(|notice| notice.severity == Severity::Fail)
            .count();
        let message = match (self.unseen.len(), wrong) {
            (0, 0) => return None,
            (0, _) => "something is wrong",
            (_, 0) => "not everything that was asked could be seen",
            (_, _) => "not everything that was asked could be seen, and something is wrong",
        };
        let hint = match (wrong, form) {
            (0, _) | (_, Format::Name | Format::Html | Format::Markdown) => None,
            (_, Format::Table | Format::Wide) => Some("The lines that begin with FAIL say what."),
            (_, Format::Json | Format::Yaml) => Some("The notices of severity `fail` say what."),
        };
        let complaint = Failure::refused(message);
        Some(match hint {
            Some(hint) => complaint.hinting(hint),
            None => complaint,
        })
    }

    /// Whether there was nothing to see.
    pub(crate) const fn is_empty(&self) -> bool {
        self.services.is_empty() && self.unseen.is_empty()
    }

    /// When the reading began.
    pub(crate) const fn seen_at(&self) -> Timestamp {
        self.seen_at
    }

    /// Notes how far each side moved since an earlier reading.
    pub(crate) fn compare_with(&mut self, earlier: &Self) {
        let elapsed = Duration::try_from(self.seen_at.duration_since(earlier.seen_at));
        let seconds = elapsed.unwrap_or_default().as_secs_f64();
        for side in self
            .services
            .iter_mut()
            .flat_map(|service| &mut service.sides)
        {
            let before = earlier.sides().find(|before| before.place == side.place);
            if let (Some(now), Some(before)) = (side.lsn, before.and_then(|before| before.lsn)) {
                side.moved = Some(MovedView {
                    bytes: now.bytes_ahead_of(before),
                    seconds,
                });
            }
        }
    }

    /// A side's name in text: as short as it can be and still name only one.
    fn name_of(&self, place: &PlaceView) -> String {
        let of_context = || {
            self.sides()
                .filter(|side| side.place.context == place.context)
        };
        if of_context().count() <= 1 {
            return place.context.clone();
        }
        let same_name = of_context().filter(|side| side.place.cluster == place.cluster);
        if same_name.count() <= 1 {
            return format!("{}@{}", place.cluster, place.context);
        }
        Place::from(place).to_string()
    }

    fn sides(&self) -> impl Iterator<Item = &SideView> {
        self.services.iter().flat_map(|service| &service.sides)
    }
}

impl View for StatusView {
    fn page(&self, detail: Detail) -> Page {
        self.whole_page(detail)
    }

    fn names(&self) -> Vec<String> {
        self.sides()
            .map(|side| {
                format!(
                    "postgrescluster.postgres-operator.crunchydata.com/{}",
                    side.place.cluster
                )
            })
            .collect()
    }
}

impl ServiceView {
    fn new(service: &Service<'_>) -> Self {
        Self {
            system_identifier: service.system_identifier.map(str::to_owned),
            state: service.state,
            sides: service.sides.iter().map(SideView::new).collect(),
            notices: service.notices.iter().map(NoticeView::new).collect(),
        }
    }
}

impl SideView {
    fn new(side: &Side<'_>) -> Self {
        let survey = side.survey;
        let status = side.status();
        let is_primary = side.leader.role == Some(Role::Primary);
        Self {
            place: PlaceView::from(&survey.place),
            operator: survey.object.operator,
            role: side.leader.role.as_ref().map(role_word),
            leader: side.leader.member.map(|member| member.pod.clone()),
            node: side.leader.member.and_then(|member| member.node.clone()),
            members: MembersView {
                ready: survey.members.iter().filter(|member| member.ready).count(),
                total: survey.members.len(),
            },
            timeline: status
                .and_then(|status| status.timeline)
                .map(|timeline| timeline.0),
            lsn: status.and_then(|status| {
                let replayed = status.replayed.filter(|_| !is_primary);
                replayed.or(status.written)
            }),
            following: side.following.as_ref().map(|following| FollowingView {
                lag_bytes: following.lag_bytes,
                feed: following.feed.clone(),
                branch: following.branch.clone(),
            }),
            moved: None,
            patroni: status.and_then(patroni),
            last_backup: survey.object.last_backup.clone(),
            has_first_backup: survey
                .object
                .repos
                .iter()
                .any(|repo| repo.replica_create_backup_complete),
            owners: survey.object.owners.clone(),
        }
    }
}

impl NoticeView {
    fn new(notice: &Notice) -> Self {
        Self {
            check: notice.check,
            severity: notice.severity,
            place: notice.place.as_ref().map(PlaceView::from),
            seen: notice.seen.clone(),
            advice: notice.advice.clone(),
        }
    }
}

impl From<&PlaceView> for Place {
    fn from(place: &PlaceView) -> Self {
        Self {
            context: place.context.clone(),
            namespace: place.namespace.clone(),
            cluster: place.cluster.clone(),
        }
    }
}
