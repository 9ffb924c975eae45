//! Where a Postgres cluster lives.

use std::fmt;

use serde::Serialize;

/// A Kubernetes place: a kubeconfig context and a namespace, and the operator's Postgres cluster object in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// Name of the kubeconfig context.
    pub context: String,
    /// Kubernetes namespace.
    pub namespace: String,
    /// Name of the operator's Postgres cluster object.
    pub cluster: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}@{}", self.namespace, self.cluster, self.context)
    }
}

/// The part a site plays in one move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Part {
    /// The side that is primary before the move.
    Source,
    /// The side that is primary after it.
    Target,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Source => "source",
            Self::Target => "target",
        })
    }
}
