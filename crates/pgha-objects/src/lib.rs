//! Objects of Kubernetes by which a traffic backend moves users, in one or more clusters.
//!
//! A backend says which objects a route has, what their fields say and which operations have them say something else ([`Field`]);
//! how they are read, changed and taken back is the same for all ([`Backend`]). Every change is a JSON patch of one object whose
//! `test` operations name what it says now, so the API server itself refuses what somebody else has changed. Several objects change
//! one after the other, in the order of the plan, and what was changed is taken back where a later one fails.

mod backend;
mod change;
mod cluster;
mod field;
mod objects;
mod patch;
mod place;

pub use backend::{Backend, Settings};
pub use cluster::{Need, Object, Open, Opened, Opening};
pub use field::{Field, Here, Part};
pub use patch::{pointer, swap, test};
pub use place::{Whereabouts, is_word};
