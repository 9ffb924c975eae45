//! Patroni's dynamic configuration, and the whole of it written again at every reconcile.

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::{Endpoints, Pod};
use kube::ResourceExt as _;
use serde_json::{Map, Value, json};

use super::exec::exec;
use super::name;
use super::reconcile::{Again, Turn};
use super::types::PostgresClusterSpec;

/// Where Postgres would write log files if it collected them; from 6.0 on the configuration names it.
const LOG_DIRECTORY: &str = "/pgdata/logs/postgres";

/// What Patroni is to hold in its configuration store: the user's `dynamicConfiguration` with the operator's values
/// over it. A user's own `standby_cluster` stays where `spec.standby` is not enabled, as with the real operator.
pub(crate) fn dynamic_configuration(spec: &PostgresClusterSpec) -> Value {
    let mut root = spec.patroni.dynamic_configuration.clone();
    root.insert("ttl".into(), json!(spec.patroni.ttl()));
    root.insert("loop_wait".into(), json!(spec.patroni.loop_wait()));

    let user = root
        .get("postgresql")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    let mut postgresql = Map::from_iter([("use_slots".to_owned(), json!(false))]);
    postgresql.extend(user.clone());
    postgresql.insert("parameters".into(), Value::Object(parameters(spec, &user)));
    postgresql.insert(
        "pg_hba".into(),
        json!(host_based_authentication(spec, &user)),
    );
    postgresql.insert("use_pg_rewind".into(), json!(spec.postgres_version > 10));
    root.insert("postgresql".into(), Value::Object(postgresql));

    if let Some(standby) = spec.standby() {
        let user = root
            .get("standby_cluster")
            .and_then(Value::as_object)
            .cloned();
        let mut section = user.unwrap_or_default();
        section.remove("restore_command");
        let mut methods = Vec::new();
        if standby.repo_name.is_some() {
            methods.push("pgbackrest");
            section.insert("restore_command".into(), json!(restore_command(spec)));
        }
        if let Some(host) = &standby.host {
            methods.push("basebackup");
            section.insert("host".into(), json!(host));
            if let Some(port) = standby.port {
                section.insert("port".into(), json!(port));
            }
        }
        section.insert("create_replica_methods".into(), json!(methods));
        root.insert("standby_cluster".into(), Value::Object(section));
    }
    Value::Object(root)
}

/// The operator's defaults, the user's parameters over them, and over both what the operator insists on.
fn parameters(spec: &PostgresClusterSpec, user: &Map<String, Value>) -> Map<String, Value> {
    let mut all = Map::new();
    for (key, value) in [
        ("archive_timeout", "60s"),
        ("huge_pages", "off"),
        ("jit", "off"),
        ("log_directory", LOG_DIRECTORY),
        ("password_encryption", "scram-sha-256"),
    ] {
        all.insert(key.into(), json!(value));
    }
    let user = user
        .get("parameters")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    for (key, value) in user {
        all.insert(key.to_lowercase(), json!(text_of(&value)));
    }
    let preload = match all.get("shared_preload_libraries").and_then(Value::as_str) {
        Some(libraries) if !libraries.is_empty() => format!("pgaudit,{libraries}"),
        _ => "pgaudit".to_owned(),
    };
    for (key, value) in [
        (
            "archive_command",
            "pgbackrest --stanza=db archive-push \"%p\"",
        ),
        ("archive_mode", "on"),
        ("log_file_mode", "0660"),
        ("restore_command", restore_command(spec).as_str()),
        ("shared_preload_libraries", preload.as_str()),
        ("ssl", "on"),
        ("ssl_ca_file", "/pgconf/tls/ca.crt"),
        ("ssl_cert_file", "/pgconf/tls/tls.crt"),
        ("ssl_key_file", "/pgconf/tls/tls.key"),
        ("unix_socket_directories", "/tmp/postgres"),
        ("wal_level", "logical"),
    ] {
        all.insert(key.into(), json!(value));
    }
    all
}

