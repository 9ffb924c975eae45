//! The backend itself.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use kube::api::DynamicObject;
use pgha_nlb::plan::{Gate, gate, plan_to_site};
use pgha_nlb::state::Held;
use pgha_nlb::{
    Active, Capabilities, Change, Cutover, CutoverError, Descriptor, Did, Fence, Finding, Layer,
    Look, Place, Plan, Receipt, Refusal, Route, RouteState, SiteName,
};
use sha2::{Digest as _, Sha256};

use crate::cluster::{Clusters, Object, Open};
use crate::field::together;
use crate::route::{Leading, leading, repeated};
use crate::{BadSettings, Settings, Whereabouts};

/// Objects of Kubernetes.
pub struct Kubernetes {
    pub(crate) settings: Settings,
    pub(crate) routes: Vec<Leading>,
    pub(crate) objects: Vec<Object>,
    pub(crate) clusters: Clusters,
}

/// What the objects are, as one look saw them.
pub(crate) struct Seen {
    pub(crate) objects: Vec<DynamicObject>,
    pub(crate) state: RouteState,
}

impl fmt::Debug for Kubernetes {
    // A client holds credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Kubernetes");
        shown
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Kubernetes {
    /// A backend; opens and reads nothing yet. `sites` are those of the service, each with its context.
    ///
    /// # Errors
    /// An object, a field or a value is none, or two routes are one and the same.
    pub fn new(
        settings: Settings,
        sites: &BTreeMap<SiteName, Whereabouts>,
        open: Open,
    ) -> Result<Self, BadSettings> {
        let bad = |because| BadSettings {
            id: settings.id.clone(),
            because,
        };
        if let Some(name) = repeated(settings.routes.iter().map(|route| &route.name)) {
            return Err(bad(format!("two routes are called {name}")));
        }
        let (mut routes, mut objects) = (Vec::<Leading>::new(), Vec::new());
        for route in &settings.routes {
            let leading = leading(route, sites, &mut objects).map_err(bad)?;
            if let Some(other) = routes.iter().find(|other| leading.is_same_field(other)) {
                let (one, other) = (&other.settings.name, &route.name);
                return Err(bad(format!(
                    "routes {one} and {other} are one and the same field"
                )));
            }
            routes.push(leading);
        }
        let clusters = Clusters::new(open, &objects);
        Ok(Self {
            settings,
            routes,
            objects,
            clusters,
        })
    }

    pub(crate) fn at(&self) -> String {
        let labels: Vec<_> = self.objects.iter().map(Object::label).collect();
        labels.join(", ")
    }

    pub(crate) async fn look(&self, within: Duration) -> Result<Seen, CutoverError> {
        let mut objects = Vec::new();
        for object in &self.objects {
            objects.push(self.clusters.get(object, within).await?);
        }
        let routes = self.routes.iter().map(|route| self.route(route, &objects));
        let state = RouteState {
            routes: routes.collect(),
            fence: self.fence(&objects),
            documents: Vec::new(),
        };
        Ok(Seen { objects, state })
    }

    fn route(&self, route: &Leading, objects: &[DynamicObject]) -> Route {
        let name = &route.settings.name;
        let (mut places, mut leading) = (Vec::new(), Vec::new());
        for &number in &route.objects {
            let label = self.objects[number].label();
            let told = |text: &str| format!("{} ({label}).", text.trim_end_matches('.'));
            let parts = match route.settings.field.read(&objects[number], &route.values) {
                Ok(parts) => parts,
                Err(because) => return Route::unknown(name, told(&because)),
            };
            for part in parts {
                let (at, value) = (format!("{label}: {}", part.what), part.value);
                places.push(Place { at, value });
                leading.push(match part.active {
                    Active::Site(site) => Active::Site(site),
                    Active::Split { seen } => Active::Split { seen: told(&seen) },
                    Active::Unknown { because } => Active::Unknown {
                        because: told(&because),
                    },
                });
            }
        }
        let ats = places.iter().map(|place| place.at.as_str());
        Route {
            name: name.clone(),
            active: together(ats.zip(&leading)),
            places,
        }
    }

    /// A digest of what the objects want, and of none of what controllers report.
    fn fence(&self, objects: &[DynamicObject]) -> Fence {
        let mut hash = Sha256::new();
        for (place, object) in self.objects.iter().zip(objects) {
            let uid = object.metadata.uid.as_deref().unwrap_or_default();
            hash.update(format!(
                "{}\n{uid}\n{}\n",
                place.label(),
                object.data["spec"]
            ));
            let annotations = object.metadata.annotations.iter().flatten();
            for (key, value) in annotations.filter(|(key, _)| key.starts_with("external-dns.")) {
                hash.update(format!("{key} {value:?}\n"));
            }
        }
        format!("digest {}", hex::encode(&hash.finalize()[..8])).into()
    }

    pub(crate) fn receipt(&self, did: Did, changes: &[Change], seen: &RouteState) -> Receipt {
        Receipt {
            backend: self.settings.id.clone(),
            did,
            changes: changes.to_vec(),
            fence: seen.fence.clone(),
            evidence: vec![format!("{} says so ({}).", self.at(), seen.fence)],
        }
    }
}

#[async_trait]
impl Cutover for Kubernetes {
    fn describe(&self) -> Descriptor {
        Descriptor {
            id: self.settings.id.clone(),
            kind: "kubernetes",
            at: self.at(),
            layer: Layer::Object,
            capabilities: Capabilities {
                compare_and_swap: true,
                atomic: self.objects.len() == 1,
                persistent: true,
                needs_reload: true,
            },
            settles_in: Duration::from_secs(5),
        }
    }

