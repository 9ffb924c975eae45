//! The promotion of one side: its plan, and how it ended.

use pgha_core::engine::PlannedPatch;
use pgha_model::failover::{Failover, FenceProof, Risk};
use pgha_model::promotion::{PromotionOutcome, PromotionPlan};
use pgha_model::site::Place;
use pgha_model::standstill::Standstill;
use serde::Serialize;

use super::application::UsersView;
use super::switchover::{add_results, add_steps, add_warnings, plan_page, step_names};
use super::{API_VERSION, PlaceView};
use crate::ui::{Detail, Page, Span, Style, View};

/// A plan as it would be carried out now.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PromotionPlanView<'a> {
    api_version: &'static str,
    kind: &'static str,
    #[serde(flatten)]
    plan: &'a PromotionPlan,
    patches: &'a [PlannedPatch],
    /// What the move of the application and of the users will change.
    #[serde(flatten)]
    users: UsersView<'a>,
}

impl<'a> PromotionPlanView<'a> {
    pub(crate) fn new(
        plan: &'a PromotionPlan,
        patches: &'a [PlannedPatch],
        users: UsersView<'a>,
    ) -> Self {
        Self {
            users,
            api_version: API_VERSION,
            kind: "PromotionPlan",
            plan,
            patches,
        }
    }

    /// What a person consents to.
    pub(crate) fn summary(&self) -> Page {
        let plan = self.plan;
        let mut page = Page::default();
        let other = match (&plan.failover, &plan.source) {
            (Some(failover), _) => format!(" primary in place of {}.", failover.source),
            (None, Some(source)) => format!(" primary; {source} is its other side."),
            (None, None) => " primary; its other side was not seen.".to_owned(),
        };
        page.line([
            Span::plain("Make "),
            Span::new(plan.target.to_string(), Style::Strong),
            Span::plain(other),
        ]);
        if let Some(proof) = &plan.proof {
            page.line([Span::plain(proof_sentence(proof))]);
        }
        if let Some(risk) = &plan.risk {
            add_risk(&mut page, risk);
        }
        if let Some(failover) = &plan.failover {
            page.line([Span::plain(fence_sentence(failover))]);
        }
        page.blank();
        add_steps(&mut page, &plan.steps, |step| plan.purpose_of(step));
        add_warnings(&mut page, &plan.warnings);
        self.users.add_to(&mut page);
        page
    }
}

impl View for PromotionPlanView<'_> {
    fn page(&self, _detail: Detail) -> Page {
        plan_page(self.summary(), self.patches, "Nothing was changed.")
    }

    fn names(&self) -> Vec<String> {
        step_names(&self.plan.steps)
    }
}

/// How a promotion ended.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PromotionView<'a> {
    api_version: &'static str,
    kind: &'static str,
    #[serde(skip)]
    place: &'a Place,
    /// The side, where no outcome names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<PlaceView>,
    /// Whether anything was changed.
    changed: bool,
    #[serde(flatten)]
    outcome: Option<&'a PromotionOutcome>,
}

impl<'a> PromotionView<'a> {
    pub(crate) fn of(outcome: &'a PromotionOutcome) -> Self {
        Self {
            changed: true,
            target: None,
            outcome: Some(outcome),
            ..Self::already(&outcome.target)
        }
    }

    /// The side was primary before.
    pub(crate) fn already(place: &'a Place) -> Self {
        Self {
            api_version: API_VERSION,
            kind: "PromotionOutcome",
            place,
            target: Some(PlaceView::from(place)),
            changed: false,
            outcome: None,
        }
    }
}

impl View for PromotionView<'_> {
    fn page(&self, _detail: Detail) -> Page {
        let mut page = Page::default();
        let Some(outcome) = self.outcome else {
            page.line([Span::plain(format!(
                "{} is primary already. Nothing was changed.",
                self.place
            ))]);
            return page;
        };
        let standby = match &outcome.source {
            Some(source) if outcome.failover.is_some() => {
                format!("{source}, which is made a standby and was not seen to follow")
            }
            Some(source) if outcome.proof.is_some() => source.to_string(),
            Some(source) => format!("{source}, which was left alone and may not follow"),
            None => match &outcome.failover {
                Some(failover) => format!("{}, which nothing has fenced", failover.source),
                None => "not seen".to_owned(),
            },
        };
        let mut rows = vec![
            ("primary", outcome.target.to_string()),
            ("other side", standby),
            (
                "fork",
                format!("timeline {} begins at {}", outcome.timeline, outcome.fork),
            ),
            (
                "following",
                format!("{} members besides the primary", outcome.following),
            ),
        ];
        if let Some(proof) = &outcome.proof {
            rows.push(("proof", proof_sentence(proof)));
        }
        let logins = std::iter::once(outcome.logins.evidence()).chain(outcome.logins.remarks());
        rows.extend(logins.map(|said| ("logins", said)));
        page.blank();
        add_results(&mut page, rows);
        if let Some(risk) = &outcome.risk {
            add_risk(&mut page, risk);
        }
        page
    }

    fn names(&self) -> Vec<String> {
        vec![self.place.to_string()]
    }
}

fn proof_sentence(proof: &Standstill) -> String {
    format!(
        "Nothing is lost: {} members are at rest; the other side ends at {}, this one at {} on timeline {}; the log before \
         is the same ({}).",
        proof.members,
        proof.source.at,
        proof.target.at,
        proof.target.timeline,
        proof.compared.join(", ")
    )
}

/// What proves that the other side writes no more.
fn fence_sentence(failover: &Failover) -> String {
    let at_source = if failover.fenced_at_source {
        "It is made a standby there."
    } else {
        "Nothing can be written there: when it comes back, it comes back as a primary."
    };
    match &failover.fence {
        FenceProof::Source => format!("No member of the other side writes. {at_source}"),
        FenceProof::Word { reason } => {
            format!("That the other side writes no more is your word: {reason}. {at_source}")
        }
    }
}

fn add_risk(page: &mut Page, risk: &Risk) {
    if !risk.is_nothing() {
        page.line([Span::new("DATA MAY BE LOST.", Style::Bad)]);
    }
    for sentence in risk.sentences() {
        page.line([Span::plain(sentence)]);
    }
}
