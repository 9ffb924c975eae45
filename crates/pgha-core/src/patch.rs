//! Writes that name the values they rest on.
//!
//! Every write is a JSON patch whose `test` operations fail when the object is no longer what was seen. resourceVersion
//! is no help here: operators and Patroni move it all the time.

use json_patch::{
    AddOperation, Patch, PatchOperation, RemoveOperation, ReplaceOperation, TestOperation,
};
use jsonptr::PointerBuf;
use k8s_openapi::api::core::v1::Endpoints;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, PatchParams};
use pgha_model::guard::Guard;
use serde::Serialize;
use serde_json::Value;

use crate::client::{CallError, FIELD_MANAGER, SiteClient};

/// A change of one object, ready to be shown or sent.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectPatch {
    /// What is changed, `postgrescluster`, `endpoints`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// The operations, tests first.
    pub operations: Patch,
}

impl ObjectPatch {
    /// The same patch, which also rests on the value at a path.
    #[must_use]
    pub fn resting_on(mut self, path: &[&str], value: Value) -> Self {
        let path = pointer(path);
        let test = PatchOperation::Test(TestOperation { path, value });
        self.operations.0.insert(0, test);
        self
    }
}

/// Builds the operations of a patch from what an object says now and what it is to say.
#[derive(Clone, Debug, Default)]
pub struct PatchBuilder {
    tests: Vec<PatchOperation>,
    changes: Vec<PatchOperation>,
}

impl PatchBuilder {
    /// Rests the patch on the value at a path.
    #[must_use]
    pub fn test(mut self, path: &[&str], value: Value) -> Self {
        if Guard::TestedValues.stands() {
            self.tests.push(PatchOperation::Test(TestOperation {
                path: pointer(path),
                value,
            }));
        }
        self
    }

    /// Sets what is at a path from what was seen there, and rests the patch on that when there was something.
    ///
    /// A JSON patch cannot test that something is absent; `add` then overwrites what came in between, so the caller
    /// tests another value that tells the object's state.
    #[must_use]
    pub fn set(mut self, path: &[&str], seen: Option<&Value>, wanted: Value) -> Self {
        let at = pointer(path);
        match seen {
            Some(seen) => {
                self = self.test(path, seen.clone());
                self.changes.push(PatchOperation::Replace(ReplaceOperation {
                    path: at,
                    value: wanted,
                }));
            }
            None => self.changes.push(PatchOperation::Add(AddOperation {
                path: at,
                value: wanted,
            })),
        }
        self
    }

    /// Removes what was seen at a path; nothing when nothing was seen.
    #[must_use]
    pub fn remove(mut self, path: &[&str], seen: Option<&Value>) -> Self {
        if let Some(seen) = seen {
            self = self.test(path, seen.clone());
            self.changes.push(PatchOperation::Remove(RemoveOperation {
                path: pointer(path),
            }));
        }
        self
    }

    /// Removes what is at a path, where another value that is tested tells that something is there.
    #[must_use]
    pub fn drop_value(mut self, path: &[&str]) -> Self {
        let path = pointer(path);
        self.changes
            .push(PatchOperation::Remove(RemoveOperation { path }));
        self
    }

    /// The patch of one object.
    pub fn of(self, kind: &'static str, name: impl Into<String>) -> ObjectPatch {
        ObjectPatch {
            kind,
            name: name.into(),
            operations: self.operations(),
        }
    }

    /// The operations, tests first.
    pub fn operations(self) -> Patch {
        Patch(self.tests.into_iter().chain(self.changes).collect())
    }
}

fn pointer(path: &[&str]) -> PointerBuf {
    PointerBuf::from_tokens(path.iter().copied())
}

/// How often a write is tried while others keep writing the object in between.
const TRIES: u32 = 10;

/// Reads an object and writes what follows from it, again while `is_outdated` says that somebody else wrote it in between.
pub(crate) async fn while_outdated<T, E>(
    mut attempt: impl AsyncFnMut() -> Result<T, E>,
    is_outdated: impl Fn(&E) -> bool,
) -> Result<T, E> {
    let mut tries = 1;
    loop {
        match attempt().await {
            Err(error) if is_outdated(&error) && tries < TRIES => tries += 1,
            ended => return ended,
        }
    }
}

/// Sends a patch of an operator's object; returns the object after it.
pub async fn patch_object(
    site: &SiteClient,
    resource: &ApiResource,
    patch: &ObjectPatch,
) -> Result<DynamicObject, CallError> {
    let api: Api<DynamicObject> =
        Api::namespaced_with(site.client.clone(), &site.namespace, resource);
    api.patch(
        &patch.name,
        &parameters(),
        &kube::api::Patch::Json::<()>(patch.operations.clone()),
    )
    .await
    .map_err(|error| CallError::new(site, "patch", described(patch), error))
}

/// Sends a patch of an Endpoints object; returns the object after it.
pub async fn patch_endpoints(
    site: &SiteClient,
    patch: &ObjectPatch,
) -> Result<Endpoints, CallError> {
    let api: Api<Endpoints> = Api::namespaced(site.client.clone(), &site.namespace);
    api.patch(
        &patch.name,
        &parameters(),
        &kube::api::Patch::Json::<()>(patch.operations.clone()),
    )
    .await
    .map_err(|error| CallError::new(site, "patch", described(patch), error))
}

/// Every patch names us as the writer.
pub(crate) fn parameters() -> PatchParams {
    PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    }
}

fn described(patch: &ObjectPatch) -> String {
    format!("{} {}", patch.kind, patch.name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tests_come_before_changes_and_keys_are_escaped() {
        let patch = PatchBuilder::default()
            .set(&["spec", "paused"], None, json!(true))
            .set(
                &["metadata", "annotations", "a/b~c"],
                Some(&json!("x")),
                json!("y"),
            )
            .remove(&["spec", "gone"], None)
            .of("postgrescluster", "zitadel");
        assert_eq!(
            serde_json::to_value(&patch.operations).unwrap(),
            json!([
                {"op": "test", "path": "/metadata/annotations/a~1b~0c", "value": "x"},
                {"op": "add", "path": "/spec/paused", "value": true},
                {"op": "replace", "path": "/metadata/annotations/a~1b~0c", "value": "y"},
            ])
        );
    }

    #[test]
    fn a_patch_on_a_changed_object_fails_as_a_whole() {
        let patch = PatchBuilder::default()
            .set(
                &["spec", "standby", "enabled"],
                Some(&json!(false)),
                json!(true),
            )
            .of("postgrescluster", "zitadel");
        let mut object = json!({"spec": {"standby": {"enabled": true}}});
        assert!(json_patch::patch(&mut object, &patch.operations).is_err());
    }
}
