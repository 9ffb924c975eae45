//! Patroni's Endpoints objects, its `status` annotation and its REST answer.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{Kind, PgoSite};

const PREFIX: &str = "postgres-operator.crunchydata.com";
const RESTORE: &str = "pgbackrest --stanza=db archive-get %f \"%p\"";

pub(super) fn config(kind: Kind) -> Value {
    let repo = if kind == Kind::Primary {
        ""
    } else {
        " --repo=1"
    };
    let restore = format!("{RESTORE}{repo}");
    let mut config = json!({"loop_wait": 10, "ttl": 30, "postgresql": {
        "use_pg_rewind": true, "use_slots": false,
        "parameters": {
            "archive_command": "pgbackrest --stanza=db archive-push \"%p\"", "archive_mode": "on",
            "archive_timeout": "60s", "restore_command": restore, "ssl": "on",
            "unix_socket_directories": "/tmp/postgres", "wal_level": "logical"},
        "pg_hba": ["local all \"postgres\" \"peer\"", "hostssl all all all \"scram-sha-256\""]}});
    match kind {
        Kind::Primary => {}
        Kind::ArchiveStandby => {
            config["standby_cluster"] = json!({
                "create_replica_methods": ["pgbackrest"], "restore_command": restore});
        }
        Kind::StreamingStandby => {
            config["standby_cluster"] = json!({
                "create_replica_methods": ["pgbackrest", "basebackup"], "host": "10.101.96.17",
                "port": 5432, "restore_command": restore});
        }
    }
    config
}

/// Patroni writes times as Python's `isoformat` does.
fn python_time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%6f+00:00").to_string()
}

fn endpoints(site: &PgoSite, name: &str, annotations: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {
            "name": name,
            "namespace": site.namespace,
            "uid": format!("9d0e7c1a-0000-4000-8000-{:0>12}", name.len()),
            "labels": {
                format!("{PREFIX}/cluster"): site.cluster,
                format!("{PREFIX}/patroni"): format!("{}-ha", site.cluster),
            },
            "annotations": annotations,
        },
    })
}

pub(super) fn lock(site: &PgoSite) -> Value {
    let acquired = site.renewed_at - SignedDuration::from_hours(2);
    let mut annotations = json!({
        "acquireTime": python_time(acquired), "renewTime": python_time(site.renewed_at),
        "ttl": "30", "transitions": "3", "optime": site.written.to_string()});
    let name = format!("{}-ha", site.cluster);
    let Some(leader) = site.leader else {
        return endpoints(site, &name, &annotations);
    };
    let pod = site.pod(leader);
    annotations["leader"] = json!(pod);
    let mut lock = endpoints(site, &name, &annotations);
    lock["subsets"] = json!([{
        "addresses": [{"ip": super::pod::ip(site, leader), "hostname": pod, "nodeName": super::pod::NODE,
            "targetRef": {"kind": "Pod", "namespace": site.namespace, "name": pod}}],
        "ports": [{"name": "postgres", "port": 5432, "protocol": "TCP"}]}]);
    lock
}

pub(super) fn store(site: &PgoSite) -> Value {
    let mut annotations =
        json!({"config": site.config.to_string(), "initialize": site.system_identifier});
    if site.timeline > 1 {
        let reason = "no recovery target specified";
        let rows: Vec<Value> = site
            .history
            .iter()
            .map(|(timeline, at)| json!([timeline, at, reason, python_time(site.now), site.pod(0)]))
            .collect();
        annotations["history"] = json!(Value::from(rows).to_string());
    }
    endpoints(site, &format!("{}-ha-config", site.cluster), &annotations)
}

/// What a member writes on its pod.
pub(super) fn status_annotation(site: &PgoSite, index: usize) -> Value {
    let member = &site.members[index];
    let mut status = json!({
        "conn_url": format!("postgres://{}.{}-pods:5432/postgres", member.pod, site.cluster),
        "api_url": format!("https://{}.{}-pods:8008/patroni", member.pod, site.cluster),
        "state": member.state, "role": member.role, "version": member.patroni});
    if member.state == "running" {
        status["xlog_location"] = json!(site.written);
        status["timeline"] = json!(site.timeline);
        if !is_writable(&member.role) {
            status["replay_lsn"] = json!(site.written);
            status["receive_lsn"] = json!(site.written);
            status["replication_state"] = json!(replication_state(site, index));
        }
    }
    if site.config["pause"] == json!(true) {
        status["pause"] = json!(true);
    }
    status
}

/// What a member answers to `GET /patroni`. When Postgres does not run there is little in it.
pub(super) fn rest_answer(site: &PgoSite, index: usize) -> Value {
    let member = &site.members[index];
    let version = json!({"version": member.patroni, "scope": format!("{}-ha", site.cluster),
        "name": member.pod});
    let mut answer = json!({"state": member.state, "role": member.role, "patroni": version,
        "dcs_last_seen": site.now.as_second(),
        "database_system_identifier": site.system_identifier});
    if member.state != "running" {
        return answer;
    }
    answer["postmaster_start_time"] =
        json!(site.now.strftime("%Y-%m-%d %H:%M:%S.%6f+00:00").to_string());
    answer["server_version"] = json!(150_018);
    answer["timeline"] = json!(site.timeline);
    answer["tags"] = json!({});
    if is_writable(&member.role) {
        answer["xlog"] = json!({"location": site.written});
    } else {
        answer["xlog"] = json!({"received_location": site.written,
            "replayed_location": site.written, "paused": false,
            "replayed_timestamp": site.now.strftime("%Y-%m-%d %H:%M:%S.%6f+00:00").to_string()});
        answer["replication_state"] = json!(replication_state(site, index));
    }
    if site.leads(index) {
        answer["replication"] = json!(receivers(site, index));
    }
    answer
}

fn is_writable(role: &str) -> bool {
    matches!(role, "primary" | "master")
}

/// Only the leader of an archive standby does not stream: its replicas stream from it.
fn replication_state(site: &PgoSite, index: usize) -> &'static str {
    if site.leads(index) && site.kind == Kind::ArchiveStandby {
        "in archive recovery"
    } else {
        "streaming"
    }
}

fn receivers(site: &PgoSite, leader: usize) -> Vec<Value> {
    let own = site
        .members
        .iter()
        .enumerate()
        .filter(|(index, _)| *index != leader);
    let names = own
        .map(|(_, member)| &member.pod)
        .chain(&site.other_receivers);
    names
        .map(|name| {
            json!({"usename": "_crunchyrepl", "application_name": name,
                "client_addr": "10.101.128.8", "state": "streaming", "sync_state": "async",
                "sync_priority": 0})
        })
        .collect()
}
