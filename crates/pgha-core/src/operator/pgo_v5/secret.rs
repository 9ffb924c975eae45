//! The Secrets in which the operator keeps the passwords of Postgres' roles.
//!
//! Source: PGO v5.8.9 `internal/controller/postgrescluster/postgres.go`, `internal/pgbouncer`, `internal/pgmonitor`,
//! `internal/naming`. Password and verifier belong together: a verifier that is there is never questioned, so a password
//! that changes alone is one that nobody can log in with. What is derived of them (`uri`, `jdbc-uri`, the bouncer's
//! user list) the operator writes anew as soon as it sees them change.

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use pgha_model::owner::{Owner, signed};
use serde_json::Value;

use super::PREFIX;
use crate::diagnose::sanitised;

/// What a Secret of a role is called inside, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleKeys {
    /// The role in Postgres.
    pub role: String,
    /// The key of the password.
    pub password: &'static str,
    /// The key of the verifier.
    pub verifier: &'static str,
    /// The key of a connection string that the operator makes of the password.
    pub uri: Option<&'static str>,
}

/// Selects the Secrets of a cluster.
pub fn secrets_selector(cluster: &str) -> String {
    format!("{PREFIX}/cluster={cluster}")
}

/// Whose password a Secret holds; `None` for a Secret that holds none, of certificates for example.
pub fn role_keys(secret: &Secret, cluster: &str) -> Option<RoleKeys> {
    let label = |name: &str| secret.labels().get(&format!("{PREFIX}/{name}"));
    let name = secret.name_any();
    let plain = |role: &str, uri| RoleKeys {
        role: role.to_owned(),
        password: "password",
        verifier: "verifier",
        uri,
    };
    if label("role").is_some_and(|role| role == "pguser") {
        return Some(plain(label("pguser")?, Some("uri")));
    }
    if name == format!("{cluster}-pgbouncer") {
        return Some(RoleKeys {
            role: "_crunchypgbouncer".to_owned(),
            password: "pgbouncer-password",
            verifier: "pgbouncer-verifier",
            uri: None,
        });
    }
    (name == format!("{cluster}-monitoring")).then(|| plain("ccp_monitoring", None))
}

/// The users that the object asks for; without `spec.users` the operator makes one, named after the cluster.
pub fn users<'a>(cluster: &'a str, object: &'a Value) -> Vec<&'a str> {
    let users = object.pointer("/spec/users").and_then(Value::as_array);
    users.map_or_else(
        || vec![cluster],
        |users| {
            let names = users.iter().map(|user| user.get("name")?.as_str());
            names.flatten().collect()
        },
    )
}

/// The Secret of a user.
pub fn user_secret(cluster: &str, user: &str) -> String {
    format!("{cluster}-pguser-{user}")
}

/// Who else writes a Secret, other than the operator that it belongs to.
pub fn owners_of(secret: &Secret) -> Vec<Owner> {
    let metadata = serde_json::to_value(&secret.metadata).unwrap_or_default();
    let mut owners = signed(&metadata, sanitised);
    owners.retain(|owner| !owner.to_string().starts_with("PostgresCluster "));
    owners
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn secret(name: &str, labels: &[(&str, &str)]) -> Secret {
        let labels: serde_json::Map<String, Value> = labels
            .iter()
            .map(|(name, value)| (format!("{PREFIX}/{name}"), json!(value)))
            .collect();
        let owner = json!([{"apiVersion": "a/v1", "kind": "PostgresCluster", "name": "zitadel", "uid": "1",
            "controller": true}]);
        serde_json::from_value(
            json!({"metadata": {"name": name, "labels": labels, "ownerReferences": owner}}),
        )
        .unwrap()
    }

    #[test]
    fn secrets_of_roles_are_told_from_the_others() {
        let role = |secret: &Secret| role_keys(secret, "zitadel").map(|keys| keys.role);
        let user = secret(
            "zitadel-pguser-app",
            &[("role", "pguser"), ("pguser", "app")],
        );
        assert_eq!(role(&user).as_deref(), Some("app"));
        let bouncer = secret("zitadel-pgbouncer", &[("role", "pgbouncer")]);
        assert_eq!(role(&bouncer).as_deref(), Some("_crunchypgbouncer"));
        let monitoring = secret("zitadel-monitoring", &[]);
        assert_eq!(role(&monitoring).as_deref(), Some("ccp_monitoring"));
        assert_eq!(role(&secret("zitadel-cluster-cert", &[])), None);
    }

    #[test]
    fn the_operator_is_no_other_writer() {
        let mut user = secret("zitadel-pguser-app", &[]);
        assert!(owners_of(&user).is_empty());
        user.labels_mut()
            .insert("kapp.k14s.io/app".to_owned(), "7".to_owned());
        assert_eq!(owners_of(&user)[0].to_string(), "kapp app 7");
    }
}
