//! What the process takes from its environment: the names are those of the real operator.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};

/// The stand-in's settings, read once at the start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Namespaces to serve; empty means all of them.
    pub(crate) namespaces: Vec<String>,
    /// Postgres image by major version, from `RELATED_IMAGE_POSTGRES_<version>`.
    pub(crate) postgres_images: BTreeMap<u32, String>,
    /// Image of pgBackRest's containers and jobs, from `RELATED_IMAGE_PGBACKREST`.
    pub(crate) pgbackrest_image: Option<String>,
    /// Image of `PgBouncer`, from `RELATED_IMAGE_PGBOUNCER`.
    pub(crate) pgbouncer_image: Option<String>,
    /// Path of the kubeconfig whose current context is the site.
    pub(crate) kubeconfig: String,
}

impl Settings {
    /// Reads the environment. `KUBECONFIG` is required: the stand-in runs outside the Kubernetes cluster.
    pub fn from_environment() -> Result<Self> {
        Self::from_variables(std::env::vars())
    }

    fn from_variables(variables: impl Iterator<Item = (String, String)>) -> Result<Self> {
        let variables: BTreeMap<String, String> = variables.collect();
        let take = |name: &str| {
            variables
                .get(name)
                .filter(|value| !value.is_empty())
                .cloned()
        };
        let namespaces = take("PGO_TARGET_NAMESPACES").or_else(|| take("PGO_TARGET_NAMESPACE"));
        Ok(Self {
            namespaces: namespaces
                .unwrap_or_default()
                .split([',', ' '])
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect(),
            postgres_images: variables
                .iter()
                .filter_map(|(name, image)| {
                    let version = name.strip_prefix("RELATED_IMAGE_POSTGRES_")?.parse().ok()?;
                    Some((version, image.clone()))
                })
                .collect(),
            pgbackrest_image: take("RELATED_IMAGE_PGBACKREST"),
            pgbouncer_image: take("RELATED_IMAGE_PGBOUNCER"),
            kubeconfig: take("KUBECONFIG").context("KUBECONFIG is not set")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> impl Iterator<Item = (String, String)> {
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(k, v)| ((*k).into(), (*v).into()))
            .collect();
        pairs.into_iter()
    }

    #[test]
    fn namespaces_are_split_at_commas_and_spaces() {
        let settings = Settings::from_variables(variables(&[
            ("KUBECONFIG", "k"),
            ("PGO_TARGET_NAMESPACES", "a, b"),
            ("RELATED_IMAGE_POSTGRES_15", "image"),
        ]))
        .unwrap();
        assert_eq!(settings.namespaces, ["a", "b"]);
        assert_eq!(settings.postgres_images[&15], "image");
    }

    #[test]
    fn a_missing_kubeconfig_is_an_error() {
        assert!(Settings::from_variables(variables(&[])).is_err());
    }
}
