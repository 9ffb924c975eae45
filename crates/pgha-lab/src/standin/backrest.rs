//! pgBackRest: its configuration files, its certificates, and the order in which repositories become usable.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::Result;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::ResourceExt as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::name;
use super::object::secret_data;
use super::reconcile::{Again, Turn};
use super::status::RepoStatus;
use super::tls::Authority;
use super::types::{PgBackRestSpec, RepoSpec};

const DIRECTORY: &str = "/etc/pgbackrest/conf.d/~postgres-operator";

type Section = BTreeMap<String, String>;

impl Turn<'_> {
    /// Everything of pgBackRest. What fails here is logged and tried again, and stops nothing after it.
    pub(crate) async fn reconcile_backrest(&mut self, authority: &Authority) -> Result<()> {
        let hash = hash(&json!(&self.pg_cluster.spec.backups.pgbackrest.repos));
        self.report_repositories();
        if let Err(error) = self.reconcile_backrest_files(authority, &hash).await {
            self.postpone("pgBackRest's configuration", &error);
        }
        self.reconcile_stanza(&hash).await;
        self.reconcile_schedules().await;
        if let Err(error) = self.reconcile_replica_create_backup(&hash).await {
            self.postpone("the replica creation backup", &error);
        }
        if let Err(error) = self.reconcile_manual_backup().await {
            self.postpone("the manual backup", &error);
        }
        Ok(())
    }

    fn postpone(&mut self, what: &str, error: &anyhow::Error) {
        tracing::error!(name = self.name, "unable to reconcile {what}: {error:#}");
        self.ask_again(Again::WithBackoff);
    }

    /// Keeps what is known of each repository as long as its options stay the same.
    fn report_repositories(&mut self) {
        let known = std::mem::take(&mut self.status.pgbackrest.repos);
        let repos = &self.pg_cluster.spec.backups.pgbackrest.repos;
        self.status.pgbackrest.repos = repos
            .iter()
            .map(|repo| {
                let repo_options_hash = hash(&json!(repo.s3));
                let same = known
                    .iter()
                    .find(|it| it.name == repo.name && it.repo_options_hash == repo_options_hash);
                same.cloned().unwrap_or_else(|| RepoStatus {
                    name: repo.name.clone(),
                    repo_options_hash,
                    ..RepoStatus::default()
                })
            })
            .collect();
    }

    async fn reconcile_backrest_files(&self, authority: &Authority, hash: &str) -> Result<()> {
        let labels = name::labels(&[
            ("cluster", &self.name),
            ("pgbackrest", ""),
            ("pgbackrest-config", ""),
        ]);
        let client = self.client_name();
        let object = format!("{}-pgbackrest", self.name);
        let wanted = ["pgbackrest-client.crt", "pgbackrest-client.key"];
        let data = self
            .keep_or_make(&object, authority, "pgbackrest.ca-roots", &wanted, || {
                let leaf = authority.sign(&client, vec![])?;
                Ok(BTreeMap::from([
                    ("pgbackrest.ca-roots".to_owned(), authority.pem().into()),
                    ("pgbackrest-client.crt".to_owned(), leaf.certificate.into()),
                    ("pgbackrest-client.key".to_owned(), leaf.key.into()),
                ]))
            })
            .await?;
        self.apply::<Secret>(&object, &labels, json!({"data": secret_data(&data)}))
            .await?;

        let spec = &self.pg_cluster.spec.backups.pgbackrest;
        let files = json!({
            "pgbackrest_instance.conf": instance_file(spec, &self.local_server()),
            "pgbackrest_cloud.conf": cloud_file(spec, &self.remote_servers()),
            "pgbackrest-server.conf": server_file(&client),
            "config-hash": hash,
        });
        let object = format!("{}-pgbackrest-config", self.name);
        self.apply::<ConfigMap>(&object, &labels, json!({"data": files}))
            .await?;
        Ok(())
    }

    fn client_name(&self) -> String {
        format!("pgbackrest@{}", self.pg_cluster.uid().unwrap_or_default())
    }

    /// The server of the pod itself; pgBackRest wants it first.
    fn local_server(&self) -> Section {
        self.server_options(1)
    }

    fn server_options(&self, index: usize) -> Section {
        options([
            (format!("pg{index}-path"), self.data_directory()),
            (
                format!("pg{index}-port"),
                self.pg_cluster.spec.port().to_string(),
            ),
            (format!("pg{index}-socket-path"), "/tmp/postgres".to_owned()),
        ])
    }

    /// Every member's server, through pgBackRest's TLS server in its pod.
    fn remote_servers(&self) -> Section {
        let mut all = Section::new();
        for (index, member) in (1..).zip(&self.members) {
            let host = &self.service_names(&format!("{}.{}-pods", member.pod_name(), self.name))[0];
            all.extend(options([
                (format!("pg{index}-host"), host.clone()),
                (format!("pg{index}-host-type"), "tls".to_owned()),
                (
                    format!("pg{index}-host-ca-file"),
                    format!("{DIRECTORY}/tls-ca.crt"),
                ),
                (
                    format!("pg{index}-host-cert-file"),
                    format!("{DIRECTORY}/client-tls.crt"),
                ),
                (
                    format!("pg{index}-host-key-file"),
                    format!("{DIRECTORY}/client-tls.key"),
                ),
            ]));
            all.extend(self.server_options(index));
        }
        all
    }

    /// The folder `/etc/pgbackrest/conf.d`: the user's projections, ours, and the client certificate.
    pub(crate) fn backrest_volume(&self, files: &[(&str, &str)]) -> Value {
        let items: Vec<Value> = files
            .iter()
            .map(|(key, path)| json!({"key": key, "path": path}))
            .collect();
        let mut sources = self
            .pg_cluster
            .spec
            .backups
            .pgbackrest
            .configuration
            .clone();
        let config = format!("{}-pgbackrest-config", self.name);
        sources.push(json!({"configMap": {"name": config, "items": items}}));
        sources.push(json!({"secret": {
            "name": format!("{}-pgbackrest", self.name),
            "optional": true,
            "items": [
                {"key": "pgbackrest.ca-roots", "path": "~postgres-operator/tls-ca.crt"},
                {"key": "pgbackrest-client.crt", "path": "~postgres-operator/client-tls.crt"},
                {"key": "pgbackrest-client.key", "path": "~postgres-operator/client-tls.key",
                 "mode": 0o600},
            ],
        }}));
        json!({"name": "pgbackrest-config", "projected": {"sources": sources}})
    }
}

