//! A zone as the API tells it, what it says of each route, and the request that changes it.

use pgha_dns::{DnsName, Kind, Lifetimes, Record, Records, RouteSettings, wanted};
use pgha_nlb::{Change, Route};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Types whose answers are made up when somebody asks: beside them no record tells where a name leads.
const COMPUTED: [&str; 2] = ["ALIAS", "LUA"];

/// A zone. Only a read of all of it shows the records that are disabled, and a change replaces those of its sets too.
#[derive(Debug, Deserialize)]
pub struct Zone {
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) dnssec: bool,
    /// As it is stored. `edited_serial` may follow the clock (`SOA-EDIT=EPOCH`).
    serial: u64,
    rrsets: Vec<RrSet>,
}

#[derive(Debug, Deserialize)]
struct RrSet {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    ttl: u32,
    records: Vec<Content>,
}

#[derive(Debug, Deserialize)]
struct Content {
    content: String,
    #[serde(default)]
    disabled: bool,
}

impl RrSet {
    fn enabled(&self) -> impl Iterator<Item = &Content> {
        self.records.iter().filter(|record| !record.disabled)
    }
}

impl Zone {
    fn sets<'a>(&'a self, name: &'a DnsName) -> impl Iterator<Item = &'a RrSet> {
        let sets = self.rrsets.iter();
        sets.filter(move |set| set.name.eq_ignore_ascii_case(name.as_str()))
    }

    fn set<'a>(&'a self, name: &'a DnsName, kind: Kind) -> Option<&'a RrSet> {
        self.sets(name).find(|set| set.kind == kind.as_str())
    }

    /// The serial, and a digest of all sets of these names.
    pub(crate) fn fence(&self, routes: &[RouteSettings]) -> String {
        let mut lines: Vec<String> = Vec::new();
        for set in routes.iter().flat_map(|route| self.sets(&route.record)) {
            lines.extend(set.records.iter().map(|record| {
                let (content, disabled) = (&record.content, record.disabled);
                format!(
                    "{} {} {} {disabled} {content}\n",
                    set.name, set.kind, set.ttl
                )
            }));
        }
        lines.sort_unstable();
        let digest = Sha256::digest(lines.concat());
        format!("serial {}, {}", self.serial, hex::encode(&digest[..8]))
    }

    /// Where a route leads.
    pub(crate) fn route(&self, route: &RouteSettings) -> Route {
        let RouteSettings { name, record, .. } = route;
        let records = match self.records(record) {
            Ok(records) => records,
            Err(because) => return Route::unknown(name, because),
        };
        route.leading(&records, &self.lifetimes(record))
    }

    /// The records that lead users of a name; or why that cannot be told.
    fn records(&self, name: &DnsName) -> Result<Records, String> {
        let mut records = Vec::new();
        for set in self.sets(name).filter(|set| set.enabled().count() > 0) {
            if COMPUTED.contains(&set.kind.as_str()) {
                return Err(format!(
                    "`{name}` has a set of type {}, whose answers are made up.",
                    set.kind
                ));
            }
            let Some(kind) = Kind::of(&set.kind) else {
                continue;
            };
            for record in set.enabled() {
                let record = Record::new(kind, &record.content);
                let record = record.ok_or_else(|| {
                    format!("`{name}` has a set of type {kind} that cannot be read.")
                })?;
                records.push(record);
            }
        }
        Ok(records.into_iter().collect())
    }

    fn lifetimes(&self, name: &DnsName) -> Lifetimes {
        let sets = Kind::ALL.into_iter();
        let sets = sets.filter_map(|kind| Some((kind, self.set(name, kind)?)));
        let sets = sets.filter(|(_, set)| set.enabled().count() > 0);
        sets.map(|(kind, set)| (kind, set.ttl)).collect()
    }

