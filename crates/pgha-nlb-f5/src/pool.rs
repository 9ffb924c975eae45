//! What a pool says of a route, and what it is to say.

use pgha_nlb::state::Place;
use pgha_nlb::text::one_line;
use pgha_nlb::{Change, Route};
use serde_json::{Value, json};

use crate::{Records, RouteSettings};

/// Each member of a pool by its full path, and whether it is enabled. The API tells one of two flags.
fn members(pool: &Value) -> Vec<(String, bool)> {
    let members = pool["membersReference"]["items"].as_array();
    let name = |it: &Value| one_line(it["fullPath"].as_str().unwrap_or_default());
    let members = members.into_iter().flatten();
    let members = members.map(|it| (name(it), it["disabled"] != true));
    members.collect()
}

/// All that a change rests on. The generation that the API tells would be more, and may move by itself when the group of the
/// BIG-IP is synchronized.
pub(crate) fn fence(pool: &Value) -> String {
    let says = |is_on| if is_on { "enabled" } else { "disabled" };
    let mut all: Vec<_> = members(pool)
        .into_iter()
        .map(|(name, is_on)| format!("{name} {}", says(is_on)))
        .collect();
    all.sort_unstable();
    all.join(", ")
}

impl RouteSettings {
    /// The pool's path in the API.
    pub(crate) fn path(&self) -> String {
        let records = match self.records {
            Records::A => "a",
            Records::Aaaa => "aaaa",
            Records::Cname => "cname",
        };
        let name = self.pool.replace('/', "~");
        format!("/mgmt/tm/gtm/pool/{records}/{name}")
    }

    /// Where the route leads: to the one member that is enabled.
    pub(crate) fn route(&self, pool: &Value) -> Route {
        let Self {
            name,
            pool: own,
            sites,
            ..
        } = self;
        let unknown = |because: &str| Route::unknown(name, format!("Pool {own} {because}."));
        let all = members(pool);
        let mut wanted = sites.iter();
        if let Some((site, it)) = wanted.find(|(_, it)| all.iter().all(|(name, _)| name != it)) {
            return unknown(&format!("has no member `{it}`, which is {site}'s"));
        }
        if pool["disabled"] == true {
            return unknown("is disabled");
        }
        let on: Vec<_> = all
            .into_iter()
            .filter(|(_, is_on)| *is_on)
            .map(|(name, _)| name)
            .collect();
        let place = Place {
            at: format!("enabled in pool {own}"),
            value: on.join(", "),
        };
        if on.iter().filter(|name| sites.site(name).is_some()).count() > 1 {
            let seen = format!("Pool {own} has more than one enabled: {}.", place.value);
            return Route::split(name, seen, vec![place]);
        }
        Route::of_places(name, vec![place], sites)
    }

    /// What each object becomes by those of these changes that are of this route, by its path.
    pub(crate) fn commands(&self, changes: &[Change]) -> Vec<(String, Value)> {
        let own = changes.iter().filter(|change| change.route == self.name);
        let both = own.flat_map(|change| [(&change.to, true), (&change.from, false)]);
        let command = |(member, is_on): (&String, bool)| {
            let path = format!("{}/members/{}", self.path(), member.replace('/', "~"));
            (path, json!({"enabled": is_on, "disabled": !is_on}))
        };
        both.map(command).collect()
    }
}
