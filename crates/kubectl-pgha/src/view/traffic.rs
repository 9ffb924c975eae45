//! Where users are, where they would be, and where they went.

mod preparation;

use std::time::Duration;

use pgha_core::diagnose::chain_of;
use pgha_nlb::finding::Severity;
use pgha_nlb::probe::Answer;
use pgha_nlb::{
    Active, Change, CutoverError, Descriptor, Did, Finding, Look, Plan, Receipt, Route, RouteName,
    RouteState, Sample, SiteName,
};
use serde::Serialize;

pub(crate) use self::preparation::{PreparedView, summary};
use super::API_VERSION;
use crate::service::Service;
use crate::ui::{Detail, Page, Span, Style, Table, View, period};

/// A backend with what it showed.
pub(crate) type Observed = (Descriptor, Result<RouteState, CutoverError>);

/// A sample and the route by which it was taken.
pub(crate) type Asked = (RouteName, Sample);

/// The answer of `traffic show`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShowView<'a> {
    api_version: &'static str,
    kind: &'static str,
    service: &'a str,
    /// The site that all of it agrees on.
    site: Option<&'a SiteName>,
    backends: Vec<BackendView<'a>>,
    probes: Vec<ProbeView<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct BackendView<'a> {
    #[serde(flatten)]
    descriptor: &'a Descriptor,
    #[serde(skip_serializing_if = "Option::is_none")]
    routes: Option<&'a [Route]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unseen: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ProbeView<'a> {
    route: &'a RouteName,
    #[serde(flatten)]
    sample: &'a Sample,
    seconds: f64,
}

impl<'a> ShowView<'a> {
    /// Shows what backends and probes said.
    pub(crate) fn new(service: &'a Service, seen: &'a [Observed], asked: &'a [Asked]) -> Self {
        let mut view = Self {
            api_version: API_VERSION,
            kind: "Traffic",
            service: &service.name,
            site: None,
            backends: seen.iter().map(BackendView::of).collect(),
            probes: asked.iter().map(ProbeView::of).collect(),
        };
        view.site = view.agreed();
        view
    }

    fn agreed(&self) -> Option<&'a SiteName> {
        let routes = self
            .backends
            .iter()
            .flat_map(|backend| match backend.routes {
                Some(routes) => routes.iter().map(site_of).collect(),
                None => vec![None],
            });
        let answers = self.probes.iter().map(|probe| probe.sample.answer.site());
        let mut sites = routes.chain(answers);
        let first = sites.next()??;
        sites.all(|site| site == Some(first)).then_some(first)
    }

    /// Why it cannot be said that users are at one site.
    pub(crate) fn doubt(&self) -> Option<String> {
        if self.site.is_some() {
            return None;
        }
        let unseen = self
            .backends
            .iter()
            .find(|backend| backend.unseen.is_some());
        Some(match unseen {
            Some(backend) => format!("backend {} could not be seen", backend.descriptor.id),
            None => "it cannot be said that all users reach one and the same site".to_owned(),
        })
    }
}

fn site_of(route: &Route) -> Option<&SiteName> {
    match &route.active {
        Active::Site(site) => Some(site),
        Active::Split { .. } | Active::Unknown { .. } => None,
    }
}

impl<'a> BackendView<'a> {
    fn of((descriptor, seen): &'a Observed) -> Self {
        Self {
            descriptor,
            routes: seen.as_ref().ok().map(|seen| seen.routes.as_slice()),
            unseen: seen.as_ref().err().map(|error| chain_of(error)),
        }
    }

    fn rows(&self, table: &mut Table) {
        let backend = Span::plain(self.descriptor.id.as_str());
        let at = Span::plain(&self.descriptor.at);
        if let Some(because) = &self.unseen {
            let cells = [Span::plain(""), Span::new("not seen", Style::Bad), at];
            table.row(
                [backend]
                    .into_iter()
                    .chain(cells)
                    .chain([Span::plain(because)]),
            );
            return;
        }
        for route in self.routes.unwrap_or_default() {
            let (site, seen) = match &route.active {
                Active::Site(site) => (Span::new(site.as_str(), Style::Good), places(route)),
                Active::Split { seen } => (Span::new("SPLIT", Style::Bad), seen.clone()),
                Active::Unknown { because } => (Span::new("unknown", Style::Bad), because.clone()),
            };
            let name = Span::plain(route.name.as_str());
            table.row([backend.clone(), name, site, at.clone(), Span::plain(seen)]);
        }
    }
}

fn places(route: &Route) -> String {
    let places = route.places.iter();
    let places: Vec<_> = places
        .map(|place| format!("{}: {}", place.at, place.value))
        .collect();
    places.join("; ")
}

