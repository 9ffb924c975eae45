//! `status` for people.

use std::collections::BTreeSet;

use pgha_model::finding::Severity;
use pgha_model::follow::{Branch, Feed};
use pgha_model::service::ServiceState;
use pgha_model::site::Place;

use super::{FollowingView, NoticeView, ServiceView, SideView, StatusView, UnseenView};
use crate::ui::{Detail, Page, Span, Style, Table, bytes, instant};
use crate::view::PlaceView;
use crate::view::leader::role_span;

/// Which columns a table has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Columns {
    detail: Detail,
    namespace: bool,
    moved: bool,
    time: bool,
}

impl StatusView {
    pub(super) fn whole_page(&self, detail: Detail) -> Page {
        let mut page = Page::default();
        if !self.services.is_empty() || !self.unseen.is_empty() {
            page.table(self.table(self.columns(detail, false)));
        }
        let remarks = self.remarks();
        if !remarks.is_empty() {
            page.blank();
            page.append(Page::of_lines(remarks));
        }
        page
    }

    /// The columns of a watch whose readings stand below each other.
    pub(crate) fn lasting_columns(&self, detail: Detail) -> Columns {
        Columns {
            moved: true,
            ..self.columns(detail, true)
        }
    }

    fn columns(&self, detail: Detail, time: bool) -> Columns {
        let namespaces: BTreeSet<&str> = self
            .sides()
            .map(|side| side.place.namespace.as_str())
            .collect();
        Columns {
            detail,
            namespace: detail == Detail::Wide || namespaces.len() > 1,
            moved: self.sides().any(|side| side.moved.is_some()),
            time,
        }
    }

    /// One row a side, and one for each site that was not seen.
    pub(crate) fn table(&self, columns: Columns) -> Table {
        let mut table = Table::new(columns.header());
        let time = instant(self.seen_at);
        for side in self.sides() {
            table.row(columns.cells(side, &time));
        }
        for unseen in &self.unseen {
            table.row(columns.unseen_cells(unseen, &time));
        }
        table
    }

    /// What is to be said below the table: one line a service, then the notices.
    fn remarks(&self) -> Vec<Vec<Span>> {
        let summaries = self.services.iter().filter_map(Self::summary);
        let mut lines: Vec<Vec<Span>> = summaries.map(|text| vec![Span::plain(text)]).collect();
        lines.extend(self.notices());
        lines
    }

    /// What was not seen, and what a person should know, each service's worst first.
    pub(crate) fn notices(&self) -> Vec<Vec<Span>> {
        let unseen = self.unseen.iter().map(|unseen| {
            let subject = format!(" {}: ", unseen.context);
            vec![
                Span::new("UNSEEN", Style::Bad),
                Span::plain(subject + &unseen.because),
            ]
        });
        let notices = self.services.iter().flat_map(|service| {
            let notices = service.notices.iter();
            notices.map(|notice| self.notice_line(service, notice))
        });
        unseen.chain(notices).collect()
    }

    /// Who follows whom, when there is one primary and somebody follows it.
    fn summary(service: &ServiceView) -> Option<String> {
        let primary = service
            .sides
            .iter()
            .find(|side| side.following.is_none() && side.role.as_deref() == Some("primary"))
            .filter(|_| service.state == ServiceState::OnePrimary)?;
        let followers: Vec<String> = service
            .sides
            .iter()
            .filter_map(|side| {
                let following = side.following.as_ref()?;
                Some(format!(
                    "{} {}",
                    service.name_of(&side.place),
                    following.sentence()
                ))
            })
            .collect();
        if followers.is_empty() {
            return None;
        }
        Some(format!(
            "{}: {} is primary; {}.",
            primary.place.cluster,
            service.name_of(&primary.place),
            followers.join("; ")
        ))
    }

    fn notice_line(&self, service: &ServiceView, notice: &NoticeView) -> Vec<Span> {
        let (word, style) = match notice.severity {
            Severity::Pass => ("OK", Style::Good),
            Severity::Warn => ("WARN", Style::Warning),
            Severity::Fail => ("FAIL", Style::Bad),
        };
        let subject = match &notice.place {
            Some(place) => format!(" {}: ", self.name_of(place)),
            None => format!(" {}: ", service.name()),
        };
        vec![
            Span::new(word, style),
            Span::plain(format!("{subject}{} ", notice.seen)),
            Span::dim(&notice.advice),
        ]
    }
}

impl ServiceView {
    /// A side's name among the sides of its service.
    fn name_of(&self, place: &PlaceView) -> String {
        let same = |side: &&SideView| side.place.context == place.context;
        if self.sides.iter().filter(same).count() <= 1 {
            return place.context.clone();
        }
        Place::from(place).to_string()
    }

