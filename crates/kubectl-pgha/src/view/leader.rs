//! Who leads a cluster.

use jiff::Timestamp;
use pgha_model::leader::LeaderVerdict;
use pgha_model::lsn::Lsn;
use pgha_model::member::{MemberStatus, Role};
use pgha_model::survey::{LeaderLock, Member, PatroniStore, SiteSurvey};
use serde::Serialize;

use super::member::{MemberView, role_text, role_word};
use super::{API_VERSION, Known, PlaceView};
use crate::ui::{Detail, Page, Span, Style, Table, View, instant};

/// The answer of `leader`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LeaderView {
    api_version: &'static str,
    kind: &'static str,
    place: PlaceView,
    seen_at: Timestamp,
    /// The member that holds Patroni's lock.
    leader: Option<Leader>,
    evidence: Evidence,
    /// The other members, by what their pods say.
    others: Vec<Other>,
    /// Contradictions; none when everything agrees.
    disagreements: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Leader {
    pod: String,
    role: Option<String>,
    timeline: Option<u32>,
    lsn: Option<Lsn>,
    /// Since when it is what it is: it got the lock then, or was promoted later.
    since: Option<Timestamp>,
    node: Option<String>,
    ready: bool,
    patroni: Option<String>,
    server_version: Option<u32>,
    system_identifier: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Evidence {
    lock: Known<Lock>,
    pod_status: Option<Known<MemberView>>,
    live: Option<Known<MemberView>>,
    patroni_config: Known<&'static str>,
    object: &'static str,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Other {
    pod: String,
    role_label: Option<String>,
    status: Known<MemberView>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Lock {
    holder: Option<String>,
    acquired_at: Option<Timestamp>,
    renewed_at: Option<Timestamp>,
    /// Negative when the clocks of the two machines disagree.
    age_seconds: Option<i64>,
    ttl_seconds: Option<u32>,
    transitions: Option<u64>,
}

impl LeaderView {
    /// Shows a verdict and what it rests on. `now` is for the age of the lock.
    pub(crate) fn new(survey: &SiteSurvey, verdict: &LeaderVerdict<'_>, now: Timestamp) -> Self {
        Self {
            api_version: API_VERSION,
            kind: "Leader",
            place: PlaceView::from(&survey.place),
            seen_at: survey.seen_at,
            leader: verdict
                .member
                .map(|member| Leader::new(survey, member, verdict.role.as_ref())),
            evidence: Evidence::new(survey, verdict.member, now),
            others: Other::all(survey, verdict.member),
            disagreements: verdict.disagreements.clone(),
        }
    }

    fn table(&self, detail: Detail) -> Table {
        let mut header = vec!["POD", "ROLE", "TIMELINE", "LSN", "SINCE", "NODE"];
        if detail == Detail::Wide {
            header.extend(["READY", "PATRONI", "POSTGRES", "SYSTEM ID"]);
        }
        let mut table = Table::new(header);
        if let Some(leader) = &self.leader {
            table.row(leader.cells(detail));
        }
        table
    }
}

impl View for LeaderView {
    fn page(&self, detail: Detail) -> Page {
        let mut page = Page::default();
        if self.leader.is_some() {
            page.table(self.table(detail));
            page.blank();
        }
        let mut evidence = Table::new(vec!["EVIDENCE", "SAYS"]);
        for (source, says) in self.evidence.lines() {
            evidence.row([Span::plain(source), says]);
        }
        // Where everything agrees the others are only replicas, which `status` counts.
        if !self.disagreements.is_empty() {
            for other in &self.others {
                evidence.row([
                    Span::plain(&other.pod),
                    other.status.span(MemberView::sentence),
                ]);
            }
        }
        page.table(evidence);
        page
    }

    fn names(&self) -> Vec<String> {
        let names = self
            .leader
            .iter()
            .map(|leader| format!("pod/{}", leader.pod));
        names.collect()
    }
}

impl Leader {
    fn new(survey: &SiteSurvey, member: &Member, role: Option<&Role>) -> Self {
        let status = member.freshest().ok();
        let live = member.live.as_seen();
        Self {
            pod: member.pod.clone(),
            role: role.map(role_word),
            timeline: status
                .and_then(|status| status.timeline)
                .or_else(|| member.status.as_seen()?.timeline)
                .map(|timeline| timeline.0),
            lsn: status.and_then(|status| status.written),
            since: since(survey, role),
            node: member.node.clone(),
            ready: member.ready,
            patroni: status.and_then(patroni),
            server_version: live.and_then(|live| live.server_version),
            system_identifier: survey.system_identifier().map(str::to_owned),
        }
    }

    fn cells(&self, detail: Detail) -> Vec<Span> {
        let text = |text: Option<String>| Span::plain(text.unwrap_or_default());
        let mut cells = vec![
            Span::plain(&self.pod),
            role_span(self.role.as_deref()),
            text(self.timeline.map(|timeline| timeline.to_string())),
            text(self.lsn.map(|lsn| lsn.to_string())),
            text(self.since.map(instant)),
            text(self.node.clone()),
        ];
        if detail == Detail::Wide {
            cells.extend([
                Span::plain(if self.ready { "yes" } else { "no" }),
                text(self.patroni.clone()),
                text(self.server_version.map(postgres_version)),
                text(self.system_identifier.clone()),
            ]);
        }
        cells
    }
}

impl Evidence {
    fn new(survey: &SiteSurvey, leader: Option<&Member>, now: Timestamp) -> Self {
        Self {
            lock: Known::of(&survey.lock, |lock| Lock::new(lock, now)),
            pod_status: leader.map(|member| Known::of(&member.status, |status| status.into())),
            live: leader.map(|member| Known::of(&member.live, |status| status.into())),
            patroni_config: Known::of(&survey.store, config_word),
            object: standby_word(survey.object.standby),
        }
    }

    fn lines(&self) -> Vec<(&'static str, Span)> {
        let member = |known: &Known<MemberView>| known.span(MemberView::sentence);
        let mut lines = vec![("Patroni's lock", self.lock.span(Lock::sentence))];
        lines.extend(
            self.pod_status
                .iter()
                .map(|status| ("the pod's status", member(status))),
        );
        lines.extend(
            self.live
                .iter()
                .map(|live| ("the member, live", member(live))),
        );
        lines.push((
            "Patroni's configuration",
            self.patroni_config.span(|word| format!("{word} cluster")),
        ));
        lines.push((
            "the operator's object",
            Span::plain(format!("{} cluster", self.object)),
        ));
        lines
    }
}

impl Other {
    fn all(survey: &SiteSurvey, leader: Option<&Member>) -> Vec<Self> {
        survey
            .members
            .iter()
            .filter(|member| leader.is_none_or(|leader| leader.pod != member.pod))
            .map(|member| Self {
                pod: member.pod.clone(),
                role_label: member.role_label.clone(),
                status: Known::of(&member.status, |status| status.into()),
            })
            .collect()
    }
}

impl Lock {
    fn new(lock: &LeaderLock, now: Timestamp) -> Self {
        Self {
            holder: lock.holder.clone(),
            acquired_at: lock.acquired_at,
            renewed_at: lock.renewed_at,
            age_seconds: lock.age_seconds(now),
            ttl_seconds: lock.ttl_seconds,
            transitions: lock.transitions,
        }
    }

    fn sentence(&self) -> String {
        let holder = self.holder.as_deref().unwrap_or("nobody");
        let renewed = match self.age_seconds {
            Some(age) => format!("renewed {age} s ago"),
            None => "never renewed".to_owned(),
        };
        match self.ttl_seconds {
            Some(ttl) => format!("{holder}, {renewed}, valid for {ttl} s"),
            None => format!("{holder}, {renewed}"),
        }
    }
}

impl<T> Known<T> {
    fn span(&self, sentence: impl FnOnce(&T) -> String) -> Span {
        match self {
            Self::Seen(fact) => Span::plain(sentence(fact)),
            Self::Unseen { unseen } => Span::new(format!("not seen: {unseen}"), Style::Warning),
        }
    }
}

/// A promotion can come after the lock: a standby leader holds it too.
fn since(survey: &SiteSurvey, role: Option<&Role>) -> Option<Timestamp> {
    let acquired = survey.lock.as_seen().and_then(|lock| lock.acquired_at);
    if role != Some(&Role::Primary) {
        return acquired;
    }
    let history = survey
        .store
        .as_seen()
        .and_then(|store| store.history.as_seen());
    let promoted = history.and_then(|history| history.0.last()?.promoted_at);
    acquired.max(promoted)
}

pub(super) fn role_span(role: Option<&str>) -> Span {
    let style = match role {
        Some("primary") => Style::Good,
        _ => Style::Plain,
    };
    Span::new(role.map(role_text).unwrap_or_default(), style)
}

pub(super) fn patroni(status: &MemberStatus) -> Option<String> {
    status.patroni.map(|version| version.to_string())
}

/// `150018` is 15.18 (PostgreSQL documentation, `server_version_num`).
pub(super) fn postgres_version(number: u32) -> String {
    format!("{}.{}", number / 10_000, number % 10_000)
}

fn config_word(store: &PatroniStore) -> &'static str {
    standby_word(store.standby)
}

const fn standby_word(standby: bool) -> &'static str {
    if standby { "standby" } else { "primary" }
}
