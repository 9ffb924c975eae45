//! What the writer is told: one JSON file.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The writer's configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Config {
    /// Where ledger, status and ready file go.
    pub folder: PathBuf,
    /// The role to log in as.
    pub user: String,
    /// Its password.
    pub password: String,
    /// The database, in which the role may create a schema.
    pub database: String,
    /// Load connections beside the probe; each is held to every site.
    pub connections: u32,
    /// Rows a second of all load connections together.
    pub rate: u32,
    /// The sites.
    pub sites: Vec<Endpoint>,
}

/// How one site is reached.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Endpoint {
    /// The site's name, for the ledger.
    pub site: String,
    /// Host and port of the `<c>-ha` service.
    pub service: String,
    /// Host and port of each member that is known from the start.
    pub members: Vec<String>,
    /// Where to learn of members that come later.
    pub watch: Option<PodWatch>,
}

/// The pods whose addresses are members.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PodWatch {
    /// The kubeconfig file.
    pub kubeconfig: PathBuf,
    /// The context in it.
    pub context: String,
    /// The pods' namespace.
    pub namespace: String,
    /// Which pods.
    pub selector: String,
    /// The port on which they serve Postgres.
    pub port: u16,
}

impl Config {
    /// The ledger: a JSON record a line.
    pub fn ledger(&self) -> PathBuf {
        ledger(&self.folder)
    }

    /// Exists once the first row was acknowledged.
    pub fn ready(&self) -> PathBuf {
        ready(&self.folder)
    }

    /// The counts, replaced each second.
    pub fn status(&self) -> PathBuf {
        status(&self.folder)
    }
}

/// The ledger in a writer's folder.
pub(super) fn ledger(folder: &Path) -> PathBuf {
    folder.join("ledger.jsonl")
}

/// The ready file in a writer's folder.
pub(super) fn ready(folder: &Path) -> PathBuf {
    folder.join("ready")
}

/// The status file in a writer's folder.
pub(super) fn status(folder: &Path) -> PathBuf {
    folder.join("status.json")
}
