//! The operator of a site: a process outside the cluster, in the site's network and with the cluster's DNS.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use crate::daemon::Daemon;
use crate::paths;
use crate::site::{SERVICE_NAMESPACE, Site};

/// The daemon's name.
pub const DAEMON: &str = "operator";

/// Which operator runs, and with which image.
#[derive(Clone, Debug)]
pub struct Operator {
    /// The program: the stand-in or a real operator's.
    pub program: PathBuf,
    /// The image for Postgres, pgBackRest and PgBouncer.
    pub image: String,
}

impl Operator {
    /// Runs it in a site; replaces one that runs with another program or image. Says whether it was started.
    pub fn ensure(&self, site: Site) -> Result<bool> {
        let daemon = self.daemon(site)?;
        if let Ok(running) = Daemon::load(site.place(), DAEMON) {
            if running.is_alive() && running.is_same(&daemon) {
                return Ok(false);
            }
            stop(site)?;
        }
        daemon.start()?;
        Ok(true)
    }

    fn daemon(&self, site: Site) -> Result<Daemon> {
        let program = fs::canonicalize(&self.program)
            .with_context(|| format!("no operator at {}", self.program.display()))?;
        let content = hex::encode(Sha256::digest(fs::read(&program)?));
        Ok(Daemon::new(site.place(), DAEMON, program)
            .version(content)
            .resolv_conf(paths::resolv_conf(site))
            .env(
                "KUBECONFIG",
                paths::site_kubeconfig(site).display().to_string(),
            )
            .env("PGO_NAMESPACE", "default")
            .env("PGO_TARGET_NAMESPACES", SERVICE_NAMESPACE)
            .env("RELATED_IMAGE_POSTGRES_15", &self.image)
            .env("RELATED_IMAGE_PGBACKREST", &self.image)
            .env("RELATED_IMAGE_PGBOUNCER", &self.image)
            // A real PGO would look for a collector of traces.
            .env("OTEL_SDK_DISABLED", "true")
            .env("CRUNCHY_DEBUG", "true"))
    }
}

/// Starts a site's operator again as it ran before.
pub fn start(site: Site) -> Result<()> {
    Daemon::load(site.place(), DAEMON)?.start()
}

/// Ends a site's operator.
pub fn stop(site: Site) -> Result<()> {
    Daemon::load(site.place(), DAEMON)?.stop(Duration::from_secs(10))
}
