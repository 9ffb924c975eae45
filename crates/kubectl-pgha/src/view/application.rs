//! What a move changes of the application, and of those who use it.

use pgha_model::application::{AppStep, Count};
use pgha_nlb::SiteName;
use serde::Serialize;

use super::API_VERSION;
use super::traffic::PlansView;
use crate::ui::{Detail, Page, Span, View};

/// What becomes of those who use the database.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct UsersView<'a> {
    /// The application; `None` where the service's file tells of none, or what it would change cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) application: Option<ApplicationView>,
    /// The users' way in; `None` likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) users: Option<PlansView<'a>>,
}

impl UsersView<'_> {
    /// Adds it to the page of the move.
    pub(crate) fn add_to(&self, page: &mut Page) {
        if let Some(application) = &self.application {
            application.add_to(page);
        }
        if let Some(users) = &self.users {
            users.add_to(page);
        }
    }
}

/// An application that is ready at a site.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EnteredView<'a> {
    api_version: &'static str,
    kind: &'static str,
    site: &'a SiteName,
    evidence: &'a str,
}

impl<'a> EnteredView<'a> {
    /// With what was seen there, as a full sentence.
    pub(crate) const fn new(site: &'a SiteName, evidence: &'a str) -> Self {
        Self {
            api_version: API_VERSION,
            kind: "ApplicationOutcome",
            site,
            evidence,
        }
    }
}

impl View for EnteredView<'_> {
    fn page(&self, _detail: Detail) -> Page {
        Page::of_line([Span::plain(self.evidence)])
    }

    fn names(&self) -> Vec<String> {
        vec![self.site.to_string()]
    }
}

/// What a move changes of the application.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApplicationView {
    /// The site that it enters.
    site: SiteName,
    /// The site that it leaves before; `None` where it only enters one.
    #[serde(skip_serializing_if = "Option::is_none")]
    leaves: Option<SiteName>,
    /// In the order in which they are started.
    steps: Vec<StepView>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct StepView {
    object: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    /// What it is to say at the site that it leaves.
    leaving: String,
    /// And at the one that it enters.
    entering: String,
}

impl ApplicationView {
    /// Shows the steps with the counts at the site that is entered.
    pub(crate) fn new(
        steps: &[AppStep],
        counts: &[Count],
        enters: &SiteName,
        leaves: Option<&SiteName>,
    ) -> Self {
        Self {
            site: enters.clone(),
            leaves: leaves.cloned(),
            steps: steps
                .iter()
                .map(|step| StepView::of(step, counts))
                .collect(),
        }
    }

    fn add_to(&self, page: &mut Page) {
        page.blank();
        if let Some(leaves) = &self.leaves {
            let text = format!("The application leaves {leaves} before the fence, in this order:");
            page.line([Span::plain(text)]);
            for step in self.steps.iter().rev() {
                page.line([Span::plain(format!("  {}: {}", step.name(), step.leaving))]);
            }
        }
        let text = format!(
            "The application enters {} once it is verified, in this order:",
            self.site
        );
        page.line([Span::plain(text)]);
        for step in &self.steps {
            page.line([Span::plain(format!("  {}: {}", step.name(), step.entering))]);
        }
    }
}

impl StepView {
    fn of(step: &AppStep, counts: &[Count]) -> Self {
        let at = step.at();
        let (leaving, entering) = match step {
            AppStep::Scale(_) => {
                let count = counts.iter().find(|count| count.at == at);
                let count = count.map_or(0, |count| count.replicas);
                let entering = match count {
                    0 => "left alone: it did not run".to_owned(),
                    1 => "1 pod, ready".to_owned(),
                    count => format!("{count} pods, ready"),
                };
                ("no pod is left".to_owned(), entering)
            }
            AppStep::Annotate(annotate) => {
                let says = |value: Option<&str>| match value {
                    Some(value) => format!("annotation {}: {value}", annotate.key),
                    None => format!("no annotation {}", annotate.key),
                };
                (
                    says(annotate.standby.as_deref()),
                    says(annotate.primary.as_deref()),
                )
            }
        };
        Self {
            object: at.object.to_string(),
            namespace: at.namespace,
            leaving,
            entering,
        }
    }

    fn name(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{} in {namespace}", self.object),
            None => self.object.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_stops_last_starts_first() {
        let steps = json!([
            {"scale": {"object": "deployment/zitadel"}},
            {"annotate": {"object": "sts/x", "namespace": "iam", "key": "k", "standby": "off"}},
            {"scale": {"object": "deployment/gateway"}},
        ]);
        let steps: Vec<AppStep> = serde_json::from_value(steps).unwrap();
        let counts = [(&steps[0], 2), (&steps[2], 0)].map(|(step, replicas)| Count {
            at: step.at(),
            replicas,
        });
        let (west, east) = ("west".into(), "east".into());
        let view = ApplicationView::new(&steps, &counts, &west, Some(&east));
        let mut page = Page::default();
        view.add_to(&mut page);
        let text = page.render(false);
        let expected = "
The application leaves east before the fence, in this order:
  deployment/gateway: no pod is left
  statefulset/x in iam: annotation k: off
  deployment/zitadel: no pod is left
The application enters west once it is verified, in this order:
  deployment/zitadel: 2 pods, ready
  statefulset/x in iam: no annotation k
  deployment/gateway: left alone: it did not run
";
        assert_eq!(text, expected);
        let view = serde_json::to_value(view).unwrap();
        assert_eq!(view["steps"][1]["namespace"], "iam");
        assert_eq!(
            (&view["site"], &view["leaves"]),
            (&json!("west"), &json!("east"))
        );
    }
}
