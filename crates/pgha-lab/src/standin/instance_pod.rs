//! The pod of a member: four containers and two that prepare.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::{Value, json};

use super::name;
use super::patroni_file;
use super::reconcile::Turn;

/// Checks what is needed, makes the folders, and copies the replication certificate to where libpq accepts its mode.
const STARTUP: &str = r#"
version="$1" wal_directory="$2"
found=$(postgres --version)
if ! [[ "${found}" =~ ") ${version}"($|[^0-9]) ]]; then
  echo >&2 "wanted PostgreSQL ${version}, found ${found}"
  exit 1
fi
[[ -e "${PGDATA}" && ! -O "${PGDATA}" ]] || install --directory --mode=0750 "${PGDATA}"
for folder in /pgdata/logs/postgres /pgdata/patroni/log /pgdata/pgbackrest/log; do
  mkdir -p "${folder}"
done
install -D --mode=0600 -t /tmp/replication /pgconf/tls/replication/{tls.crt,tls.key,ca.crt}
[[ -f "${PGDATA}/PG_VERSION" ]] || exit 0
[[ -f "${PGDATA}/postgresql.conf" ]] || touch "${PGDATA}/postgresql.conf"
current=$(realpath "${PGDATA}/pg_wal")
if [[ "${current}" != "${wal_directory}" ]]; then
  mv --no-target-directory "${current}" "${wal_directory}"
  ln --no-dereference --force --symbolic "${wal_directory}" "${PGDATA}/pg_wal"
fi
"#;

/// Lets the image's numeric user be called `postgres`, which peer authentication and pgBackRest go by.
const NSS: &str = r#"
directory=/tmp/nss_wrapper/postgres
mkdir -p "${directory}"
uid=$(id -u) gid=$(id -g)
grep -v -e '^postgres:' -e "^[^:]*:[^:]*:${uid}:" /etc/passwd > "${directory}/passwd" || true
echo "postgres:x:${uid}:${gid}:PostgreSQL:${HOME:-/tmp}:/bin/bash" >> "${directory}/passwd"
grep -v -e '^postgres:' /etc/group > "${directory}/group" || true
echo "postgres:x:${gid}:postgres" >> "${directory}/group"
"#;

/// Copies a renewed replication certificate and lets Postgres read its own again.
const COPY_CERTIFICATE: &str = r#"
exec {never}<> <(:)
touch /tmp/replication-certificate-seen
while true; do
  read -r -t 5 -u "${never}" || true
  if [[ /pgconf/tls -nt /tmp/replication-certificate-seen ]]; then
    touch /tmp/replication-certificate-seen
    install -D --mode=0600 -t /tmp/replication /pgconf/tls/replication/{tls.crt,tls.key,ca.crt}
    pkill -HUP --exact --oldest postgres || true
  fi
done
"#;

/// Lets pgBackRest's TLS server read changed configuration and certificates.
const RELOAD_PGBACKREST: &str = r#"
exec {never}<> <(:)
touch /tmp/pgbackrest-configuration-seen
while true; do
  read -r -t 5 -u "${never}" || true
  for source in /etc/pgbackrest/server /etc/pgbackrest/conf.d; do
    if [[ "${source}" -nt /tmp/pgbackrest-configuration-seen ]]; then
      touch /tmp/pgbackrest-configuration-seen
      pkill -HUP --exact --parent=0 pgbackrest || true
    fi
  done
done
"#;

