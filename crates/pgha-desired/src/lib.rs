//! A move of the primary as commits in a repository of desired state.
//!
//! Two commits, the source's first: it makes the source a standby, and the target's makes the target the primary once the source is
//! proved fenced. Each has the paths of its own site and no others, whatever a render command writes, and what a render changes is
//! compared as objects: anything that nobody expected stops it.
//!
//! One line that names the primary for all sites goes with the target's commit. Between the two commits it names the source, so
//! that whoever renders the whole then gets the source back as the primary, and never a target that nobody has proved: in Git there
//! is one primary or none, and a half-done move leads back.
//!
//! Nothing here speaks to a cluster. Who calls says when each part may be committed.

mod change;
mod check;
mod edit;
mod error;
mod gate;
mod plan;
mod settings;

pub use change::{Change, Done, How, PartState, Prepared, Proposal, Request, role};
pub use check::{Desired, Mistake, Patience, Place};
pub use error::{DesiredError, Problem};
pub use plan::{Changed, Planned, PlannedCommit};
pub use settings::{Edit, Expect, MergeRequest, Object, Render, Settings, Way};
