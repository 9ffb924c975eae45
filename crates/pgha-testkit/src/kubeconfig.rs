//! Kubeconfig files for tests.

use std::io;
use std::path::Path;

use serde_json::{Value, json};

use crate::ServedCluster;

/// One context of a kubeconfig.
pub struct Context<'a> {
    /// Its name.
    pub name: &'a str,
    /// The cluster it leads to.
    pub cluster: &'a ServedCluster,
    /// Its default namespace.
    pub namespace: &'a str,
}

/// Writes a kubeconfig with these contexts; the first is the current one.
pub fn write_kubeconfig(path: &Path, contexts: &[Context<'_>]) -> io::Result<()> {
    // JSON is YAML.
    std::fs::write(path, kubeconfig(contexts).to_string())
}

fn kubeconfig(contexts: &[Context<'_>]) -> Value {
    let each = |entry: fn(&Context<'_>) -> Value| contexts.iter().map(entry).collect::<Vec<_>>();
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": contexts.first().map(|context| context.name),
        "clusters": each(|context| json!({
            "name": context.name, "cluster": {"server": context.cluster.url()}})),
        "users": each(|context| json!({
            "name": context.name, "user": {"token": "a-token-for-tests"}})),
        "contexts": each(|context| json!({"name": context.name, "context": {
            "cluster": context.name, "user": context.name, "namespace": context.namespace}})),
    })
}
