//! Objects in the API server: server-side apply under the operator's field manager, lists, owners.

use std::collections::BTreeMap;
use std::fmt::Debug;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::name;
use super::reconcile::Turn;

/// What an object of the API server has to be for the functions here.
pub(crate) trait Child:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned
{
}

impl<K> Child for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
{
}

impl Turn<'_> {
    /// The objects of one kind in the namespace of this `PostgresCluster`.
    pub(crate) fn api<K: Child>(&self) -> Api<K> {
        Api::namespaced(self.operator.client.clone(), &self.namespace)
    }

    /// Applies an object that this `PostgresCluster` owns. `body` holds everything but kind and metadata.
    pub(crate) async fn apply<K: Child>(
        &self,
        object: &str,
        labels: &BTreeMap<String, String>,
        body: Value,
    ) -> Result<K> {
        self.apply_annotated(object, labels, &BTreeMap::new(), body)
            .await
    }

    /// The same, with annotations.
    pub(crate) async fn apply_annotated<K: Child>(
        &self,
        object: &str,
        labels: &BTreeMap<String, String>,
        annotations: &BTreeMap<String, String>,
        body: Value,
    ) -> Result<K> {
        let mut whole = json!({
            "apiVersion": K::api_version(&()),
            "kind": K::kind(&()),
            "metadata": {
                "name": object,
                "namespace": self.namespace,
                "labels": labels,
                "ownerReferences": [self.owner_reference()],
            },
        });
        if !annotations.is_empty() {
            whole["metadata"]["annotations"] = json!(annotations);
        }
        merge(&mut whole, body);
        let params = PatchParams::apply(name::FIELD_MANAGER).force();
        self.api::<K>()
            .patch(object, &params, &Patch::Apply(&whole))
            .await
            .with_context(|| format!("applying {} {object}", K::kind(&())))
    }

    fn owner_reference(&self) -> Value {
        json!({
            "apiVersion": "postgres-operator.crunchydata.com/v1beta1",
            "kind": "PostgresCluster",
            "name": self.name,
            "uid": self.pg_cluster.uid(),
            "controller": true,
            "blockOwnerDeletion": true,
        })
    }

    /// Objects of a kind with these labels, by name.
    pub(crate) async fn list<K: Child>(&self, labels: &[(&str, &str)]) -> Result<Vec<K>> {
        let params = ListParams::default().labels(&name::selector(labels));
        let mut items = self
            .api::<K>()
            .list(&params)
            .await
            .with_context(|| format!("listing {}", K::kind(&())))?
            .items;
        items.sort_by_key(kube::ResourceExt::name_any);
        Ok(items)
    }

    /// Deletes an object with its dependents; one that is gone already is fine.
    pub(crate) async fn delete<K: Child>(&self, object: &str) -> Result<()> {
        match self
            .api::<K>()
            .delete(object, &DeleteParams::background())
            .await
        {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            Err(error) => Err(error).context(format!("deleting {} {object}", K::kind(&()))),
        }
    }
}

/// Puts the members of `from` into `into`.
fn merge(into: &mut Value, from: Value) {
    if let (Some(into), Value::Object(from)) = (into.as_object_mut(), from) {
        into.extend(from);
    }
}

/// The `data` of a Secret: each value in base64.
pub(crate) fn secret_data(values: &BTreeMap<String, Vec<u8>>) -> Value {
    let encoded: Map<String, Value> = values
        .iter()
        .map(|(key, value)| (key.clone(), Value::String(STANDARD.encode(value))))
        .collect();
    Value::Object(encoded)
}

/// The merge patch (RFC 7386) that turns `before` into `after`.
pub(crate) fn merge_patch(before: &Value, after: &Value) -> Value {
    let (Some(old), Some(new)) = (before.as_object(), after.as_object()) else {
        return after.clone();
    };
    let gone = old
        .keys()
        .filter(|key| !new.contains_key(*key))
        .map(|key| (key.clone(), Value::Null));
    let changed = new
        .iter()
        .filter(|(key, value)| old.get(*key) != Some(value))
        .map(|(key, value)| {
            let patch = old
                .get(key)
                .map_or_else(|| value.clone(), |old| merge_patch(old, value));
            (key.clone(), patch)
        });
    Value::Object(gone.chain(changed).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_merge_patch_names_only_what_changed_and_nulls_what_went() {
        let before = json!({"a": 1, "b": {"c": 2, "d": 3}, "e": [1]});
        let after = json!({"a": 1, "b": {"c": 4}, "e": [1, 2]});
        assert_eq!(
            merge_patch(&before, &after),
            json!({"b": {"c": 4, "d": null}, "e": [1, 2]})
        );
    }
}
