//! `PostgresCluster` v1beta1: the fields that the stand-in serves.

use std::collections::BTreeMap;

use kube::core::{ApiResource, GroupVersionKind, Object};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::status::PostgresClusterStatus;

/// A `PostgresCluster` as the API server holds it.
pub(crate) type PostgresCluster = Object<PostgresClusterSpec, PostgresClusterStatus>;

/// Group, version, kind and plural of `PostgresCluster`.
pub(crate) fn api_resource() -> ApiResource {
    let gvk = GroupVersionKind::gvk(
        "postgres-operator.crunchydata.com",
        "v1beta1",
        "PostgresCluster",
    );
    ApiResource::from_gvk_with_plural(&gvk, "postgresclusters")
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PostgresClusterSpec {
    pub(crate) postgres_version: u32,
    pub(crate) image: Option<String>,
    pub(crate) image_pull_policy: Option<String>,
    pub(crate) port: Option<u16>,
    pub(crate) paused: Option<bool>,
    pub(crate) shutdown: Option<bool>,
    pub(crate) standby: Option<StandbySpec>,
    pub(crate) instances: Vec<InstanceSetSpec>,
    pub(crate) users: Option<Vec<UserSpec>>,
    pub(crate) patroni: PatroniSpec,
    pub(crate) backups: BackupsSpec,
    pub(crate) proxy: Option<ProxySpec>,
    pub(crate) service: Option<ServiceSpec>,
    #[serde(rename = "customTLSSecret")]
    pub(crate) custom_tls_secret: Option<SecretName>,
    #[serde(rename = "customReplicationTLSSecret")]
    pub(crate) custom_replication_tls_secret: Option<SecretName>,
}

/// `spec.standby`. The default of `enabled` is true, also when the object names nothing else.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct StandbySpec {
    pub(crate) enabled: bool,
    pub(crate) host: Option<String>,
    pub(crate) port: Option<u16>,
    pub(crate) repo_name: Option<String>,
}

impl Default for StandbySpec {
    fn default() -> Self {
        Self {
            enabled: true,
            host: None,
            port: None,
            repo_name: None,
        }
    }
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct InstanceSetSpec {
    pub(crate) name: String,
    pub(crate) replicas: Option<u32>,
    pub(crate) data_volume_claim_spec: Value,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct UserSpec {
    pub(crate) name: String,
    pub(crate) databases: Vec<String>,
    pub(crate) options: String,
    pub(crate) password: Option<PasswordSpec>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct PasswordSpec {
    #[serde(rename = "type")]
    pub(crate) kind: String,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PatroniSpec {
    pub(crate) dynamic_configuration: Map<String, Value>,
    pub(crate) leader_lease_duration_seconds: Option<u32>,
    pub(crate) sync_period_seconds: Option<u32>,
    pub(crate) port: Option<u16>,
    pub(crate) switchover: Option<SwitchoverSpec>,
}

impl PatroniSpec {
    pub(crate) fn ttl(&self) -> u32 {
        self.leader_lease_duration_seconds.unwrap_or(30)
    }

    pub(crate) fn loop_wait(&self) -> u32 {
        self.sync_period_seconds.unwrap_or(10)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port.unwrap_or(8008)
    }
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct SwitchoverSpec {
    pub(crate) enabled: bool,
    pub(crate) target_instance: Option<String>,
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct BackupsSpec {
    pub(crate) pgbackrest: PgBackRestSpec,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct PgBackRestSpec {
    pub(crate) image: Option<String>,
    pub(crate) global: BTreeMap<String, String>,
    /// Volume projections, passed on to the pods as they are.
    pub(crate) configuration: Vec<Value>,
    pub(crate) repos: Vec<RepoSpec>,
    pub(crate) manual: Option<ManualBackupSpec>,
    pub(crate) jobs: Option<JobsSpec>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct JobsSpec {
    pub(crate) ttl_seconds_after_finished: Option<u32>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct RepoSpec {
    pub(crate) name: String,
    pub(crate) s3: S3Spec,
    pub(crate) schedules: Option<SchedulesSpec>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct S3Spec {
    pub(crate) bucket: String,
    pub(crate) endpoint: String,
    pub(crate) region: String,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct SchedulesSpec {
    pub(crate) full: Option<String>,
    pub(crate) differential: Option<String>,
    pub(crate) incremental: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ManualBackupSpec {
    pub(crate) repo_name: String,
    pub(crate) options: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct ProxySpec {
    #[serde(rename = "pgBouncer")]
    pub(crate) pg_bouncer: Option<PgBouncerSpec>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct PgBouncerSpec {
    pub(crate) replicas: Option<u32>,
    pub(crate) port: Option<u16>,
    pub(crate) image: Option<String>,
    pub(crate) config: PgBouncerConfig,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct PgBouncerConfig {
    pub(crate) global: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ServiceSpec {
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    pub(crate) node_port: Option<u16>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct SecretName {
    pub(crate) name: String,
}

impl PostgresClusterSpec {
    pub(crate) fn port(&self) -> u16 {
        self.port.unwrap_or(5432)
    }

    pub(crate) fn is_shut_down(&self) -> bool {
        self.shutdown == Some(true)
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused == Some(true)
    }

    /// `spec.standby` when it is enabled.
    pub(crate) fn standby(&self) -> Option<&StandbySpec> {
        self.standby.as_ref().filter(|standby| standby.enabled)
    }

    /// `spec.users`; without it, one user and one database named like the object.
    pub(crate) fn users_or_default(&self, name: &str) -> Vec<UserSpec> {
        self.users.clone().unwrap_or_else(|| {
            vec![UserSpec {
                name: name.to_owned(),
                databases: vec![name.to_owned()],
                ..UserSpec::default()
            }]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(json: &Value) -> PostgresClusterSpec {
        serde_json::from_value(json.clone()).unwrap()
    }

    #[test]
    fn a_standby_without_enabled_is_enabled() {
        let asked = spec(&serde_json::json!({"standby": {"repoName": "repo1"}}));
        assert!(asked.standby().is_some());
        let declined =
            spec(&serde_json::json!({"standby": {"enabled": false, "repoName": "repo1"}}));
        assert!(declined.standby().is_none());
        assert!(spec(&serde_json::json!({})).standby().is_none());
    }

    #[test]
    fn without_users_there_is_one_named_like_the_object_and_an_empty_list_means_none() {
        let by_default = spec(&serde_json::json!({})).users_or_default("hippo");
        assert_eq!(by_default.len(), 1);
        assert_eq!(by_default[0].databases, ["hippo"]);
        assert!(
            spec(&serde_json::json!({"users": []}))
                .users_or_default("hippo")
                .is_empty()
        );
    }
}