fn hash(value: &Value) -> String {
    hex::encode(Sha256::digest(value.to_string()))
}

fn options(pairs: impl IntoIterator<Item = (String, String)>) -> Section {
    pairs.into_iter().collect()
}

fn repository_options(repo: &RepoSpec) -> Section {
    let name = &repo.name;
    options([
        (format!("{name}-path"), format!("/pgbackrest/{name}")),
        (format!("{name}-type"), "s3".to_owned()),
        (format!("{name}-s3-bucket"), repo.s3.bucket.clone()),
        (format!("{name}-s3-endpoint"), repo.s3.endpoint.clone()),
        (format!("{name}-s3-region"), repo.s3.region.clone()),
    ])
}

/// The file of the members: archiving is asynchronous, and the spool is beside the WAL.
fn instance_file(spec: &PgBackRestSpec, stanza: &Section) -> String {
    let mut global = options([
        ("archive-async".to_owned(), "y".to_owned()),
        (
            "spool-path".to_owned(),
            "/pgdata/pgbackrest-spool".to_owned(),
        ),
        ("log-path".to_owned(), "/pgdata/pgbackrest/log".to_owned()),
    ]);
    global.extend(spec.repos.iter().flat_map(repository_options));
    global.extend(spec.global.clone());
    ini(&[("global", &global), (name::STANZA, stanza)])
}

/// The file of the backup jobs: no log file, as the job has nowhere to keep one.
fn cloud_file(spec: &PgBackRestSpec, stanza: &Section) -> String {
    let mut global = options([("log-level-file".to_owned(), "off".to_owned())]);
    global.extend(spec.repos.iter().flat_map(repository_options));
    global.extend(spec.global.clone());
    ini(&[("global", &global), (name::STANZA, stanza)])
}

/// The file of pgBackRest's TLS server in each member's pod.
fn server_file(client: &str) -> String {
    let global = options(
        [
            ("tls-server-address", "0.0.0.0"),
            ("tls-server-auth", &format!("{client}=*")),
            ("tls-server-ca-file", &format!("{DIRECTORY}/tls-ca.crt")),
            (
                "tls-server-cert-file",
                "/etc/pgbackrest/server/server-tls.crt",
            ),
            (
                "tls-server-key-file",
                "/etc/pgbackrest/server/server-tls.key",
            ),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned())),
    );
    let server = options(
        [
            ("log-level-console", "detail"),
            ("log-level-file", "off"),
            ("log-level-stderr", "error"),
            ("log-timestamp", "n"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned())),
    );
    ini(&[("global", &global), ("global:server", &server)])
}

fn ini(sections: &[(&str, &Section)]) -> String {
    let mut text = String::new();
    for (name, options) in sections {
        // Writing to a String does not fail.
        let _ = writeln!(text, "[{name}]");
        for (key, value) in *options {
            let _ = writeln!(text, "{key} = {value}");
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> PgBackRestSpec {
        serde_json::from_value(json!({
            "global": {"repo1-path": "/pgbackrest/prod/hippo/repo1", "start-fast": "y"},
            "repos": [{"name": "repo1", "s3": {
                "bucket": "b", "endpoint": "s3.lab:7070", "region": "us-east-1"}}],
        }))
        .unwrap()
    }

    #[test]
    fn members_archive_asynchronously_and_the_users_options_win() {
        let file = instance_file(&spec(), &Section::new());
        assert!(file.contains("\narchive-async = y\n"));
        assert!(file.contains("\nspool-path = /pgdata/pgbackrest-spool\n"));
        assert!(file.contains("\nrepo1-path = /pgbackrest/prod/hippo/repo1\n"));
        assert!(file.contains("\nrepo1-s3-endpoint = s3.lab:7070\n"));
        assert!(file.ends_with("[db]\n\n"));
    }

    #[test]
    fn jobs_have_no_log_file_and_no_spool() {
        let file = cloud_file(&spec(), &Section::new());
        assert!(file.contains("log-level-file = off"));
        assert!(!file.contains("archive-async"));
    }
}
