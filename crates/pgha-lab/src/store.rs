//! The S3 store in the edge.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::daemon::Daemon;
use crate::paths::{self, Cache};
use crate::pki;
use crate::program;
use crate::site::{Place, S3_BUCKET, S3_KEY, S3_PORT, S3_REGION, S3_SECRET};

/// The daemon's name.
pub const DAEMON: &str = "versitygw";

/// Starts the store with its bucket and waits until it answers.
pub fn start(cache: &Cache) -> Result<()> {
    let folder = paths::place(Place::Edge);
    let certificates = folder.join("pki");
    pki::write_edge(&certificates, &Place::Edge.ip().to_string())?;
    // A bucket is a folder.
    let data = cache.data(Place::Edge).join("s3");
    fs::create_dir_all(data.join(S3_BUCKET))?;
    let daemon = Daemon::new(Place::Edge, DAEMON, paths::program(DAEMON))
        .env("ROOT_ACCESS_KEY", S3_KEY)
        .env("ROOT_SECRET_KEY", S3_SECRET)
        .arg("--port")
        .arg(format!(":{S3_PORT}"))
        .arg("--cert")
        .arg(certificates.join("s3.crt").display().to_string())
        .arg("--key")
        .arg(certificates.join("s3.key").display().to_string())
        .args(["--region", S3_REGION, "--quiet", "posix", "--nometa"])
        .arg(data.display().to_string());
    daemon.start()?;
    daemon.await_ready(Duration::from_secs(20), answers)
}

/// Succeeds when the store answers a request from here, be it with a refusal.
pub fn answers() -> Result<()> {
    let status = program::output(Command::new("curl").args([
        "--silent",
        "--insecure",
        "--max-time",
        "3",
        "--output",
        "/dev/null",
        "--write-out",
        "%{http_code}",
        &format!("https://{}:{S3_PORT}/", Place::Edge.ip()),
    ]))?;
    ensure!(
        status == "403",
        "S3 answered {status} instead of asking for a signature"
    );
    Ok(())
}
