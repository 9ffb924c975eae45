//! What a move of users will change, and why there may be no plan.

use std::fmt;

use pgha_model::effect::Effect;
use serde::{Deserialize, Serialize};

use crate::diff;
use crate::error::{CutoverError, Problem};
use crate::name::{BackendId, RouteName, SiteName, SiteValues};
use crate::state::{Active, Fence, Held, Place, RouteState};

/// One place that will say something else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Change {
    /// The route it belongs to.
    pub route: RouteName,
    /// The place, as [`Place::at`](crate::state::Place) names it.
    pub at: String,
    /// What it says now.
    pub from: String,
    /// What it will say.
    pub to: String,
}

impl Change {
    /// The change that takes this one back.
    #[must_use]
    pub fn inverse(&self) -> Self {
        Self {
            route: self.route.clone(),
            at: self.at.clone(),
            from: self.to.clone(),
            to: self.from.clone(),
        }
    }
}

/// The changes that take the last of these back first.
pub fn inverse(changes: &[Change]) -> Vec<Change> {
    changes.iter().rev().map(Change::inverse).collect()
}

/// What one backend will change. It is journaled, so it never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Plan {
    /// The backend that it is for.
    pub backend: BackendId,
    /// The site that users are moved to.
    pub to: SiteName,
    /// What it rests on: the backend changes nothing when this is another one.
    pub fence: Fence,
    /// The changes, in order; empty when the users are there already.
    pub changes: Vec<Change>,
    /// The same for a person, as a unified diff.
    pub diff: String,
    /// What a person should know before, each a full sentence.
    pub warnings: Vec<String>,
}

impl Plan {
    /// A plan of changes of what was seen, shown as a diff of `at`, with the warning that every backend gives.
    pub fn of_changes(
        backend: &BackendId,
        at: &str,
        seen: &RouteState,
        to: &SiteName,
        changes: Vec<Change>,
    ) -> Self {
        Self {
            backend: backend.clone(),
            to: to.clone(),
            fence: seen.fence.clone(),
            diff: diff::of_changes(at, &changes),
            changes,
            warnings: warn_of_disagreement(seen),
        }
    }

    /// Whether nothing is to be done.
    pub const fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The changes that would take it back.
    pub fn inverse(&self) -> Vec<Change> {
        inverse(&self.changes)
    }
}

/// Why there is no plan. Nothing was tried.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A route leads to more than one site.
    Split {
        /// The route.
        route: RouteName,
        /// What was seen, as a full sentence.
        seen: String,
    },
    /// It cannot be told where a route leads.
    Unknown {
        /// The route.
        route: RouteName,
        /// Why, as a full sentence.
        because: String,
    },
    /// The product has no name for the site.
    NoSuchSite {
        /// The route.
        route: RouteName,
        /// The site.
        site: SiteName,
    },
    /// The change would not have the effect that is wanted.
    Unfit {
        /// The route.
        route: RouteName,
        /// What was seen, as a full sentence.
        seen: String,
        /// What to do, as a full sentence.
        advice: String,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Split { route, seen } => {
                write!(f, "route {route} leads to more than one site: {seen}")
            }
            Self::Unknown { route, because } => {
                write!(f, "it cannot be told where route {route} leads: {because}")
            }
            Self::NoSuchSite { route, site } => {
                write!(f, "route {route} has no value for site {site}")
            }
            Self::Unfit { route, seen, .. } => write!(f, "route {route} cannot be moved: {seen}"),
        }
    }
}

impl Refusal {
    /// The one next thing to do, as a full sentence.
    pub fn advice(&self) -> String {
        match self {
            Self::Split { .. } => {
                "Decide by hand which of them is right, remove the other, and plan again.".to_owned()
            }
            Self::Unknown { .. } => {
                "Put the route in order by hand, or name its value in the service's file, and plan again."
                    .to_owned()
            }
            Self::NoSuchSite { site, .. } => {
                format!("Add the value of {site} to the route in the service's file.")
            }
            Self::Unfit { advice, .. } => advice.clone(),
        }
    }
}

/// The changes that lead every route to a site. `value` is what the product calls the site on a route.
///
/// # Errors
/// A route is split or unknown, or has no value for the site.
pub fn plan_changes(
    state: &RouteState,
    to: &SiteName,
    value: impl Fn(&RouteName) -> Option<String>,
) -> Result<Vec<Change>, Refusal> {
    plan_places(state, to, |route, _place| value(route))
}

/// The same where each place of a route has a value of its own.
///
/// # Errors
/// As [`plan_changes`].
pub fn plan_places(
    state: &RouteState,
    to: &SiteName,
    value: impl Fn(&RouteName, &Place) -> Option<String>,
) -> Result<Vec<Change>, Refusal> {
    let mut changes = Vec::new();
    for route in &state.routes {
        let name = &route.name;
        match &route.active {
            Active::Site(_) => {}
            Active::Split { seen } => {
                return Err(Refusal::Split {
                    route: name.clone(),
                    seen: seen.clone(),
                });
            }
            Active::Unknown { because } => {
                return Err(Refusal::Unknown {
                    route: name.clone(),
                    because: because.clone(),
                });
            }
        }
        for place in &route.places {
            let wanted = value(name, place).ok_or_else(|| Refusal::NoSuchSite {
                route: name.clone(),
                site: to.clone(),
            })?;
            if place.value != wanted {
                changes.push(Change {
                    route: name.clone(),
                    at: place.at.clone(),
                    from: place.value.clone(),
                    to: wanted,
                });
            }
        }
    }
    Ok(changes)
}

