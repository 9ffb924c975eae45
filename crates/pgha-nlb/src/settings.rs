//! What the settings of several backends share.

use serde::Deserialize;

use crate::name::{BackendId, RouteName, SiteValues};

/// One route of a product that calls each site by a word of its own.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteSettings {
    /// Its name.
    pub name: RouteName,
    /// What each site is called.
    pub sites: SiteValues,
}

/// Settings that no backend can be made from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("traffic backend {id}: {because}")]
pub struct BadSettings {
    /// The backend.
    pub id: BackendId,
    /// What is wrong.
    pub because: String,
}

impl BadSettings {
    /// What is wrong with the settings of a backend.
    pub fn new(id: &BackendId, because: impl Into<String>) -> Self {
        Self {
            id: id.clone(),
            because: because.into(),
        }
    }
}

/// Refuses routes that could not be told apart.
///
/// # Errors
/// Two have one name.
pub fn refuse_twins<'a>(names: impl Iterator<Item = &'a RouteName>) -> Result<(), String> {
    let mut seen = Vec::new();
    for name in names {
        if seen.contains(&name) {
            return Err(format!("two of its routes are called {name}"));
        }
        seen.push(name);
    }
    Ok(())
}
