//! SQL on a member, as the superuser, through psql in its `database` container.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::member_selector;
use crate::kubectl::Kubectl;

/// One value.
pub(super) fn query(kubectl: Kubectl, pod: &str, sql: &str) -> Result<String> {
    let command = [
        "psql",
        "--no-psqlrc",
        "--tuples-only",
        "--no-align",
        "--command",
        sql,
    ];
    Ok(kubectl.exec(pod, "database", &command)?.trim().to_owned())
}

/// The pods of a cluster's members, by name.
pub(super) fn members(kubectl: Kubectl, name: &str) -> Result<Vec<Value>> {
    let selector = member_selector(name);
    let mut list = kubectl.get(&["pods", "--selector", &selector])?;
    let items = list["items"]
        .as_array_mut()
        .context("a list without items")?;
    Ok(std::mem::take(items))
}

/// The name of the member that holds Patroni's lock.
///
/// # Errors
/// The site does not answer, or nobody holds it.
pub fn leader(kubectl: Kubectl, name: &str) -> Result<String> {
    let endpoints = kubectl.get(&["endpoints", &format!("{name}-ha")])?;
    let leader = endpoints["metadata"]["annotations"]["leader"]
        .as_str()
        .unwrap_or_default();
    ensure!(!leader.is_empty(), "{name} has no leader");
    Ok(leader.to_owned())
}

pub(super) fn pod_name(pod: &Value) -> &str {
    pod["metadata"]["name"].as_str().unwrap_or_default()
}

/// What a pod's Patroni says in the `status` annotation.
pub(super) fn patroni_status(pod: &Value) -> Value {
    let status = pod["metadata"]["annotations"]["status"]
        .as_str()
        .unwrap_or("null");
    serde_json::from_str(status).unwrap_or_default()
}
