//! A load balancer as the API tells it: while its steering is off, the first of its pools gets the users.
//!
//! The pools are tried in their order, and when all are unhealthy the fallback pool gets the users ("Steering policies >
//! Standard"). So a move puts the site's pool first, and makes it the fallback where another site's was.

use std::iter::once;

use pgha_nlb::text::one_line;
use pgha_nlb::{Active, SiteValues};
use serde::Deserialize;
use serde_json::{Map, Value};

/// What an answer is in.
#[derive(Debug, Deserialize)]
pub(crate) struct Envelope {
    pub(crate) result: Balancer,
}

/// What the API tells of a load balancer, as far as it matters here.
#[derive(Debug, Deserialize)]
pub struct Balancer {
    pub(crate) name: String,
    pub(crate) modified_on: String,
    enabled: Option<bool>,
    pub(crate) default_pools: Vec<String>,
    pub(crate) fallback_pool: Option<String>,
    #[serde(default)]
    steering_policy: String,
    #[serde(default)]
    region_pools: Value,
    #[serde(default)]
    country_pools: Value,
    #[serde(default)]
    pop_pools: Value,
    #[serde(default)]
    rules: Value,
    pub(crate) session_affinity: Option<String>,
    pub(crate) session_affinity_ttl: Option<f64>,
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_none_or(Map::is_empty)
}

impl Balancer {
    /// Where users go; or why the order of the pools does not tell.
    pub(crate) fn active(&self, sites: &SiteValues) -> Active {
        let by_place = [&self.region_pools, &self.country_pools, &self.pop_pools];
        let policy = match self.steering_policy.as_str() {
            // What the API makes of an empty one.
            "" if by_place.into_iter().any(|pools| !is_empty(pools)) => "geo",
            "" => "off",
            policy => policy,
        };
        let mut rules = self.rules.as_array().into_iter().flatten();
        if policy != "off" {
            let seen = format!("Its steering policy is `{}`.", one_line(policy));
            return Active::Split { seen };
        }
        if rules.any(|rule| rule["disabled"] != true && !is_empty(&rule["overrides"])) {
            let seen = "It has rules that override it for some users.".to_owned();
            return Active::Split { seen };
        }
        let first = self.default_pools.first().map_or("", String::as_str);
        match sites.site(first) {
            Some(site) if self.enabled != Some(false) => Active::Site(site.clone()),
            Some(_) => Active::Unknown {
                because: "It is disabled.".to_owned(),
            },
            None => Active::Unknown {
                because: format!(
                    "Its first pool is `{}`, which is no site's.",
                    one_line(first)
                ),
            },
        }
    }

    pub(crate) fn pools(&self) -> Pools {
        Pools(self.default_pools.clone(), self.fallback_pool.clone())
    }
}

/// Pools in their order, and the one when none is healthy; with one text: `a, b; fallback b`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Pools(pub(crate) Vec<String>, pub(crate) Option<String>);

const FALLBACK: &str = "; fallback ";

impl Pools {
    pub(crate) fn of(text: &str) -> Self {
        let (order, fallback) = match text.split_once(FALLBACK) {
            Some((order, fallback)) => (order, Some(fallback.to_owned())),
            None => (text, None),
        };
        Self(order.split(", ").map(str::to_owned).collect(), fallback)
    }

    pub(crate) fn text(&self) -> String {
        let fallback = self.1.iter().map(|pool| format!("{FALLBACK}{pool}"));
        once(self.0.join(", ")).chain(fallback).collect()
    }

    /// The same with a site's pool before all, also when none is healthy, unless that is nobody's: a page for maintenance.
    pub(crate) fn led_to(self, pool: &str, sites: &SiteValues) -> Self {
        let others = self.0.into_iter().filter(|other| other != pool);
        let is_site = |own: &String| sites.site(own).is_some();
        let fallback = self
            .1
            .map(|own| if is_site(&own) { pool.to_owned() } else { own });
        Self(once(pool.to_owned()).chain(others).collect(), fallback)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sites() -> SiteValues {
        let sites = [("core1", "one"), ("core2", "two")];
        SiteValues::new(sites.map(|(site, pool)| (site.into(), pool.to_owned()))).unwrap()
    }

    fn active(fields: &Value) -> Active {
        let mut all = json!({
            "name": "login.example.org", "modified_on": "2026-11-29T16:00:00.1Z", "default_pools": ["two", "one"],
            "fallback_pool": "two", "rules": null, "unheard_of": {},
        });
        for (name, value) in fields.as_object().unwrap() {
            all[name] = value.clone();
        }
        let balancer: Balancer = serde_json::from_value(all).unwrap();
        balancer.active(&sites())
    }

    #[test]
    fn the_first_pool_tells_where_users_go() {
        let two = Active::Site("core2".into());
        assert_eq!(active(&json!({})), two);
        for fields in [
            json!({"steering_policy": "off", "country_pools": {"GB": ["one"]}, "enabled": true}),
            json!({"steering_policy": "", "region_pools": {}}),
            json!({"rules": [{"disabled": true, "overrides": {"default_pools": ["one"]}}]}),
            json!({"rules": [{"disabled": false, "overrides": {}, "fixed_response": {}}]}),
        ] {
            assert_eq!(active(&fields), two, "{fields}");
        }
    }

    #[test]
    fn what_depends_on_the_user_is_split_and_what_is_nobodys_is_unknown() {
        for fields in [
            json!({"steering_policy": "random"}),
            json!({"steering_policy": "", "pop_pools": {"LAX": ["one"]}}),
            json!({"rules": [{"overrides": {"default_pools": ["one"]}}]}),
        ] {
            let active = active(&fields);
            assert!(matches!(active, Active::Split { .. }), "{fields}");
        }
        for fields in [
            json!({"default_pools": ["maintenance", "one"]}),
            json!({"default_pools": []}),
            json!({"enabled": false}),
        ] {
            let active = active(&fields);
            assert!(matches!(active, Active::Unknown { .. }), "{fields}");
        }
    }

    #[test]
    fn a_site_comes_first_and_a_page_for_maintenance_stays_last() {
        for (text, led) in [
            ("two, one; fallback two", "one, two; fallback one"),
            ("two; fallback page", "one, two; fallback page"),
            ("page, two, one", "one, page, two"),
        ] {
            assert_eq!(Pools::of(text).text(), text);
            assert_eq!(Pools::of(text).led_to("one", &sites()).text(), led);
        }
    }
}
