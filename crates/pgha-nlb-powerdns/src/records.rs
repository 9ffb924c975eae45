//! What a name leads to, and the one text for it.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::Deserialize;

/// The types of record that lead users to a site, in the order of the text.
pub(crate) const TYPES: [&str; 3] = ["A", "AAAA", "CNAME"];

/// One record, in the order of the text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Record {
    A(Ipv4Addr),
    Aaaa(Ipv6Addr),
    Cname(String),
}

/// The addresses of a name, or the name that it is another one for: `A 192.0.2.1; AAAA 2001:db8::1`, `CNAME lb.example.`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct Records(BTreeSet<Record>);

/// The records as the service's file has them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Written {
    #[serde(default)]
    a: Vec<Ipv4Addr>,
    #[serde(default)]
    aaaa: Vec<Ipv6Addr>,
    #[serde(default)]
    cname: Option<String>,
}

impl TryFrom<Written> for Records {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let addresses = written.a.into_iter().map(Record::A);
        let mut records: BTreeSet<_> = addresses
            .chain(written.aaaa.into_iter().map(Record::Aaaa))
            .collect();
        if let Some(target) = written.cname {
            let target = name(&target).ok_or_else(|| format!("`{target}` is no name"))?;
            records.insert(Record::Cname(target));
            if records.len() > 1 {
                return Err("a name with a `cname` has no addresses".to_owned());
            }
        }
        if records.is_empty() {
            return Err("it has neither addresses nor a `cname`".to_owned());
        }
        Ok(Self(records))
    }
}

impl Record {
    /// A record of a type and its content in a zone file's words.
    pub(crate) fn new(kind: &str, content: &str) -> Option<Self> {
        match kind {
            "A" => content.parse().ok().map(Self::A),
            "AAAA" => content.parse().ok().map(Self::Aaaa),
            "CNAME" => name(content).map(Self::Cname),
            _ => None,
        }
    }

    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::A(_) => "A",
            Self::Aaaa(_) => "AAAA",
            Self::Cname(_) => "CNAME",
        }
    }

    pub(crate) fn content(&self) -> String {
        match self {
            Self::A(address) => address.to_string(),
            Self::Aaaa(address) => address.to_string(),
            Self::Cname(target) => target.clone(),
        }
    }
}

impl Records {
    /// The contents of one type.
    pub(crate) fn of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = String> + 'a {
        let own = self.0.iter().filter(move |record| record.kind() == kind);
        own.map(Record::content)
    }

    pub(crate) fn has(&self, kind: &str) -> bool {
        self.0.iter().any(|record| record.kind() == kind)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it has a record that these lack and `others` too.
    pub(crate) fn shows(&self, own: &Self, others: &[&Self]) -> bool {
        let is_elsewhere = |record: &Record| others.iter().any(|other| other.0.contains(record));
        let mut shared = self.0.intersection(&own.0);
        shared.any(|record| !is_elsewhere(record))
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
            write!(f, "{between}{} {}", record.kind(), record.content())?;
        }
        Ok(())
    }
}

impl FromStr for Records {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let record = |part: &str| {
            let (kind, content) = part.split_once(' ')?;
            Record::new(kind, content)
        };
        let records = text
            .split("; ")
            .map(record)
            .collect::<Option<BTreeSet<_>>>();
        records
            .map(Self)
            .ok_or_else(|| format!("`{text}` are no records"))
    }
}

/// A name in small letters up to its last dot; `None` when it is none. Names that are not ASCII are written in punycode.
pub(crate) fn name(text: &str) -> Option<String> {
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let is_label = |(index, label): (usize, &str)| {
        (index == 0 && label == "*")
            || (!label.is_empty() && label.len() <= 63 && label.chars().all(is_allowed))
    };
    let fits = name.len() <= 253 && name.split('.').enumerate().all(is_label);
    fits.then(|| format!("{name}."))
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
        for text in ["", "A", "A x", "MX 1 x.", "A 192.0.2.1;", "A 192.0.2.1; "] {
            assert!(text.parse::<Records>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_name_is_of_labels() {
        assert_eq!(name("Login.example").as_deref(), Some("login.example."));
        assert_eq!(name("*._x.example.").as_deref(), Some("*._x.example."));
        for text in ["", ".", "a..b", "a b", "a/b", "x.*.y", "ä.example"] {
            assert_eq!(name(text), None, "{text:?}");
        }
    }

    #[test]
    fn only_what_no_other_site_has_tells_a_site() {
        let records = |text: &str| text.parse::<Records>().unwrap();
        let one = records("A 192.0.2.1; AAAA 2001:db8::9");
        let two = records("A 192.0.2.2; AAAA 2001:db8::9");
        let seen = records("A 192.0.2.3; AAAA 2001:db8::9");
        assert!(!seen.shows(&one, &[&two]));
        assert!(records("A 192.0.2.1; A 192.0.2.2").shows(&one, &[&two]));
    }
}