    /// The request that makes changes: every set of every name in it, at once.
    ///
    /// # Errors
    /// A change is none of this backend's.
    pub(crate) fn patch(
        &self,
        changes: &[Change],
        routes: &[RouteSettings],
    ) -> Result<Value, String> {
        let mut sets = Vec::new();
        let all = wanted(changes, routes).map_err(|error| error.to_string())?;
        for (name, wanted) in all {
            let from = self.records(&name)?;
            let to = wanted.records.unwrap_or_else(|| from.clone());
            let lifetimes = wanted.lifetimes.unwrap_or_else(|| self.lifetimes(&name));
            for kind in Kind::ALL {
                // PowerDNS refuses even an empty CNAME beside another set.
                if from.has(kind) || to.has(kind) {
                    sets.push(self.replaced(&name, kind, &to, &lifetimes)?);
                }
            }
        }
        Ok(json!({ "rrsets": sets }))
    }

    /// One set as it is to be. What is disabled in it stays, but for a record that is one of the new ones.
    fn replaced(
        &self,
        name: &DnsName,
        kind: Kind,
        to: &Records,
        lifetimes: &Lifetimes,
    ) -> Result<Value, String> {
        let new = to.iter().filter(|record| record.kind() == kind);
        let new: Vec<_> = new.map(Record::content).collect();
        let mut records: Vec<Value> = new
            .iter()
            .map(|content| json!({"content": content, "disabled": false}))
            .collect();
        let set = self.set(name, kind);
        let is_new = |content: &str| new.iter().any(|new| new == content);
        let disabled = set.into_iter().flat_map(|set| &set.records);
        let disabled = disabled.filter(|record| record.disabled && !is_new(&record.content));
        records.extend(disabled.map(|record| json!({"content": record.content, "disabled": true})));
        let ttl = lifetimes.of(kind).or(set.map(|set| set.ttl));
        let ttl = ttl.ok_or_else(|| format!("there is no TTL for the {kind} of {name}"))?;
        Ok(
            json!({"name": name.as_str(), "type": kind.as_str(), "ttl": ttl, "changetype": "REPLACE", "records": records}),
        )
    }
}

#[cfg(test)]
mod tests {
    use pgha_nlb::{Active, SiteValues};

    use super::*;

    fn zone(sets: &Value) -> Zone {
        serde_json::from_value(
            json!({"kind": "Native", "serial": 7, "rrsets": sets, "unheard_of": {}}),
        )
        .unwrap()
    }

    fn set(kind: &str, ttl: u32, contents: &[&str]) -> Value {
        let records: Vec<_> = contents
            .iter()
            .map(|content| match content.strip_prefix('#') {
                Some(disabled) => json!({"content": disabled, "disabled": true}),
                None => json!({"content": content}),
            })
            .collect();
        json!({"name": "Login.example.", "type": kind, "ttl": ttl, "records": records})
    }

    const ONE: &str = "A 192.0.2.1; AAAA 2001:db8::1";
    const TWO: &str = "A 192.0.2.2";

    fn route() -> RouteSettings {
        let sites = [("core1", ONE), ("core2", TWO)];
        let sites = sites.map(|(site, text)| (site.into(), text.to_owned()));
        RouteSettings {
            name: "https".into(),
            record: DnsName::new("login.example").unwrap(),
            sites: SiteValues::new(sites).unwrap(),
        }
    }

    fn active(sets: &Value) -> Active {
        zone(sets).route(&route()).active
    }

    #[test]
    fn a_name_leads_where_all_its_enabled_records_say() {
        let own = json!([
            set("AAAA", 60, &["2001:DB8::1"]),
            set("A", 30, &["192.0.2.1", "#192.0.2.2"]),
            set("TXT", 1, &["x"])
        ]);
        let seen = zone(&own).route(&route());
        assert_eq!(seen.active, Active::Site("core1".into()));
        let values: Vec<_> = seen
            .places
            .iter()
            .map(|place| place.value.as_str())
            .collect();
        assert_eq!(values, [ONE, "A 30; AAAA 60"]);
    }

