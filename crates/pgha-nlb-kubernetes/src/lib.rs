//! Moves users by objects of Kubernetes that decide where they go: weights in a rule of the Gateway API, the selector of a
//! Service, the target that external-dns publishes, the primary of k8gb.
//!
//! An object is found by its name and a field by its structure; the rest of both is left alone. How objects are read and changed is
//! the crate `pgha-objects`.

mod field;
mod preflight;
mod route;
mod status;
mod weights;

use std::collections::BTreeMap;

use pgha_nlb::{RouteName, SiteName};
use serde::Deserialize;

pub use pgha_objects::{Open, Opened, Opening, Whereabouts};

/// Objects of Kubernetes.
pub type Kubernetes = pgha_objects::Backend<route::Leading>;

/// Objects, and what each says for a site.
pub type Settings = pgha_objects::Settings<RouteSettings>;

/// One route: a field that leads users to a site.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteSettings {
    /// Its name.
    pub name: RouteName,
    /// Where the object is; several where more than one cluster has it, all of which have to say the same.
    pub r#in: Vec<Whereabouts>,
    /// Which object, and which of its fields.
    pub field: Field,
    /// What the field says for each site.
    pub sites: BTreeMap<SiteName, Says>,
}

/// A field that leads users.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Field {
    /// The weights of the backends in a rule; for a site it says a backend's name, `namespace/name` when it is in another one.
    Weights {
        /// The kind of route.
        kind: RouteKind,
        /// The object.
        name: String,
        /// The version of the API that the cluster serves.
        #[serde(default = "first_version")]
        version: String,
        /// Which rule, counted from 0; not needed when there is one.
        #[serde(default)]
        rule: Option<usize>,
        /// The weight of the backend that gets the users; the others get 0.
        #[serde(default = "all_users")]
        weight: u32,
    },
    /// The labels of the pods that a Service leads to.
    Selector {
        /// The Service.
        service: String,
    },
    /// The targets that external-dns publishes, as its annotation has them.
    Target {
        /// The kind of object.
        kind: TargetKind,
        /// The object.
        name: String,
    },
    /// The tag of the cluster that k8gb prefers, under its strategy `failover`.
    PrimaryGeoTag {
        /// The Gslb.
        gslb: String,
        /// The group of the API: k8gb changes it to `k8gb.io`.
        #[serde(default = "first_group")]
        group: String,
    },
}

/// Kinds of routes in `gateway.networking.k8s.io` whose rules weigh their backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum RouteKind {
    /// By request.
    #[serde(rename = "HTTPRoute")]
    HttpRoute,
    /// By the server name of TLS.
    #[serde(rename = "TLSRoute")]
    TlsRoute,
    /// By gRPC's method.
    #[serde(rename = "GRPCRoute")]
    GrpcRoute,
}

/// Kinds of objects at which external-dns reads a target: of the Gateway API that is the Gateway, and never a route
/// (external-dns documentation, "Gateway API Annotation Placement").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum TargetKind {
    /// `v1`.
    Service,
    /// `networking.k8s.io/v1`.
    Ingress,
    /// `gateway.networking.k8s.io/v1`.
    Gateway,
}

/// What a field says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged, expecting = "expected a text, or the labels of a selector")]
pub enum Says {
    /// A text.
    Text(String),
    /// The labels of a selector.
    Labels(BTreeMap<String, String>),
}

fn first_version() -> String {
    "v1".to_owned()
}

fn first_group() -> String {
    "k8gb.absa.oss".to_owned()
}

const fn all_users() -> u32 {
    100
}
