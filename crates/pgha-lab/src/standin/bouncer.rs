//! `PgBouncer`: a Deployment in front of the primary, and the role with which it looks up its clients' passwords.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use serde_json::json;

use super::instance_pod::mounts;
use super::name;
use super::object::secret_data;
use super::psql::literal;
use super::reconcile::Turn;
use super::scram::{self, Alphabet};
use super::status::PROXY_AVAILABLE;
use super::status::ProxyStatus;
use super::tls::Authority;
use super::types::PgBouncerSpec;

const ROLE: &str = "_crunchypgbouncer";
const DIRECTORY: &str = "/etc/pgbouncer";

/// Lets `PgBouncer` read changed files.
const RELOAD: &str = r#"
exec {never}<> <(:)
touch /tmp/configuration-seen
while true; do
  read -r -t 5 -u "${never}" || true
  if [[ /etc/pgbouncer -nt /tmp/configuration-seen ]]; then
    touch /tmp/configuration-seen
    pkill -HUP --exact pgbouncer || true
  fi
done
"#;

impl Turn<'_> {
    /// Applies `<c>-pgbouncer` where the object asks for a proxy, removes it where it no longer does.
    pub(crate) async fn reconcile_bouncer(&mut self, authority: &Authority) -> Result<()> {
        let object = format!("{}-pgbouncer", self.name);
        let asked = self
            .pg_cluster
            .spec
            .proxy
            .clone()
            .and_then(|proxy| proxy.pg_bouncer);
        let Some(asked) = asked else {
            if self.status.proxy.take().is_some() {
                self.status.remove_condition(PROXY_AVAILABLE);
                self.delete::<Deployment>(&object).await?;
                self.delete::<Service>(&object).await?;
                self.delete::<ConfigMap>(&object).await?;
                self.delete::<Secret>(&object).await?;
            }
            return Ok(());
        };
        let verifier = self.reconcile_bouncer_secret(&object, authority).await?;
        self.reconcile_bouncer_role(&verifier).await?;
        let labels = name::labels(&[("cluster", &self.name), ("role", "pgbouncer")]);
        let port = asked.port.unwrap_or(5432);
        let body = json!({"data": {"pgbouncer.ini": self.bouncer_file(&asked, port)}});
        self.apply::<ConfigMap>(&object, &labels, body).await?;
        let ports = json!([{"name": "pgbouncer", "port": port, "targetPort": "pgbouncer"}]);
        let body = json!({"spec": {"type": "ClusterIP", "ports": ports, "selector": labels}});
        self.apply::<Service>(&object, &labels, body).await?;
        self.reconcile_bouncer_deployment(&object, &asked, port)
            .await
    }

    async fn reconcile_bouncer_secret(
        &self,
        object: &str,
        authority: &Authority,
    ) -> Result<String> {
        let frontend = ["pgbouncer-frontend.crt", "pgbouncer-frontend.key"];
        let mut data = self
            .keep_or_make(
                object,
                authority,
                "pgbouncer-frontend.ca-roots",
                &frontend,
                || {
                    let leaf = authority.sign(object, self.service_names(object))?;
                    Ok(BTreeMap::from([
                        (
                            "pgbouncer-frontend.ca-roots".to_owned(),
                            authority.pem().into(),
                        ),
                        ("pgbouncer-frontend.crt".to_owned(), leaf.certificate.into()),
                        ("pgbouncer-frontend.key".to_owned(), leaf.key.into()),
                    ]))
                },
            )
            .await?;
        let found = self.read_secret(object).await?;
        let text = |key: &str| {
            found
                .get(key)
                .map(|it| String::from_utf8_lossy(it).into_owned())
                .unwrap_or_default()
        };
        let (mut password, mut verifier) = (text("pgbouncer-password"), text("pgbouncer-verifier"));
        if password.is_empty() || verifier.is_empty() {
            password = scram::new_password(Alphabet::Alphanumeric)?;
            verifier = scram::verifier(&password)?;
        }
        let users = format!("\"{ROLE}\" \"{password}\"\n");
        data.insert("pgbouncer-password".to_owned(), password.into());
        data.insert("pgbouncer-verifier".to_owned(), verifier.clone().into());
        data.insert("pgbouncer-users.txt".to_owned(), users.into());
        let labels = name::labels(&[("cluster", &self.name), ("role", "pgbouncer")]);
        self.apply::<Secret>(object, &labels, json!({"data": secret_data(&data)}))
            .await?;
        Ok(verifier)
    }

    /// Writes the role and its function into every database; like the users' SQL, only when it differs.
    async fn reconcile_bouncer_role(&mut self, verifier: &str) -> Result<()> {
        let script = role_script(verifier);
        let revision = name::safe_hash(&script);
        let status = self.status.proxy.get_or_insert_with(ProxyStatus::default);
        if status.pg_bouncer.postgres_revision.as_ref() == Some(&revision) {
            return Ok(());
        }
        let Some(member) = self.writable_member().cloned() else {
            return Ok(());
        };
        let query = "SELECT datname FROM pg_catalog.pg_database WHERE datallowconn;";
        let databases = self.psql(&member, "postgres", query).await?;
        for database in databases.lines().filter(|line| !line.is_empty()) {
            self.psql(&member, database, &script)
                .await
                .context("writing PgBouncer's role")?;
        }
        let status = self.status.proxy.get_or_insert_with(ProxyStatus::default);
        status.pg_bouncer.postgres_revision = Some(revision);
        Ok(())
    }

    fn bouncer_file(&self, asked: &PgBouncerSpec, port: u16) -> String {
        let mut options = BTreeMap::from(
            [
                ("auth_file", "/etc/pgbouncer/users.txt"),
                (
                    "auth_query",
                    "SELECT username, password from pgbouncer.get_auth($1)",
                ),
                ("auth_user", ROLE),
                ("client_tls_ca_file", "/etc/pgbouncer/frontend.ca-roots"),
                ("client_tls_cert_file", "/etc/pgbouncer/frontend.crt"),
                ("client_tls_key_file", "/etc/pgbouncer/frontend.key"),
                ("client_tls_sslmode", "require"),
                ("ignore_startup_parameters", "extra_float_digits"),
                ("listen_addr", "*"),
                ("server_tls_ca_file", "/etc/pgbouncer/backend.ca-roots"),
                ("server_tls_sslmode", "verify-full"),
                ("unix_socket_dir", ""),
            ]
            .map(|(key, value)| (key.to_owned(), value.to_owned())),
        );
        options.extend(asked.config.global.clone());
        options.insert("listen_port".into(), port.to_string());
        let mut file = String::from("[pgbouncer]\n");
        for (key, value) in options {
            let _ = writeln!(file, "{key} = {value}");
        }
        let postgres = self.pg_cluster.spec.port();
        let _ = writeln!(
            file,
            "\n[databases]\n* = host={}-primary port={postgres}",
            self.name
        );
        file
    }

    async fn reconcile_bouncer_deployment(
        &mut self,
        object: &str,
        asked: &PgBouncerSpec,
        port: u16,
    ) -> Result<()> {
        let spec = &self.pg_cluster.spec;
        let image = asked
            .image
            .clone()
            .or_else(|| self.operator.settings.pgbouncer_image.clone())
            .context("crunchy-pgbouncer image is missing")?;
        let server = match &spec.custom_tls_secret {
            Some(custom) => custom.name.clone(),
            None => format!("{}-cluster-cert", self.name),
        };
        let labels = name::labels(&[("cluster", &self.name), ("role", "pgbouncer")]);
        let replicas = if spec.is_shut_down() {
            0
        } else {
            asked.replicas.unwrap_or(1)
        };
        let volume_mounts = mounts(&[("pgbouncer-config", DIRECTORY), ("tmp", "/tmp")]);
        let start = format!("{DIRECTORY}/pgbouncer.ini");
        let mut bouncer = self.container("pgbouncer", &image, &json!(["pgbouncer", start]));
        bouncer["ports"] = json!([{"name": "pgbouncer", "containerPort": port}]);
        bouncer["volumeMounts"] = volume_mounts.clone();
        let mut reload = self.container(
            "pgbouncer-config",
            &image,
            &json!(["bash", "-ceu", "--", RELOAD]),
        );
        reload["volumeMounts"] = volume_mounts;
        let items = |pairs: &[(&str, &str)]| -> serde_json::Value {
            pairs
                .iter()
                .map(|(key, path)| json!({"key": key, "path": path}))
                .collect()
        };
        let body = json!({"spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "containers": [bouncer, reload],
                    "enableServiceLinks": false,
                    "shareProcessNamespace": true,
                    "securityContext": {"fsGroup": 26},
                    "volumes": [
                        {"name": "tmp", "emptyDir": {"sizeLimit": "16Mi"}},
                        {"name": "pgbouncer-config", "projected": {"sources": [
                            {"configMap": {"name": object,
                                "items": items(&[("pgbouncer.ini", "pgbouncer.ini")])}},
                            {"secret": {"name": server,
                                "items": items(&[("ca.crt", "backend.ca-roots")])}},
                            {"secret": {"name": object, "items": items(&[
                                ("pgbouncer-users.txt", "users.txt"),
                                ("pgbouncer-frontend.ca-roots", "frontend.ca-roots"),
                                ("pgbouncer-frontend.crt", "frontend.crt"),
                                ("pgbouncer-frontend.key", "frontend.key")])}},
                        ]}},
                    ],
                },
            },
        }});
        let applied: Deployment = self.apply(object, &labels, body).await?;
        self.report_bouncer(&applied);
        Ok(())
    }

    fn report_bouncer(&mut self, deployment: &Deployment) {
        let Some(status) = &deployment.status else {
            return;
        };
        let proxy = self.status.proxy.get_or_insert_with(ProxyStatus::default);
        proxy.pg_bouncer.replicas = status.replicas.unwrap_or_default();
        proxy.pg_bouncer.ready_replicas = status.ready_replicas.unwrap_or_default();
        let conditions = status.conditions.as_deref().unwrap_or_default();
        if let Some(found) = conditions.iter().find(|it| it.type_ == "Available") {
            let reason = found.reason.clone().unwrap_or_default();
            let message = found.message.clone().unwrap_or_default();
            let value = found.status.clone();
            self.set_condition(PROXY_AVAILABLE, &value, &reason, &message);
        }
    }
}

