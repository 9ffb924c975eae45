//! A cluster whose members get other images: the plan, and how it ended.

use pgha_core::patch::ObjectPatch;
use pgha_model::site::Place;
use pgha_model::upgrade::{UpgradeOutcome, UpgradePlan, Versions};

use super::leader::postgres_version;
use super::switchover::{add_results, add_warnings};
use super::upkeep::{Ended, Planned, add_unproved, plan_page, proofs};
use crate::ui::{Detail, Page, Span, Style, Table, View};

/// A plan as it would be carried out now.
pub(crate) type UpgradePlanView<'a> = Planned<'a, UpgradePlan>;

impl<'a> UpgradePlanView<'a> {
    pub(crate) const fn new(plan: &'a UpgradePlan, patches: &'a [ObjectPatch]) -> Self {
        Self::of("UpgradePlan", plan, patches)
    }

    /// What a person consents to.
    pub(crate) fn summary(&self) -> Page {
        let plan = self.plan;
        let mut page = Page::default();
        let verb = if plan.asked {
            "Wait until every member of this has other images: "
        } else {
            "Give every member other images: "
        };
        page.line([
            Span::plain(verb),
            Span::new(plan.place.to_string(), Style::Strong),
            Span::plain("."),
        ]);
        let images = [
            ("Postgres", &plan.before.postgres, &plan.images.postgres),
            (
                "pgBackRest",
                &plan.before.pgbackrest,
                &plan.images.pgbackrest,
            ),
        ];
        for (what, before, image) in images {
            if let Some(image) = image {
                let before = before.as_deref().unwrap_or("the operator's own");
                page.line([Span::plain(format!("  {what}: {before} -> {image}"))]);
            }
        }
        let pods: Vec<_> = plan
            .members
            .iter()
            .map(|member| format!("{} ({})", member.identity.pod, words(&member.runs)))
            .collect();
        page.line([Span::plain(format!(
            "The operator replaces them one at a time: {}.",
            pods.join(", ")
        ))]);
        if plan.is_primary {
            page.line([Span::plain(if plan.members.len() > 1 {
                "Another member leads before the last one is replaced: nobody takes writes for that moment, and connections end."
            } else {
                "Nobody takes writes while the only member is replaced, and connections end."
            })]);
        }
        add_warnings(&mut page, &plan.warnings);
        page
    }
}

impl View for UpgradePlanView<'_> {
    fn page(&self, _detail: Detail) -> Page {
        plan_page(self.summary(), self.patches)
    }

    fn names(&self) -> Vec<String> {
        let members = self.plan.members.iter();
        members
            .map(|member| format!("pod/{}", member.identity.pod))
            .collect()
    }
}

/// How an upgrade ended.
pub(crate) type UpgradeView<'a> = Ended<'a, UpgradeOutcome>;

impl<'a> UpgradeView<'a> {
    pub(crate) fn of(outcome: &'a UpgradeOutcome) -> Self {
        Self::at("UpgradeOutcome", &outcome.place, Some(outcome))
    }

    /// Every member ran the images before.
    pub(crate) fn already(at: &'a Place) -> Self {
        Self::at("UpgradeOutcome", at, None)
    }
}

impl View for UpgradeView<'_> {
    fn page(&self, _detail: Detail) -> Page {
        let mut page = Page::default();
        let Some(outcome) = self.outcome else {
            page.line([Span::plain(format!(
                "Every member of {} runs these images already. Nothing was changed.",
                self.at
            ))]);
            return page;
        };
        let mut table = Table::new(vec!["MEMBER", "RAN", "RUNS"]);
        for member in &outcome.members {
            let before = member.before.as_ref().map_or("-".to_owned(), words);
            table.row([
                Span::plain(&member.pod),
                Span::dim(before),
                Span::plain(words(&member.now)),
            ]);
        }
        page.table(table);
        let mut rows = vec![("leader", outcome.leader.clone())];
        rows.extend(proofs(outcome.committed, outcome.replay));
        add_results(&mut page, rows);
        add_unproved(&mut page, &outcome.unproved);
        page
    }

    fn names(&self) -> Vec<String> {
        let members = self.outcome.iter().flat_map(|outcome| &outcome.members);
        members
            .map(|member| format!("pod/{}", member.pod))
            .collect()
    }
}

/// What a member runs, as a person says it.
fn words(versions: &Versions) -> String {
    let postgres = versions.server_version.map(postgres_version);
    let postgres = postgres.map(|version| format!("Postgres {version}"));
    let patroni = versions.patroni.map(|version| format!("Patroni {version}"));
    let known: Vec<_> = postgres.into_iter().chain(patroni).collect();
    if known.is_empty() {
        return "an unknown version".to_owned();
    }
    known.join(", ")
}

#[cfg(test)]
mod tests {
    use pgha_model::upgrade::Upgraded;

    use super::*;

    #[test]
    fn an_upgrade_shows_what_each_member_ran_and_runs() {
        let versions = |server_version, patroni: &str| Versions {
            server_version: Some(server_version),
            patroni: patroni.parse().ok(),
        };
        let outcome = UpgradeOutcome {
            place: Place {
                context: "core1".to_owned(),
                namespace: "prod".to_owned(),
                cluster: "zitadel".to_owned(),
            },
            members: vec![Upgraded {
                pod: "zitadel-a-0".to_owned(),
                before: Some(versions(150_014, "3.3.8")),
                now: versions(150_015, "4.1.5"),
            }],
            leader: "zitadel-a-0".to_owned(),
            committed: Some("0/7000028".parse().unwrap()),
            replay: None,
            unproved: Vec::new(),
        };
        let view = UpgradeView::of(&outcome);
        let text = view.page(Detail::Usual).render(false);
        for told in [
            "Postgres 15.14, Patroni 3.3.8",
            "Postgres 15.15, Patroni 4.1.5",
            "committed at 0/7000028",
        ] {
            assert!(text.contains(told), "{told}: {text}");
        }
        let json = serde_json::to_value(&view).unwrap();
        assert_eq!(json["members"][0]["now"]["serverVersion"], 150_015);
        assert_eq!(view.names(), ["pod/zitadel-a-0"]);
    }
}
