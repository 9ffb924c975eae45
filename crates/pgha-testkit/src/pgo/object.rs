//! The `PostgresCluster` object.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Kind, number};

const PREFIX: &str = "postgres-operator.crunchydata.com";

pub(super) fn standby_section(kind: Kind, is_enabled: bool) -> Value {
    let mut section = json!({"enabled": is_enabled, "repoName": "repo1"});
    if kind == Kind::StreamingStandby {
        section["host"] = json!("10.101.96.17");
        section["port"] = json!(5432);
    }
    section
}

pub(super) fn postgrescluster(kind: Kind, cluster: &str, namespace: &str, now: Timestamp) -> Value {
    let repo = json!({"name": "repo1", "s3": {"bucket": "pgbackrest", "endpoint": "s3.example:443",
        "region": "us-east-1"}});
    let global = json!({"repo1-path": format!("/pgbackrest/{namespace}/{cluster}/repo1"),
        "start-fast": "y"});
    let mut object = json!({
        "apiVersion": "postgres-operator.crunchydata.com/v1beta1",
        "kind": "PostgresCluster",
        "metadata": {
            "name": cluster,
            "namespace": namespace,
            "uid": uid(kind, cluster, namespace),
            "generation": 3,
            "creationTimestamp": now.to_string(),
            "finalizers": [format!("{PREFIX}/finalizer")],
            "managedFields": [
                {"manager": "kubectl-client-side-apply", "operation": "Update"},
                {"manager": "postgrescluster-controller", "operation": "Apply", "subresource": "status"},
            ],
        },
        "spec": {
            "postgresVersion": 15,
            "port": 5432,
            "instances": [{"name": "pgha1", "replicas": 2, "dataVolumeClaimSpec": {
                "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}],
            "users": [{"name": cluster, "databases": [cluster]}],
            "backups": {"pgbackrest": {"global": global, "manual": {"repoName": "repo1"},
                "repos": [repo]}},
            "patroni": {"leaderLeaseDurationSeconds": 30, "port": 8008, "syncPeriodSeconds": 10},
        },
        "status": status(),
    });
    if kind != Kind::Primary {
        object["spec"]["standby"] = standby_section(kind, true);
    }
    object
}

/// Different for every object of a test.
fn uid(kind: Kind, cluster: &str, namespace: &str) -> String {
    let letters = cluster.bytes().chain(namespace.bytes());
    let sum = letters.fold(0_u64, |sum, byte| {
        sum * 31 % 0x1_0000_0000 + u64::from(byte)
    });
    format!("5b6d3c52-3a54-4d35-9d6f-{:04x}{sum:08x}", number(kind))
}

fn status() -> Value {
    json!({
        "conditions": [
            {"type": "PGBackRestReplicaRepoReady", "status": "True", "reason": "StanzaCreated",
             "message": "pgBackRest replica create repo is ready for backups", "observedGeneration": 3},
            {"type": "PGBackRestReplicaCreate", "status": "True", "reason": "RepoBackupComplete",
             "message": "pgBackRest replica creation is now possible", "observedGeneration": 3},
        ],
        "databaseRevision": "6c9c79ffb7",
        "usersRevision": "6d94d8d7b",
        "observedGeneration": 3,
        "instances": [{"name": "pgha1", "readyReplicas": 2, "replicas": 2, "updatedReplicas": 2}],
        "patroni": {"systemIdentifier": "7710549851658973354"},
        "pgbackrest": {"repos": [
            {"name": "repo1", "stanzaCreated": true, "replicaCreateBackupComplete": true}]},
        "proxy": {"pgBouncer": {}},
    })
}

pub(super) fn pause(object: &mut Value) {
    object["spec"]["paused"] = json!(true);
    let generation = object["metadata"]["generation"].clone();
    let condition = json!({"type": "Progressing", "status": "False", "reason": "Paused",
        "message": "No spec changes will be applied and no other statuses will be updated.",
        "observedGeneration": generation});
    if let Some(conditions) = object["status"]["conditions"].as_array_mut() {
        conditions.push(condition);
    }
}

pub(super) fn add_manual_backup(object: &mut Value, id: &str, now: Timestamp) {
    object["metadata"]["annotations"][format!("{PREFIX}/pgbackrest-backup")] = json!(id);
    object["status"]["pgbackrest"]["manualBackup"] = json!({"id": id, "finished": true,
        "succeeded": 1, "startTime": now.to_string(), "completionTime": now.to_string()});
}

pub(super) fn label_by_flux(object: &mut Value) {
    let labels = &mut object["metadata"]["labels"];
    labels["kustomize.toolkit.fluxcd.io/name"] = json!("databases");
    labels["kustomize.toolkit.fluxcd.io/namespace"] = json!("flux-system");
}

pub(super) fn annotate_by_argo_cd(object: &mut Value) {
    let place = ["namespace", "name"].map(|key| object["metadata"][key].as_str().unwrap_or(""));
    let id = format!("databases:{PREFIX}/PostgresCluster:{}", place.join("/"));
    object["metadata"]["annotations"]["argocd.argoproj.io/tracking-id"] = json!(id);
}

pub(super) fn annotate_by_helm(object: &mut Value) {
    object["metadata"]["labels"]["app.kubernetes.io/managed-by"] = json!("Helm");
    let annotations = &mut object["metadata"]["annotations"];
    annotations["meta.helm.sh/release-name"] = json!("databases");
    annotations["meta.helm.sh/release-namespace"] = json!("prod");
}