impl<'a> ProbeView<'a> {
    fn of((route, sample): &'a Asked) -> Self {
        Self {
            route,
            sample,
            seconds: sample.took.as_secs_f64(),
        }
    }

    fn cells(&self) -> [Span; 5] {
        let (site, how) = match &self.sample.answer {
            Answer::Site { site, how } => (Span::new(site.as_str(), Style::Good), how),
            Answer::Unrecognised { seen } => (Span::new("unknown", Style::Bad), seen),
            Answer::Contradiction { seen } => (Span::new("CONTRADICTION", Style::Bad), seen),
            Answer::Failed { because } => (Span::new("nobody", Style::Bad), because),
        };
        [
            Span::plain(&self.sample.asked),
            Span::plain(self.sample.address.as_deref().unwrap_or_default()),
            site,
            Span::plain(period(self.sample.took)),
            Span::plain(how),
        ]
    }
}

fn probes(asked: &[ProbeView<'_>]) -> Table {
    let mut table = Table::new(vec!["A NEW USER OF", "AT", "IS ANSWERED BY", "IN", "SEEN"]);
    for probe in asked {
        table.row(probe.cells());
    }
    table
}

impl View for ShowView<'_> {
    fn page(&self, _detail: Detail) -> Page {
        let mut page = Page::default();
        let mut table = Table::new(vec!["BACKEND", "ROUTE", "LEADS TO", "AT", "SEEN"]);
        for backend in &self.backends {
            backend.rows(&mut table);
        }
        page.table(table);
        if !self.probes.is_empty() {
            page.blank();
            page.table(probes(&self.probes));
        }
        page
    }

    fn names(&self) -> Vec<String> {
        self.site.iter().map(ToString::to_string).collect()
    }
}

/// The answer of `traffic verify`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VerifyView<'a> {
    api_version: &'static str,
    kind: &'static str,
    service: &'a str,
    to: &'a SiteName,
    proved: bool,
    probes: Vec<ProbeView<'a>>,
}

impl<'a> VerifyView<'a> {
    /// Shows who answered.
    pub(crate) fn new(service: &'a Service, to: &'a SiteName, asked: &'a [Asked]) -> Self {
        let proved = asked
            .iter()
            .all(|(_, sample)| sample.answer.site() == Some(to));
        Self {
            api_version: API_VERSION,
            kind: "TrafficVerification",
            service: &service.name,
            to,
            proved: proved && !asked.is_empty(),
            probes: asked.iter().map(ProbeView::of).collect(),
        }
    }

    /// Whether every new user was answered by the site.
    pub(crate) const fn is_proved(&self) -> bool {
        self.proved
    }
}

impl View for VerifyView<'_> {
    fn page(&self, _detail: Detail) -> Page {
        let mut page = Page::default();
        page.table(probes(&self.probes));
        page
    }

    fn names(&self) -> Vec<String> {
        let site = self.proved.then(|| self.to.to_string());
        site.into_iter().collect()
    }
}

/// What a move of users would change.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlansView<'a> {
    api_version: &'static str,
    kind: &'static str,
    service: &'a str,
    to: &'a SiteName,
    findings: &'a [Finding],
    plans: Vec<PlanView<'a>>,
}

#[derive(Clone, Debug, Serialize)]
struct PlanView<'a> {
    #[serde(flatten)]
    plan: &'a Plan,
    inverse: Vec<Change>,
}

impl<'a> PlansView<'a> {
    /// Shows plans with what was found before.
    pub(crate) fn new(
        service: &'a Service,
        to: &'a SiteName,
        findings: &'a [Finding],
        plans: &'a [Plan],
    ) -> Self {
        let plans = plans.iter().map(|plan| PlanView {
            plan,
            inverse: plan.inverse(),
        });
        Self {
            api_version: API_VERSION,
            kind: "TrafficPlan",
            service: &service.name,
            to,
            findings,
            plans: plans.collect(),
        }
    }

    /// Adds it to the page of the move that the users follow.
    pub(crate) fn add_to(&self, page: &mut Page) {
        page.blank();
        let text =
            "Users follow once the target is verified. As everything leads now, that changes:";
        page.line([Span::plain(text)]);
        page.append(self.summary());
    }

