//! Every check of both sides, and whether they are ready.

use pgha_desired::Planned;
use pgha_model::check::{Readiness, Validation};
use pgha_model::finding::{Finding, Severity};
use pgha_model::guard::{self, Entry};
use pgha_model::site::{Part, Place};
use serde::Serialize;

use super::desired::DesiredView;
use super::{API_VERSION, PlaceView};
use crate::ui::{Detail, Page, Span, Style, Table, View};

/// What the checks found.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ValidationView<'a> {
    api_version: &'static str,
    kind: &'static str,
    source: PlaceView,
    target: PlaceView,
    #[serde(flatten)]
    validation: &'a Validation,
    /// What acts later: the checks are guards too, and are told as findings.
    guards: Vec<Entry>,
    /// Both commits in the repository of the desired state; `None` where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    desired: Option<DesiredView<'a>>,
}

impl<'a> ValidationView<'a> {
    pub(crate) fn new(
        source: &Place,
        target: &Place,
        validation: &'a Validation,
        desired: Option<&'a Planned>,
    ) -> Self {
        Self {
            api_version: API_VERSION,
            kind: "Validation",
            source: PlaceView::from(source),
            target: PlaceView::from(target),
            validation,
            guards: guard::all()
                .into_iter()
                .filter(|guard| guard.place != guard::Place::Check)
                .collect(),
            desired: desired.map(DesiredView::new),
        }
    }

    fn side(&self, part: Option<Part>) -> &str {
        match part {
            Some(Part::Source) => &self.source.context,
            Some(Part::Target) => &self.target.context,
            None => "both",
        }
    }

    fn guards(&self) -> Table {
        let mut table = Table::new(vec![
            "GUARD",
            "ACTS IN",
            "LIFTED BY",
            "KEEPS FROM HAPPENING",
        ]);
        for guard in &self.guards {
            table.row([
                Span::plain(guard.id),
                Span::plain(guard.place.name()),
                Span::plain(guard.lifted_by.unwrap_or("nobody")),
                Span::plain(guard.stops),
            ]);
        }
        table
    }

    fn not_holding(&self) -> impl Iterator<Item = &Finding> {
        let findings = self.validation.findings.iter();
        findings.filter(|finding| finding.severity != Severity::Pass)
    }
}

impl View for ValidationView<'_> {
    /// The checks in the order of the list; what to do about those that do not hold comes last, next to the answers.
    fn page(&self, detail: Detail) -> Page {
        let mut page = Page::default();
        let mut table = Table::new(vec!["RESULT", "SIDE", "CHECK", "SEEN"]);
        for finding in &self.validation.findings {
            table.row([
                result(finding.severity),
                Span::plain(self.side(finding.part)),
                Span::plain(finding.check),
                Span::plain(&finding.seen),
            ]);
        }
        page.table(table);
        page.blank();
        if detail == Detail::Wide {
            page.table(self.guards());
            page.blank();
        }
        for finding in self.not_holding() {
            page.line([
                result(finding.severity),
                Span::plain(format!(" {} {}: ", self.side(finding.part), finding.check)),
                Span::plain(&finding.advice),
            ]);
        }
        if self.not_holding().next().is_some() {
            page.blank();
        }
        if let Some(desired) = self.desired {
            desired.add_to(detail, &mut page);
            page.blank();
        }
        let validation = self.validation;
        page.line(answer(
            "Ready for switchover",
            &validation.ready_for_switchover,
        ));
        page.line(answer("Ready for failover", &validation.ready_for_failover));
        page
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self
            .not_holding()
            .map(|finding| finding.check.to_owned())
            .collect();
        names.dedup();
        names
    }
}

fn result(severity: Severity) -> Span {
    match severity {
        Severity::Pass => Span::new("pass", Style::Good),
        Severity::Warn => Span::new("warn", Style::Warning),
        Severity::Fail => Span::new("FAIL", Style::Bad),
    }
}

fn answer(question: &str, readiness: &Readiness) -> Vec<Span> {
    let question = Span::new(format!("{question}: "), Style::Strong);
    if readiness.ready {
        return vec![question, Span::new("yes", Style::Good)];
    }
    vec![
        question,
        Span::new("no", Style::Bad),
        Span::plain(format!(" ({})", readiness.blocked_by.join(", "))),
    ]
}
