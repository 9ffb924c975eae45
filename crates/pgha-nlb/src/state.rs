//! What a product says now: where each route leads, and a token that tells whether anything has changed since.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::name::{RouteName, SiteName, SiteValues};
use crate::plan::Change;

/// A token for everything that a plan rests on: a commit, a serial, a version, a digest. Equal tokens mean an equal product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fence(String);

impl Fence {
    /// The token as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Fence {
    fn from(token: &str) -> Self {
        Self(token.to_owned())
    }
}

impl From<String> for Fence {
    fn from(token: String) -> Self {
        Self(token)
    }
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which site a route leads to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Active {
    /// To this one.
    Site(SiteName),
    /// To more than one, or it depends on what is asked.
    Split {
        /// What was seen, as a full sentence.
        seen: String,
    },
    /// To none that the service's file names, or it could not be told.
    Unknown {
        /// Why, as a full sentence.
        because: String,
    },
}

/// One place where a product says where a route leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// An address that stays the same while other things change: file, section and condition; map and key.
    pub at: String,
    /// What it says there, in the product's words.
    pub value: String,
}

/// One route as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    /// Which one.
    pub name: RouteName,
    /// Where it leads.
    pub active: Active,
    /// Where the product says so.
    pub places: Vec<Place>,
}

impl Route {
    /// A route whose places decide where it leads: at one site when all of them say so.
    pub fn of_places(name: &RouteName, places: Vec<Place>, sites: &SiteValues) -> Self {
        Self {
            name: name.clone(),
            active: judge(&places, sites),
            places,
        }
    }

    /// A route that leads to more than one site; `seen` is a full sentence.
    pub fn split(name: &RouteName, seen: String, places: Vec<Place>) -> Self {
        Self {
            name: name.clone(),
            active: Active::Split { seen },
            places,
        }
    }

    /// A route of which it cannot be told where it leads.
    pub fn unknown(name: &RouteName, because: impl Into<String>) -> Self {
        Self {
            name: name.clone(),
            active: Active::Unknown {
                because: because.into(),
            },
            places: Vec::new(),
        }
    }
}

fn judge(places: &[Place], sites: &SiteValues) -> Active {
    let Some(first) = places.first() else {
        return Active::Unknown {
            because: "Nothing says where it leads.".to_owned(),
        };
    };
    if let Some(other) = places.iter().find(|place| place.value != first.value) {
        return Active::Split {
            seen: format!(
                "`{}` says `{}`, and `{}` says `{}`.",
                first.at, first.value, other.at, other.value
            ),
        };
    }
    match sites.site(&first.value) {
        Some(site) => Active::Site(site.clone()),
        None => Active::Unknown {
            because: format!("`{}` says `{}`, which is no site's.", first.at, first.value),
        },
    }
}

/// Every route of a backend, as one read saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteState {
    /// The token of what was read.
    pub fence: Fence,
    /// The routes, in the order of the service's file.
    pub routes: Vec<Route>,
    /// What a plan's diff is made from: each file or table that the routes are in.
    pub documents: Vec<Document>,
}

/// A file or a table of a product.
#[derive(Clone, PartialEq, Eq)]
pub struct Document {
    /// Its name: a path, `map /etc/haproxy/sni.map`.
    pub name: String,
    /// Its bytes, as they are.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for Document {
    // A whole configuration is no help in a message, and may hold what is nobody's business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Document({}, {} bytes)", self.name, self.bytes.len())
    }
}

/// How a state compares with changes that were planned on an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// Each place says what it said before them.
    Before,
    /// Each place says what it says after them.
    After,
    /// Some say neither, or some the one and some the other.
    Neither,
}

impl RouteState {
    /// Where all routes lead; [`Active::Split`] when they disagree.
    pub fn active(&self) -> Active {
        let Some(first) = self.routes.first() else {
            return Active::Unknown {
                because: "There is no route.".to_owned(),
            };
        };
        match self
            .routes
            .iter()
            .find(|route| route.active != first.active)
        {
            None => first.active.clone(),
            Some(other) => Active::Split {
                seen: format!(
                    "Route {} leads elsewhere than route {}.",
                    other.name, first.name
                ),
            },
        }
    }

    /// Which side of these changes the routes are on. An empty list is [`Held::After`].
    pub fn held(&self, changes: &[Change]) -> Held {
        let says = |change: &Change, value: &str| {
            let route = self.routes.iter().find(|route| route.name == change.route);
            route.is_some_and(|route| {
                let mut places = route.places.iter().filter(|place| place.at == change.at);
                matches!(route.active, Active::Site(_))
                    && places.next().is_some_and(|place| place.value == value)
                    && places.next().is_none()
            })
        };
        if changes.iter().all(|change| says(change, &change.to)) {
            Held::After
        } else if changes.iter().all(|change| says(change, &change.from)) {
            Held::Before
        } else {
            Held::Neither
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sites() -> SiteValues {
        let pair = |site: &str| (SiteName::from(site), format!("{site}-https"));
        SiteValues::new([pair("core1"), pair("core2")]).unwrap()
    }

    fn place(at: &str, value: &str) -> Place {
        Place {
            at: at.to_owned(),
            value: value.to_owned(),
        }
    }

    fn route(values: &[&str]) -> Route {
        let at = ["a", "b", "c"];
        let places = at.iter().zip(values).map(|(at, value)| place(at, value));
        Route::of_places(&"https".into(), places.collect(), &sites())
    }

    fn state(values: &[&str]) -> RouteState {
        RouteState {
            fence: Fence::from("1"),
            routes: vec![route(values)],
            documents: Vec::new(),
        }
    }

    fn change(from: &str, to: &str) -> Change {
        Change {
            route: "https".into(),
            at: "a".to_owned(),
            from: from.to_owned(),
            to: to.to_owned(),
        }
    }

    #[test]
    fn places_that_agree_lead_to_one_site() {
        let both = route(&["core2-https", "core2-https"]);
        assert_eq!(both.active, Active::Site("core2".into()));
    }

    #[test]
    fn places_that_disagree_are_split() {
        let split = route(&["core2-https", "core1-https"]).active;
        assert!(matches!(split, Active::Split { .. }), "{split:?}");
    }

    #[test]
    fn a_foreign_value_and_no_place_are_unknown() {
        for values in [&["maintenance"][..], &[]] {
            let active = route(values).active;
            assert!(matches!(active, Active::Unknown { .. }), "{active:?}");
        }
    }

    #[test]
    fn a_state_is_before_after_or_neither() {
        let changes = [change("core2-https", "core1-https")];
        assert_eq!(state(&["core2-https"]).held(&changes), Held::Before);
        assert_eq!(state(&["core1-https"]).held(&changes), Held::After);
        assert_eq!(state(&["maintenance"]).held(&changes), Held::Neither);
        assert_eq!(state(&[]).held(&changes), Held::Neither);
        assert_eq!(state(&["core2-https"]).held(&[]), Held::After);
    }

    #[test]
    fn what_is_split_holds_neither() {
        let changes = [change("core2-https", "core1-https")];
        let split = state(&["core1-https", "core2-https"]);
        assert_eq!(split.held(&changes), Held::Neither);
    }
}
