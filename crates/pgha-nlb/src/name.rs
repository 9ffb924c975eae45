//! The names of sites, routes and backends.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The name as it is written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(name: &str) -> Self {
                Self(name.to_owned())
            }
        }

        impl From<String> for $name {
            fn from(name: String) -> Self {
                Self(name)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// A site, as the service's file names it.
    SiteName
);
name!(
    /// One way by which users come in, as the service's file names it: `https`, `http`.
    RouteName
);
name!(
    /// One configured backend, unique within a service.
    BackendId
);

/// What a product calls each site: `core1` is `core1-https`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "BTreeMap<SiteName, String>")]
pub struct SiteValues(BTreeMap<SiteName, String>);

impl SiteValues {
    /// The values of sites. Two sites with one value could not be told apart.
    ///
    /// # Errors
    /// The value that two sites share.
    pub fn new(
        values: impl IntoIterator<Item = (SiteName, String)>,
    ) -> Result<Self, SharedSiteValue> {
        let values: BTreeMap<_, _> = values.into_iter().collect();
        let mut seen = Vec::new();
        for value in values.values() {
            if seen.contains(&value) {
                return Err(SharedSiteValue(value.clone()));
            }
            seen.push(value);
        }
        Ok(Self(values))
    }

    /// What the product calls this site.
    pub fn value(&self, site: &SiteName) -> Option<&str> {
        self.0.get(site).map(String::as_str)
    }

    /// The site that the product calls so.
    pub fn site(&self, value: &str) -> Option<&SiteName> {
        let mut pairs = self.0.iter();
        pairs
            .find(|(_, known)| *known == value)
            .map(|(site, _)| site)
    }

    /// Every site with its value, by site.
    pub fn iter(&self) -> impl Iterator<Item = (&SiteName, &str)> {
        self.0.iter().map(|(site, value)| (site, value.as_str()))
    }
}

impl TryFrom<BTreeMap<SiteName, String>> for SiteValues {
    type Error = SharedSiteValue;

    fn try_from(values: BTreeMap<SiteName, String>) -> Result<Self, SharedSiteValue> {
        Self::new(values)
    }
}

/// Two sites have the same value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("two sites are both called `{0}`, so which of them serves could not be told")]
pub struct SharedSiteValue(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    fn values(pairs: &[(&str, &str)]) -> Result<SiteValues, SharedSiteValue> {
        SiteValues::new(
            pairs
                .iter()
                .map(|(site, value)| (SiteName::from(*site), (*value).to_owned())),
        )
    }

    #[test]
    fn a_value_leads_to_one_site_and_back() {
        let values = values(&[("core1", "core1-https"), ("core2", "core2-https")]).unwrap();
        assert_eq!(values.site("core2-https"), Some(&"core2".into()));
        assert_eq!(values.value(&"core1".into()), Some("core1-https"));
        assert_eq!(values.site("maintenance"), None);
    }

    #[test]
    fn sites_that_share_a_value_are_refused() {
        assert_eq!(
            values(&[("core1", "same"), ("core2", "same")]),
            Err(SharedSiteValue("same".to_owned()))
        );
        let text = r#"{"core1": "same", "core2": "same"}"#;
        assert!(serde_json::from_str::<SiteValues>(text).is_err());
    }
}
