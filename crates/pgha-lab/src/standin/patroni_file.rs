//! Patroni's configuration files: one for the cluster, one for each member.

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Value, json};

use super::name;
use super::patroni::dynamic_configuration;
use super::reconcile::Turn;

/// Where the files are in the `database` container.
pub(crate) const DIRECTORY: &str = "/etc/patroni";
pub(crate) const AUTHORITY: &str = "~postgres-operator/patroni.ca-roots";
pub(crate) const CERTIFICATE: &str = "~postgres-operator/patroni.crt+key";

impl Turn<'_> {
    /// The `ConfigMap` `<c>-config`.
    pub(crate) async fn reconcile_cluster_config(&self) -> Result<()> {
        let object = format!("{}-config", self.name);
        let labels = name::labels(&[("cluster", &self.name)]);
        let body = json!({"data": {"patroni.yaml": yaml(&self.cluster_file())?}});
        self.apply::<ConfigMap>(&object, &labels, body).await?;
        Ok(())
    }

    /// The `ConfigMap` `<sts>-config`.
    pub(crate) async fn reconcile_member_config(&self, member: &str, set: &str) -> Result<()> {
        let object = format!("{member}-config");
        let labels = name::labels(&[
            ("cluster", &self.name),
            ("instance-set", set),
            ("instance", member),
        ]);
        let body = json!({"data": {"patroni.yaml": yaml(&self.member_file())?}});
        self.apply::<ConfigMap>(&object, &labels, body).await?;
        Ok(())
    }

    fn cluster_file(&self) -> Value {
        let client = json!({
            "username": name::REPLICATION_USER,
            "sslmode": "verify-ca",
            "sslrootcert": "/tmp/replication/ca.crt",
            "sslcert": "/tmp/replication/tls.crt",
            "sslkey": "/tmp/replication/tls.key",
        });
        let authority = format!("{DIRECTORY}/{AUTHORITY}");
        let certificate = format!("{DIRECTORY}/{CERTIFICATE}");
        let mut file = json!({
            "scope": name::scope(&self.name),
            "kubernetes": {
                "namespace": self.namespace,
                "use_endpoints": true,
                "role_label": name::key("role"),
                "scope_label": name::key("patroni"),
                "labels": {name::key("cluster"): self.name},
                "leader_label_value": "master",
                "standby_leader_label_value": "master",
            },
            "postgresql": {"authentication": {"replication": client, "rewind": client}},
            "restapi": {
                "cafile": authority,
                "certfile": certificate,
                "keyfile": null,
                "verify_client": "optional",
            },
            "ctl": {
                "cacert": authority,
                "certfile": certificate,
                "keyfile": null,
                "insecure": false,
            },
            "watchdog": {"mode": "off"},
        });
        if !self.status.is_bootstrapped() {
            file["bootstrap"] = json!({"dcs": dynamic_configuration(&self.pg_cluster.spec)});
        }
        file
    }

    fn member_file(&self) -> Value {
        let waldir = format!("waldir={}", self.wal_directory());
        let mut postgresql = json!({
            "pgpass": "/tmp/.pgpass",
            "use_unix_socket": true,
            "basebackup": [waldir],
            "create_replica_methods": ["basebackup"],
        });
        if let Some(command) = self.restore_as_replica() {
            postgresql["create_replica_methods"] = json!(["pgbackrest", "basebackup"]);
            postgresql["pgbackrest"] = json!({
                "command": command,
                "keep_data": true,
                "no_leader": true,
                "no_params": true,
            });
        }
        let mut file =
            json!({"kubernetes": {}, "restapi": {}, "tags": {}, "postgresql": postgresql});
        if !self.status.is_bootstrapped() {
            file["bootstrap"] = json!({
                "method": "initdb",
                "initdb": ["allow-group-access", "data-checksums", "encoding=UTF8", waldir],
            });
        }
        file
    }

    /// How a member is made from a backup: from the repository that the standby follows, or from one that holds the
    /// first backup; without either there is no such way.
    fn restore_as_replica(&self) -> Option<String> {
        let standby = self
            .pg_cluster
            .spec
            .standby()
            .and_then(|it| it.repo_name.clone());
        let repo = standby.or_else(|| {
            let repos = &self.status.pgbackrest.repos;
            repos
                .iter()
                .find(|it| it.replica_create_backup_complete)
                .map(|it| it.name.clone())
        })?;
        Some(format!(
            "pgbackrest restore --delta --stanza={} --repo={} --link-map=pg_wal={} --type=standby",
            name::STANZA,
            repo.trim_start_matches("repo"),
            self.wal_directory(),
        ))
    }

    /// `PGDATA`.
    pub(crate) fn data_directory(&self) -> String {
        format!("/pgdata/pg{}", self.pg_cluster.spec.postgres_version)
    }

    pub(crate) fn wal_directory(&self) -> String {
        format!("{}_wal", self.data_directory())
    }
}

fn yaml(value: &Value) -> Result<String> {
    serde_yaml_ng::to_string(value).context("writing YAML")
}