    /// What is shown before consent is asked for.
    pub(crate) fn summary(&self) -> Page {
        let mut page = Page::default();
        for PlanView { plan, .. } in &self.plans {
            if plan.is_empty() {
                let text = format!(
                    "Backend {}: users are at {} already.",
                    plan.backend, plan.to
                );
                page.line([Span::plain(text)]);
                continue;
            }
            let title = format!("Backend {}, to {}:", plan.backend, plan.to);
            page.line([Span::new(title, Style::Strong)]);
            diff_lines(&mut page, &plan.diff);
            for warning in &plan.warnings {
                page.line([Span::new("warning: ", Style::Warning), Span::plain(warning)]);
            }
        }
        for finding in self.findings {
            let (label, style) = match finding.severity {
                Severity::Pass => continue,
                Severity::Warn => ("warning: ", Style::Warning),
                Severity::Fail => ("fails: ", Style::Bad),
            };
            let text = format!(
                "{}: {}: {} {}",
                finding.backend, finding.check, finding.seen, finding.advice
            );
            page.line([Span::new(label, style), Span::plain(text)]);
        }
        page
    }
}

/// A diff, line by line.
pub(crate) fn diff_lines(page: &mut Page, diff: &str) {
    for line in diff.lines() {
        page.line([Span::new(line, style_of(line))]);
    }
}

fn style_of(line: &str) -> Style {
    match line.bytes().next() {
        Some(b'-') => Style::Bad,
        Some(b'+') => Style::Good,
        _ => Style::Plain,
    }
}

impl View for PlansView<'_> {
    fn page(&self, _detail: Detail) -> Page {
        self.summary()
    }

    fn names(&self) -> Vec<String> {
        let changed = self.plans.iter().filter(|view| !view.plan.is_empty());
        changed.map(|view| view.plan.backend.to_string()).collect()
    }
}

/// What became of the users.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OutcomeView<'a> {
    api_version: &'static str,
    kind: &'static str,
    service: &'a str,
    /// The site that the move leads to, or that users were taken back from.
    site: &'a SiteName,
    taken_back: bool,
    changed: bool,
    seconds: f64,
    backends: Vec<DoneView<'a>>,
    #[serde(skip)]
    took: Duration,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct DoneView<'a> {
    #[serde(flatten)]
    receipt: &'a Receipt,
    #[serde(skip_serializing_if = "Option::is_none")]
    settled: Option<&'a str>,
}

impl<'a> OutcomeView<'a> {
    /// A move that came to its end: every look is settled.
    pub(crate) fn new(
        service: &'a Service,
        to: &'a SiteName,
        receipts: &'a [Receipt],
        looks: &'a [Look],
        took: Duration,
    ) -> Self {
        let settled = looks.iter().map(|look| match look {
            Look::Settled(evidence) | Look::NotYet(evidence) => Some(evidence.as_str()),
        });
        let done = receipts.iter().zip(settled);
        let done = done.map(|(receipt, settled)| DoneView { receipt, settled });
        Self::of(service, to, done.collect(), took)
    }

    /// A move that was taken back.
    pub(crate) fn taken_back(
        service: &'a Service,
        to: &'a SiteName,
        receipts: &'a [Receipt],
        took: Duration,
    ) -> Self {
        let done = receipts.iter().map(|receipt| DoneView {
            receipt,
            settled: None,
        });
        Self {
            taken_back: true,
            ..Self::of(service, to, done.collect(), took)
        }
    }

    fn of(
        service: &'a Service,
        site: &'a SiteName,
        backends: Vec<DoneView<'a>>,
        took: Duration,
    ) -> Self {
        Self {
            api_version: API_VERSION,
            kind: "TrafficOutcome",
            service: &service.name,
            site,
            taken_back: false,
            changed: backends.iter().any(|done| done.receipt.did == Did::Change),
            seconds: took.as_secs_f64(),
            backends,
            took,
        }
    }
}

impl View for OutcomeView<'_> {
    fn page(&self, _detail: Detail) -> Page {
        let Self { service, site, .. } = self;
        let text = match (self.taken_back, self.changed) {
            (false, true) => format!("The users of {service} were moved to {site}"),
            (false, false) => format!("The users of {service} were at {site} already"),
            (true, _) => format!("The move of the users of {service} to {site} was taken back"),
        };
        let took = format!(", in {}.", period(self.took));
        let mut page = Page::of_line([Span::new(text, Style::Good), Span::plain(took)]);
        let mut table = Table::new(vec!["BACKEND", "CHANGED", "SEEN"]);
        for DoneView { receipt, settled } in &self.backends {
            let did = if receipt.did == Did::Change {
                "yes"
            } else {
                "no"
            };
            let seen = settled.map_or_else(|| receipt.evidence.join(" "), str::to_owned);
            table.row([receipt.backend.as_str(), did, &seen].map(Span::plain));
        }
        page.blank();
        page.table(table);
        page
    }

    fn names(&self) -> Vec<String> {
        vec![self.site.to_string()]
    }
}
