//! A `ConfigMap` of a person's own.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;

use crate::client::{CallError, SiteClient};

/// The texts of a `ConfigMap` in the site's namespace, by key. Needs the verb `get` on it.
///
/// # Errors
/// It is not there, or it could not be read.
pub async fn read_config_map(
    site: &SiteClient,
    name: &str,
) -> Result<BTreeMap<String, String>, CallError> {
    let api: Api<ConfigMap> = Api::namespaced(site.client.clone(), &site.namespace);
    let object = format!("configmap {name}");
    let found = site.call("get", &object, api.get(name)).await?;
    Ok(found.data.unwrap_or_default())
}