/// A role that may do one thing: ask for the verifier of an ordinary user who may log in.
fn role_script(verifier: &str) -> String {
    format!(
        "SET client_min_messages = WARNING;
SET synchronous_commit = LOCAL;
BEGIN;
SELECT 'CREATE ROLE {ROLE} NOLOGIN'
 WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = '{ROLE}')
\\gexec
CREATE SCHEMA IF NOT EXISTS pgbouncer;
REVOKE ALL ON SCHEMA pgbouncer FROM PUBLIC, {ROLE};
GRANT USAGE ON SCHEMA pgbouncer TO {ROLE};
CREATE OR REPLACE FUNCTION pgbouncer.get_auth(username text)
RETURNS TABLE (username text, password text) LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog AS $$
  SELECT rolname::text, rolpassword::text FROM pg_authid
   WHERE rolname = $1 AND rolcanlogin AND NOT rolsuper AND NOT rolreplication
     AND rolname <> '{ROLE}' AND coalesce(rolvaliduntil, 'infinity') > now() $$;
REVOKE ALL ON FUNCTION pgbouncer.get_auth(text) FROM PUBLIC, {ROLE};
GRANT EXECUTE ON FUNCTION pgbouncer.get_auth(text) TO {ROLE};
ALTER ROLE {ROLE} SET search_path TO pgbouncer;
ALTER ROLE {ROLE} LOGIN PASSWORD {};
COMMIT;
",
        literal(verifier)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_role_changes_with_its_verifier() {
        assert!(role_script("v").contains("ALTER ROLE _crunchypgbouncer LOGIN PASSWORD 'v';"));
        assert_ne!(role_script("v"), role_script("w"));
    }
}
