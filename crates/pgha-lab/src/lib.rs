//! Two real Kubernetes sites and an edge on one Linux machine, for trying moves on.
//!
//! The library is synchronous and drives programs (`ip`, `nsenter`, `go`, `kubectl`, …); the programs that run *in* the
//! lab are behind the feature `programs`. It links no product code: what moves a service is driven as a process.
//!
//! The tree: [`lab`] is the whole and what to read first. [`host`], [`built`], [`go`] and [`image`] make its parts;
//! [`network`], [`pki`], [`control_plane`], [`node`], [`volume`], [`store`] and [`operator`] run them; [`leftover`] takes
//! everything away; [`fault`] breaks a part on purpose. [`site`] and [`paths`] say where things are; [`program`], [`process`], [`daemon`], [`wait`] and
//! [`progress`] are how anything is run and shown. [`kubectl`] talks to a site; [`cluster`] and [`writer`] put a Postgres
//! service and its load on it, [`pooled`] a pooler with clients before it, [`gitops`] a git host with Flux and Argo CD beside it, and
//! [`documented`] moves it as the operators' documents say.

pub mod built;
pub mod cluster;
mod control_group;
pub mod control_plane;
pub mod daemon;
pub mod documented;
pub mod fault;
pub mod gitops;
pub mod go;
pub mod host;
pub mod image;
pub mod kubectl;
pub mod lab;
pub mod leftover;
pub mod lock;
pub mod network;
pub mod node;
pub mod operator;
pub mod paths;
pub mod pki;
pub mod pooled;
pub mod process;
pub mod program;
pub mod progress;
pub mod site;
#[cfg(feature = "programs")]
pub mod standin;
pub mod status;
pub mod store;
pub mod volume;
pub mod wait;
pub mod writer;
