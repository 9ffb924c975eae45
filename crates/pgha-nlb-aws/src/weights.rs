//! What weights say of where a route leads, and those that lead it elsewhere.

use std::collections::BTreeMap;

use pgha_nlb::{Active, Change, Place, Route, RouteName, RouteState, SiteName, SiteValues};
use sha2::{Digest as _, Sha256};

use crate::Weighted;

/// The weight of each site, with one text: `{"core1":0,"core2":255}`.
pub(crate) type Weights = BTreeMap<SiteName, u32>;

/// A place where weights stand: the record sets of one name and type, or a listener's target groups.
#[derive(Clone, Debug)]
pub struct Spot {
    pub(crate) route: RouteName,
    pub(crate) at: String,
    pub(crate) members: Vec<Member>,
    /// What else is there, as AWS tells it.
    pub(crate) rest: String,
    /// Why its weights do not tell, as a full sentence.
    pub(crate) unfit: Option<String>,
}

/// One of those that share the weight.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// The `SetIdentifier`, or the target group's ARN.
    pub(crate) id: String,
    pub(crate) weight: u32,
    /// What a request sends of it before and after its weight.
    pub(crate) form: [String; 2],
    /// How long it is remembered, in seconds.
    pub(crate) ttl: Option<u32>,
}

impl Member {
    pub(crate) fn sent(&self, weight: u32) -> String {
        let [before, after] = &self.form;
        format!("{before}{weight}{after}")
    }

    /// Its weight among these; the one that it has, where it is no site's.
    pub(crate) fn wanted(&self, sites: &SiteValues, weights: &Weights) -> u32 {
        let site = sites.site(&self.id);
        let weight = site.and_then(|site| weights.get(site));
        weight.copied().unwrap_or(self.weight)
    }
}

impl Weighted {
    /// What is of this route.
    pub(crate) fn spots<'a>(
        &'a self,
        all: &'a [Spot],
    ) -> impl Iterator<Item = (&'a Self, &'a Spot)> {
        let own = all.iter().filter(|spot| spot.route == self.name);
        own.map(move |spot| (self, spot))
    }
}

impl Spot {
    /// What it says, and which site that is.
    fn told(&self, sites: &SiteValues) -> (Place, Active) {
        let at = &self.at;
        let mut weights = Weights::new();
        let mut unknown = self.unfit.clone();
        for (site, id) in sites.iter() {
            let mut own = self.members.iter().filter(|member| member.id == id);
            if let (Some(member), None) = (own.next(), own.next()) {
                weights.insert(site.clone(), member.weight);
            } else {
                let because = format!("`{at}` has not one weight for `{id}` of site {site}.");
                unknown = Some(because);
            }
        }
        let mut foreign = self
            .members
            .iter()
            .filter(|it| sites.site(&it.id).is_none());
        if let Some(Member { id, weight, .. }) = foreign.find(|member| member.weight > 0) {
            let because = format!("`{at}` gives `{id}`, which is no site's, weight {weight}.");
            unknown = unknown.or(Some(because));
        }
        let value = serde_json::to_string(&weights).unwrap_or_default();
        let mut leading = weights.iter().filter(|(_, weight)| **weight > 0);
        let seen = format!("`{at}` says {value}.");
        let active = match (unknown, leading.next(), leading.next()) {
            (Some(because), ..) => Active::Unknown { because },
            (None, Some((site, _)), None) => Active::Site(site.clone()),
            // Where all are 0, Route 53 answers with each alike.
            _ => Active::Split { seen },
        };
        let at = at.clone();
        (Place { at, value }, active)
    }
}

/// Where a route leads: to a site where each of its spots says so.
fn led(route: &Weighted, spots: &[Spot]) -> Route {
    let told = route.spots(spots).map(|(_, spot)| spot.told(&route.sites));
    let (places, said): (Vec<Place>, Vec<_>) = told.unzip();
    let name = &route.name;
    let Some(first) = said.first() else {
        return Route::unknown(name, "There is nothing with a weight.");
    };
    let worst = said.iter().max_by_key(|active| match active {
        Active::Site(_) => 0,
        Active::Split { .. } => 1,
        Active::Unknown { .. } => 2,
    });
    let active = worst.unwrap_or(first).clone();
    if matches!(active, Active::Site(_)) && said.iter().any(|other| other != first) {
        let told = places
            .iter()
            .map(|place| format!("`{}` says {}. ", place.at, place.value));
        return Route::split(name, told.collect::<String>().trim_end().to_owned(), places);
    }
    let name = name.clone();
    Route {
        name,
        active,
        places,
    }
}

/// What changes make of a place.
pub(crate) fn wanted<'a>(changes: &'a [Change], at: &str) -> Option<&'a str> {
    let change = changes.iter().find(|change| change.at == at);
    change.map(|change| change.to.as_str())
}

/// What stands in a place's text.
pub(crate) fn weights(text: &str) -> Weights {
    serde_json::from_str(text).unwrap_or_default()
}

/// Planned changes to a site, which say what it is called, as changes of weights: the site gets what another one had.
pub(crate) fn moved(changes: Vec<Change>, to: &SiteName) -> Vec<Change> {
    let each = changes.into_iter().filter_map(|mut change| {
        let mut weights = weights(&change.from);
        let most = weights.values().copied().max()?;
        for (site, weight) in &mut weights {
            *weight = if site == to { most } else { 0 };
        }
        change.to = serde_json::to_string(&weights).ok()?;
        (change.from != change.to).then_some(change)
    });
    each.collect()
}

/// The state that spots tell of routes; its fence is a digest of all that is there.
pub(crate) fn state(spots: &[Spot], routes: &[Weighted]) -> RouteState {
    let mut digest = Sha256::new();
    for Spot {
        at, members, rest, ..
    } in spots
    {
        digest.update(format!("{at}\n{rest}\n"));
        for member in members {
            digest.update(member.sent(member.weight));
        }
    }
    RouteState {
        fence: hex::encode(&digest.finalize()[..8]).into(),
        routes: routes.iter().map(|route| led(route, spots)).collect(),
        documents: Vec::new(),
    }
}