/// The same for routes whose sites have configured values.
///
/// # Errors
/// As [`plan_changes`].
pub fn plan_to_site<'a>(
    state: &RouteState,
    to: &SiteName,
    routes: impl Iterator<Item = (&'a RouteName, &'a SiteValues)>,
) -> Result<Vec<Change>, Refusal> {
    let routes: Vec<_> = routes.collect();
    plan_changes(state, to, |name| {
        let (_, sites) = routes.iter().find(|(route, _)| *route == name)?;
        sites.value(to).map(str::to_owned)
    })
}

/// A warning when the routes of a state that may be planned on disagree.
fn warn_of_disagreement(state: &RouteState) -> Vec<String> {
    match state.active() {
        Active::Split { seen } => vec![format!("The routes disagree now. {seen}")],
        Active::Site(_) | Active::Unknown { .. } => Vec::new(),
    }
}

/// Whether changes are still to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// The product is as it was when they were planned.
    Go,
    /// The product says already what they would make it say.
    Done,
}

/// Decides whether changes may be made, from what the product says right before.
///
/// # Errors
/// A conflict: the product is neither as it was nor as it would be. `tried` and `at` are for the message.
pub fn gate(
    changes: &[Change],
    fence: &Fence,
    seen: &RouteState,
    tried: &'static str,
    at: &str,
) -> Result<Gate, CutoverError> {
    match seen.held(changes) {
        Held::After => Ok(Gate::Done),
        Held::Before if seen.fence == *fence => Ok(Gate::Go),
        Held::Before | Held::Neither => Err(conflict(fence, &seen.fence, tried, at)),
    }
}

/// The conflict of a plan that rests on `expected` with what is there now.
pub fn conflict(expected: &Fence, seen: &Fence, tried: &'static str, at: &str) -> CutoverError {
    let problem = Problem::Conflict {
        expected: expected.clone(),
        seen: seen.clone(),
    };
    let next = "Look at what changed, and plan again.";
    CutoverError::new(tried, at, problem, next).leaving(Effect::None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::SiteValues;
    use crate::state::Route;

    fn sites() -> SiteValues {
        let pair = |site: &str| (SiteName::from(site), format!("{site}-be"));
        SiteValues::new([pair("core1"), pair("core2")]).unwrap()
    }

    fn state(fence: &str, values: &[(&str, &str)]) -> RouteState {
        let route = |(name, value): &(&str, &str)| {
            let place = Place {
                at: format!("place of {name}"),
                value: (*value).to_owned(),
            };
            Route::of_places(&RouteName::from(*name), vec![place], &sites())
        };
        RouteState {
            fence: Fence::from(fence),
            routes: values.iter().map(route).collect(),
            documents: Vec::new(),
        }
    }

    fn plan_to(state: &RouteState, site: &str) -> Result<Vec<Change>, Refusal> {
        let site = SiteName::from(site);
        plan_changes(state, &site, |_| sites().value(&site).map(str::to_owned))
    }

    const BOTH: [(&str, &str); 2] = [("https", "core2-be"), ("http", "core2-be")];

    #[test]
    fn every_route_is_changed_and_the_inverse_comes_back_in_reverse() {
        let changes = plan_to(&state("1", &BOTH), "core1").unwrap();
        let routes: Vec<_> = changes.iter().map(|change| change.route.as_str()).collect();
        assert_eq!(routes, ["https", "http"]);
        let back = inverse(&changes);
        assert_eq!(back[0].route.as_str(), "http");
        assert_eq!(back[0].to, "core2-be");
        assert_eq!(inverse(&back), changes);
    }

    #[test]
    fn where_the_users_are_already_there_is_nothing_to_do() {
        assert_eq!(plan_to(&state("1", &BOTH), "core2"), Ok(Vec::new()));
    }

    #[test]
    fn an_unknown_route_and_an_unknown_site_are_refused() {
        let unknown = plan_to(&state("1", &[("https", "maintenance")]), "core1");
        assert!(
            matches!(unknown, Err(Refusal::Unknown { .. })),
            "{unknown:?}"
        );
        let nowhere = plan_to(&state("1", &BOTH), "core9");
        assert!(
            matches!(nowhere, Err(Refusal::NoSuchSite { .. })),
            "{nowhere:?}"
        );
    }

    #[test]
    fn routes_that_disagree_are_told_and_planned() {
        let mixed = state("1", &[("https", "core1-be"), ("http", "core2-be")]);
        assert_eq!(plan_to(&mixed, "core1").unwrap().len(), 1);
        assert_eq!(warn_of_disagreement(&mixed).len(), 1);
        assert!(warn_of_disagreement(&state("1", &BOTH)).is_empty());
    }

    #[test]
    fn only_an_unmoved_fence_lets_changes_through() {
        let changes = plan_to(&state("1", &BOTH), "core1").unwrap();
        let fence = Fence::from("1");
        let gate = |seen: &RouteState| gate(&changes, &fence, seen, "apply", "here");
        assert_eq!(gate(&state("1", &BOTH)).unwrap(), Gate::Go);
        let moved = gate(&state("2", &BOTH)).unwrap_err();
        assert!(moved.is_conflict() && moved.effect == Effect::None);
        let after = state("2", &[("https", "core1-be"), ("http", "core1-be")]);
        assert_eq!(gate(&after).unwrap(), Gate::Done);
        let half = state("1", &[("https", "core1-be"), ("http", "core2-be")]);
        assert!(gate(&half).unwrap_err().is_conflict());
    }
}
