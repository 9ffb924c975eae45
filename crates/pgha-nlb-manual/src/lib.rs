//! Lets a person move users by whatever they have, and believes only the probes.
//!
//! The person is told what to do; when it has been done is what [`Cutover::settled`] sees, by asking as a user does. Its fence
//! is what the probes saw: a change that no user would notice is not noticed here either.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pgha_nlb::plan::{Gate, gate, plan_to_site};
use pgha_nlb::probe::Answer;
use pgha_nlb::state::Held;
use pgha_nlb::{
    Active, BackendId, Capabilities, Change, Cutover, CutoverError, Descriptor, Did, Fence,
    Finding, Layer, Look, Place, Plan, Probe, Receipt, Refusal, Route, RouteName, RouteState,
    SiteName, SiteValues,
};
use serde::Deserialize;

/// What a person is told, and how the routes are called.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// The backend's name.
    pub id: BackendId,
    /// Where the person does it: `the load balancer of the network team`.
    pub at: String,
    /// The routes.
    pub routes: Vec<RouteSettings>,
}

/// One route.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteSettings {
    /// Its name.
    pub name: RouteName,
    /// What the person calls each site.
    pub sites: SiteValues,
}

/// How the person is told, one instruction at a time.
pub type Tell = Arc<dyn Fn(&str) + Send + Sync>;

/// A person.
pub struct Manual {
    settings: Settings,
    probes: Vec<(RouteName, Box<dyn Probe>)>,
    tell: Tell,
}

impl fmt::Debug for Manual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manual")
            .field("settings", &self.settings)
            .field("probes", &self.probes)
            .finish_non_exhaustive()
    }
}

impl Manual {
    /// A person who is told by `tell`. A route without a probe is always unknown.
    pub fn new(settings: Settings, probes: Vec<(RouteName, Box<dyn Probe>)>, tell: Tell) -> Self {
        Self {
            settings,
            probes,
            tell,
        }
    }

    async fn route(&self, route: &RouteSettings, within: Duration) -> Route {
        let unknown = |because: String| Route::unknown(&route.name, because);
        let mut sites: Vec<SiteName> = Vec::new();
        for (_, probe) in self.probes.iter().filter(|(name, _)| *name == route.name) {
            let sample = probe.sample(within).await;
            match sample.answer {
                Answer::Site { site, .. } => sites.push(site),
                Answer::Unrecognised { seen: because } | Answer::Failed { because } => {
                    return unknown(format!("{}: {because}", sample.asked));
                }
                Answer::Contradiction { seen } => {
                    return split(route, format!("{}: {seen}", sample.asked));
                }
            }
        }
        let Some(site) = sites.first() else {
            return unknown("It has no probe.".to_owned());
        };
        if let Some(other) = sites.iter().find(|other| *other != site) {
            return split(
                route,
                format!("Probes were answered by {site} and by {other}."),
            );
        }
        match route.sites.value(site) {
            None => unknown(format!(
                "It is answered by {site}, which the service's file does not name."
            )),
            Some(value) => {
                let place = self.place(route, value);
                Route::of_places(&route.name, vec![place], &route.sites)
            }
        }
    }

    fn place(&self, route: &RouteSettings, value: &str) -> Place {
        Place {
            at: format!("{} at {}", route.name, self.settings.at),
            value: value.to_owned(),
        }
    }

    /// Tells the person, and says what the fence will be when all is done.
    async fn change(&self, changes: &[Change], seen: &RouteState, within: Duration) -> Receipt {
        for change in changes {
            (self.tell)(&format!(
                "At {}: lead {} to `{}`, where it leads to `{}` now.",
                self.settings.at, change.route, change.to, change.from
            ));
        }
        let mut after = seen.clone();
        let places = after.routes.iter_mut().flat_map(|route| &mut route.places);
        for place in places {
            if let Some(change) = changes.iter().find(|change| change.at == place.at) {
                place.value.clone_from(&change.to);
            }
        }
        let evidence = match self.observe_routes(within).await.held(changes) {
            Held::After => "The probes are answered as they should be.",
            Held::Before | Held::Neither => "The person was told; the probes do not show it yet.",
        };
        self.receipt(Did::Change, changes, fence(&after.routes), evidence)
    }

