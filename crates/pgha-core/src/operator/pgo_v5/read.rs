//! Reading the operator's object into words that do not depend on the operator.

use jiff::Timestamp;
use kube::ResourceExt as _;
use pgha_model::survey::{BackupRepo, ClusterObject, Condition, Images, ManualBackup};
use serde_json::Value;

use super::{BACKUP_ANNOTATION, OPERATOR, SWITCHOVER_ANNOTATION};
use crate::diagnose::sanitised;
use crate::gitops::signs;
use crate::k8s::DynamicObject;

/// Patroni's port when the object does not name one (`patroni.port`, CRD default).
const PATRONI_PORT: u16 = 8008;

/// Reads the object; what is missing or of the wrong type counts as not said.
pub fn read_object(object: &DynamicObject) -> ClusterObject {
    let data = &object.data;
    let standby_section = data
        .pointer("/spec/standby")
        .filter(|section| !section.is_null());
    ClusterObject {
        operator: OPERATOR,
        uid: sanitised(object.metadata.uid.as_deref().unwrap_or_default()),
        generation: object.metadata.generation,
        standby: standby_section.is_some_and(is_enabled),
        standby_section: standby_section.cloned(),
        paused: flag(data, "/spec/paused"),
        shutdown: flag(data, "/spec/shutdown"),
        pause_acknowledged: has_acknowledged_pause(data),
        owners: signs(object),
        pending_switchover: pending_switchover(object),
        hidden_standby_section: has_hidden_standby_section(data),
        requested_backup: object
            .annotations()
            .get(BACKUP_ANNOTATION)
            .map(|id| sanitised(id)),
        manual_backup: manual_backup(data),
        last_backup: last_backup(data),
        repos: list(data, "/status/pgbackrest/repos")
            .filter_map(repo)
            .collect(),
        conditions: list(data, "/status/conditions")
            .filter_map(condition)
            .collect(),
        system_identifier: text(data, "/status/patroni/systemIdentifier"),
        images: Images {
            postgres: text(data, "/spec/image"),
            pgbackrest: text(data, "/spec/backups/pgbackrest/image"),
        },
    }
}

/// The port of Patroni's REST API in every member's pod.
pub fn patroni_port(object: &DynamicObject) -> u16 {
    let port = object
        .data
        .pointer("/spec/patroni/port")
        .and_then(Value::as_u64);
    port.and_then(|port| u16::try_from(port).ok())
        .filter(|port| *port > 0)
        .unwrap_or(PATRONI_PORT)
}

/// A standby section without `enabled` is on: `true` is the CRD's default.
fn is_enabled(section: &Value) -> bool {
    section
        .get("enabled")
        .and_then(Value::as_bool)
        .unwrap_or(true)
}

/// PGO sets this condition while `spec.paused`, and removes it afterwards (`postgrescluster/controller.go`).
fn has_acknowledged_pause(data: &Value) -> bool {
    list(data, "/status/conditions")
        .filter_map(condition)
        .any(|condition| {
            condition.kind == "Progressing"
                && condition.status == "False"
                && condition.reason == "Paused"
        })
}

/// A switchover was asked for and `status.patroni.switchover` does not say that it was done. A request that cannot
/// succeed holds up every other change of the object.
fn pending_switchover(object: &DynamicObject) -> Option<String> {
    if !flag(&object.data, "/spec/patroni/switchover/enabled") {
        return None;
    }
    let wanted = object
        .annotations()
        .get(SWITCHOVER_ANNOTATION)
        .filter(|id| !id.is_empty())?;
    let wanted = sanitised(wanted);
    (text(&object.data, "/status/patroni/switchover").as_ref() != Some(&wanted)).then_some(wanted)
}

fn has_hidden_standby_section(data: &Value) -> bool {
    data.pointer("/spec/patroni/dynamicConfiguration/standby_cluster")
        .is_some_and(|section| !section.is_null())
}

fn manual_backup(data: &Value) -> Option<ManualBackup> {
    let backup = data.pointer("/status/pgbackrest/manualBackup")?;
    Some(ManualBackup {
        id: text(backup, "/id")?,
        finished: flag(backup, "/finished"),
        succeeded: count(backup, "/succeeded"),
        failed: count(backup, "/failed"),
        completed_at: text(backup, "/completionTime"),
    })
}

/// The newest completion among the manual backup and the scheduled ones. PGO writes the time only on success.
fn last_backup(data: &Value) -> Option<String> {
    let manual = data.pointer("/status/pgbackrest/manualBackup");
    let completions = list(data, "/status/pgbackrest/scheduledBackups")
        .chain(manual)
        .filter_map(|backup| text(backup, "/completionTime"));
    completions
        .filter_map(|text| Some((text.parse::<Timestamp>().ok()?, text)))
        .max()
        .map(|(_, text)| text)
}

fn repo(repo: &Value) -> Option<BackupRepo> {
    Some(BackupRepo {
        name: text(repo, "/name")?,
        stanza_created: flag(repo, "/stanzaCreated"),
        replica_create_backup_complete: flag(repo, "/replicaCreateBackupComplete"),
    })
}

fn condition(condition: &Value) -> Option<Condition> {
    Some(Condition {
        kind: text(condition, "/type")?,
        status: text(condition, "/status")?,
        reason: text(condition, "/reason").unwrap_or_default(),
        message: text(condition, "/message").unwrap_or_default(),
        observed_generation: condition.get("observedGeneration").and_then(Value::as_i64),
    })
}

fn list<'a>(data: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    data.pointer(pointer)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn flag(data: &Value, pointer: &str) -> bool {
    data.pointer(pointer)
        .and_then(Value::as_bool)
        .unwrap_or(false)
}

fn count(data: &Value, pointer: &str) -> u32 {
    let number = data.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn text(data: &Value, pointer: &str) -> Option<String> {
    data.pointer(pointer)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
        .map(sanitised)
}
