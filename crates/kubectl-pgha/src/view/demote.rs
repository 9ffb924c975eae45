//! The demotion of one side: its plan, and how it ended.

use pgha_core::engine::PlannedPatch;
use pgha_model::demotion::{DemotionOutcome, DemotionPlan};
use pgha_model::site::Place;
use serde::Serialize;

use super::switchover::{add_results, add_steps, add_warnings, plan_page, step_names};
use super::{API_VERSION, PlaceView};
use crate::ui::{Detail, Page, Span, Style, View};

/// A plan as it would be carried out now.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DemotionPlanView<'a> {
    api_version: &'static str,
    kind: &'static str,
    #[serde(flatten)]
    plan: &'a DemotionPlan,
    patches: &'a [PlannedPatch],
}

impl<'a> DemotionPlanView<'a> {
    pub(crate) fn new(plan: &'a DemotionPlan, patches: &'a [PlannedPatch]) -> Self {
        Self {
            api_version: API_VERSION,
            kind: "DemotionPlan",
            plan,
            patches,
        }
    }

    /// What a person consents to.
    pub(crate) fn summary(&self) -> Page {
        let plan = self.plan;
        let mut page = Page::default();
        page.line([
            Span::plain("Make "),
            Span::new(plan.source.to_string(), Style::Strong),
            Span::plain(" a standby. Nobody takes writes afterwards, until a side is promoted:"),
        ]);
        page.line([
            Span::plain("  "),
            Span::plain(promote_command(&plan.source, plan.peer.as_ref())),
        ]);
        page.blank();
        add_steps(&mut page, &plan.steps, DemotionPlan::purpose);
        add_warnings(&mut page, &plan.warnings);
        page
    }
}

impl View for DemotionPlanView<'_> {
    fn page(&self, _detail: Detail) -> Page {
        plan_page(self.summary(), self.patches, "Nothing was changed.")
    }

    fn names(&self) -> Vec<String> {
        step_names(&self.plan.steps)
    }
}

/// How a demotion ended.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DemotionView<'a> {
    api_version: &'static str,
    kind: &'static str,
    #[serde(skip)]
    place: &'a Place,
    /// The side, where no outcome names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<PlaceView>,
    /// Whether anything was changed.
    changed: bool,
    /// The command that promotes the other side.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    #[serde(flatten)]
    outcome: Option<&'a DemotionOutcome>,
}

impl<'a> DemotionView<'a> {
    pub(crate) fn of(outcome: &'a DemotionOutcome) -> Self {
        Self {
            changed: true,
            source: None,
            next: Some(promote_command(&outcome.source, outcome.peer.as_ref())),
            outcome: Some(outcome),
            ..Self::already(&outcome.source)
        }
    }

    /// The side was a standby before.
    pub(crate) fn already(place: &'a Place) -> Self {
        Self {
            api_version: API_VERSION,
            kind: "DemotionOutcome",
            place,
            source: Some(PlaceView::from(place)),
            changed: false,
            next: None,
            outcome: None,
        }
    }
}

impl View for DemotionView<'_> {
    fn page(&self, _detail: Detail) -> Page {
        let mut page = Page::default();
        let Some(outcome) = self.outcome else {
            page.line([Span::plain(format!(
                "{} is a standby already. Nothing was changed.",
                self.place
            ))]);
            return page;
        };
        let (closure, end) = (&outcome.closure, outcome.end);
        let rows = vec![
            ("standby", outcome.source.to_string()),
            (
                "ended",
                format!("{} on timeline {}", closure.end, closure.timeline),
            ),
            ("pushed", closure.segment.clone()),
            (
                "proof",
                format!(
                    "{} members at rest, the log ends at {} on timeline {}; `promote` reads this again from both sides",
                    outcome.members, end.at, end.timeline
                ),
            ),
        ];
        page.blank();
        add_results(&mut page, rows);
        page.blank();
        page.line([Span::new(
            "Nobody takes writes until a side is promoted. Next:",
            Style::Warning,
        )]);
        let next = self.next.as_deref().unwrap_or_default();
        page.line([Span::plain("  "), Span::plain(next)]);
        page
    }

    fn names(&self) -> Vec<String> {
        vec![self.place.to_string()]
    }
}

/// The command that promotes the other side afterwards.
fn promote_command(source: &Place, peer: Option<&Place>) -> String {
    let unknown = || Place {
        context: "OTHER-CONTEXT".to_owned(),
        ..source.clone()
    };
    let peer = peer.cloned().unwrap_or_else(unknown);
    peer.command_beside("promote", Some(source))
}
