//! The pods of the members.

use serde_json::{Value, json};

use super::{PgoSite, patroni};

const PREFIX: &str = "postgres-operator.crunchydata.com";

/// The node of every pod.
pub(super) const NODE: &str = "core1-node";

/// The containers of an instance's pod.
const CONTAINERS: [&str; 4] = [
    "database",
    "replication-cert-copy",
    "pgbackrest",
    "pgbackrest-config",
];

pub(super) fn ip(site: &PgoSite, member: usize) -> String {
    format!("10.10{}.128.{}", site.number(), member + 7)
}

pub(super) fn pod(site: &PgoSite, index: usize) -> Value {
    let member = &site.members[index];
    let instance = member.pod.trim_end_matches("-0");
    let mut labels = json!({
        format!("{PREFIX}/cluster"): site.cluster,
        format!("{PREFIX}/instance-set"): "pgha1",
        format!("{PREFIX}/instance"): instance,
        format!("{PREFIX}/data"): "postgres",
        format!("{PREFIX}/patroni"): format!("{}-ha", site.cluster),
    });
    if let Some(label) = member.label {
        labels[format!("{PREFIX}/role")] = json!(label);
    }
    let containers =
        CONTAINERS.map(|name| json!({"name": name, "image": "registry.example/postgres:15"}));
    let statuses = CONTAINERS.map(|name| {
        json!({"name": name, "ready": true, "restartCount": 0, "started": true,
            "state": {"running": {"startedAt": site.now.to_string()}}})
    });
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": member.pod,
            "namespace": site.namespace,
            "uid": format!("c0ffee00-000{}-4000-8000-{index:0>12}", site.number()),
            "labels": labels,
            "annotations": {"status": patroni::status_annotation(site, index).to_string()},
            "creationTimestamp": site.now.to_string(),
        },
        "spec": {"nodeName": NODE, "containers": containers},
        "status": {
            "phase": "Running",
            "podIP": ip(site, index),
            "conditions": [
                {"type": "Initialized", "status": "True"},
                {"type": "Ready", "status": "True"},
                {"type": "ContainersReady", "status": "True"},
                {"type": "PodScheduled", "status": "True"},
            ],
            "containerStatuses": statuses,
        },
    })
}
