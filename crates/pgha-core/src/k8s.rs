//! The parts of the Kubernetes client that this workspace uses, in one place, and the resources that pgha reads.

pub use kube::Client;
pub use kube::api::{Api, ApiResource, DynamicObject, ListParams, Object, PostParams};
pub use kube::api::{Patch, PatchParams};

/// Core resources are named here and not discovered: discovery costs a request for what never changes.
fn core(kind: &str, plural: &str) -> ApiResource {
    resource("", "v1", kind, plural)
}

/// A resource by name.
pub(crate) fn resource(group: &str, version: &str, kind: &str, plural: &str) -> ApiResource {
    let api_version = if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    };
    ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version,
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    }
}

/// `v1` Pods.
pub fn pods() -> ApiResource {
    core("Pod", "pods")
}

/// `v1` Endpoints, in which Patroni keeps its lock and its configuration.
pub fn endpoints() -> ApiResource {
    core("Endpoints", "endpoints")
}

/// `v1` Namespaces.
pub fn namespaces() -> ApiResource {
    core("Namespace", "namespaces")
}