fn text_of(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn restore_command(spec: &PostgresClusterSpec) -> String {
    let command = "pgbackrest --stanza=db archive-get %f \"%p\"";
    match spec
        .standby()
        .and_then(|standby| standby.repo_name.as_deref())
    {
        Some(repo) => format!("{command} --repo={}", repo.trim_start_matches("repo")),
        None => command.to_owned(),
    }
}

fn host_based_authentication(spec: &PostgresClusterSpec, user: &Map<String, Value>) -> Vec<String> {
    let mut rules = vec![
        r#"local all "postgres" "peer""#.to_owned(),
        r#"hostssl replication "_crunchyrepl" all "cert""#.to_owned(),
        r#"hostssl "postgres" "_crunchyrepl" all "cert""#.to_owned(),
        r#"host all "_crunchyrepl" all "reject""#.to_owned(),
    ];
    if spec
        .proxy
        .as_ref()
        .is_some_and(|proxy| proxy.pg_bouncer.is_some())
    {
        rules.push(r#"hostssl all "_crunchypgbouncer" all "scram-sha-256""#.to_owned());
        rules.push(r#"host all "_crunchypgbouncer" all "reject""#.to_owned());
    }
    match user.get("pg_hba").and_then(Value::as_array) {
        Some(own) if !own.is_empty() => rules.extend(own.iter().map(text_of)),
        _ => rules.push(r#"hostssl all all all "scram-sha-256""#.to_owned()),
    }
    rules
}

impl Turn<'_> {
    /// Takes the system identifier from Patroni's configuration object.
    pub(crate) async fn reconcile_patroni_status(&mut self) -> Result<()> {
        let object = format!("{}-config", name::scope(&self.name));
        let dcs = self
            .api::<Endpoints>()
            .get_opt(&object)
            .await
            .context("reading Patroni's state")?;
        let identifier = dcs
            .and_then(|dcs| dcs.annotations().get("initialize").cloned())
            .filter(|identifier| !identifier.is_empty());
        if identifier.is_some() {
            self.status.patroni.system_identifier = identifier;
        } else if self.members.iter().any(super::member::Member::is_ready) {
            self.ask_again(Again::After(1));
        }
        Ok(())
    }

    /// Replaces Patroni's whole configuration, from inside of the first member that runs. Without one, nothing is
    /// written: that is the read-write window of a primary that starts again as a standby.
    pub(crate) async fn reconcile_patroni_dynamic_configuration(&self) -> Result<()> {
        if !self.status.is_bootstrapped() {
            return Ok(());
        }
        let Some(member) = self.members.iter().find(|it| it.is_running(name::DATABASE)) else {
            return Ok(());
        };
        let configuration = format!("{}\n", dynamic_configuration(&self.pg_cluster.spec));
        let command = ["patronictl", "edit-config", "--replace=-", "--force"];
        let pod = member.pod_name();
        exec(
            &self.api::<Pod>(),
            &pod,
            name::DATABASE,
            &command,
            Some(&configuration),
        )
        .await
        .context("replacing Patroni's configuration")?;
        Ok(())
    }

    /// Restarts the members whose changed parameters wait for it: the primary before the replicas.
    pub(crate) async fn restart_pending_members(&self) -> Result<()> {
        let waiting = || {
            self.members
                .iter()
                .filter(|it| it.has_pending_restart() && it.is_running(name::DATABASE))
        };
        let scope = name::scope(&self.name);
        let (member, role) = match waiting().find(|it| it.is_labelled_leader()) {
            Some(member) => (member, "--role=primary"),
            None => match waiting().next() {
                Some(member) => (member, "--role=replica"),
                None => return Ok(()),
            },
        };
        let command = [
            "patronictl",
            "restart",
            "--pending",
            "--force",
            role,
            &scope,
        ];
        exec(
            &self.api::<Pod>(),
            &member.pod_name(),
            name::DATABASE,
            &command,
            None,
        )
        .await
        .context("restarting members")?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(spec: &Value) -> Value {
        dynamic_configuration(&serde_json::from_value(spec.clone()).unwrap())
    }

    /// The primary of PGO 6.0.3, as its `config` annotation holds it; 5.8.9 leaves both settings of the log out.
    fn primary() -> Value {
        json!({
            "loop_wait": 10,
            "postgresql": {
                "parameters": {
                    "archive_command": "pgbackrest --stanza=db archive-push \"%p\"",
                    "archive_mode": "on",
                    "archive_timeout": "60s",
                    "huge_pages": "off",
                    "jit": "off",
                    "log_directory": "/pgdata/logs/postgres",
                    "log_file_mode": "0660",
                    "password_encryption": "scram-sha-256",
                    "restore_command": "pgbackrest --stanza=db archive-get %f \"%p\"",
                    "shared_preload_libraries": "pgaudit",
                    "ssl": "on",
                    "ssl_ca_file": "/pgconf/tls/ca.crt",
                    "ssl_cert_file": "/pgconf/tls/tls.crt",
                    "ssl_key_file": "/pgconf/tls/tls.key",
                    "unix_socket_directories": "/tmp/postgres",
                    "wal_level": "logical",
                },
                "pg_hba": [
                    "local all \"postgres\" \"peer\"",
                    "hostssl replication \"_crunchyrepl\" all \"cert\"",
                    "hostssl \"postgres\" \"_crunchyrepl\" all \"cert\"",
                    "host all \"_crunchyrepl\" all \"reject\"",
                    "hostssl all all all \"scram-sha-256\"",
                ],
                "use_pg_rewind": true,
                "use_slots": false,
            },
            "ttl": 30,
        })
    }

    #[test]
    fn a_primary_has_the_operators_defaults() {
        let declined =
            json!({"postgresVersion": 15, "standby": {"enabled": false, "repoName": "repo1"}});
        assert_eq!(rendered(&declined), primary());
        assert_eq!(rendered(&json!({"postgresVersion": 15})), primary());
    }

    #[test]
    fn keys_are_in_alphabetical_order() {
        let text = rendered(&json!({"postgresVersion": 15})).to_string();
        assert!(
            text.starts_with(r#"{"loop_wait":10,"postgresql":{"parameters":{"archive_command""#)
        );
        assert!(text.ends_with(r#""ttl":30}"#));
    }

    #[test]
    fn a_standby_of_an_archive_and_a_host_has_both() {
        let spec = json!({
            "postgresVersion": 15,
            "standby": {"enabled": true, "repoName": "repo1", "host": "b.example", "port": 5432},
        });
        let mut wanted = primary();
        let command = "pgbackrest --stanza=db archive-get %f \"%p\" --repo=1";
        wanted["postgresql"]["parameters"]["restore_command"] = json!(command);
        wanted["standby_cluster"] = json!({
            "create_replica_methods": ["pgbackrest", "basebackup"],
            "host": "b.example",
            "port": 5432,
            "restore_command": command,
        });
        assert_eq!(rendered(&spec), wanted);
    }

    #[test]
    fn each_kind_of_standby_has_its_own_methods_only() {
        let archive = rendered(&json!({"standby": {"repoName": "repo2"}}));
        assert_eq!(
            archive["standby_cluster"]["create_replica_methods"],
            json!(["pgbackrest"])
        );
        assert_eq!(archive["standby_cluster"].get("host"), None);
        let host = rendered(&json!({"standby": {"host": "b.example"}}));
        assert_eq!(
            host["standby_cluster"],
            json!({
                "create_replica_methods": ["basebackup"], "host": "b.example",
            })
        );
    }

    #[test]
    fn a_users_own_standby_cluster_survives_a_promotion() {
        let spec = json!({
            "standby": {"enabled": false, "repoName": "repo1"},
            "patroni": {"dynamicConfiguration": {"standby_cluster": {"host": "forgotten"}}},
        });
        assert_eq!(
            rendered(&spec)["standby_cluster"],
            json!({"host": "forgotten"})
        );
    }

    #[test]
    fn users_parameters_are_kept_unless_the_operator_insists() {
        let spec = json!({"patroni": {"dynamicConfiguration": {
            "synchronous_mode": true,
            "postgresql": {
                "parameters": {
                    "wal_retrieve_retry_interval": "200ms",
                    "archive_mode": "off",
                    "jit": true,
                    "shared_preload_libraries": "pg_stat_statements",
                },
                "use_slots": true,
            },
        }}});
        let rendered = rendered(&spec);
        let parameters = &rendered["postgresql"]["parameters"];
        assert_eq!(parameters["wal_retrieve_retry_interval"], "200ms");
        assert_eq!(parameters["archive_mode"], "on");
        assert_eq!(parameters["jit"], "true");
        assert_eq!(
            parameters["shared_preload_libraries"],
            "pgaudit,pg_stat_statements"
        );
        assert_eq!(rendered["postgresql"]["use_slots"], true);
        assert_eq!(rendered["synchronous_mode"], true);
    }
}
