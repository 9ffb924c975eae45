//! A cluster whose Postgres is restarted: the plan, and how it ended.

use pgha_model::restart::{RestartOutcome, RestartPlan};
use serde::Serialize;

use super::API_VERSION;
use super::switchover::add_warnings;
use super::upkeep::plan_page;
use crate::ui::{Detail, Page, Span, Style, Table, View};

/// A plan as it would be carried out now.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RestartPlanView<'a> {
    api_version: &'static str,
    kind: &'static str,
    #[serde(flatten)]
    plan: &'a RestartPlan,
}

impl<'a> RestartPlanView<'a> {
    pub(crate) fn new(plan: &'a RestartPlan) -> Self {
        Self {
            api_version: API_VERSION,
            kind: "RestartPlan",
            plan,
        }
    }

    /// What a person consents to.
    pub(crate) fn summary(&self) -> Page {
        let plan = self.plan;
        let mut page = Page::default();
        let pods: Vec<_> = plan
            .members
            .iter()
            .map(|member| member.pod.as_str())
            .collect();
        page.line([
            Span::plain("Restart Postgres of "),
            Span::new(plan.place.to_string(), Style::Strong),
            Span::plain(format!(", one after the other: {}.", pods.join(", "))),
        ]);
        if plan.is_primary {
            page.line([Span::plain(
                "Nobody takes writes while the last one restarts, and its connections end.",
            )]);
        }
        add_warnings(&mut page, &plan.warnings);
        page
    }
}

impl View for RestartPlanView<'_> {
    fn page(&self, _detail: Detail) -> Page {
        plan_page(self.summary(), &[])
    }

    fn names(&self) -> Vec<String> {
        let members = self.plan.members.iter();
        members
            .map(|member| format!("pod/{}", member.pod))
            .collect()
    }
}

/// How a restart ended.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RestartView<'a> {
    api_version: &'static str,
    kind: &'static str,
    #[serde(flatten)]
    outcome: &'a RestartOutcome,
}

impl<'a> RestartView<'a> {
    pub(crate) fn of(outcome: &'a RestartOutcome) -> Self {
        Self {
            api_version: API_VERSION,
            kind: "RestartOutcome",
            outcome,
        }
    }
}

impl View for RestartView<'_> {
    fn page(&self, _detail: Detail) -> Page {
        let outcome = self.outcome;
        let mut page = Page::default();
        let mut table = Table::new(vec!["MEMBER", "RAN SINCE", "RUNS SINCE"]);
        for one in &outcome.restarted {
            table.row([
                Span::plain(&one.pod),
                Span::dim(one.before.to_string()),
                Span::plain(one.since.to_string()),
            ]);
        }
        page.table(table);
        let committed = outcome.committed.map_or_else(String::new, |at| {
            format!(", and has committed a transaction at {at}")
        });
        page.line([Span::plain(format!(
            "{} leads as before{committed}.",
            outcome.leader
        ))]);
        page
    }

    fn names(&self) -> Vec<String> {
        let restarted = self.outcome.restarted.iter();
        restarted.map(|one| format!("pod/{}", one.pod)).collect()
    }
}

#[cfg(test)]
mod tests {
    use pgha_model::restart::Restarted;
    use pgha_model::site::Place;

    use super::*;

    #[test]
    fn a_restart_shows_each_member_and_the_proof() {
        let outcome = RestartOutcome {
            place: Place {
                context: "core1".to_owned(),
                namespace: "prod".to_owned(),
                cluster: "zitadel".to_owned(),
            },
            restarted: vec![Restarted {
                pod: "zitadel-a-0".to_owned(),
                before: "2026-11-21T09:00:00Z".parse().unwrap(),
                since: "2026-11-21T12:00:00Z".parse().unwrap(),
            }],
            leader: "zitadel-a-0".to_owned(),
            committed: Some("0/7000028".parse().unwrap()),
        };
        let view = RestartView::of(&outcome);
        let text = view.page(Detail::Usual).render(false);
        assert!(text.contains("zitadel-a-0"), "{text}");
        assert!(
            text.contains("committed a transaction at 0/7000028"),
            "{text}"
        );
        assert_eq!(view.names(), ["pod/zitadel-a-0"]);
        let json = serde_json::to_value(&view).unwrap();
        assert_eq!(json["restarted"][0]["since"], "2026-11-21T12:00:00Z");
        assert_eq!(json["committed"], "0/7000028");
    }
}