    fn name(&self) -> &str {
        self.sides
            .first()
            .map_or("the service", |side| side.place.cluster.as_str())
    }
}

impl FollowingView {
    fn sentence(&self) -> String {
        if self.branch.is_lost() {
            return "can never follow it".to_owned();
        }
        let is_known = !matches!(
            self.branch,
            Branch::Undecided { .. } | Branch::Unseen { .. }
        );
        let way = match &self.feed {
            _ if !is_known => "may follow it",
            Feed::Streaming {
                from_primary: Some(true),
            } => "streams from it",
            Feed::Streaming { .. } => "streams",
            Feed::Archive => "follows through the archive",
            Feed::Nothing => "receives nothing",
            Feed::Unseen { .. } => "may follow it",
        };
        match self.lag_bytes {
            Some(lag) => format!("{way}, {} behind", bytes(lag)),
            None => way.to_owned(),
        }
    }

    fn feed_span(&self) -> Span {
        match (&self.branch, &self.feed) {
            (Branch::Wedged { .. } | Branch::Foreign { .. }, _) => Span::new("wedged", Style::Bad),
            (_, Feed::Streaming { .. }) => Span::plain("streaming"),
            (_, Feed::Archive) => Span::plain("archive"),
            (_, Feed::Nothing) => Span::new("nothing", Style::Warning),
            (_, Feed::Unseen { .. }) => Span::new("unknown", Style::Warning),
        }
    }
}

impl Columns {
    fn header(self) -> Vec<&'static str> {
        let mut header = Vec::new();
        if self.time {
            header.push("TIME");
        }
        header.push("CONTEXT");
        if self.namespace {
            header.push("NAMESPACE");
        }
        header.extend(["CLUSTER", "ROLE", "LEADER", "READY", "TL", "LSN"]);
        if self.moved {
            header.push("MOVED");
        }
        header.extend(["LAG", "FEED"]);
        if !self.time {
            header.push("LAST BACKUP");
        }
        if self.detail == Detail::Wide {
            header.extend(["NODE", "PATRONI", "OPERATOR"]);
        }
        header
    }

    fn cells(self, side: &SideView, time: &str) -> Vec<Span> {
        let text = |text: Option<&str>| Span::plain(text.unwrap_or_default());
        let number = |number: Option<String>| Span::plain(number.unwrap_or_default());
        let mut cells = self.first_cells(&side.place.context, time);
        if self.namespace {
            cells.push(Span::plain(&side.place.namespace));
        }
        cells.extend([
            Span::plain(&side.place.cluster),
            role_span(side.role.as_deref()),
            text(side.leader.as_deref()),
            side.ready_span(),
            number(side.timeline.map(|timeline| timeline.to_string())),
            number(side.lsn.map(|lsn| lsn.to_string())),
        ]);
        if self.moved {
            let moved = side.moved.map(|moved| format!("+{}", bytes(moved.bytes)));
            cells.push(number(moved));
        }
        let following = side.following.as_ref();
        cells.extend([
            number(
                following
                    .and_then(|following| following.lag_bytes)
                    .map(bytes),
            ),
            following.map_or_else(|| Span::plain(""), FollowingView::feed_span),
        ]);
        if !self.time {
            cells.push(side.backup_span());
        }
        if self.detail == Detail::Wide {
            cells.extend([
                text(side.node.as_deref()),
                text(side.patroni.as_deref()),
                Span::plain(side.operator),
            ]);
        }
        cells
    }

    /// A row for what was not seen: only its name is known.
    fn unseen_cells(self, unseen: &UnseenView, time: &str) -> Vec<Span> {
        let columns = self.header();
        let mut cells = self.first_cells(&unseen.context, time);
        for name in columns.iter().skip(cells.len()) {
            cells.push(match *name {
                "CLUSTER" => Span::plain(unseen.cluster.as_deref().unwrap_or_default()),
                "ROLE" => Span::new("unseen", Style::Bad),
                _ => Span::plain(""),
            });
        }
        cells
    }

    fn first_cells(self, context: &str, time: &str) -> Vec<Span> {
        let time = self.time.then(|| Span::dim(time));
        time.into_iter().chain([Span::plain(context)]).collect()
    }
}

impl SideView {
    fn backup_span(&self) -> Span {
        match &self.last_backup {
            Some(time) => Span::plain(time.parse().map_or_else(|_| time.clone(), instant)),
            None if self.has_first_backup => Span::plain("first one, no date"),
            None => Span::plain(""),
        }
    }

    fn ready_span(&self) -> Span {
        let members = self.members;
        let style = if members.ready < members.total || members.total == 0 {
            Style::Warning
        } else {
            Style::Plain
        };
        Span::new(format!("{}/{}", members.ready, members.total), style)
    }
}
