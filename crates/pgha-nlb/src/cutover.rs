//! What a backend must be able to do.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;

use crate::error::CutoverError;
use crate::finding::Finding;
use crate::name::{BackendId, SiteName};
use crate::plan::{Plan, Refusal};
use crate::preparation::Preparation;
use crate::receipt::Receipt;
use crate::state::RouteState;

/// One product that decides which site users reach. [`Product`](crate::Product) is what a backend implements.
///
/// `within` is how long each exchange with the product may take; a backend gives up then, and says what it may have left
/// behind. Nothing is repeated by itself.
#[async_trait]
pub trait Cutover: fmt::Debug + Send + Sync {
    /// What it is and can do. Reads nothing.
    fn describe(&self) -> Descriptor;

    /// Looks for whatever would make a move of users fail, or do less than it seems to. Changes nothing.
    async fn preflight(&self, within: Duration) -> Vec<Finding>;

    /// Reads where every route leads, and the token of what it read. Changes nothing.
    async fn observe(&self, within: Duration) -> Result<RouteState, CutoverError>;

    /// What is to be changed so that every route leads to a site. Pure: reads nothing.
    fn plan(&self, seen: &RouteState, to: &SiteName) -> Result<Plan, Refusal>;

    /// Makes the changes of a plan, if the product is still as the plan rests on. A product that says already what the plan
    /// would make it say is left alone.
    async fn apply(&self, plan: &Plan, within: Duration) -> Result<Receipt, CutoverError>;

    /// One look whether what a receipt tells has taken effect. Changes nothing; the caller looks again until it is patient
    /// no longer.
    async fn settled(&self, receipt: &Receipt, within: Duration) -> Result<Look, CutoverError>;

    /// Takes back what a receipt tells, if the product is still as the receipt left it.
    async fn rollback(&self, receipt: &Receipt, within: Duration) -> Result<Receipt, CutoverError>;

    /// What would make a later move take effect sooner: nothing, unless what the product says is remembered elsewhere.
    /// Changes nothing.
    async fn preparation(&self, within: Duration) -> Result<Preparation, CutoverError>;

    /// Makes the changes of a preparation, if the product is still as it rests on. No route leads elsewhere after it.
    async fn prepare(
        &self,
        preparation: &Preparation,
        within: Duration,
    ) -> Result<Receipt, CutoverError>;
}

/// What one look at an effect found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// It is real; the evidence, as a full sentence.
    Settled(String),
    /// Not yet; what was seen instead, as a full sentence.
    NotYet(String),
}

/// Where a product decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Layer {
    /// By connection: address, port, TLS server name.
    Tcp,
    /// By request: host, path.
    Http,
    /// By name, before anybody connects.
    Dns,
    /// By an object that a controller reads.
    Object,
    /// By a person or a program of the site's own.
    Outside,
}

/// What a product can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts, each shown by its name"
)]
pub struct Capabilities {
    /// The product itself refuses a write that rests on an old token. Otherwise there is a moment between the look and the
    /// write.
    pub compare_and_swap: bool,
    /// Several routes change in one moment.
    pub atomic: bool,
    /// What it says outlives a restart.
    pub persistent: bool,
    /// Something else must read the change before it has an effect.
    pub needs_reload: bool,
}

/// What a backend is and can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// Its name in the service's file.
    pub id: BackendId,
    /// The product: `haproxy-git`.
    pub kind: &'static str,
    /// Where it is: an address, a path. Never with a secret.
    pub at: String,
    /// Where it decides.
    pub layer: Layer,
    /// What it can do.
    pub capabilities: Capabilities,
    /// How long a change usually takes to have an effect.
    #[serde(skip)]
    pub settles_in: Duration,
}
