//! The status: its fields, and how conditions are set.

use kube::ResourceExt as _;
use serde::{Deserialize, Serialize};

use super::reconcile::Turn;

pub(crate) const PROGRESSING: &str = "Progressing";
pub(crate) const REPLICA_REPO_READY: &str = "PGBackRestReplicaRepoReady";
pub(crate) const REPLICA_CREATE: &str = "PGBackRestReplicaCreate";
pub(crate) const MANUAL_BACKUP: &str = "PGBackRestManualBackupSuccessful";
pub(crate) const PROXY_AVAILABLE: &str = "ProxyAvailable";

#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PostgresClusterStatus {
    pub(crate) conditions: Vec<Condition>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) database_revision: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) users_revision: Option<String>,
    pub(crate) instances: Vec<InstanceSetStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) observed_generation: Option<i64>,
    pub(crate) patroni: PatroniStatus,
    pub(crate) pgbackrest: PgBackRestStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) proxy: Option<ProxyStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) startup_instance: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) startup_instance_set: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Condition {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) status: String,
    pub(crate) reason: String,
    pub(crate) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) observed_generation: Option<i64>,
    pub(crate) last_transition_time: String,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct InstanceSetStatus {
    pub(crate) name: String,
    pub(crate) replicas: usize,
    pub(crate) ready_replicas: usize,
    pub(crate) updated_replicas: usize,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PatroniStatus {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) system_identifier: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) switchover: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) switchover_timeline: Option<i64>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PgBackRestStatus {
    pub(crate) repos: Vec<RepoStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) manual_backup: Option<BackupStatus>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) scheduled_backups: Vec<ScheduledBackupStatus>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct RepoStatus {
    pub(crate) name: String,
    pub(crate) stanza_created: bool,
    pub(crate) replica_create_backup_complete: bool,
    pub(crate) repo_options_hash: String,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct BackupStatus {
    pub(crate) id: String,
    pub(crate) finished: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) start_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) completion_time: Option<String>,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) active: i32,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) succeeded: i32,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) failed: i32,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ScheduledBackupStatus {
    pub(crate) cron_job_name: String,
    pub(crate) repo: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) start_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) completion_time: Option<String>,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) active: i32,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) succeeded: i32,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) failed: i32,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(default)]
pub(crate) struct ProxyStatus {
    #[serde(rename = "pgBouncer")]
    pub(crate) pg_bouncer: PgBouncerStatus,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PgBouncerStatus {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) postgres_revision: Option<String>,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) ready_replicas: i32,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) replicas: i32,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(number: &i32) -> bool {
    *number == 0
}

impl PostgresClusterStatus {
    /// Whether a condition is there and true.
    pub(crate) fn is_true(&self, kind: &str) -> bool {
        self.conditions
            .iter()
            .any(|it| it.kind == kind && it.status == "True")
    }

    pub(crate) fn remove_condition(&mut self, kind: &str) {
        self.conditions.retain(|it| it.kind != kind);
    }

    /// Sets a condition. Its time of transition changes only when its status does.
    pub(crate) fn set_condition(&mut self, mut condition: Condition, now: String) {
        let old = self
            .conditions
            .iter_mut()
            .find(|it| it.kind == condition.kind);
        match old {
            Some(old) if old.status == condition.status => {
                condition
                    .last_transition_time
                    .clone_from(&old.last_transition_time);
                *old = condition;
            }
            Some(old) => {
                condition.last_transition_time = now;
                *old = condition;
            }
            None => {
                condition.last_transition_time = now;
                self.conditions.push(condition);
            }
        }
    }

    /// A cluster is bootstrapped once its system identifier is known.
    pub(crate) fn is_bootstrapped(&self) -> bool {
        self.patroni
            .system_identifier
            .as_ref()
            .is_some_and(|id| !id.is_empty())
    }
}

impl Turn<'_> {
    pub(crate) fn set_condition(&mut self, kind: &str, status: &str, reason: &str, message: &str) {
        let condition = Condition {
            kind: kind.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: message.to_owned(),
            observed_generation: self.pg_cluster.metadata.generation,
            last_transition_time: String::new(),
        };
        self.status.set_condition(condition, now());
    }

    /// One entry for each instance set: how many pods it has, and how many of them are ready and up to date.
    pub(crate) fn report_instance_sets(&mut self) {
        let sets = self.pg_cluster.spec.instances.iter();
        self.status.instances = sets
            .map(|set| {
                let pods = || {
                    self.members
                        .iter()
                        .filter(|it| it.set == set.name && it.pod.is_some())
                };
                InstanceSetStatus {
                    name: set.name.clone(),
                    replicas: pods().count(),
                    ready_replicas: pods().filter(|it| it.is_ready()).count(),
                    updated_replicas: pods().filter(|it| it.is_updated()).count(),
                }
            })
            .collect();
    }

    /// An annotation of the `PostgresCluster`, if it is there and not empty.
    pub(crate) fn annotation(&self, key: &str) -> Option<String> {
        self.pg_cluster
            .annotations()
            .get(key)
            .filter(|value| !value.is_empty())
            .cloned()
    }
}

/// The time of day, in the form of the API.
#[expect(
    clippy::disallowed_methods,
    reason = "the stand-in's only clock; conditions carry a time"
)]
pub(crate) fn now() -> String {
    let now = jiff::Timestamp::now();
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(status: &str, reason: &str) -> Condition {
        Condition {
            kind: REPLICA_CREATE.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            ..Condition::default()
        }
    }

    #[test]
    fn the_time_of_transition_moves_with_the_status_only() {
        let mut status = PostgresClusterStatus::default();
        status.set_condition(condition("False", "a"), "1".into());
        status.set_condition(condition("False", "b"), "2".into());
        assert_eq!(status.conditions[0].last_transition_time, "1");
        assert_eq!(status.conditions[0].reason, "b");
        status.set_condition(condition("True", "c"), "3".into());
        assert_eq!(status.conditions[0].last_transition_time, "3");
        assert!(status.is_true(REPLICA_CREATE));
    }
}
