//! Where the objects of a route are, as the service's file has it: pure.

use std::collections::BTreeMap;

use kube::api::ApiResource;
use pgha_nlb::SiteName;
use serde::Deserialize;

use crate::cluster::Object;

/// A namespace of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Whereabouts {
    /// A site of the service.
    #[serde(default)]
    pub site: Option<SiteName>,
    /// Or a context of the kubeconfig.
    #[serde(default)]
    pub context: Option<String>,
    /// The namespace [default: the site's, or the context's].
    #[serde(default)]
    pub namespace: Option<String>,
}

impl Whereabouts {
    /// An object in each of these places; `sites` are those of the service, each with its context.
    ///
    /// # Errors
    /// There is no place, one is none, or two are one and the same.
    pub fn objects(
        places: &[Self],
        sites: &BTreeMap<SiteName, Self>,
        resource: &ApiResource,
        name: &str,
    ) -> Result<Vec<Object>, String> {
        if places.is_empty() {
            return Err("`in` names no place".to_owned());
        }
        let objects = places
            .iter()
            .map(|place| place.object(sites, resource, name));
        let objects = objects.collect::<Result<Vec<_>, _>>()?;
        let mut numbered = objects.iter().enumerate();
        if numbered.any(|(number, object)| objects[..number].contains(object)) {
            return Err("`in` names a place twice".to_owned());
        }
        Ok(objects)
    }

    fn object(
        &self,
        sites: &BTreeMap<SiteName, Self>,
        resource: &ApiResource,
        name: &str,
    ) -> Result<Object, String> {
        let at = match (&self.site, &self.context) {
            (Some(site), None) => {
                let known = sites.get(site);
                known.ok_or_else(|| format!("the service has no site {site}"))?
            }
            (None, Some(_)) => self,
            (_, _) => return Err("a place is a `site` or a `context`".to_owned()),
        };
        let namespace = self.namespace.as_deref().or(at.namespace.as_deref());
        for text in [name].into_iter().chain(namespace) {
            if !is_word(text) || text.contains('/') {
                return Err(format!("`{text}` is no name"));
            }
        }
        Ok(Object {
            context: at.context.clone().unwrap_or_default(),
            namespace: namespace.map(str::to_owned),
            resource: resource.clone(),
            name: name.to_owned(),
            changed_by: None,
        })
    }
}

/// A name, a label or a part of one; what is joined by other characters can be told apart again.
pub fn is_word(text: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    !text.is_empty() && !text.contains("..") && text.chars().all(is_allowed)
}
