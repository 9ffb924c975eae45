//! The ways that the operators' documents describe, automated without a person's pauses: what pgha is measured against,
//! and what the suite shows to do harm.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::cluster::{self, query_leader};
use crate::kubectl::Kubectl;
use crate::site::Site;
use crate::wait;

/// What Patroni logs when a site has become a standby: what the documented procedure waits for.
const STANDBY_LINE: &str = "the standby leader with the lock";

/// For each wait.
const DEADLINE: Duration = Duration::from_mins(2);

/// Enable the standby at the source, wait for the log line, disable it at the target (PGO documentation, "Standby
/// Cluster").
///
/// # Errors
/// A site does not answer, or a wait passes its deadline.
pub fn switch_standby(cluster: &str, from: Site) -> Result<()> {
    let source = Kubectl::new(from);
    let leader = cluster::leader(source, cluster)?;
    let since = source.run(&[
        "exec", &leader, "-c", "database", "--", "date", "--utc", "+%FT%TZ",
    ])?;
    patch(from, cluster, &json!({"standby": {"enabled": true}}))?;
    wait::until("the log line of the standby leader", DEADLINE, || {
        let since = format!("--since-time={}", since.trim());
        let log = source
            .run(&["logs", &leader, "-c", "database", &since])?
            .to_lowercase();
        ensure!(log.contains(STANDBY_LINE), "{leader} has not logged it");
        Ok(())
    })?;
    promote(from.other(), cluster)
}

/// Shut the source down, and promote the target when its last pod is gone.
///
/// # Errors
/// As [`switch_standby`].
pub fn shut_down_and_promote(cluster: &str, from: Site) -> Result<()> {
    patch(from, cluster, &json!({"shutdown": true}))?;
    let selector = format!(
        "postgres-operator.crunchydata.com/cluster={cluster},postgres-operator.crunchydata.com/instance"
    );
    wait::until("the end of the last pod", DEADLINE, || {
        let pods = Kubectl::new(from).get(&["pods", "--selector", &selector])?;
        let left = pods["items"].as_array().map_or(0, Vec::len);
        ensure!(left == 0, "{left} pods are left in {from}");
        Ok(())
    })?;
    promote(from.other(), cluster)
}

/// Start what was shut down as a standby, in one change of its object.
///
/// # Errors
/// The site does not answer.
pub fn start_as_standby(cluster: &str, site: Site) -> Result<()> {
    let wanted = json!({"shutdown": false, "standby": {"enabled": true}});
    patch(site, cluster, &wanted)
}

/// Disable the standby of a site, and wait until its Postgres takes writes.
///
/// # Errors
/// As [`switch_standby`].
pub fn promote(site: Site, cluster: &str) -> Result<()> {
    patch(site, cluster, &json!({"standby": {"enabled": false}}))?;
    wait::until("the promotion", DEADLINE, || {
        let row = query_leader(site, cluster, "select pg_is_in_recovery()")?;
        ensure!(row.trim() == "f", "{site} is still in recovery");
        Ok(())
    })
}

fn patch(site: Site, cluster: &str, spec: &Value) -> Result<()> {
    let patch = json!({ "spec": spec }).to_string();
    let args = [
        "patch",
        "postgrescluster",
        cluster,
        "--type=merge",
        "--patch",
        &patch,
    ];
    Kubectl::new(site).run(&args).map(drop)
}
