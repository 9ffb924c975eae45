//! Names as DNS compares them.

use std::fmt;

use hickory_proto::rr::Name;
use serde::Deserialize;

/// An absolute name in lower case: DNS knows no other difference (RFC 4343).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct DnsName(Name);

impl DnsName {
    /// Reads a name; without a dot at its end it is absolute all the same.
    ///
    /// # Errors
    /// It is no name that a record of its own can have.
    pub fn new(text: &str) -> Result<Self, String> {
        let name = Name::from_ascii(text).map_err(|error| format!("`{text}`: {error}"))?;
        if name.is_root() || name.is_wildcard() {
            return Err(format!("`{text}` is the root or a wildcard"));
        }
        Ok(Self::of(&name))
    }

    pub(crate) fn of(name: &Name) -> Self {
        let mut name = name.to_lowercase();
        name.set_fqdn(true);
        Self(name)
    }

    pub(crate) fn name(&self) -> Name {
        self.0.clone()
    }

    pub(crate) fn holds(&self, other: &Self) -> bool {
        self.0.zone_of(&other.0)
    }
}

impl TryFrom<String> for DnsName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::new(&text)
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_ascii())
    }
}
