//! Reading the Kubernetes objects in which Patroni keeps its lock, its configuration and its history.
//!
//! Everything is in annotations, as text (Patroni `dcs/kubernetes.py`).

use jiff::Timestamp;
use kube::ResourceExt as _;
use pgha_model::observed::Observed;
use pgha_model::survey::{LeaderLock, PatroniStore};
use pgha_model::timeline::History;
use serde_json::Value;

use crate::diagnose::sanitised;
use crate::k8s::DynamicObject;
use crate::operator::pgo_v5;

/// Reads the lock and the store out of a list of Patroni's objects.
pub fn read_objects(
    objects: &[DynamicObject],
    cluster: &str,
) -> (Observed<LeaderLock>, Observed<PatroniStore>) {
    let named = |name: String| {
        let object = objects.iter().find(|object| object.name_any() == name);
        object.ok_or_else(|| format!("there is no Endpoints object {name}"))
    };
    let lock = named(pgo_v5::lock_name(cluster)).map(read_lock);
    let store = named(pgo_v5::store_name(cluster)).and_then(read_store);
    (Observed::from(lock), Observed::from(store))
}

fn read_lock(object: &DynamicObject) -> LeaderLock {
    LeaderLock {
        holder: annotation(object, "leader")
            .filter(|holder| !holder.is_empty())
            .map(sanitised),
        acquired_at: time(object, "acquireTime"),
        renewed_at: time(object, "renewTime"),
        ttl_seconds: annotation(object, "ttl").and_then(|text| text.parse().ok()),
        transitions: annotation(object, "transitions").and_then(|text| text.parse().ok()),
    }
}

fn read_store(object: &DynamicObject) -> Result<PatroniStore, String> {
    let config = annotation(object, "config").ok_or("Patroni has no configuration yet")?;
    let parsed: Value = serde_json::from_str(config)
        .map_err(|_| "Patroni's configuration is not JSON".to_owned())?;
    Ok(PatroniStore {
        config: config.to_owned(),
        standby: is_standby(&parsed),
        paused: parsed.get("pause").is_some_and(is_truthy),
        system_identifier: annotation(object, "initialize")
            .filter(|text| !text.is_empty())
            .map(sanitised),
        history: read_history(object),
    })
}

/// Patroni writes the history with the first promotion.
fn read_history(object: &DynamicObject) -> Observed<History> {
    annotation(object, "history")
        .map_or_else(|| Ok(History::default()), History::from_patroni)
        .into()
}

/// A standby cluster is one whose section names a host, a port or a restore command (Patroni `global_config.py`).
fn is_standby(config: &Value) -> bool {
    let Some(section) = config.get("standby_cluster") else {
        return false;
    };
    ["host", "port", "restore_command"]
        .iter()
        .any(|key| section.get(key).is_some_and(is_truthy))
}

/// What counts as true in Python, in which Patroni is written.
fn is_truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(truth) => *truth,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

fn time(object: &DynamicObject, key: &str) -> Option<Timestamp> {
    annotation(object, key)?.parse().ok()
}

fn annotation<'a>(object: &'a DynamicObject, key: &str) -> Option<&'a str> {
    object.annotations().get(key).map(String::as_str)
}
