//! A cluster that is shut down: its plan, and how it ended.

use pgha_core::patch::ObjectPatch;
use pgha_model::control::ClusterState;
use pgha_model::shutdown::{ShutdownOutcome, ShutdownPlan};
use pgha_model::site::Place;

use super::switchover::{add_results, add_warnings};
use super::upkeep::{Ended, Planned, add_unproved, plan_page};
use crate::ui::{Detail, Page, Span, Style, View};

/// A plan as it would be carried out now.
pub(crate) type ShutdownPlanView<'a> = Planned<'a, ShutdownPlan>;

impl<'a> ShutdownPlanView<'a> {
    pub(crate) const fn new(plan: &'a ShutdownPlan, patches: &'a [ObjectPatch]) -> Self {
        Self::of("ShutdownPlan", plan, patches)
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
pub(crate) type ShutdownView<'a> = Ended<'a, ShutdownOutcome>;

impl<'a> ShutdownView<'a> {
    pub(crate) fn of(outcome: &'a ShutdownOutcome) -> Self {
        Self::at("ShutdownOutcome", &outcome.place, Some(outcome))
    }

    /// Nothing of it ran before.
    pub(crate) fn already(at: &'a Place) -> Self {
        Self::at("ShutdownOutcome", at, None)
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
