//! The objects, and reading them.

use std::collections::BTreeMap;

use http::header;
use serde_json::{Value, json};

use super::request::Call;
use super::resource::{Resource, built_in};
use super::selector::{fields_match, labels_match};
use super::status::{self, Answer};

/// Plural, namespace (empty for the cluster's own objects), name.
type Key = (String, String, String);

/// Every object by its key, and the resources there are.
pub(super) struct Store {
    resources: Vec<Resource>,
    pub(super) objects: BTreeMap<Key, Value>,
    revision: u64,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            resources: built_in(),
            objects: BTreeMap::new(),
            revision: 1000,
        }
    }
}

impl Store {
    pub(super) fn install(&mut self, group: &str, version: &str, kind: &str, plural: &str) {
        self.resources
            .push(Resource::new(group, version, kind, plural).custom());
    }

    pub(super) fn uninstall(&mut self, plural: &str) {
        self.resources.retain(|resource| resource.plural != plural);
    }

    pub(super) fn knows(&self, call: &Call) -> bool {
        self.resource(call).is_some()
    }

    pub(super) fn resource(&self, call: &Call) -> Option<&Resource> {
        self.resources.iter().find(|resource| {
            resource.plural == call.resource
                && resource.group == call.group
                && resource.version == call.version
        })
    }

    pub(super) fn group_of<'a>(&'a self, call: &'a Call) -> &'a str {
        self.resource(call)
            .map_or(call.group.as_str(), |resource| resource.group.as_str())
    }

    pub(super) fn next_revision(&mut self) -> String {
        self.revision += 1;
        self.revision.to_string()
    }

    pub(super) fn insert(&mut self, mut object: Value) {
        let kind = text(&object, "/kind").to_owned();
        let api_version = text(&object, "/apiVersion").to_owned();
        let resource = self
            .resources
            .iter()
            .find(|resource| resource.kind == kind && resource.api_version() == api_version);
        let Some(plural) = resource.map(|resource| resource.plural.clone()) else {
            panic!("the fake cluster does not know {api_version} {kind}");
        };
        let name = text(&object, "/metadata/name").to_owned();
        assert!(!name.is_empty(), "an object of the fake cluster has a name");
        let namespace = text(&object, "/metadata/namespace").to_owned();
        if !namespace.is_empty() {
            self.ensure_namespace(&namespace);
        }
        object["metadata"]["resourceVersion"] = json!(self.next_revision());
        self.objects.insert((plural, namespace, name), object);
    }

    fn ensure_namespace(&mut self, name: &str) {
        let key = ("namespaces".to_owned(), String::new(), name.to_owned());
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name }});
        self.objects.entry(key).or_insert(namespace);
    }

    pub(super) fn object(&self, plural: &str, namespace: &str, name: &str) -> Option<&Value> {
        self.objects
            .get(&(plural.to_owned(), namespace.to_owned(), name.to_owned()))
    }

    pub(super) fn change(
        &mut self,
        plural: &str,
        namespace: &str,
        name: &str,
        change: impl FnOnce(&mut Value),
    ) {
        let revision = self.next_revision();
        let key = (plural.to_owned(), namespace.to_owned(), name.to_owned());
        let Some(object) = self.objects.get_mut(&key) else {
            panic!("the fake cluster has no {plural} {namespace}/{name}");
        };
        change(object);
        object["metadata"]["resourceVersion"] = json!(revision);
    }

    pub(super) fn remove(&mut self, plural: &str, namespace: &str, name: &str) {
        self.objects
            .remove(&(plural.to_owned(), namespace.to_owned(), name.to_owned()));
    }

    pub(super) fn key(call: &Call) -> Key {
        let namespace = call.namespace.clone().unwrap_or_default();
        (
            call.resource.clone(),
            namespace,
            call.name.clone().unwrap_or_default(),
        )
    }

    /// The refusal when the object that a request names is not there.
    pub(super) fn missing(&self, call: &Call, name: &str) -> Option<Answer> {
        let resource = self.resource(call)?;
        let namespace = call.namespace.as_deref().unwrap_or_default();
        let is_there = self.object(&call.resource, namespace, name).is_some();
        (!is_there).then(|| status::not_found(resource, name))
    }

    /// The refusal to create something in a namespace that is not there.
    pub(super) fn missing_namespace(&self, namespace: &str) -> Option<Answer> {
        let is_there = namespace.is_empty() || self.object("namespaces", "", namespace).is_some();
        let resource = self
            .resources
            .iter()
            .find(|resource| resource.plural == "namespaces")?;
        (!is_there).then(|| status::not_found(resource, namespace))
    }

    pub(super) fn pod_ip(&self, call: &Call, pod: &str) -> String {
        let namespace = call.namespace.as_deref().unwrap_or_default();
        let pod = self.object("pods", namespace, pod);
        pod.map(|pod| text(pod, "/status/podIP").to_owned())
            .unwrap_or_default()
    }

    pub(super) fn get(&self, call: &Call, head: &http::request::Parts) -> Answer {
        let name = call.name.as_deref().unwrap_or_default();
        if let Some(missing) = self.missing(call, name) {
            return missing;
        }
        match self.objects.get(&Self::key(call)) {
            Some(object) if wants_metadata(head) => Answer::ok(&metadata_of(object)),
            Some(object) => Answer::ok(object),
            None => status::unknown_path(),
        }
    }

    pub(super) fn list(&self, call: &Call, head: &http::request::Parts) -> Answer {
        let Some(resource) = self.resource(call) else {
            return status::unknown_path();
        };
        let selected = |key: &str| call.query.get(key).map_or("", String::as_str);
        let mut items = self
            .objects
            .iter()
            .filter(|((plural, namespace, _), _)| {
                *plural == call.resource
                    && call
                        .namespace
                        .as_ref()
                        .is_none_or(|wanted| wanted == namespace)
            })
            .map(|(_, object)| object)
            .filter(|object| labels_match(selected("labelSelector"), object))
            .filter(|object| fields_match(selected("fieldSelector"), object))
            .map(|object| as_item(resource, object, head))
            .collect::<Vec<_>>();
        let (api_version, kind) = if wants_metadata(head) {
            (
                "meta.k8s.io/v1".to_owned(),
                "PartialObjectMetadataList".to_owned(),
            )
        } else {
            (resource.api_version(), format!("{}List", resource.kind))
        };
        let mut metadata = json!({"resourceVersion": self.revision.to_string()});
        // A continuation is opaque to clients; here it is how many items came before.
        let number = |key: &str| selected(key).parse::<usize>().ok();
        let before = number("continue").unwrap_or(0).min(items.len());
        items.drain(..before);
        if let Some(limit) = number("limit").filter(|limit| (1..items.len()).contains(limit)) {
            items.truncate(limit);
            metadata["continue"] = json!((before + limit).to_string());
        }
        Answer::ok(
            &json!({"kind": kind, "apiVersion": api_version, "metadata": metadata, "items": items}),
        )
    }
}

fn as_item(resource: &Resource, object: &Value, head: &http::request::Parts) -> Value {
    if wants_metadata(head) {
        return metadata_of(object);
    }
    let mut item = object.clone();
    if let Some(fields) = item.as_object_mut().filter(|_| !resource.is_custom()) {
        fields.remove("kind");
        fields.remove("apiVersion");
    }
    item
}

/// Whether the client asked for metadata only (Kubernetes documentation, API concepts).
fn wants_metadata(head: &http::request::Parts) -> bool {
    let accept = head
        .headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("as=PartialObjectMetadata"))
}

fn metadata_of(object: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
        "metadata": object["metadata"]})
}

pub(super) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}
