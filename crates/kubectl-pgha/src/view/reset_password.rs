//! A user who gets a new password: the plan, and how it ended. No value and no digest of one is ever in here.

use pgha_model::reset::{ResetOutcome, ResetPlan};
use serde::Serialize;

use super::API_VERSION;
use super::switchover::{add_results, add_warnings};
use super::upkeep::{add_unproved, plan_page};
use crate::ui::{Detail, Page, Span, Style, View};

/// A plan as it would be carried out now. It has no patch: that holds the password of before.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ResetPlanView<'a> {
    api_version: &'static str,
    kind: &'static str,
    #[serde(flatten)]
    plan: &'a ResetPlan,
}

impl<'a> ResetPlanView<'a> {
    pub(crate) const fn new(plan: &'a ResetPlan) -> Self {
        Self {
            api_version: API_VERSION,
            kind: "ResetPlan",
            plan,
        }
    }

    /// What a person consents to.
    pub(crate) fn summary(&self) -> Page {
        let plan = self.plan;
        let mut page = Page::default();
        let how = if plan.given {
            "the one that was given"
        } else {
            "one that the operator makes"
        };
        page.line([
            Span::plain("Give the user "),
            Span::new(&plan.user, Style::Strong),
            Span::plain(" of "),
            Span::new(plan.place.to_string(), Style::Strong),
            Span::plain(format!(
                " a new password, {how}: Secret {}, keys password and verifier.",
                plan.secret
            )),
        ]);
        if let Some(peer) = &plan.peer {
            page.line([Span::plain(format!("{peer} gets the same one."))]);
        }
        add_readers(&mut page, &plan.secret, &plan.readers);
        add_warnings(&mut page, &plan.warnings);
        page
    }
}

impl View for ResetPlanView<'_> {
    fn page(&self, _detail: Detail) -> Page {
        plan_page(self.summary(), &[])
    }

    fn names(&self) -> Vec<String> {
        vec![format!("secret/{}", self.plan.secret)]
    }
}

/// How it ended.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ResetView<'a> {
    api_version: &'static str,
    kind: &'static str,
    #[serde(flatten)]
    outcome: &'a ResetOutcome,
}

impl<'a> ResetView<'a> {
    pub(crate) const fn of(outcome: &'a ResetOutcome) -> Self {
        Self {
            api_version: API_VERSION,
            kind: "ResetOutcome",
            outcome,
        }
    }
}

impl View for ResetView<'_> {
    fn page(&self, _detail: Detail) -> Page {
        let outcome = self.outcome;
        let mut page = Page::default();
        let mut rows = vec![
            (
                "password",
                format!("new for {} of {}", outcome.user, outcome.place),
            ),
            (
                "proof",
                format!("Postgres holds the verifier of Secret {}", outcome.secret),
            ),
            ("proof", outcome.logins.evidence()),
        ];
        if outcome.old_refused == Some(true) {
            rows.push(("proof", "the old password was refused".to_owned()));
        }
        if let Some(peer) = &outcome.peer {
            rows.push(("proof", format!("{peer} was read back with the same one")));
        }
        add_results(&mut page, rows);
        add_readers(&mut page, &outcome.secret, &outcome.readers);
        add_unproved(&mut page, &outcome.unproved);
        page
    }

    fn names(&self) -> Vec<String> {
        vec![format!("secret/{}", self.outcome.secret)]
    }
}

/// Programs do not hear of a new password by themselves.
fn add_readers(page: &mut Page, secret: &str, readers: &[String]) {
    if readers.is_empty() {
        return;
    }
    page.line([Span::plain(format!(
        "These have the old password until they read Secret {secret} again, at their next start at the latest:"
    ))]);
    for reader in readers {
        page.line([Span::plain("  "), Span::plain(reader)]);
    }
}

#[cfg(test)]
mod tests {
    use pgha_model::login::{Login, Logins};
    use pgha_model::site::Place;

    use super::*;

    fn place(context: &str) -> Place {
        Place {
            context: context.to_owned(),
            namespace: "prod".to_owned(),
            cluster: "zitadel".to_owned(),
        }
    }

    #[test]
    fn a_plan_says_who_gets_it_and_who_does_not_hear_of_it() {
        let mut plan = ResetPlan {
            place: place("core1"),
            user: "app".to_owned(),
            secret: "zitadel-pguser-app".to_owned(),
            given: false,
            others: Vec::new(),
            peer: Some(place("core2")),
            readers: vec!["deployment/app (env DB of app) at core1".to_owned()],
            warnings: Vec::new(),
        };
        let text = |plan: &ResetPlan| {
            let view = ResetPlanView::new(plan);
            view.page(Detail::Usual).render(false)
        };
        let said = text(&plan);
        for part in [
            "one that the operator makes: Secret zitadel-pguser-app",
            "core2",
            "deployment/app (env DB of app) at core1",
            "Nothing was changed.",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        plan.given = true;
        plan.readers.clear();
        let said = text(&plan);
        assert!(said.contains("the one that was given"), "{said}");
        assert!(!said.contains("old password"), "{said}");
    }

    #[test]
    fn an_end_shows_each_proof_and_what_is_none() {
        let login = Login {
            user: "app".to_owned(),
            service: "zitadel-primary".to_owned(),
            failed: None,
        };
        let outcome = ResetOutcome {
            place: place("core1"),
            user: "app".to_owned(),
            secret: "zitadel-pguser-app".to_owned(),
            peer: Some(place("core2")),
            logins: Logins {
                tried: vec![login],
                unchecked: Vec::new(),
            },
            old_refused: Some(true),
            readers: Vec::new(),
            unproved: vec!["This is not proved.".to_owned()],
        };
        let view = ResetView::of(&outcome);
        let said = view.page(Detail::Usual).render(false);
        for part in [
            "Postgres holds the verifier of Secret zitadel-pguser-app",
            "1 of 1 logins over TCP committed a transaction.",
            "the old password was refused",
            "was read back with the same one",
            "warning: This is not proved.",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        let json = serde_json::to_value(&view).unwrap();
        assert_eq!(json["oldRefused"], true);
        assert_eq!(json["tried"][0]["service"], "zitadel-primary");
        assert_eq!(view.names(), ["secret/zitadel-pguser-app"]);
    }
}
