//! Where a name leads its users.

use std::collections::BTreeMap;

use pgha_nlb::state::Place;
use pgha_nlb::{Active, BackendId, Route, RouteName, SiteName, SiteValues};
use serde::{Deserialize, Deserializer};

use crate::name::DnsName;
use crate::records::Records;

/// One route of a backend of a DNS server.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteSettings {
    /// Its name.
    pub name: RouteName,
    /// The name that users look up.
    pub record: DnsName,
    /// The records of each site, written as one value: `A 192.0.2.1; AAAA 2001:db8::1`.
    #[serde(deserialize_with = "records_of_sites")]
    pub sites: SiteValues,
}

/// Settings that no backend of a DNS server can be made from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("traffic backend {id}: {because}")]
pub struct BadSettings {
    /// The backend.
    pub id: BackendId,
    /// What is wrong.
    pub because: String,
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
    pub fn leading(&self, records: &Records) -> Route {
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
        found
    }
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
        route.leading(&seen.parse().unwrap()).active
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
