//! A backend of any kind of field.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use kube::api::DynamicObject;
use pgha_model::effect::Effect;
use pgha_nlb::plan::plan_places;
use pgha_nlb::settings::refuse_twins;
use pgha_nlb::state::Held;
use pgha_nlb::{
    Active, BackendId, BadSettings, Capabilities, Change, CutoverError, Descriptor, Finding, Layer,
    Look, Looked, Order, Place, Product, Refusal, Route, RouteName, RouteState, SiteName, Written,
};
use serde::Deserialize;

use crate::cluster::{Object, Open};
use crate::field::{Field, Here};
use crate::objects::{Objects, owner_finding};
use crate::place::Whereabouts;

/// A backend's name and its routes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings<R> {
    /// The backend's name.
    pub id: BackendId,
    /// The routes.
    pub routes: Vec<R>,
}

/// Fields of objects of Kubernetes.
#[derive(Debug)]
pub struct Backend<F> {
    id: BackendId,
    routes: Vec<Routed<F>>,
    pub(crate) objects: Objects,
}

/// A route, with the numbers of its objects.
#[derive(Debug)]
pub(crate) struct Routed<F> {
    name: RouteName,
    pub(crate) field: F,
    objects: Vec<usize>,
}

/// What the objects are, as one look saw them.
pub(crate) type Seen = Looked<Vec<DynamicObject>>;

impl<F: Field> Backend<F> {
    /// A backend; opens and reads nothing yet. `sites` are those of the service, each with its context.
    ///
    /// # Errors
    /// An object, a field or a value is none, or two routes are one and the same.
    pub fn new(
        settings: Settings<F::Settings>,
        sites: &BTreeMap<SiteName, Whereabouts>,
        open: Open,
    ) -> Result<Self, BadSettings> {
        let bad = |because| BadSettings::new(&settings.id, because);
        refuse_twins(settings.routes.iter().map(F::name)).map_err(bad)?;
        let (mut routes, mut all) = (Vec::<Routed<F>>::new(), Vec::new());
        for route in &settings.routes {
            let name = F::name(route);
            let made = F::new(route, sites);
            let (field, objects) =
                made.map_err(|because| bad(format!("route {name}: {because}")))?;
            let number = |object| number_among(&mut all, object);
            let objects: Vec<_> = objects.into_iter().map(number).collect();
            let is_same = |other: &&Routed<F>| {
                let mut own = objects.iter();
                field.is_same(&other.field) && own.any(|it| other.objects.contains(it))
            };
            if let Some(Routed { name: other, .. }) = routes.iter().find(is_same) {
                return Err(bad(format!(
                    "routes {other} and {name} are one and the same field"
                )));
            }
            routes.push(Routed {
                name: name.clone(),
                field,
                objects,
            });
        }
        Ok(Self {
            objects: Objects::new(open, all),
            id: settings.id,
            routes,
        })
    }

    fn route(&self, route: &Routed<F>, live: &[DynamicObject]) -> Route {
        let (mut parts, mut unread) = (Vec::new(), None);
        for (nth, &number) in route.objects.iter().enumerate() {
            let label = self.objects.all[number].label();
            let told = |text: &str| format!("{} ({label}).", text.trim_end_matches('.'));
            let read = route
                .field
                .read(nth, &live[number])
                .unwrap_or_else(|because| {
                    unread.get_or_insert_with(|| told(&because));
                    Vec::new()
                });
            for mut part in read {
                match &mut part.active {
                    Active::Site(_) => {}
                    Active::Split { seen: text } | Active::Unknown { because: text } => {
                        *text = told(text);
                    }
                }
                parts.push((format!("{label}: {}", part.what), part));
            }
        }
        Route {
            name: route.name.clone(),
            active: match unread {
                Some(because) => Active::Unknown { because },
                None => route.field.together(&parts),
            },
            places: parts
                .into_iter()
                .map(|(at, part)| Place {
                    at,
                    value: part.value,
                })
                .collect(),
        }
    }

    /// The route that has a place, and which of its objects has it.
    pub(crate) fn find(&self, route: &RouteName, at: &str) -> Option<(&Routed<F>, usize)> {
        let route = self.routes.iter().find(|it| it.name == *route)?;
        let mut numbers = route.objects.iter();
        let is_there = |number: &usize| part_of(&self.objects.all[*number], at).is_some();
        Some((route, numbers.position(is_there)?))
    }

