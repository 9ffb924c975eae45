//! Conditions and the other fields of the status.

use kube::ResourceExt as _;

use super::reconcile::Turn;
use super::types::{Condition, InstanceSetStatus, PostgresClusterStatus};

pub(crate) const PROGRESSING: &str = "Progressing";
pub(crate) const REPLICA_REPO_READY: &str = "PGBackRestReplicaRepoReady";
pub(crate) const REPLICA_CREATE: &str = "PGBackRestReplicaCreate";
pub(crate) const MANUAL_BACKUP: &str = "PGBackRestManualBackupSuccessful";
pub(crate) const PROXY_AVAILABLE: &str = "ProxyAvailable";

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
fn now() -> String {
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
