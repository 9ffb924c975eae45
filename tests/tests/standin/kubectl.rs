//! kubectl on the lab's first site, and waiting for what it shows.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

const FOLDER: &str = "/run/pgha-lab";

/// Runs kubectl in `core1`; the default namespace is the service's.
pub(crate) fn kubectl(args: &[&str]) -> Result<String> {
    let output = Command::new(format!("{FOLDER}/bin/kubectl"))
        .args([
            &format!("--kubeconfig={FOLDER}/kubeconfig"),
            "--context=core1",
        ])
        .args(args)
        .output()
        .context("PGHA_LAB=1 is set, and there is no lab")?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "kubectl {}: {stderr}",
        args.join(" ")
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// `kubectl get … -o json`.
pub(crate) fn get(args: &[&str]) -> Result<Value> {
    let text = kubectl(&[&["get"], args, &["--output=json"]].concat())?;
    serde_json::from_str(&text).context("kubectl printed no JSON")
}

/// Calls `probe` until it returns something.
pub(crate) fn await_that<T>(
    what: &str,
    deadline: Duration,
    mut probe: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let started = Instant::now();
    loop {
        let seen = probe();
        if let Ok(Some(value)) = seen {
            return Ok(value);
        }
        if started.elapsed() > deadline {
            let because = seen
                .err()
                .map(|error| format!(": {error:#}"))
                .unwrap_or_default();
            bail!("waited {} s for {what}{because}", deadline.as_secs());
        }
        thread::sleep(Duration::from_millis(100));
    }
}
