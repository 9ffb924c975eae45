//! The backend itself.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use kube::api::DynamicObject;
use pgha_model::effect::Effect;
use pgha_nlb::plan::plan_to_site;
use pgha_nlb::settings::refuse_twins;
use pgha_nlb::state::Held;
use pgha_nlb::{
    Active, BadSettings, Capabilities, Change, CutoverError, Descriptor, Fence, Finding, Layer,
    Look, Looked, Order, Place, Product, Refusal, Route, RouteState, SiteName, Written,
};
use sha2::{Digest as _, Sha256};

use crate::cluster::{Clusters, Object, Open};
use crate::field::together;
use crate::route::{Leading, leading};
use crate::{Settings, Whereabouts};

/// Objects of Kubernetes.
pub struct Kubernetes {
    pub(crate) settings: Settings,
    pub(crate) routes: Vec<Leading>,
    pub(crate) objects: Vec<Object>,
    pub(crate) clusters: Clusters,
}

/// What the objects are, as one look saw them.
pub(crate) type Seen = Looked<Vec<DynamicObject>>;

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
        let bad = |because| BadSettings::new(&settings.id, because);
        refuse_twins(settings.routes.iter().map(|route| &route.name)).map_err(bad)?;
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
}

#[async_trait]
impl Product for Kubernetes {
    type Details = Vec<DynamicObject>;

    const REACHED: &'static str = "kubernetes-object";
    const ROUTE: (&'static str, &'static str) = (
        "kubernetes-field",
        "Put the field in order by hand, or correct it in the service's file.",
    );

    fn descriptor(&self) -> Descriptor {
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

    async fn findings(&self, now: &Seen, within: Duration) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (number, live) in now.details.iter().enumerate() {
            findings.extend(self.found(number, live, within).await);
        }
        findings
    }

    async fn look(&self, within: Duration) -> Result<Seen, CutoverError> {
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
        Ok(Looked {
            state,
            details: objects,
        })
    }

    fn changes(&self, seen: &RouteState, to: &SiteName) -> Result<Vec<Change>, Refusal> {
        let mut elsewhere = seen.clone();
        // A weight of 1 has the same effect as the one that a move writes.
        elsewhere
            .routes
            .retain(|route| route.active != Active::Site(to.clone()));
        let routes = self
            .routes
            .iter()
            .map(|route| (&route.settings.name, &route.values.texts));
        plan_to_site(&elsewhere, to, routes)
    }

    async fn write(
        &self,
        order: &Order<'_, Vec<DynamicObject>>,
        within: Duration,
    ) -> Result<Written<Vec<DynamicObject>>, CutoverError> {
        self.change(order, within).await
    }

    async fn take_back_part(
        &self,
        order: &Order<'_, Vec<DynamicObject>>,
        now: &Seen,
        within: Duration,
    ) -> Effect {
        if self.undo(order.changes, now, within).await {
            Effect::None
        } else {
            Effect::Unknown
        }
    }

    fn evidence(&self, _: Option<&Order<'_, Vec<DynamicObject>>>, now: &Seen) -> Vec<String> {
        vec![format!("{} says so ({}).", self.at(), now.state.fence)]
    }

    async fn arrived(&self, changes: &[Change], within: Duration) -> Result<Look, CutoverError> {
        let now = self.look(within).await?;
        if now.state.held(changes) != Held::After {
            let (at, fence) = (self.at(), &now.state.fence);
            return Ok(Look::NotYet(format!("{at} does not say so ({fence}).")));
        }
        let mut evidence = Vec::new();
        for (number, live) in now.details.iter().enumerate() {
            match self.effect(number, live, within).await? {
                Ok(told) => evidence.push(told),
                Err(instead) => return Ok(Look::NotYet(instead)),
            }
        }
        Ok(Look::Settled(evidence.join(" ")))
    }
}