    async fn preflight(&self, within: Duration) -> Vec<Finding> {
        let id = &self.settings.id;
        let seen = match self.look(within).await {
            Ok(seen) => seen,
            Err(error) => return vec![Finding::of_error(id, "kubernetes-object", &error)],
        };
        let mut findings = vec![Finding::pass(id, "kubernetes-object")];
        let advice = "Put the field in order by hand, or correct it in the service's file.";
        let routes = seen.state.routes.iter();
        findings
            .extend(routes.map(|route| Finding::of_route(id, "kubernetes-field", route, advice)));
        for (number, live) in seen.objects.iter().enumerate() {
            findings.extend(self.findings(number, live, within).await);
        }
        findings
    }

    async fn observe(&self, within: Duration) -> Result<RouteState, CutoverError> {
        Ok(self.look(within).await?.state)
    }

    fn plan(&self, seen: &RouteState, to: &SiteName) -> Result<Plan, Refusal> {
        let mut elsewhere = seen.clone();
        // A weight of 1 has the same effect as the one that a move writes.
        elsewhere
            .routes
            .retain(|route| route.active != Active::Site(to.clone()));
        let routes = self
            .routes
            .iter()
            .map(|route| (&route.settings.name, &route.values.texts));
        let changes = plan_to_site(&elsewhere, to, routes)?;
        Ok(Plan::of_changes(
            &self.settings.id,
            &self.at(),
            seen,
            to,
            changes,
        ))
    }

    async fn apply(&self, plan: &Plan, within: Duration) -> Result<Receipt, CutoverError> {
        let (seen, changes) = (self.look(within).await?, &plan.changes);
        match gate(
            changes,
            &plan.fence,
            &seen.state,
            "apply the plan",
            &self.at(),
        )? {
            Gate::Done => Ok(self.receipt(Did::Nothing, changes, &seen.state)),
            Gate::Go => self.change(changes, &seen, within).await,
        }
    }

    async fn settled(&self, receipt: &Receipt, within: Duration) -> Result<Look, CutoverError> {
        let seen = self.look(within).await?;
        if seen.state.held(&receipt.changes) != Held::After {
            let (at, fence) = (self.at(), &seen.state.fence);
            return Ok(Look::NotYet(format!("{at} does not say so ({fence}).")));
        }
        let mut evidence = Vec::new();
        for (number, live) in seen.objects.iter().enumerate() {
            match self.effect(number, live, within).await? {
                Ok(told) => evidence.push(told),
                Err(instead) => return Ok(Look::NotYet(instead)),
            }
        }
        Ok(Look::Settled(evidence.join(" ")))
    }

    async fn rollback(&self, receipt: &Receipt, within: Duration) -> Result<Receipt, CutoverError> {
        let changes = receipt.inverse();
        let seen = self.look(within).await?;
        match gate(
            &changes,
            &receipt.fence,
            &seen.state,
            "roll back",
            &self.at(),
        )? {
            Gate::Done => Ok(self.receipt(Did::Nothing, &changes, &seen.state)),
            Gate::Go => self.change(&changes, &seen, within).await,
        }
    }
}
