//! The secrets that programs log in with, as digests that live as long as this process.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::LazyLock;

use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use pgha_model::check::inspection::{Login, LoginSecret};
use serde_json::Value;

use crate::client::{CallError, CallKind, SiteClient};
use crate::diagnose::sanitised;
use crate::operator::pgo_v5::secret::{user_secret, users};

/// Made anew in each process: a digest tells equal from different, and nothing to anybody else.
static DIGEST: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// Reads the secrets of the object's users, pooler and monitoring, each by its name.
pub(super) async fn read_logins(
    site: &SiteClient,
    cluster: &str,
    object: &Value,
) -> Result<Vec<LoginSecret>, CallError> {
    let named = names(cluster, object);
    try_join_all(
        named
            .into_iter()
            .map(|(login, name)| read(site, login, name)),
    )
    .await
}

/// The names that the operator gives (PGO `internal/naming/names.go`).
fn names(cluster: &str, object: &Value) -> Vec<(Login, String)> {
    let has = |pointer: &str| {
        object
            .pointer(pointer)
            .is_some_and(|section| !section.is_null())
    };
    let mut names: Vec<_> = users(cluster, object)
        .into_iter()
        .map(|user| (Login::User, user_secret(cluster, user)))
        .collect();
    if has("/spec/proxy/pgBouncer") {
        names.push((Login::Pgbouncer, format!("{cluster}-pgbouncer")));
    }
    if has("/spec/monitoring/pgmonitor/exporter") || has("/spec/monitoring/pgMonitor/exporter") {
        names.push((Login::Monitoring, format!("{cluster}-monitoring")));
    }
    names
}

const fn keys(login: Login) -> [&'static str; 2] {
    match login {
        Login::User | Login::Monitoring => ["password", "verifier"],
        Login::Pgbouncer => ["pgbouncer-password", "pgbouncer-verifier"],
    }
}

async fn read(site: &SiteClient, login: Login, name: String) -> Result<LoginSecret, CallError> {
    let api: Api<Secret> = Api::namespaced(site.client.clone(), &site.namespace);
    let object = format!("secret {name}");
    let digests = match site.call("get", &object, api.get(&name)).await {
        Ok(secret) => Some(digests(&secret, keys(login))),
        Err(error) if error.kind == CallKind::NotFound => None,
        Err(error) => return Err(error),
    };
    Ok(LoginSecret {
        login,
        name: sanitised(&name),
        digests,
    })
}

fn digests(secret: &Secret, keys: [&str; 2]) -> BTreeMap<String, u64> {
    let data = secret.data.as_ref();
    keys.into_iter()
        .filter_map(|key| {
            let value = data?.get(key)?;
            Some((key.to_owned(), DIGEST.hash_one(&value.0)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(json: &str) -> Value {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn the_object_names_its_secrets() {
        let all = object(
            r#"{"spec":{"users":[{"name":"app"}],"proxy":{"pgBouncer":{}},
                "monitoring":{"pgmonitor":{"exporter":{}}}}}"#,
        );
        let expected = ["db-pguser-app", "db-pgbouncer", "db-monitoring"];
        let secrets = |object: &Value| -> Vec<String> {
            names("db", object)
                .into_iter()
                .map(|(_, name)| name)
                .collect()
        };
        assert_eq!(secrets(&all), expected);
        assert_eq!(secrets(&object(r#"{"spec":{}}"#)), ["db-pguser-db"]);
        assert_eq!(secrets(&object(r#"{"spec":{"users":[]}}"#)), [""; 0]);
    }
}
