//! A cluster that is started: its plan, and how it ended.

use pgha_core::patch::ObjectPatch;
use pgha_model::check::StartAs;
use pgha_model::site::Place;
use pgha_model::startup::{StartupOutcome, StartupPlan};

use super::switchover::{add_results, add_warnings};
use super::upkeep::{Ended, Planned, add_unproved, plan_page, proofs};
use crate::ui::{Detail, Page, Span, Style, View};

/// A plan as it would be carried out now.
pub(crate) type StartupPlanView<'a> = Planned<'a, StartupPlan>;

impl<'a> StartupPlanView<'a> {
    pub(crate) const fn new(plan: &'a StartupPlan, patches: &'a [ObjectPatch]) -> Self {
        Self::of("StartupPlan", plan, patches)
    }

    /// What a person consents to.
    pub(crate) fn summary(&self) -> Page {
        let plan = self.plan;
        let mut page = Page::default();
        let verb = if plan.asked {
            "Wait until this has started: "
        } else {
            "Start "
        };
        page.line([
            Span::plain(verb),
            Span::new(plan.place.to_string(), Style::Strong),
            Span::plain(format!(" as a {}.", word(plan.starts_as))),
        ]);
        if plan.config.is_some() {
            let text = "Patroni's configuration is made a standby's first, so that it never opens read-write.";
            page.line([Span::plain(text)]);
        }
        add_warnings(&mut page, &plan.warnings);
        page
    }
}

impl View for StartupPlanView<'_> {
    fn page(&self, _detail: Detail) -> Page {
        plan_page(self.summary(), self.patches)
    }

    fn names(&self) -> Vec<String> {
        vec![self.plan.place.to_string()]
    }
}

/// How a start ended.
pub(crate) type StartupView<'a> = Ended<'a, StartupOutcome>;

impl<'a> StartupView<'a> {
    pub(crate) fn of(outcome: &'a StartupOutcome) -> Self {
        Self::at("StartupOutcome", &outcome.place, Some(outcome))
    }

    /// It ran before.
    pub(crate) fn already(at: &'a Place) -> Self {
        Self::at("StartupOutcome", at, None)
    }
}

impl View for StartupView<'_> {
    fn page(&self, _detail: Detail) -> Page {
        let mut page = Page::default();
        let Some(outcome) = self.outcome else {
            page.line([Span::plain(format!(
                "{} runs already. Nothing was changed.",
                self.at
            ))]);
            return page;
        };
        let mut rows = vec![
            (word(outcome.started_as), outcome.place.to_string()),
            ("members", outcome.members.to_string()),
        ];
        rows.extend(proofs(outcome.committed, outcome.replay));
        add_results(&mut page, rows);
        add_unproved(&mut page, &outcome.unproved);
        page
    }

    fn names(&self) -> Vec<String> {
        vec![self.at.to_string()]
    }
}

const fn word(starts_as: StartAs) -> &'static str {
    match starts_as {
        StartAs::Primary => "primary",
        StartAs::Standby => "standby",
    }
}