    /// The number of the object that a change is of.
    pub(crate) fn number_of(&self, change: &Change) -> Option<usize> {
        let (route, nth) = self.find(&change.route, &change.at)?;
        route.objects.get(nth).copied()
    }

    fn routes_of(&self, number: usize) -> impl Iterator<Item = &F> {
        let routes = self.routes.iter();
        let own = routes.filter(move |route| route.objects.contains(&number));
        own.map(|route| &route.field)
    }

    /// Every object, with its number.
    fn here<'a>(
        &'a self,
        now: &'a Seen,
        within: Duration,
    ) -> impl Iterator<Item = (usize, Here<'a>)> {
        let pairs = self.objects.all.iter().zip(&now.details);
        let here = move |(object, live)| Here {
            objects: &self.objects,
            object,
            live,
            within,
        };
        pairs.map(here).enumerate()
    }
}

/// The number of an object among these, to which it is added when it is new.
fn number_among(all: &mut Vec<Object>, object: Object) -> usize {
    let known = all.iter().position(|known| *known == object);
    known.unwrap_or_else(|| {
        all.push(object);
        all.len() - 1
    })
}

/// The part of an object that a place is, when it is of this object.
pub(crate) fn part_of<'a>(object: &Object, at: &'a str) -> Option<&'a str> {
    at.strip_prefix(&object.label())?.strip_prefix(": ")
}

#[async_trait]
impl<F: Field> Product for Backend<F> {
    type Details = Vec<DynamicObject>;

    const REACHED: &'static str = "kubernetes-object";
    const ROUTE: (&'static str, &'static str) = F::ROUTE;

    fn descriptor(&self) -> Descriptor {
        Descriptor {
            id: self.id.clone(),
            kind: F::KIND,
            at: self.objects.at(),
            layer: Layer::Object,
            capabilities: Capabilities {
                compare_and_swap: true,
                atomic: self.objects.all.len() == 1,
                persistent: true,
                needs_reload: true,
            },
            settles_in: F::SETTLES_IN,
        }
    }

    async fn findings(&self, now: &Seen, within: Duration) -> Vec<Finding> {
        let (mut findings, id) = (Vec::new(), &self.id);
        for (number, here) in self.here(now, within) {
            let needed = self.routes_of(number).flat_map(F::needed).copied();
            let permission = self
                .objects
                .permission_finding(id, here.object, needed, within);
            let mut own = vec![permission.await, owner_finding(id, here.object, here.live)];
            for route in self.routes_of(number) {
                let found = route.found(&here, id).await;
                own.extend(found);
            }
            own.dedup();
            findings.extend(own);
        }
        findings
    }

    async fn look(&self, within: Duration) -> Result<Seen, CutoverError> {
        let live = self.objects.read(within).await?;
        let routes = self.routes.iter().map(|route| self.route(route, &live));
        let state = RouteState {
            routes: routes.collect(),
            fence: self.objects.fence(&live),
            documents: Vec::new(),
        };
        Ok(Looked {
            state,
            details: live,
        })
    }

    fn changes(&self, seen: &RouteState, to: &SiteName) -> Result<Vec<Change>, Refusal> {
        let mut elsewhere = seen.clone();
        // What leads there already may say so in another way than a move does: a weight of 1.
        elsewhere
            .routes
            .retain(|route| route.active != Active::Site(to.clone()));
        let mut changes = plan_places(&elsewhere, to, |route, place| {
            let (route, nth) = self.find(route, &place.at)?;
            route.field.wanted(nth, to)
        })?;
        changes.sort_by_key(|change| {
            let found = self.find(&change.route, &change.at);
            !found.is_some_and(|(route, nth)| route.field.is_first(nth, to))
        });
        Ok(changes)
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
        vec![format!(
            "{} says so ({}).",
            self.objects.at(),
            now.state.fence
        )]
    }

    async fn arrived(&self, changes: &[Change], within: Duration) -> Result<Look, CutoverError> {
        let now = self.look(within).await?;
        if now.state.held(changes) != Held::After {
            let (at, fence) = (self.objects.at(), &now.state.fence);
            return Ok(Look::NotYet(format!("{at} does not say so ({fence}).")));
        }
        let mut evidence = Vec::new();
        for (number, here) in self.here(&now, within) {
            for route in self.routes_of(number) {
                match route.effect(&here).await? {
                    Ok(told) => evidence.push(told),
                    Err(instead) => return Ok(Look::NotYet(instead)),
                }
            }
        }
        evidence.dedup();
        Ok(Look::Settled(evidence.join(" ")))
    }
}
