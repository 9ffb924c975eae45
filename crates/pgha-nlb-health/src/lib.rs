//! Moves users by the health endpoint that a global load balancer (GSLB) watches at each site: it sends them to the site whose
//! endpoint answers. The endpoint is a workload of its own that has pods at one site only, or reads a key of a `ConfigMap`.
//!
//! **The new site's endpoint is made to answer first, then the old one's is taken away**; a rollback keeps that order. What a GSLB
//! does meanwhile decides it. While both answer, one that has an order of sites or keeps its users (F5's Global Availability, Route
//! 53's failover records, k8gb's failover) sends them to one of the two, as it did before or as it will; one that spreads them sends
//! some to the old site, where all of them were until now, whose database takes no writes any more: they are late, and nothing is
//! harmed. While none answers it is an outage (SERVFAIL, which resolvers remember), or worse, it is as if both did: Route 53 takes all
//! records for healthy, or answers with the primary's, and F5's method None answers with every address (Route 53 Developer Guide,
//! "How Amazon Route 53 chooses records when health checking is configured"; BIG-IP DNS, "Global Server Load Balancing"). And a
//! change that comes only half way leaves the users where they are, instead of nowhere.
//!
//! A change that is half made is split: both endpoints are meant to answer. It is taken back, and a state like it is refused.

mod budget;
mod endpoint;
mod route;
mod workload;

use pgha_model::application::ObjectName;
use pgha_nlb::RouteName;
use pgha_objects::Whereabouts;
use serde::Deserialize;

/// Health endpoints.
pub type Health = pgha_objects::Backend<route::Watched>;

/// Endpoints, and where they are.
pub type Settings = pgha_objects::Settings<RouteSettings>;

/// One route: an endpoint that answers at one of its sites.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteSettings {
    /// Its name.
    pub name: RouteName,
    /// The site of each endpoint, and its namespace where that is another one than the site's.
    pub r#in: Vec<Whereabouts>,
    /// What decides whether it answers.
    pub endpoint: Endpoint,
}

/// What decides whether an endpoint answers, by the same name at each site.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum Endpoint {
    /// A workload that has pods where it answers, and none elsewhere.
    Scale {
        /// A Deployment or a `StatefulSet`, as kubectl takes it: `deployment/health-api`.
        object: ObjectName,
        /// How many pods it is to have [default: 2: with one, the drain of a node would take the endpoint away].
        #[serde(default = "two")]
        count: u32,
    },
    /// A key that the endpoint reads.
    Latch {
        /// The `ConfigMap`.
        config_map: String,
        /// The key.
        key: String,
        /// What it says where the endpoint answers.
        #[serde(default = "on")]
        on: String,
        /// What it says elsewhere.
        #[serde(default = "off")]
        off: String,
    },
}

fn on() -> String {
    "on".to_owned()
}

fn off() -> String {
    "off".to_owned()
}

const fn two() -> u32 {
    2
}
