//! Typed primitives over Kubernetes, Patroni and Postgres for moving a service between sites.
//!
//! Reads go to the API server itself and come back as facts of [`pgha_model`]; what to make of them is decided there.
//! Nothing here reads the environment, prints, or chooses a context.

pub mod application;
pub mod backup;
pub mod client;
pub mod clock;
pub mod config_map;
pub mod diagnose;
pub mod engine;
pub mod exec;
pub mod gitops;
pub mod journal;
pub mod k8s;
pub mod login;
#[cfg(feature = "oidc")]
pub mod oidc;
pub mod operator;
pub mod patch;
pub mod peer;
pub mod permission;
pub mod postgres;
pub mod schedule;
pub mod secret;
pub mod settle;
pub mod surroundings;
pub mod survey;
pub mod validate;