impl Turn<'_> {
    /// The template of a member's pod. It holds nothing that differs between a primary and a standby, so that neither
    /// a promotion nor a demotion replaces a pod.
    pub(crate) fn pod_template(
        &self,
        member: &str,
        labels: &BTreeMap<String, String>,
    ) -> Result<Value> {
        let images = self.images()?;
        let mut labels = labels.clone();
        labels.insert(name::key("patroni"), name::scope(&self.name));

        let mut containers = vec![
            self.database_container(&images.postgres),
            self.container(
                "replication-cert-copy",
                &images.postgres,
                &script(COPY_CERTIFICATE),
            ),
            self.container(
                "pgbackrest",
                &images.pgbackrest,
                &json!(["pgbackrest", "server"]),
            ),
            self.container(
                "pgbackrest-config",
                &images.pgbackrest,
                &script(RELOAD_PGBACKREST),
            ),
        ];
        containers[0]["volumeMounts"] = mounts(&[
            ("cert-volume", "/pgconf/tls"),
            ("postgres-data", "/pgdata"),
            ("patroni-config", patroni_file::DIRECTORY),
            ("pgbackrest-config", "/etc/pgbackrest/conf.d"),
            ("tmp", "/tmp"),
            ("dshm", "/dev/shm"),
        ]);
        containers[1]["volumeMounts"] = mounts(&[("cert-volume", "/pgconf/tls"), ("tmp", "/tmp")]);
        containers[2]["volumeMounts"] = mounts(&[
            ("pgbackrest-server", "/etc/pgbackrest/server"),
            ("postgres-data", "/pgdata"),
            ("pgbackrest-config", "/etc/pgbackrest/conf.d"),
            ("tmp", "/tmp"),
        ]);
        containers[2]["env"] = json!(nss_environment());
        containers[2]["livenessProbe"] = json!({
            "exec": {"command": ["pgbackrest", "server-ping"]},
        });
        containers[3]["volumeMounts"] = mounts(&[
            ("pgbackrest-server", "/etc/pgbackrest/server"),
            ("pgbackrest-config", "/etc/pgbackrest/conf.d"),
            ("tmp", "/tmp"),
        ]);

        Ok(json!({
            "metadata": {
                "labels": labels,
                "annotations": {"kubectl.kubernetes.io/default-container": name::DATABASE},
            },
            "spec": {
                "enableServiceLinks": false,
                "restartPolicy": "Always",
                "serviceAccountName": format!("{}-instance", self.name),
                "shareProcessNamespace": true,
                "securityContext": {"fsGroup": 26, "fsGroupChangePolicy": "OnRootMismatch"},
                "initContainers": self.init_containers(&images.postgres),
                "containers": containers,
                "volumes": self.member_volumes(member),
            },
        }))
    }

    fn init_containers(&self, image: &str) -> Value {
        let version = self.pg_cluster.spec.postgres_version.to_string();
        let startup = json!([
            "bash",
            "-ceu",
            "--",
            STARTUP,
            "startup",
            version,
            self.wal_directory()
        ]);
        let mut startup = self.container("postgres-startup", image, &startup);
        startup["env"] = json!(self.postgres_environment());
        startup["volumeMounts"] = mounts(&[
            ("cert-volume", "/pgconf/tls"),
            ("postgres-data", "/pgdata"),
            ("tmp", "/tmp"),
        ]);
        let mut nss = self.container("nss-wrapper-init", image, &script(NSS));
        nss["volumeMounts"] = mounts(&[("tmp", "/tmp")]);
        json!([startup, nss])
    }

    fn database_container(&self, image: &str) -> Value {
        let spec = &self.pg_cluster.spec;
        let command = json!(["patroni", patroni_file::DIRECTORY]);
        let mut container = self.container(name::DATABASE, image, &command);
        let environment = [
            self.postgres_environment(),
            self.patroni_environment(),
            nss_environment(),
        ];
        container["env"] = json!(environment.concat());
        container["ports"] =
            json!([{"name": "postgres", "containerPort": spec.port(), "protocol": "TCP"}]);
        let probe = |path: &str| {
            json!({
                "httpGet": {"path": path, "port": spec.patroni.port(), "scheme": "HTTPS"},
                "initialDelaySeconds": 3,
                "periodSeconds": spec.patroni.loop_wait(),
                "timeoutSeconds": (spec.patroni.loop_wait() / 2).max(1),
                "failureThreshold": (spec.patroni.ttl() / spec.patroni.loop_wait()).max(1),
            })
        };
        container["livenessProbe"] = probe("/liveness");
        container["readinessProbe"] = probe("/readiness");
        container
    }

    pub(crate) fn container(&self, name: &str, image: &str, command: &Value) -> Value {
        json!({
            "name": name,
            "image": image,
            "imagePullPolicy": self.pull_policy(),
            "command": command,
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "capabilities": {"drop": ["ALL"]},
                "privileged": false,
                "readOnlyRootFilesystem": true,
                "runAsNonRoot": true,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
        })
    }

    fn pull_policy(&self) -> &str {
        self.pg_cluster
            .spec
            .image_pull_policy
            .as_deref()
            .unwrap_or("IfNotPresent")
    }

    fn postgres_environment(&self) -> Vec<Value> {
        vec![
            variable("PGDATA", &self.data_directory()),
            variable("PGHOST", "/tmp/postgres"),
            variable("PGPORT", &self.pg_cluster.spec.port().to_string()),
        ]
    }

    fn patroni_environment(&self) -> Vec<Value> {
        let spec = &self.pg_cluster.spec;
        let (postgres, rest) = (spec.port(), spec.patroni.port());
        let pods = format!("{}-pods", self.name);
        let field = |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}});
        let ports = format!("[{{name: postgres, port: {postgres}, protocol: TCP}}]");
        vec![
            field("PATRONI_NAME", "metadata.name"),
            field("PATRONI_KUBERNETES_POD_IP", "status.podIP"),
            variable("PATRONI_KUBERNETES_PORTS", &ports),
            variable(
                "PATRONI_POSTGRESQL_CONNECT_ADDRESS",
                &format!("$(PATRONI_NAME).{pods}:{postgres}"),
            ),
            variable("PATRONI_POSTGRESQL_LISTEN", &format!("*:{postgres}")),
            variable("PATRONI_POSTGRESQL_CONFIG_DIR", &self.data_directory()),
            variable("PATRONI_POSTGRESQL_DATA_DIR", &self.data_directory()),
            variable(
                "PATRONI_RESTAPI_CONNECT_ADDRESS",
                &format!("$(PATRONI_NAME).{pods}:{rest}"),
            ),
            variable("PATRONI_RESTAPI_LISTEN", &format!("*:{rest}")),
            variable("PATRONICTL_CONFIG_FILE", patroni_file::DIRECTORY),
        ]
    }

    fn member_volumes(&self, member: &str) -> Value {
        let spec = &self.pg_cluster.spec;
        let secret = |custom: &Option<super::types::SecretName>, own: String| {
            custom.as_ref().map_or(own, |custom| custom.name.clone())
        };
        let server = secret(
            &spec.custom_tls_secret,
            format!("{}-cluster-cert", self.name),
        );
        let client = secret(
            &spec.custom_replication_tls_secret,
            format!("{}-replication-cert", self.name),
        );
        let keys = ["tls.crt", "tls.key", "ca.crt"];
        let at = |prefix: &str| -> Vec<Value> {
            keys.iter()
                .map(|key| json!({"key": key, "path": format!("{prefix}{key}")}))
                .collect()
        };
        json!([
            {"name": "cert-volume", "projected": {"defaultMode": 0o600, "sources": [
                {"secret": {"name": server, "items": at("")}},
                {"secret": {"name": client, "items": at("replication/")}},
            ]}},
            {"name": "postgres-data",
             "persistentVolumeClaim": {"claimName": format!("{member}-pgdata")}},
            {"name": "patroni-config", "projected": {"sources": [
                {"configMap": {"name": format!("{}-config", self.name), "items": [
                    {"key": "patroni.yaml", "path": "~postgres-operator_cluster.yaml"}]}},
                {"configMap": {"name": format!("{member}-config"), "items": [
                    {"key": "patroni.yaml", "path": "~postgres-operator_instance.yaml"}]}},
                {"secret": {"name": format!("{member}-certs"), "items": [
                    {"key": "patroni.ca-roots", "path": patroni_file::AUTHORITY},
                    {"key": "patroni.crt-combined", "path": patroni_file::CERTIFICATE}]}},
            ]}},
            {"name": "pgbackrest-server", "projected": {"sources": [
                {"secret": {"name": format!("{member}-certs"), "items": [
                    {"key": "pgbackrest-server.crt", "path": "server-tls.crt"},
                    {"key": "pgbackrest-server.key", "path": "server-tls.key", "mode": 0o600}]}},
            ]}},
            self.backrest_volume(&[
                ("pgbackrest_instance.conf", "pgbackrest_instance.conf"),
                ("config-hash", "config-hash"),
                ("pgbackrest-server.conf", "~postgres-operator_server.conf"),
            ]),
            {"name": "tmp", "emptyDir": {"sizeLimit": "16Mi"}},
            {"name": "dshm", "emptyDir": {"medium": "Memory"}},
        ])
    }
}

pub(crate) fn variable(name: &str, value: &str) -> Value {
    json!({"name": name, "value": value})
}

fn nss_environment() -> Vec<Value> {
    vec![
        variable("LD_PRELOAD", "/usr/lib64/libnss_wrapper.so"),
        variable("NSS_WRAPPER_PASSWD", "/tmp/nss_wrapper/postgres/passwd"),
        variable("NSS_WRAPPER_GROUP", "/tmp/nss_wrapper/postgres/group"),
    ]
}

fn script(text: &str) -> Value {
    json!(["bash", "-ceu", "--", text])
}

/// Volume mounts; everything but data and temporary files is read-only.
pub(crate) fn mounts(pairs: &[(&str, &str)]) -> Value {
    let mounts = pairs.iter().map(|(name, path)| {
        let writable = ["postgres-data", "tmp", "dshm"].contains(name);
        let mut mount = json!({"name": name, "mountPath": path});
        if !writable {
            mount["readOnly"] = json!(true);
        }
        mount
    });
    mounts.collect()
}
