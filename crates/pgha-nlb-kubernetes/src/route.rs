//! A route of the service's file, with the objects that it is in.

use std::collections::{BTreeMap, BTreeSet};

use pgha_nlb::SiteName;

use crate::cluster::Object;
use crate::field::Values;
use crate::{Field, RouteSettings, Whereabouts};

/// A route with what its field says for each site, and the numbers of its objects.
pub(crate) struct Leading {
    pub(crate) settings: RouteSettings,
    pub(crate) values: Values,
    pub(crate) objects: Vec<usize>,
}

impl Leading {
    /// Whether both change the same field of an object, which one change could not do for both.
    pub(crate) fn is_same_field(&self, other: &Self) -> bool {
        let mut objects = self.objects.iter();
        self.settings.field == other.settings.field && objects.any(|it| other.objects.contains(it))
    }
}

/// The heaviest backend (Gateway API, `BackendRef`).
const HEAVIEST: u32 = 1_000_000;

impl RouteSettings {
    /// Refuses what no object could be found by, or no field could say.
    fn check(&self) -> Result<(), String> {
        let name = &self.name;
        if self.r#in.is_empty() {
            return Err(format!("`in` of route {name} names no place"));
        }
        let namespaces = self.r#in.iter().filter_map(|at| at.namespace.as_deref());
        let mut names = namespaces.chain(self.field.names());
        if let Some(bad) = names.find(|text| !is_word(text) || text.contains('/')) {
            return Err(format!("`{bad}` of route {name} is no name"));
        }
        if let Field::Weights { weight, .. } = self.field
            && !(1..=HEAVIEST).contains(&weight)
        {
            return Err(format!("the weight of route {name} is 1 to {HEAVIEST}"));
        }
        Ok(())
    }
}

/// A name, a label or a part of one; what is joined by other characters can be told apart again.
pub(crate) fn is_word(text: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    !text.is_empty() && !text.contains("..") && text.chars().all(is_allowed)
}

/// The first text that is there twice.
pub(crate) fn repeated<'a, T: Ord>(all: impl IntoIterator<Item = &'a T>) -> Option<&'a T> {
    let mut seen = BTreeSet::new();
    all.into_iter().find(|one| !seen.insert(*one))
}

/// A route whose objects are among these, to which it adds what is new.
pub(crate) fn leading(
    route: &RouteSettings,
    sites: &BTreeMap<SiteName, Whereabouts>,
    objects: &mut Vec<Object>,
) -> Result<Leading, String> {
    route.check()?;
    let name = &route.name;
    let values = route.field.values(&route.sites);
    let values = values.map_err(|because| format!("route {name}: {because}"))?;
    let mut own = Vec::new();
    for at in &route.r#in {
        let object =
            object(route, at, sites).map_err(|because| format!("route {name}: {because}"))?;
        let known = objects.iter().position(|known| *known == object);
        own.push(known.unwrap_or_else(|| {
            objects.push(object);
            objects.len() - 1
        }));
    }
    if repeated(&own).is_some() {
        return Err(format!("`in` of route {name} names a place twice"));
    }
    Ok(Leading {
        settings: route.clone(),
        values,
        objects: own,
    })
}

fn object(
    route: &RouteSettings,
    at: &Whereabouts,
    sites: &BTreeMap<SiteName, Whereabouts>,
) -> Result<Object, String> {
    let site = match (&at.site, &at.context) {
        (Some(site), None) => {
            let known = sites.get(site);
            known.ok_or_else(|| format!("the service has no site {site}"))?
        }
        (None, Some(_)) => at,
        (_, _) => return Err("a place is a `site` or a `context`".to_owned()),
    };
    Ok(Object {
        context: site.context.clone().unwrap_or_default(),
        namespace: at.namespace.clone().or_else(|| site.namespace.clone()),
        resource: route.field.resource(),
        name: route.field.object().to_owned(),
    })
}
