//! A fake API server under the real Kubernetes client, and builders of what it holds.
//!
//! [`FakeCluster`] keeps objects as JSON and answers as a real API server words its answers; [`pgo`] builds what Crunchy
//! PGO and Patroni write there. It runs under [`kube::Client`] within a test, or behind a loopback port for a test that
//! starts a process. It does not do watches, server-side apply, schemas, defaulting, or `exec`.

pub mod fake_cluster;
pub mod kubeconfig;
pub mod pgo;
mod serve;

pub use fake_cluster::FakeCluster;
pub use fake_cluster::fault::{Failure, Fault};
pub use fake_cluster::request::LoggedRequest;
pub use serve::ServedCluster;
