//! The records that lead a name to a site, and their one way to be written.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use hickory_proto::rr::rdata::{A, AAAA, CNAME};
use hickory_proto::rr::{RData, RecordType};
use pgha_nlb::state::Place;
use pgha_nlb::{Active, Route, SiteName, SiteValues};
use serde::Deserialize;

use crate::RouteSettings;
use crate::name::DnsName;

/// The types that lead users somewhere.
pub(crate) const TYPES: [RecordType; 3] = [RecordType::A, RecordType::AAAA, RecordType::CNAME];

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Data {
    A(Ipv4Addr),
    Aaaa(Ipv6Addr),
    Cname(DnsName),
}

/// All records of one name, in no order that matters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Records(pub(crate) BTreeSet<Data>);

/// The records of a site as the service's file has them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Written {
    #[serde(default)]
    a: Vec<Ipv4Addr>,
    #[serde(default)]
    aaaa: Vec<Ipv6Addr>,
    #[serde(default)]
    cname: Option<DnsName>,
}

impl Written {
    pub(crate) fn records(self) -> Result<Records, &'static str> {
        let addresses = self.a.into_iter().map(Data::A);
        let addresses = addresses.chain(self.aaaa.into_iter().map(Data::Aaaa));
        let records = Records(addresses.chain(self.cname.map(Data::Cname)).collect());
        match records.0.len() {
            0 => Err("a site has no record"),
            2.. if records.is_alias() => Err("no record can stand beside a CNAME"),
            _ => Ok(records),
        }
    }
}

impl Data {
    pub(crate) fn of(data: &RData) -> Option<Self> {
        if let RData::A(A(address)) = data {
            Some(Self::A(*address))
        } else if let RData::AAAA(AAAA(address)) = data {
            Some(Self::Aaaa(*address))
        } else if let RData::CNAME(CNAME(name)) = data {
            Some(Self::Cname(DnsName::of(name)))
        } else {
            None
        }
    }

    pub(crate) fn rdata(&self) -> RData {
        match self {
            Self::A(address) => RData::A(A(*address)),
            Self::Aaaa(address) => RData::AAAA(AAAA(*address)),
            Self::Cname(name) => RData::CNAME(CNAME(name.name())),
        }
    }

    pub(crate) const fn record_type(&self) -> RecordType {
        match self {
            Self::A(_) => RecordType::A,
            Self::Aaaa(_) => RecordType::AAAA,
            Self::Cname(_) => RecordType::CNAME,
        }
    }
}

impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::A(address) => write!(f, "A {address}"),
            Self::Aaaa(address) => write!(f, "AAAA {address}"),
            Self::Cname(name) => write!(f, "CNAME {name}"),
        }
    }
}

impl fmt::Display for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let records: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&records.join("; "))
    }
}

impl FromStr for Records {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("`{text}` is no list of records");
        let record = |record: &str| match record.trim().split_once(' ') {
            Some(("A", address)) => address.parse().map(Data::A).map_err(|_| bad()),
            Some(("AAAA", address)) => address.parse().map(Data::Aaaa).map_err(|_| bad()),
            Some(("CNAME", name)) => DnsName::new(name).map(Data::Cname),
            _ => Err(bad()),
        };
        text.split(';')
            .map(record)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl Records {
    pub(crate) fn is_alias(&self) -> bool {
        self.0.iter().any(|data| matches!(data, Data::Cname(_)))
    }

    /// The sites of which there is a record that no other site has.
    fn owners<'a>(&self, sites: &'a SiteValues) -> Vec<&'a SiteName> {
        let has = |value: &str, data: &Data| {
            Self::from_str(value).is_ok_and(|records| records.0.contains(data))
        };
        let is_owner = |site: &SiteName, value: &str| {
            self.0.iter().any(|data| {
                let mut others = sites.iter().filter(|(other, _)| *other != site);
                has(value, data) && !others.any(|(_, other)| has(other, data))
            })
        };
        let owners = sites.iter().filter(|(site, value)| is_owner(site, value));
        owners.map(|(site, _)| site).collect()
    }
}

/// Where the records of a name lead users of a route.
pub(crate) fn route_of(route: &RouteSettings, records: &Records) -> Route {
    let RouteSettings {
        name,
        record,
        sites,
    } = route;
    if records.0.is_empty() {
        return Route::unknown(name, format!("{record} has no address and no CNAME."));
    }
    let value = records.to_string();
    let owners = records.owners(sites);
    let split = (owners.len() > 1 && sites.site(&value).is_none()).then(|| {
        let owners: Vec<_> = owners.iter().map(ToString::to_string).collect();
        Active::Split {
            seen: format!(
                "{record} has `{value}`, which is of {}.",
                owners.join(" and ")
            ),
        }
    });
    let at = record.to_string();
    let mut route = Route::of_places(name, vec![Place { at, value }], sites);
    if let Some(split) = split {
        route.active = split;
    }
    route
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
        route_of(&route, &seen.parse().unwrap()).active
    }

    #[test]
    fn order_and_spelling_mean_nothing() {
        let seen = "AAAA 2001:DB8:0:0::1; A 192.0.2.9; A 192.0.2.1";
        assert_eq!(active(seen), Active::Site("core1".into()));
        let one: Records = "CNAME LB.Example.org".parse().unwrap();
        assert_eq!(one.to_string(), "CNAME lb.example.org.");
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
    fn what_is_no_list_of_records_is_refused() {
        for text in [
            "",
            "A",
            "A x",
            "TXT x",
            "A 192.0.2.1;",
            "AAAA 192.0.2.1",
            "CNAME .",
        ] {
            assert!(text.parse::<Records>().is_err(), "{text:?}");
        }
    }
}
