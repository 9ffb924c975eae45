//! Clients of a pooler: each writes a row after the other, waits as long as it has to, and notes each error.
//!
//! A process of its own that shares no code with pgha. It ends with SIGTERM, once each client has its answer, and writes down what
//! they saw.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::{Deserialize, Serialize};

pub mod bouncer;
#[cfg(feature = "programs")]
pub mod program;

/// What the clients are told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Config {
    /// Host and port of the pooler.
    pub address: String,
    /// The role to log in as.
    pub user: String,
    /// Its password.
    pub password: String,
    /// The database as the pooler calls it.
    pub database: String,
    /// How many.
    pub clients: u32,
    /// Where the report goes. It is there once a row of each was acknowledged, and again at the end.
    pub report: PathBuf,
}

/// What the clients saw.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// Rows that were acknowledged.
    pub acknowledged: u64,
    /// Rows of these clients that the table has at the end.
    pub present: u64,
    /// What went wrong, in the words of the server or of the connection.
    pub errors: Vec<String>,
    /// The longest time that a client waited for an answer, in milliseconds.
    pub longest_wait_ms: f64,
}

impl Report {
    /// Reads it.
    ///
    /// # Errors
    /// It is not there, or not whole.
    pub fn read(path: &Path) -> Result<Self> {
        Ok(serde_json::from_slice(&std::fs::read(path)?)?)
    }
}

/// How a Postgres service is entered.
pub struct Entrance {
    /// The host of its leader at each site, by the site's name.
    pub hosts: BTreeMap<String, String>,
    /// The role to log in as.
    pub user: String,
    /// Its password.
    pub password: String,
    /// Its database.
    pub database: String,
}

/// How a Postgres service is entered.
///
/// # Errors
/// There is no such service.
pub fn entrance(cluster: &str) -> Result<Entrance> {
    let login = crate::writer::login(cluster)?;
    let endpoints = crate::writer::endpoints(cluster)?;
    let hosts = endpoints.into_iter().filter_map(|endpoint| {
        let (host, _) = endpoint.service.rsplit_once(':')?;
        Some((endpoint.site.clone(), host.to_owned()))
    });
    Ok(Entrance {
        hosts: hosts.collect(),
        user: login.user,
        password: login.password,
        database: login.database,
    })
}
