//! What a move changes of the application, and of those who use it.

use std::collections::BTreeMap;

use pgha_model::application::{AppStep, Count, Request, Side};
use pgha_nlb::SiteName;
use serde::Serialize;

use super::API_VERSION;
use super::poolers::PoolerView;
use super::traffic::PlansView;
use crate::args::GrantKind;
use crate::ui::{Detail, Page, Span, Style, View};

/// What becomes of those who use the database.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct UsersView<'a> {
    /// The application; `None` where the service's file tells of none, or what it would change cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) application: Option<ApplicationView>,
    /// The poolers; empty likewise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) poolers: Vec<PoolerView>,
    /// The users' way in; `None` likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) users: Option<PlansView<'a>>,
    /// Who logs in afterwards; `None` likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) login: Option<LoginView>,
}

/// A login that is made once users have arrived.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LoginView {
    issuer: String,
    client_id: String,
    grant: GrantKind,
}

impl LoginView {
    pub(crate) fn new(issuer: &str, client_id: &str, grant: GrantKind) -> Self {
        Self {
            issuer: issuer.to_owned(),
            client_id: client_id.to_owned(),
            grant,
        }
    }

    fn add_to(&self, page: &mut Page) {
        let (issuer, client) = (&self.issuer, &self.client_id);
        page.line([Span::plain(match self.grant {
            GrantKind::Authcode => {
                format!("At last a person logs in at {issuer} as a user of {client}, in a browser of this machine.")
            }
            GrantKind::Device => {
                format!("At last a person logs in at {issuer} as a user of {client}, by a code on another device.")
            }
            GrantKind::ClientCredentials => {
                format!("At last {client} logs in at {issuer}, without a person.")
            }
        })]);
    }
}

impl UsersView<'_> {
    /// Adds it to the page of the move.
    pub(crate) fn add_to(&self, page: &mut Page) {
        if let Some(application) = &self.application {
            application.add_to(page);
        }
        if !self.poolers.is_empty() {
            page.blank();
        }
        for pooler in &self.poolers {
            pooler.add_to(page);
        }
        if let Some(users) = &self.users {
            users.add_to(page);
        }
        if let Some(login) = &self.login {
            login.add_to(page);
        }
    }
}

/// What has followed to a site.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FollowedView<'a> {
    api_version: &'static str,
    kind: &'static str,
    site: &'a SiteName,
    evidence: &'a str,
}

impl<'a> FollowedView<'a> {
    /// An application that is ready there; with what was seen, as a full sentence.
    pub(crate) const fn application(site: &'a SiteName, evidence: &'a str) -> Self {
        Self::new("ApplicationOutcome", site, evidence)
    }

    /// Clients of poolers who go on there; with what was seen, as a full sentence.
    pub(crate) const fn clients(site: &'a SiteName, evidence: &'a str) -> Self {
        Self::new("PoolersOutcome", site, evidence)
    }

    /// A login there; with what it shows, as a full sentence.
    pub(crate) const fn login(site: &'a SiteName, evidence: &'a str) -> Self {
        Self::new("LoginOutcome", site, evidence)
    }

    const fn new(kind: &'static str, site: &'a SiteName, evidence: &'a str) -> Self {
        Self {
            api_version: API_VERSION,
            kind,
            site,
            evidence,
        }
    }
}

impl FollowedView<'_> {
    /// Where to.
    pub(crate) const fn site(&self) -> &SiteName {
        self.site
    }

    /// What was seen there, as a full sentence.
    pub(crate) const fn evidence(&self) -> &str {
        self.evidence
    }
}

impl View for FollowedView<'_> {
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
    /// Who else writes their objects, in sentences.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    owners: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct StepView {
    /// `None` for what is asked over HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    /// What is to be so at the site that it leaves; `None` where nothing is looked at there.
    #[serde(skip_serializing_if = "Option::is_none")]
    leaving: Option<String>,
    /// And at the one that it enters.
    #[serde(skip_serializing_if = "Option::is_none")]
    entering: Option<String>,
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
                .map(|step| StepView::of(step, counts, enters, leaves))
                .collect(),
            owners: Vec::new(),
        }
    }

    /// Adds who else writes the objects, in sentences.
    pub(crate) fn owned_by(self, owners: &[String]) -> Self {
        Self {
            owners: owners.to_vec(),
            ..self
        }
    }

    fn add_to(&self, page: &mut Page) {
        page.blank();
        if let Some(leaves) = &self.leaves {
            let text = format!("The application leaves {leaves} before the fence, in this order:");
            page.line([Span::plain(text)]);
            for step in self.steps.iter().rev() {
                step.add_to(step.leaving.as_deref(), page);
            }
        }
        let text = format!(
            "The application enters {} once it is verified, in this order:",
            self.site
        );
        page.line([Span::plain(text)]);
        for step in &self.steps {
            step.add_to(step.entering.as_deref(), page);
        }
        for owner in &self.owners {
            page.line([Span::new(format!("  {owner}"), Style::Warning)]);
        }
    }
}

