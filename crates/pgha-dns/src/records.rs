//! What a name leads to, and the one text for it.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::Deserialize;

use crate::name::DnsName;

/// The types of record that lead users to a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An IPv4 address.
    A,
    /// An IPv6 address.
    Aaaa,
    /// Another name.
    Cname,
}

impl Kind {
    /// Every type, in the order of the text.
    pub const ALL: [Self; 3] = [Self::A, Self::Aaaa, Self::Cname];

    /// As zone files have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Cname => "CNAME",
        }
    }

    /// The type of this name, if it is one of these.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One record, in the order of the text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Record {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// The name that a name is another one for.
    Cname(DnsName),
}

impl Record {
    /// A record of a type and its content in a zone file's words; `None` when that is no such content.
    pub fn new(kind: Kind, content: &str) -> Option<Self> {
        match kind {
            Kind::A => content.parse().ok().map(Self::A),
            Kind::Aaaa => content.parse().ok().map(Self::Aaaa),
            Kind::Cname => DnsName::new(content).ok().map(Self::Cname),
        }
    }

    /// Its type.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::A(_) => Kind::A,
            Self::Aaaa(_) => Kind::Aaaa,
            Self::Cname(_) => Kind::Cname,
        }
    }

    /// Its content in a zone file's words.
    pub fn content(&self) -> String {
        match self {
            Self::A(address) => address.to_string(),
            Self::Aaaa(address) => address.to_string(),
            Self::Cname(target) => target.to_string(),
        }
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.content())
    }
}

/// The records of one name, in no order that matters: addresses, or the name that it is another one for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(with = "Written")
)]
#[serde(try_from = "Written")]
pub struct Records(BTreeSet<Record>);

/// Records that are none, or that cannot be of one name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadRecords(String);

/// The records as the service's file has them.
#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Written {
    /// Its IPv4 addresses.
    #[serde(default)]
    a: Vec<Ipv4Addr>,
    /// Its IPv6 addresses.
    #[serde(default)]
    aaaa: Vec<Ipv6Addr>,
    /// Or the name that it is another one for.
    #[serde(default)]
    cname: Option<DnsName>,
}

impl TryFrom<Written> for Records {
    type Error = BadRecords;

    fn try_from(written: Written) -> Result<Self, BadRecords> {
        let bad = |text: &str| Err(BadRecords(text.to_owned()));
        let addresses = written.a.into_iter().map(Record::A);
        let addresses = addresses.chain(written.aaaa.into_iter().map(Record::Aaaa));
        let records: Self = addresses.chain(written.cname.map(Record::Cname)).collect();
        match records.0.len() {
            0 => bad("it has neither addresses nor a `cname`"),
            2.. if records.has(Kind::Cname) => bad("a name with a `cname` has no addresses"),
            _ => Ok(records),
        }
    }
}

impl Records {
    /// Each record, in the order of the text.
    pub fn iter(&self) -> impl Iterator<Item = &Record> {
        self.0.iter()
    }

    /// Whether one of them is of this type.
    pub fn has(&self, kind: Kind) -> bool {
        self.0.iter().any(|record| record.kind() == kind)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this is one of them.
    pub fn contains(&self, record: &Record) -> bool {
        self.0.contains(record)
    }
}

impl FromIterator<Record> for Records {
    fn from_iter<T: IntoIterator<Item = Record>>(records: T) -> Self {
        Self(records.into_iter().collect())
    }
}

impl fmt::Display for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, record) in self.0.iter().enumerate() {
            let between = if index == 0 { "" } else { "; " };
            write!(f, "{between}{record}")?;
        }
        Ok(())
    }
}

impl FromStr for Records {
    type Err = BadRecords;

    fn from_str(text: &str) -> Result<Self, BadRecords> {
        let record = |part: &str| {
            let (kind, content) = part.split_once(' ')?;
            Record::new(Kind::of(kind)?, content)
        };
        let records = text.split("; ").map(record).collect::<Option<_>>();
        records
            .map(Self)
            .ok_or_else(|| BadRecords(format!("`{text}` are no records")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Result<String, serde_json::Error> {
        serde_json::from_str::<Records>(text).map(|records| records.to_string())
    }

    #[test]
    fn there_is_one_text_for_the_same_records() {
        let text = r#"{"aaaa": ["2001:DB8:0::1"], "a": ["192.0.2.10", "192.0.2.9", "192.0.2.9"]}"#;
        let canonical = "A 192.0.2.9; A 192.0.2.10; AAAA 2001:db8::1";
        assert_eq!(written(text).unwrap(), canonical);
        let target = r#"{"cname": "LB.core1.example"}"#;
        assert_eq!(written(target).unwrap(), "CNAME lb.core1.example.");
        assert_eq!(canonical.parse::<Records>().unwrap().to_string(), canonical);
    }

    #[test]
    fn what_leads_nowhere_and_what_contradicts_itself_is_refused() {
        for (text, words) in [
            ("{}", "neither addresses nor"),
            (r#"{"a": ["192.0.2.1"], "cname": "x."}"#, "no addresses"),
            (r#"{"cname": "a b"}"#, "no name"),
            (r#"{"cname": ""}"#, "no name"),
            (r#"{"a": ["2001:db8::1"]}"#, "IPv4"),
            (r#"{"mx": ["x"]}"#, "unknown field"),
        ] {
            let said = written(text).unwrap_err().to_string();
            assert!(said.contains(words), "{text}: {said}");
        }
        for text in [
            "",
            "A",
            "A x",
            "MX 1 x.",
            "A 192.0.2.1;",
            "A 192.0.2.1; ",
            "CNAME .",
        ] {
            assert!(text.parse::<Records>().is_err(), "{text:?}");
        }
    }
}
