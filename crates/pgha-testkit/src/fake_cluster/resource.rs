//! The resources that the cluster knows.

/// A resource by its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resource {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) kind: String,
    pub(super) plural: String,
    /// Whether `status` is written by its own path only.
    pub(super) has_status: bool,
    /// Whether a CRD has made it known.
    is_custom: bool,
}

impl Resource {
    pub(super) fn new(group: &str, version: &str, kind: &str, plural: &str) -> Self {
        Self {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: kind.to_owned(),
            plural: plural.to_owned(),
            has_status: true,
            is_custom: false,
        }
    }

    pub(super) fn custom(self) -> Self {
        Self {
            is_custom: true,
            ..self
        }
    }

    fn without_status(self) -> Self {
        Self {
            has_status: false,
            ..self
        }
    }

    pub(super) fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// How messages name it: `pods`, `postgresclusters.postgres-operator.crunchydata.com`.
    pub(super) fn qualified(&self) -> String {
        qualified(&self.plural, &self.group)
    }

    /// Lists of built-in kinds leave `kind` and `apiVersion` out of their items, lists of custom ones do not.
    pub(super) const fn is_custom(&self) -> bool {
        self.is_custom
    }

    /// Whether the API server counts changes of `spec` in `metadata.generation`.
    pub(super) const fn counts_generations(&self) -> bool {
        self.is_custom()
    }
}

pub(super) fn qualified(plural: &str, group: &str) -> String {
    if group.is_empty() {
        plural.to_owned()
    } else {
        format!("{plural}.{group}")
    }
}

/// What a cluster knows from the start.
pub(super) fn built_in() -> Vec<Resource> {
    let core = |kind: &str, plural: &str| Resource::new("", "v1", kind, plural);
    vec![
        core("Namespace", "namespaces"),
        core("Pod", "pods"),
        core("Service", "services"),
        core("Endpoints", "endpoints").without_status(),
        core("Secret", "secrets").without_status(),
        core("ConfigMap", "configmaps").without_status(),
        core("Event", "events").without_status(),
        Resource::new("batch", "v1", "Job", "jobs"),
        Resource::new("batch", "v1", "CronJob", "cronjobs"),
        Resource::new("apps", "v1", "Deployment", "deployments"),
        Resource::new("apps", "v1", "StatefulSet", "statefulsets"),
        Resource::new("networking.k8s.io", "v1", "Ingress", "ingresses"),
        Resource::new("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices").without_status(),
        Resource::new(
            "postgres-operator.crunchydata.com",
            "v1beta1",
            "PostgresCluster",
            "postgresclusters",
        )
        .custom(),
    ]
}