impl StepView {
    fn of(step: &AppStep, counts: &[Count], enters: &SiteName, leaves: Option<&SiteName>) -> Self {
        let at = step.object();
        let count = counts.iter().find(|count| Some(&count.at) == at.as_ref());
        let pods = count.map_or(0, |count| count.replicas);
        let leaving = leaves.and_then(|site| leaving(&step.at_site(site.as_str())));
        let entering = entering(&step.at_site(enters.as_str()), pods);
        Self {
            object: at.as_ref().map(|at| at.object.to_string()),
            namespace: at.and_then(|at| at.namespace),
            leaving,
            entering,
        }
    }

    fn add_to(&self, says: Option<&str>, page: &mut Page) {
        let Some(says) = says else {
            return;
        };
        let text = match (&self.object, &self.namespace) {
            (Some(object), Some(namespace)) => format!("  {object} in {namespace}: {says}"),
            (Some(object), None) => format!("  {object}: {says}"),
            (None, _) => format!("  {says}"),
        };
        page.line([Span::plain(text)]);
    }
}

/// What is to be so where the application leaves.
fn leaving(step: &AppStep) -> Option<String> {
    match step {
        AppStep::Scale(_) => Some("no pod is left".to_owned()),
        AppStep::Annotate(annotate) => Some(annotation(&annotate.key, annotate.standby.as_deref())),
        AppStep::Select(select) => Some(pods_with(&select.standby)),
        AppStep::Job(_) => Some("no pod of it runs".to_owned()),
        AppStep::Call(call) => call.on(Side::Standby).map(answered),
        AppStep::Restart(_) | AppStep::Wait(_) => None,
    }
}

/// What is to be so where the application enters, with so many pods.
fn entering(step: &AppStep, pods: u32) -> Option<String> {
    match step {
        AppStep::Scale(_) => Some(match pods {
            0 => "left alone: it did not run".to_owned(),
            1 => "1 pod, ready".to_owned(),
            pods => format!("{pods} pods, ready"),
        }),
        AppStep::Annotate(annotate) => Some(annotation(&annotate.key, annotate.primary.as_deref())),
        AppStep::Select(select) => Some(pods_with(&select.primary)),
        AppStep::Restart(_) => Some("restarted, every pod new and ready".to_owned()),
        AppStep::Job(job) if job.recreate => Some("made again, complete".to_owned()),
        AppStep::Job(_) => Some("complete".to_owned()),
        AppStep::Call(call) => call.on(Side::Primary).map(answered),
        AppStep::Wait(wait) => Some(format!("{} answers {}", wait.url, wait.status)),
    }
}

fn annotation(key: &str, value: Option<&str>) -> String {
    match value {
        Some(value) => format!("annotation {key}: {value}"),
        None => format!("no annotation {key}"),
    }
}

fn pods_with(labels: &BTreeMap<String, String>) -> String {
    let pairs = labels.iter().map(|(key, value)| format!("{key}={value}"));
    format!(
        "leads to the pods with {}",
        pairs.collect::<Vec<_>>().join(",")
    )
}

fn answered(request: &Request) -> String {
    format!("{request} is answered by a yes")
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
            {"job": {"object": "job/setup", "recreate": true}},
            {"restart": {"object": "deployment/portal"}},
            {"select": {"object": "svc/login", "primary": {"app": "login"}, "standby": {"app": "page"}}},
            {"call": {"standby": {"url": "https://cdn.example/{site}/page", "method": "PUT"}}},
            {"wait": {"url": "https://login.{site}.example/ready"}},
        ]);
        let steps: Vec<AppStep> = serde_json::from_value(steps).unwrap();
        let counts = [(&steps[0], 2), (&steps[2], 0)].map(|(step, replicas)| Count {
            at: step.object().unwrap(),
            replicas,
        });
        let (west, east) = ("west".into(), "east".into());
        let view = ApplicationView::new(&steps, &counts, &west, Some(&east));
        let mut page = Page::default();
        view.add_to(&mut page);
        let text = page.render(false);
        let expected = "
The application leaves east before the fence, in this order:
  PUT https://cdn.example/east/page is answered by a yes
  service/login: leads to the pods with app=page
  job/setup: no pod of it runs
  deployment/gateway: no pod is left
  statefulset/x in iam: annotation k: off
  deployment/zitadel: no pod is left
The application enters west once it is verified, in this order:
  deployment/zitadel: 2 pods, ready
  statefulset/x in iam: no annotation k
  deployment/gateway: left alone: it did not run
  job/setup: made again, complete
  deployment/portal: restarted, every pod new and ready
  service/login: leads to the pods with app=login
  https://login.west.example/ready answers 200
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
