//! Lets a person move users by whatever they have, and believes only the probes.
//!
//! The person is told what to do; when it has been done is what the probes see, by asking as a user does. The fence is what they
//! saw: a change that no user would notice is not noticed here either.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pgha_nlb::plan::plan_to_site;
use pgha_nlb::probe::Answer;
use pgha_nlb::state::Held;
use pgha_nlb::{
    BackendId, Capabilities, Change, CutoverError, Descriptor, Fence, Layer, Look, Looked, Order,
    Place, Probe, Product, Refusal, Route, RouteName, RouteSettings, RouteState, SiteName, Written,
};
use serde::Deserialize;

/// What a person is told, and how the routes are called.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// The backend's name.
    pub id: BackendId,
    /// Where the person does it: `the load balancer of the network team`.
    pub at: String,
    /// The routes.
    pub routes: Vec<RouteSettings>,
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
        let split = |seen: String| Route::split(&route.name, seen, Vec::new());
        let mut sites: Vec<SiteName> = Vec::new();
        for (_, probe) in self.probes.iter().filter(|(name, _)| *name == route.name) {
            let sample = probe.sample(within).await;
            match sample.answer {
                Answer::Site { site, .. } => sites.push(site),
                Answer::Unrecognised { seen: because } | Answer::Failed { because } => {
                    return unknown(format!("{}: {because}", sample.asked));
                }
                Answer::Contradiction { seen } => {
                    return split(format!("{}: {seen}", sample.asked));
                }
            }
        }
        let Some(site) = sites.first() else {
            return unknown("It has no probe.".to_owned());
        };
        if let Some(other) = sites.iter().find(|other| *other != site) {
            return split(format!("Probes were answered by {site} and by {other}."));
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

    async fn seen(&self, within: Duration) -> RouteState {
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

/// What the probes will see when all is done.
fn after(seen: &RouteState, changes: &[Change]) -> RouteState {
    let mut after = seen.clone();
    let places = after.routes.iter_mut().flat_map(|route| &mut route.places);
    for place in places {
        if let Some(change) = changes.iter().find(|change| change.at == place.at) {
            place.value.clone_from(&change.to);
        }
    }
    after.fence = fence(&after.routes);
    after
}

#[async_trait]
impl Product for Manual {
    /// Whether the probes show it.
    type Details = bool;

    const REACHED: &'static str = "manual-probe";
    const ROUTE: (&'static str, &'static str) = (
        "manual-probe",
        "See that each route has a probe that tells the sites apart.",
    );

    fn descriptor(&self) -> Descriptor {
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

    async fn look(&self, within: Duration) -> Result<Looked<bool>, CutoverError> {
        let state = self.seen(within).await;
        Ok(Looked {
            state,
            details: true,
        })
    }

    fn changes(&self, seen: &RouteState, to: &SiteName) -> Result<Vec<Change>, Refusal> {
        let routes = self.settings.routes.iter();
        plan_to_site(seen, to, routes.map(|route| (&route.name, &route.sites)))
    }

    /// Tells the person. The fence is what it will be when all is done.
    async fn write(
        &self,
        order: &Order<'_, bool>,
        within: Duration,
    ) -> Result<Written<bool>, CutoverError> {
        for change in order.changes {
            (self.tell)(&format!(
                "At {}: lead {} to `{}`, where it leads to `{}` now.",
                self.settings.at, change.route, change.to, change.from
            ));
        }
        Ok(Written::Shown(Looked {
            state: after(&order.seen.state, order.changes),
            details: self.seen(within).await.held(order.changes) == Held::After,
        }))
    }

    fn evidence(&self, order: Option<&Order<'_, bool>>, now: &Looked<bool>) -> Vec<String> {
        let told = match (order, now.details) {
            (None, _) => "The probes were answered so already.",
            (Some(_), true) => "The probes are answered as they should be.",
            (Some(_), false) => "The person was told; the probes do not show it yet.",
        };
        vec![told.to_owned()]
    }

    async fn arrived(&self, changes: &[Change], within: Duration) -> Result<Look, CutoverError> {
        let seen = self.seen(within).await;
        let told = format!("The probes show {}.", seen.fence);
        Ok(match seen.held(changes) {
            Held::After => Look::Settled(told),
            Held::Before | Held::Neither => Look::NotYet(told),
        })
    }
}
