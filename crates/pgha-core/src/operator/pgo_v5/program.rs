//! By what programs of a cluster are told from everything else in its namespace, and from the operator's own.

use kube::ResourceExt as _;

use super::{PREFIX, lock_name, secret};
use crate::k8s::DynamicObject;

/// Whether this is the name of the Secret of one of the cluster's users.
pub fn is_user_secret(cluster: &str, name: &str) -> bool {
    name.strip_prefix(&secret::user_secret(cluster, ""))
        .is_some_and(|user| !user.is_empty())
}

/// The Services through which programs reach the primary (PGO `internal/naming/names.go`).
pub fn hosts(cluster: &str) -> [String; 3] {
    [
        format!("{cluster}-primary"),
        lock_name(cluster),
        format!("{cluster}-pgbouncer"),
    ]
}

/// Whether the operator made this object, for whichever of its clusters: it labels what it makes, and owns it
/// (PGO `internal/naming/labels.go`, `internal/controller/postgrescluster`, `setControllerReference`).
pub fn is_operators(object: &DynamicObject) -> bool {
    let is_owner = |api_version: &str| {
        api_version
            .strip_prefix(PREFIX)
            .is_some_and(|rest| rest.starts_with('/'))
    };
    object.labels().contains_key(&format!("{PREFIX}/cluster"))
        || object
            .owner_references()
            .iter()
            .any(|owner| is_owner(&owner.api_version))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_secret_is_a_users_by_its_whole_beginning() {
        assert!(is_user_secret("zitadel", "zitadel-pguser-app"));
        for other in [
            "zitadel-pguser-",
            "zitadel-pguser",
            "zitadel-pgbouncer",
            "other-zitadel-pguser-app",
            "zitadel2-pguser-app",
        ] {
            assert!(!is_user_secret("zitadel", other), "{other}");
        }
    }

    #[test]
    fn the_operators_own_is_labelled_or_owned() {
        let of = |metadata: serde_json::Value| {
            let object =
                json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata});
            is_operators(&serde_json::from_value(object).unwrap())
        };
        assert!(of(
            json!({"name": "a", "labels": {format!("{PREFIX}/cluster"): "zitadel"}})
        ));
        let owned = |api_version: &str| {
            json!({"name": "a", "ownerReferences": [
            {"apiVersion": api_version, "kind": "PostgresCluster", "name": "zitadel", "uid": "1"}]})
        };
        assert!(of(owned("postgres-operator.crunchydata.com/v1beta1")));
        assert!(!of(owned("postgres-operator.crunchydata.com.example/v1")));
        assert!(!of(json!({"name": "a", "labels": {"app": "zitadel"}})));
    }
}
