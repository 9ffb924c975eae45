//! The subresource `scale`: how many pods a workload is to have, and which are its own.

use serde_json::{Value, json};

use super::request::Call;
use super::status::{self, Answer};
use super::store::{Store, text};

impl Store {
    pub(super) fn get_scale(&self, call: &Call) -> Answer {
        match self.objects.get(&Self::key(call)) {
            Some(object) => Answer::ok(&scale_of(object)),
            None => self.no_scale(call),
        }
    }

    /// A JSON patch of the scale. What is not the count stays.
    pub(super) fn patch_scale(&mut self, call: &Call, body: &[u8]) -> Answer {
        let Some(before) = self.objects.get(&Self::key(call)).cloned() else {
            return self.no_scale(call);
        };
        let Ok(patch) = serde_json::from_slice::<json_patch::Patch>(body) else {
            return status::bad_request("error decoding patch");
        };
        let mut scale = scale_of(&before);
        if json_patch::patch(&mut scale, &patch).is_err() {
            return status::patch_does_not_apply();
        }
        let count = scale["spec"]["replicas"].as_i64().unwrap_or(0);
        let answer = self.write(call, |object| {
            let mut changed = object.clone();
            changed["spec"]["replicas"] = json!(count);
            Ok(changed)
        });
        match self.objects.get(&Self::key(call)) {
            Some(after) if answer.is_ok() => Answer::ok(&scale_of(after)),
            _ => answer,
        }
    }

    fn no_scale(&self, call: &Call) -> Answer {
        let name = call.name.as_deref().unwrap_or_default();
        self.missing(call, name)
            .unwrap_or_else(status::unknown_path)
    }
}

/// A count of 0 is left out, as Go leaves out what is empty (`k8s.io/api`, `autoscaling/v1`, `ScaleSpec`).
fn scale_of(object: &Value) -> Value {
    let labels = object.pointer("/spec/selector/matchLabels");
    let labels = labels.and_then(Value::as_object).into_iter().flatten();
    let pairs: Vec<_> = labels
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    let mut metadata = json!({});
    for field in ["name", "namespace", "uid", "resourceVersion"] {
        metadata[field] = json!(text(object, &format!("/metadata/{field}")));
    }
    let mut scale = json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": metadata,
        "spec": {},
        "status": {
            "replicas": object.pointer("/status/replicas").and_then(Value::as_i64).unwrap_or(0),
            "selector": pairs.join(","),
        },
    });
    let count = object.pointer("/spec/replicas").and_then(Value::as_i64);
    if let Some(count) = count.filter(|count| *count != 0) {
        scale["spec"]["replicas"] = json!(count);
    }
    scale
}