    fn receipt(&self, did: Did, changes: &[Change], fence: Fence, evidence: &str) -> Receipt {
        Receipt {
            backend: self.settings.id.clone(),
            did,
            changes: changes.to_vec(),
            fence,
            evidence: vec![evidence.to_owned()],
        }
    }

    async fn observe_routes(&self, within: Duration) -> RouteState {
        let mut routes = Vec::new();
        for route in &self.settings.routes {
            routes.push(self.route(route, within).await);
        }
        RouteState {
            fence: fence(&routes),
            routes,
            documents: Vec::new(),
        }
    }

    async fn told(
        &self,
        changes: &[Change],
        fence: &Fence,
        tried: &'static str,
        within: Duration,
    ) -> Result<Receipt, CutoverError> {
        let seen = self.observe_routes(within).await;
        match gate(changes, fence, &seen, tried, &self.settings.at)? {
            Gate::Done => {
                let evidence = "The probes were answered so already.";
                Ok(self.receipt(Did::Nothing, changes, seen.fence, evidence))
            }
            Gate::Go => Ok(self.change(changes, &seen, within).await),
        }
    }
}

fn split(route: &RouteSettings, seen: String) -> Route {
    Route {
        name: route.name.clone(),
        active: Active::Split { seen },
        places: Vec::new(),
    }
}

/// Where every route leads, in one line.
fn fence(routes: &[Route]) -> Fence {
    let lines = routes.iter().map(|route| {
        let values: Vec<_> = route
            .places
            .iter()
            .map(|place| place.value.as_str())
            .collect();
        format!("{}={}", route.name, values.join("+"))
    });
    lines.collect::<Vec<_>>().join(", ").into()
}

#[async_trait]
impl Cutover for Manual {
    fn describe(&self) -> Descriptor {
        Descriptor {
            id: self.settings.id.clone(),
            kind: "manual",
            at: self.settings.at.clone(),
            layer: Layer::Outside,
            capabilities: Capabilities {
                compare_and_swap: false,
                atomic: false,
                persistent: true,
                needs_reload: false,
            },
            settles_in: Duration::from_mins(10),
        }
    }

    async fn preflight(&self, within: Duration) -> Vec<Finding> {
        let id = &self.settings.id;
        let seen = self.observe_routes(within).await;
        let advice = "See that each route has a probe that tells the sites apart.";
        let finding = |route| Finding::of_route(id, "manual-probe", route, advice);
        seen.routes.iter().map(finding).collect()
    }

    async fn observe(&self, within: Duration) -> Result<RouteState, CutoverError> {
        Ok(self.observe_routes(within).await)
    }

    fn plan(&self, seen: &RouteState, to: &SiteName) -> Result<Plan, Refusal> {
        let routes = self.settings.routes.iter();
        let routes = routes.map(|route| (&route.name, &route.sites));
        let changes = plan_to_site(seen, to, routes)?;
        let (id, at) = (&self.settings.id, &self.settings.at);
        Ok(Plan::of_changes(id, at, seen, to, changes))
    }

    async fn apply(&self, plan: &Plan, within: Duration) -> Result<Receipt, CutoverError> {
        self.told(
            &plan.changes,
            &plan.fence,
            "have the plan carried out",
            within,
        )
        .await
    }

    async fn settled(&self, receipt: &Receipt, within: Duration) -> Result<Look, CutoverError> {
        let seen = self.observe_routes(within).await;
        let told = format!("The probes show {}.", seen.fence);
        Ok(match seen.held(&receipt.changes) {
            Held::After => Look::Settled(told),
            Held::Before | Held::Neither => Look::NotYet(told),
        })
    }

    async fn rollback(&self, receipt: &Receipt, within: Duration) -> Result<Receipt, CutoverError> {
        self.told(
            &receipt.inverse(),
            &receipt.fence,
            "have the change taken back",
            within,
        )
        .await
    }
}
