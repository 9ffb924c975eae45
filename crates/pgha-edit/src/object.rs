//! Which object a document describes.

use std::fmt;

use serde_json::Value;

/// An object of Kubernetes, by what names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId {
    /// `postgres-operator.crunchydata.com/v1beta1`.
    pub api_version: String,
    /// `PostgresCluster`.
    pub kind: String,
    /// None where the document says none: then a Kustomization or the command that applies it does.
    pub namespace: Option<String>,
    /// `metadata.name`.
    pub name: String,
}

impl ObjectId {
    /// What a document says that it is; none where it is no object of Kubernetes with a name.
    pub fn of(document: &Value) -> Option<Self> {
        let text = |pointer: &str| document.pointer(pointer)?.as_str().map(str::to_owned);
        Some(Self {
            api_version: text("/apiVersion")?,
            kind: text("/kind")?,
            namespace: text("/metadata/namespace"),
            name: text("/metadata/name")?,
        })
    }

    /// Whether a document's name may mean this object: everything that both say is equal. A document without a namespace
    /// gets its own from elsewhere, and an id without one takes any.
    pub fn is(&self, other: &Self) -> bool {
        let is_near = match (&self.namespace, &other.namespace) {
            (Some(one), Some(other)) => one == other,
            (None, _) | (_, None) => true,
        };
        is_near
            && (&self.api_version, &self.kind, &self.name)
                == (&other.api_version, &other.kind, &other.name)
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let namespace = self.namespace.as_ref();
        let namespace = namespace.map_or_else(String::new, |name| format!("{name}/"));
        let (kind, name, version) = (&self.kind, &self.name, &self.api_version);
        write!(f, "{kind} {namespace}{name} of {version}")
    }
}
