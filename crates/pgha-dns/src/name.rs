//! Names as DNS compares them.

use std::fmt;

use serde::Deserialize;

/// The longest name (RFC 1035, section 2.3.4), in its text without the last dot.
const LONGEST: usize = 253;
/// The longest part of a name between two dots (RFC 1035, section 2.3.4).
const LONGEST_LABEL: usize = 63;

/// An absolute name in small letters, with its last dot: DNS knows no other difference (RFC 4343).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String")]
pub struct DnsName(String);

/// A text that is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no name")]
pub struct BadName(String);

impl DnsName {
    /// Reads a name; without a dot at its end it is absolute all the same. Names that are not ASCII are written in punycode.
    ///
    /// # Errors
    /// It is the root, or no name that records of users can have.
    pub fn new(text: &str) -> Result<Self, BadName> {
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let is_label = |(index, label): (usize, &str)| {
            (index == 0 && label == "*")
                || (!label.is_empty()
                    && label.len() <= LONGEST_LABEL
                    && label.chars().all(is_allowed))
        };
        if name.len() > LONGEST || !name.split('.').enumerate().all(is_label) {
            return Err(BadName(text.to_owned()));
        }
        Ok(Self(format!("{name}.")))
    }

    /// The name, with its last dot.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether another name is this one, or below it.
    pub fn holds(&self, other: &Self) -> bool {
        let above = other.0.strip_suffix(&self.0);
        above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
    }

    /// Whether it stands for every name that is not there.
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with('*')
    }
}

impl TryFrom<String> for DnsName {
    type Error = BadName;

    fn try_from(text: String) -> Result<Self, BadName> {
        Self::new(&text)
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> DnsName {
        DnsName::new(text).unwrap()
    }

    #[test]
    fn a_name_is_of_labels() {
        assert_eq!(name("Login.example").as_str(), "login.example.");
        assert!(name("*._x.example.").is_wildcard());
        let (label, deep) = ("a".repeat(64), "a.".repeat(128));
        for text in [
            "",
            ".",
            "a..b",
            "a b",
            "a/b",
            "x.*.y",
            "ä.example",
            &label,
            &deep,
        ] {
            assert!(DnsName::new(text).is_err(), "{text:?}");
        }
        assert!(DnsName::new(&label[1..]).is_ok() && DnsName::new(&deep[2..]).is_ok());
    }

    #[test]
    fn a_zone_holds_itself_and_what_is_below() {
        let zone = name("example.org");
        for inside in ["Example.org", "login.example.org", "*.example.org"] {
            assert!(zone.holds(&name(inside)), "{inside}");
        }
        for outside in ["loginexample.org", "org", "example.org.net"] {
            assert!(!zone.holds(&name(outside)), "{outside}");
        }
    }
}
