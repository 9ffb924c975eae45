//! Where a name leads its users.

use std::collections::BTreeMap;

use pgha_nlb::plan::plan_to_site;
use pgha_nlb::state::Place;
use pgha_nlb::{Active, Change, Refusal, Route, RouteName, RouteState, SiteName, SiteValues};
use serde::{Deserialize, Deserializer};

use crate::lifetimes::{Lifetimes, is_place, place_of};
use crate::name::DnsName;
use crate::records::{BadRecords, Kind, Records};

/// One route of a backend of a DNS server.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteSettings {
    /// Its name.
    pub name: RouteName,
    /// The name that users look up.
    pub record: DnsName,
    /// The records of each site, written as one value: `A 192.0.2.1; AAAA 2001:db8::1`.
    #[serde(deserialize_with = "records_of_sites")]
    #[cfg_attr(
        feature = "schema",
        schemars(
            with = "BTreeMap<SiteName, Records>",
            description = "The records of each site."
        )
    )]
    pub sites: SiteValues,
}

/// Reads the records of each site, as the service's file has them; a site's value is their text.
fn records_of_sites<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SiteValues, D::Error> {
    use serde::de::Error as _;
    let written = BTreeMap::<SiteName, Records>::deserialize(deserializer)?;
    let values = written.into_iter();
    let values = values.map(|(site, records)| (site, records.to_string()));
    SiteValues::new(values).map_err(D::Error::custom)
}

impl RouteSettings {
    /// Where the records of its name lead users. What is distinctive of two sites is split; a part of one site's records, or a
    /// stranger among them, is unknown.
    pub fn leading(&self, records: &Records, lifetimes: &Lifetimes) -> Route {
        let Self {
            name,
            record,
            sites,
        } = self;
        if records.is_empty() {
            return Route::unknown(name, format!("`{record}` has no A, AAAA or CNAME."));
        }
        let value = records.to_string();
        let owners = owners(records, sites);
        let split = (owners.len() > 1 && sites.site(&value).is_none()).then(|| {
            let owners = owners.join(" and ");
            Active::Split {
                seen: format!("`{record}` says `{value}`, which is of {owners}."),
            }
        });
        let at = record.to_string();
        let mut found = Route::of_places(name, vec![Place { at, value }], sites);
        if let Some(split) = split {
            found.active = split;
        }
        found.places.push(lifetimes.place(record));
        found
    }
}

/// The changes that lead every route to a site, without their lifetimes.
///
/// # Errors
/// As [`plan_to_site`]; or a name would change between addresses and another name, of which a resolver may hold the one while
/// it is told the other.
pub fn plan_records(
    seen: &RouteState,
    to: &SiteName,
    routes: &[RouteSettings],
) -> Result<Vec<Change>, Refusal> {
    let mut bare = seen.clone();
    for route in &mut bare.routes {
        route.places.retain(|place| !is_place(&place.at));
    }
    let routes = routes.iter().map(|route| (&route.name, &route.sites));
    let changes = plan_to_site(&bare, to, routes)?;
    let is_alias = |text: &str| {
        let records = text.parse::<Records>();
        records.is_ok_and(|records| records.has(Kind::Cname))
    };
    let mut all = changes.iter();
    match all.find(|change| is_alias(&change.from) != is_alias(&change.to)) {
        None => Ok(changes),
        Some(Change {
            route, from, to, ..
        }) => Err(Refusal::Unfit {
            route: route.clone(),
            seen: format!("`{from}` and `{to}` are a name and addresses."),
            advice: "Give the route either a `cname` at each site or addresses at each.".to_owned(),
        }),
    }
}

/// What changes make of one name. What is not named stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its records.
    pub records: Option<Records>,
    /// Their lifetimes.
    pub lifetimes: Option<Lifetimes>,
}

/// What changes make of each name that they are about.
///
/// # Errors
/// A change is to what are no records.
pub fn wanted(
    changes: &[Change],
    routes: &[RouteSettings],
) -> Result<BTreeMap<DnsName, Wanted>, BadRecords> {
    let change_at = |at: &str| changes.iter().find(|change| change.at == at);
    let mut names = BTreeMap::new();
    for RouteSettings { record, .. } in routes {
        let (records, lifetimes) = (change_at(record.as_str()), change_at(&place_of(record)));
        if records.is_some() || lifetimes.is_some() {
            let wanted = Wanted {
                records: records.map(|change| change.to.parse()).transpose()?,
                lifetimes: lifetimes.map(|change| change.to.as_str().into()),
            };
            names.insert(record.clone(), wanted);
        }
    }
    Ok(names)
}

/// The sites of which there is a record that no other site has.
fn owners<'a>(records: &Records, sites: &'a SiteValues) -> Vec<&'a str> {
    let sites: Vec<(&str, Records)> = sites
        .iter()
        .map(|(site, text)| (site.as_str(), text.parse().unwrap_or_default()))
        .collect();
    let is_owner = |index: usize, own: &Records| {
        let mut shown = records.iter().filter(|record| own.contains(record));
        shown.any(|record| {
            let mut others = sites.iter().enumerate().filter(|(at, _)| *at != index);
            !others.any(|(_, (_, other))| other.contains(record))
        })
    };
    let owners = sites.iter().enumerate();
    let owners = owners.filter(|(index, (_, own))| is_owner(*index, own));
    owners.map(|(_, (site, _))| *site).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn active(seen: &str) -> Active {
        let sites = [
            ("core1", "A 192.0.2.1; A 192.0.2.9; AAAA 2001:db8::1"),
            ("core2", "A 192.0.2.2; A 192.0.2.9"),
        ];
        let sites = sites.map(|(site, value)| (SiteName::from(site), value.to_owned()));
        let route = RouteSettings {
            name: "https".into(),
            record: DnsName::new("login.example.org").unwrap(),
            sites: SiteValues::new(sites).unwrap(),
        };
        route
            .leading(&seen.parse().unwrap(), &Lifetimes::default())
            .active
    }

    #[test]
    fn order_and_spelling_mean_nothing() {
        let seen = "AAAA 2001:DB8:0:0::1; A 192.0.2.9; A 192.0.2.1";
        assert_eq!(active(seen), Active::Site("core1".into()));
    }

    #[test]
    fn records_of_two_sites_are_split_and_a_part_of_one_is_unknown() {
        for split in ["A 192.0.2.1; A 192.0.2.2", "A 192.0.2.2; AAAA 2001:db8::1"] {
            assert!(matches!(active(split), Active::Split { .. }), "{split}");
        }
        for unknown in [
            "A 192.0.2.1; A 192.0.2.9",
            "A 192.0.2.9",
            "A 192.0.2.77",
            "CNAME x.org",
        ] {
            assert!(
                matches!(active(unknown), Active::Unknown { .. }),
                "{unknown}"
            );
        }
    }

    #[test]
    fn two_sites_with_the_same_records_cannot_be_told_apart() {
        let read = |text: &str| records_of_sites(&mut serde_json::Deserializer::from_str(text));
        let two = r#"{"core1": {"cname": "lb.example"}, "core2": {"cname": "LB.example."}}"#;
        assert!(read(two).unwrap_err().to_string().contains("both called"));
        let two = r#"{"core1": {"a": ["192.0.2.1"]}, "core2": {"a": ["192.0.2.2"]}}"#;
        assert_eq!(
            read(two).unwrap().value(&"core2".into()),
            Some("A 192.0.2.2")
        );
    }
}
