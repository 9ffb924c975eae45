//! Two real Kubernetes sites and an edge on one Linux machine, for trying moves on.
//!
//! The library is synchronous and drives programs (`ip`, `nsenter`, `go`, `kubectl`, …); the programs that run *in* the
//! lab are behind the feature `programs`. It links no product code: what moves a service is driven as a process.
//!
//! The tree: [`site`], [`paths`] say where things are; [`program`], [`wait`], [`progress`] are how anything is run and
//! shown; [`kubectl`] talks to a site; [`cluster`] and [`writer`] put a Postgres service and its load on it.

pub mod cluster;
pub mod kubectl;
pub mod paths;
pub mod program;
pub mod site;
#[cfg(feature = "programs")]
pub mod standin;
pub mod wait;
pub mod writer;
