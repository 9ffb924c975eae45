//! A cluster that is shut down: its plan, and how it ended.

use pgha_core::patch::ObjectPatch;
use pgha_model::control::ClusterState;
use pgha_model::shutdown::{ShutdownOutcome, ShutdownPlan};
use pgha_model::site::Place;
use serde::Serialize;

use super::switchover::{add_results, add_warnings};
use super::upkeep::{add_unproved, plan_page};
use super::{API_VERSION, PlaceView};
use crate::ui::{Detail, Page, Span, Style, View};

/// A plan as it would be carried out now.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShutdownPlanView<'a> {
    api_version: &'static str,
    kind: &'static str,
    #[serde(flatten)]
    plan: &'a ShutdownPlan,
    patches: &'a [ObjectPatch],
}

impl<'a> ShutdownPlanView<'a> {
    pub(crate) fn new(plan: &'a ShutdownPlan, patches: &'a [ObjectPatch]) -> Self {
        Self {
            api_version: API_VERSION,
            kind: "ShutdownPlan",
            plan,
            patches,
        }
    }

    /// What a person consents to.
    pub(crate) fn summary(&self) -> Page {
        let plan = self.plan;
        let mut page = Page::default();
        let what = match &plan.leader {
            Some(leader) => format!(": {} members, {} last.", plan.members, leader.pod),
            None => format!(": {} members.", plan.members),
        };
        let verb = if plan.asked {
            "Wait until this has stopped: "
        } else {
            "Shut down "
        };
        page.line([
            Span::plain(verb),
            Span::new(plan.place.to_string(), Style::Strong),
            Span::plain(what),
        ]);
        add_warnings(&mut page, &plan.warnings);
        page
    }
}

impl View for ShutdownPlanView<'_> {
    fn page(&self, _detail: Detail) -> Page {
        plan_page(self.summary(), self.patches)
    }

    fn names(&self) -> Vec<String> {
        vec![self.plan.place.to_string()]
    }
}

/// How a shutdown ended.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShutdownView<'a> {
    api_version: &'static str,
    kind: &'static str,
    #[serde(skip)]
    at: &'a Place,
    /// The side, where no outcome names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<PlaceView>,
    /// Whether anything was changed or waited for.
    changed: bool,
    #[serde(flatten)]
    outcome: Option<&'a ShutdownOutcome>,
}

impl<'a> ShutdownView<'a> {
    pub(crate) fn of(outcome: &'a ShutdownOutcome) -> Self {
        Self {
            place: None,
            changed: true,
            outcome: Some(outcome),
            ..Self::already(&outcome.place)
        }
    }

    /// Nothing of it ran before.
    pub(crate) fn already(at: &'a Place) -> Self {
        Self {
            api_version: API_VERSION,
            kind: "ShutdownOutcome",
            at,
            place: Some(at.into()),
            changed: false,
            outcome: None,
        }
    }
}

impl View for ShutdownView<'_> {
    fn page(&self, _detail: Detail) -> Page {
        let mut page = Page::default();
        let Some(outcome) = self.outcome else {
            page.line([Span::plain(format!(
                "{} is shut down already. Nothing was changed.",
                self.at
            ))]);
            return page;
        };
        let mut rows = vec![
            ("shut down", outcome.place.to_string()),
            ("members", outcome.members.to_string()),
        ];
        if let Some(end) = &outcome.end {
            let said = if end.state == ClusterState::ShutDownInRecovery {
                "shut down in recovery, its last restart point"
            } else {
                "shut down, its last checkpoint"
            };
            rows.push((
                "proof",
                format!(
                    "control data of {}: {said} at {} on timeline {}",
                    end.pod, end.checkpoint, end.timeline
                ),
            ));
        }
        add_results(&mut page, rows);
        add_unproved(&mut page, &outcome.unproved);
        page
    }

    fn names(&self) -> Vec<String> {
        vec![self.at.to_string()]
    }
}
