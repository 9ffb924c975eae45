//! Changing objects.

use http::header;
use serde_json::{Value, json};

use super::request::Call;
use super::resource::Resource;
use super::status::{self, Answer};
use super::store::{Store, text};

impl Store {
    pub(super) fn create(&mut self, call: &Call, body: &[u8]) -> Answer {
        let Some(resource) = self.resource(call).cloned() else {
            return status::unknown_path();
        };
        let Ok(mut object) = serde_json::from_slice::<Value>(body) else {
            return status::bad_request("the object provided is unrecognized");
        };
        let name = text(&object, "/metadata/name").to_owned();
        let namespace = call.namespace.clone().unwrap_or_default();
        if let Some(missing) = self.missing_namespace(&namespace) {
            return missing;
        }
        if self.object(&resource.plural, &namespace, &name).is_some() {
            return status::already_exists(&resource, &name);
        }
        object["apiVersion"] = json!(resource.api_version());
        object["kind"] = json!(resource.kind);
        if !namespace.is_empty() {
            object["metadata"]["namespace"] = json!(namespace);
        }
        let revision = self.next_revision();
        object["metadata"]["uid"] = json!(format!("00000000-0000-0000-0000-{revision:0>12}"));
        object["metadata"]["resourceVersion"] = json!(revision);
        if resource.counts_generations() {
            object["metadata"]["generation"] = json!(1);
        }
        self.objects
            .insert((resource.plural, namespace, name), object.clone());
        Answer::created(&object)
    }

    /// With the precondition on the identity of the object, where the request has one (Kubernetes API reference,
    /// `DeleteOptions`, `preconditions.uid`).
    pub(super) fn delete(&mut self, call: &Call, body: &[u8]) -> Answer {
        let name = call.name.as_deref().unwrap_or_default();
        if let Some(missing) = self.missing(call, name) {
            return missing;
        }
        let options: Value = serde_json::from_slice(body).unwrap_or_default();
        let wanted = text(&options, "/preconditions/uid");
        let object = self.objects.get(&Self::key(call));
        if !wanted.is_empty() && object.is_some_and(|it| text(it, "/metadata/uid") != wanted) {
            return status::conflict(call);
        }
        let object = self.objects.remove(&Self::key(call));
        match self.resource(call).zip(object) {
            Some((resource, object)) => status::deleted(resource, &object),
            None => status::unknown_path(),
        }
    }

    pub(super) fn replace(&mut self, call: &Call, body: &[u8]) -> Answer {
        let Ok(wanted) = serde_json::from_slice::<Value>(body) else {
            return status::bad_request("the object provided is unrecognized");
        };
        self.write(call, |_| Ok(wanted))
    }

    pub(super) fn patch(
        &mut self,
        call: &Call,
        head: &http::request::Parts,
        body: &[u8],
    ) -> Answer {
        let content_type = head.headers.get(header::CONTENT_TYPE);
        match content_type.and_then(|content_type| content_type.to_str().ok()) {
            Some("application/json-patch+json") => self.write(call, |object| {
                let patch: json_patch::Patch =
                    serde_json::from_slice(body).map_err(|error| undecodable(&error))?;
                let mut changed = object.clone();
                match json_patch::patch(&mut changed, &patch) {
                    Ok(()) => Ok(changed),
                    Err(_) => Err(status::patch_does_not_apply()),
                }
            }),
            Some("application/merge-patch+json") => self.write(call, |object| {
                let patch: Value =
                    serde_json::from_slice(body).map_err(|error| undecodable(&error))?;
                let mut changed = object.clone();
                json_patch::merge(&mut changed, &patch);
                Ok(changed)
            }),
            _ => status::unsupported_media_type(),
        }
    }

    /// Replaces an object by what `change` makes of it, as far as the path of the request permits.
    pub(super) fn write(
        &mut self,
        call: &Call,
        change: impl FnOnce(&Value) -> Result<Value, Answer>,
    ) -> Answer {
        let name = call.name.as_deref().unwrap_or_default();
        if let Some(missing) = self.missing(call, name) {
            return missing;
        }
        let key = Self::key(call);
        let Some((resource, before)) = self.resource(call).cloned().zip(self.objects.get(&key))
        else {
            return status::unknown_path();
        };
        let wanted = match change(before) {
            Ok(wanted) => wanted,
            Err(refusal) => return refusal,
        };
        let revision = text(&wanted, "/metadata/resourceVersion");
        if !revision.is_empty() && revision != text(before, "/metadata/resourceVersion") {
            return status::conflict(call);
        }
        let mut after = permitted(&resource, call.subresource.as_deref(), before, wanted);
        if after == *before {
            // The API server stores nothing when nothing changes.
            return Answer::ok(before);
        }
        if resource.counts_generations() && after.get("spec") != before.get("spec") {
            let generation = before["metadata"]["generation"].as_i64().unwrap_or(0);
            after["metadata"]["generation"] = json!(generation + 1);
        }
        after["metadata"]["resourceVersion"] = json!(self.next_revision());
        self.objects.insert(key, after.clone());
        Answer::ok(&after)
    }
}

/// The status is written by its own path and nothing else is written by that; what identifies an object stays.
fn permitted(
    resource: &Resource,
    subresource: Option<&str>,
    before: &Value,
    wanted: Value,
) -> Value {
    let mut after = if subresource == Some("status") {
        let mut after = before.clone();
        set(&mut after, "status", wanted.get("status").cloned());
        after
    } else {
        let mut after = wanted;
        if resource.has_status {
            set(&mut after, "status", before.get("status").cloned());
        }
        after
    };
    for field in [
        "name",
        "namespace",
        "uid",
        "generation",
        "resourceVersion",
        "creationTimestamp",
    ] {
        set(
            &mut after["metadata"],
            field,
            before["metadata"].get(field).cloned(),
        );
    }
    after
}

fn set(object: &mut Value, key: &str, value: Option<Value>) {
    let Some(fields) = object.as_object_mut() else {
        return;
    };
    match value {
        Some(value) => {
            fields.insert(key.to_owned(), value);
        }
        None => {
            fields.remove(key);
        }
    }
}

fn undecodable(error: &serde_json::Error) -> Answer {
    status::bad_request(&format!("error decoding patch: {error}"))
}
