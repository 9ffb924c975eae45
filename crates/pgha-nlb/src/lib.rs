//! The port through which pgha moves users from one site to another.
//!
//! A [`Cutover`] drives one product (a load balancer, a DNS server, a person); a [`Probe`] asks as a user does and knows
//! nothing of any product. [`Composite`] drives several products, all or none. A backend is written as a [`Product`]: a look and a
//! write, of which a [`Cutover`] is made the same way for all. Nothing here reads or writes anything by itself, and nothing has
//! a clock: a backend gets the time that one exchange may take, and the caller waits between looks.
//!
//! A backend promises what the module `conformance` checks (a feature of that name): a plan after an apply is empty,
//! a rollback restores the bytes, an apply that is repeated changes nothing, a stale fence is a conflict and never an
//! overwrite, what is split or unknown is refused, and no secret is in a plan or a receipt, for both are journaled.

pub mod composite;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod cutover;
pub mod diff;
pub mod error;
pub mod finding;
pub mod name;
pub mod plan;
pub mod preparation;
pub mod probe;
pub mod product;
pub mod receipt;
pub mod settings;
pub mod state;

pub use pgha_model::text;

pub use composite::Composite;
pub use cutover::{Capabilities, Cutover, Descriptor, Layer, Look};
pub use error::{CutoverError, Problem};
pub use finding::Finding;
pub use name::{BackendId, RouteName, SiteName, SiteValues};
pub use plan::{Change, Plan, Refusal};
pub use preparation::Preparation;
pub use probe::{Probe, Sample};
pub use product::{Looked, Order, Product, Purpose, Written};
pub use receipt::{Did, Receipt};
pub use settings::{BadSettings, RouteSettings, refuse_twins};
pub use state::{Active, Fence, Place, Route, RouteState};