    #[test]
    fn records_of_two_sites_are_split_and_others_are_unknown() {
        for sets in [
            json!([set("A", 30, &["192.0.2.1", "192.0.2.2"])]),
            json!([
                set("A", 30, &["192.0.2.2"]),
                set("AAAA", 30, &["2001:db8::1"])
            ]),
        ] {
            assert!(matches!(active(&sets), Active::Split { .. }), "{sets}");
        }
        for sets in [
            json!([]),
            json!([set("A", 30, &["#192.0.2.2"])]),
            json!([set("A", 30, &["192.0.2.1"])]),
            json!([set("A", 30, &["192.0.2.2", "192.0.2.3"])]),
            json!([
                set("A", 30, &["192.0.2.2"]),
                set("LUA", 30, &["A \"ifportup(443, {'192.0.2.1'})\""])
            ]),
            json!([set("A", 30, &["192.0.2"])]),
        ] {
            assert!(matches!(active(&sets), Active::Unknown { .. }), "{sets}");
        }
    }

    #[test]
    fn lifetimes_alone_change_beside_the_same_records() {
        let zone = zone(&json!([
            set("A", 300, &["192.0.2.1"]),
            set("AAAA", 20, &["2001:db8::1"])
        ]));
        let from = "A 300; AAAA 20";
        let change = Change {
            route: "https".into(),
            at: "TTL of login.example.".to_owned(),
            from: from.to_owned(),
            to: "A 30; AAAA 20".to_owned(),
        };
        let sets = zone.patch(&[change], &[route()]).unwrap();
        let told = |index: usize| {
            let set = &sets["rrsets"][index];
            (set["ttl"].clone(), set["records"][0]["content"].clone())
        };
        assert_eq!(told(0), (json!(30), json!("192.0.2.1")));
        assert_eq!(told(1), (json!(20), json!("2001:db8::1")));
    }

    #[test]
    fn a_fence_is_of_these_sets_and_not_of_their_order() {
        let fence = |sets: &Value| zone(sets).fence(&[route()]);
        let (a, aaaa) = (
            set("A", 30, &["192.0.2.1", "192.0.2.2"]),
            set("AAAA", 30, &["::1"]),
        );
        let first = fence(&json!([a, aaaa]));
        assert!(first.starts_with("serial 7, "), "{first}");
        assert_eq!(
            fence(&json!([aaaa, set("A", 30, &["192.0.2.2", "192.0.2.1"])])),
            first
        );
        for other in [
            set("A", 31, &["192.0.2.1", "192.0.2.2"]),
            set("A", 30, &["192.0.2.1", "#192.0.2.2"]),
        ] {
            assert_ne!(fence(&json!([other, aaaa])), first, "{other}");
        }
    }

    #[test]
    fn a_change_replaces_its_own_sets_and_keeps_what_is_disabled() {
        let zone = zone(&json!([
            set("A", 300, &["192.0.2.2", "#192.0.2.1", "#192.0.2.9"]),
            set("TXT", 9, &["x"])
        ]));
        let change = |at: &str, from: &str, to: &str| Change {
            route: "https".into(),
            at: at.to_owned(),
            from: from.to_owned(),
            to: to.to_owned(),
        };
        let there = [
            change("login.example.", TWO, ONE),
            change("TTL of login.example.", "A 300", "A 30; AAAA 30"),
        ];
        let set = |kind: &str, ttl: u32, records: Value| json!({"name": "login.example.", "type": kind, "ttl": ttl, "changetype": "REPLACE", "records": records});
        let a = json!([{"content": "192.0.2.1", "disabled": false}, {"content": "192.0.2.9", "disabled": true}]);
        let aaaa = json!([{"content": "2001:db8::1", "disabled": false}]);
        let wanted = json!({"rrsets": [set("A", 30, a), set("AAAA", 30, aaaa)]});
        assert_eq!(zone.patch(&there, &[route()]).unwrap(), wanted);
        let foreign = [change("login.example.", TWO, "core1-https")];
        assert!(
            zone.patch(&foreign, &[route()])
                .unwrap_err()
                .contains("core1-https")
        );
    }
}
