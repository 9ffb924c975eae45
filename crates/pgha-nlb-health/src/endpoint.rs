//! What an endpoint's object says, and the operations that have it say something else: pure.

use json_patch::{AddOperation, PatchOperation};
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use pgha_nlb::text::one_line;
use pgha_objects::{is_word, pointer, swap, test};
use serde_json::json;

use crate::Endpoint;

impl Endpoint {
    /// Refuses what could not be told apart, or be written.
    pub(crate) fn check(&self) -> Result<(), String> {
        match self {
            Self::Scale { count, .. } if *count == 0 => {
                Err("a `count` of 0 has no endpoint answer".to_owned())
            }
            Self::Latch { key, on, off, .. } => {
                if !is_word(key) || key.contains('/') {
                    return Err(format!("`{}` is no key of a ConfigMap", one_line(key)));
                }
                if on == off || [on, off].iter().any(|text| one_line(text) != **text) {
                    return Err("`on` and `off` are two different lines".to_owned());
                }
                Ok(())
            }
            Self::Scale { .. } => Ok(()),
        }
    }

    /// The object's kind.
    pub(crate) fn resource(&self) -> Result<ApiResource, String> {
        let (group, kind, plural) = match self {
            Self::Latch { .. } => ("", "ConfigMap", "configmaps"),
            Self::Scale { object, .. } => {
                let it = &object.resource;
                match (it.plural.as_str(), it.version.as_str(), it.group.as_str()) {
                    ("deployments", "v1", "apps") => ("apps", "Deployment", "deployments"),
                    ("statefulsets", "v1", "apps") => ("apps", "StatefulSet", "statefulsets"),
                    _ => return Err(format!("{object} is no Deployment and no StatefulSet")),
                }
            }
        };
        let kind = GroupVersionKind::gvk(group, "v1", kind);
        Ok(ApiResource::from_gvk_with_plural(&kind, plural))
    }

    /// The object's name.
    pub(crate) fn object(&self) -> &str {
        match self {
            Self::Scale { object, .. } => &object.name,
            Self::Latch { config_map, .. } => config_map,
        }
    }

    /// A workload is changed by its scale, so that nothing else of it need be permitted.
    pub(crate) const fn changed_by(&self) -> Option<&'static str> {
        match self {
            Self::Scale { .. } => Some("scale"),
            Self::Latch { .. } => None,
        }
    }

    /// What of the object decides.
    pub(crate) fn part(&self) -> String {
        match self {
            Self::Scale { .. } => "replicas".to_owned(),
            Self::Latch { key, .. } => format!("key {key}"),
        }
    }

    /// What it says where the endpoint answers, or does not.
    pub(crate) fn text(&self, answers: bool) -> String {
        match (self, answers) {
            (Self::Scale { count, .. }, true) => count.to_string(),
            (Self::Scale { .. }, false) => "0".to_owned(),
            (Self::Latch { on, .. }, true) => on.clone(),
            (Self::Latch { off, .. }, false) => off.clone(),
        }
    }

    /// Whether the endpoint answers where the object says this; any pod answers, however many there are to be. `None` where it says
    /// neither.
    pub(crate) fn answers(&self, text: &str) -> Option<bool> {
        match self {
            Self::Scale { .. } => Some(text != "0"),
            Self::Latch { on, .. } if text == on => Some(true),
            Self::Latch { off, .. } => (text == off).then_some(false),
        }
    }

    /// What an object says, in one line.
    ///
    /// # Errors
    /// It says nothing; as a full sentence.
    pub(crate) fn read(&self, live: &DynamicObject) -> Result<String, String> {
        match self {
            Self::Scale { .. } => match live.data["spec"]["replicas"].as_u64() {
                Some(count) => Ok(count.to_string()),
                None => Err("It does not say how many pods it is to have.".to_owned()),
            },
            Self::Latch { key, .. } => match live.data["data"][key].as_str() {
                // A line end that is not seen is another value too.
                Some(text) if one_line(text) != text => Ok(one_line(&format!("{text:?}"))),
                Some(text) => Ok(text.to_owned()),
                None => Err(format!("It has no key {key}.")),
            },
        }
    }

    /// The operations that have an object say something else: a test of what it says now, and the change.
    ///
    /// # Errors
    /// It cannot say so.
    pub(crate) fn operations(
        &self,
        live: &DynamicObject,
        to: &str,
    ) -> Result<Vec<PatchOperation>, String> {
        let Self::Latch { key, .. } = self else {
            let count: u32 = to.parse().map_err(|_| format!("`{to}` is no count"))?;
            let (path, seen) = (["spec", "replicas"], &live.data["spec"]["replicas"]);
            // A scale leaves a count of 0 out, and what is absent cannot be tested. Its version is the workload's.
            let tested = if *seen == 0 {
                let version = json!(live.metadata.resource_version);
                test(&["metadata", "resourceVersion"], &version)
            } else {
                test(&path, seen)
            };
            let (path, value) = (pointer(&path), json!(count));
            return Ok(vec![
                tested,
                PatchOperation::Add(AddOperation { path, value }),
            ]);
        };
        let seen = &live.data["data"][key];
        Ok(swap(&["data", key], seen, json!(to)).into())
    }
}
