//! The objects of a pair, as they are applied.

use serde_json::{Value, json};

use super::{INSTANCE_SET, Pair, REPO, USER};
use crate::site::{
    S3_BUCKET, S3_ENDPOINT, S3_KEY, S3_REGION, S3_SECRET, SERVICE_NAMESPACE, STORAGE_CLASS,
};

/// The Secret with the S3 store's credentials; every cluster uses it.
pub(super) const S3_CREDENTIALS: &str = "pgo-s3-creds";

/// A side's part in a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Primary,
    Standby,
}

pub(super) fn s3_credentials() -> Value {
    let file = format!("[global]\n{REPO}-s3-key={S3_KEY}\n{REPO}-s3-key-secret={S3_SECRET}\n");
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": S3_CREDENTIALS, "namespace": SERVICE_NAMESPACE},
        "stringData": {"s3.conf": file},
    })
}

/// The path of a pair's repository in the bucket.
pub(super) fn repository_path(name: &str) -> String {
    format!("/pgbackrest/{SERVICE_NAMESPACE}/{name}/{REPO}")
}

/// The `PostgresCluster` of one side. Both sides carry `spec.standby` with the same shape, so that a move only flips
/// `enabled`. `peer` is the address of the other side's `<c>-ha`, for streaming.
pub(super) fn postgres_cluster(pair: &Pair, side: Side, peer: Option<&str>) -> Value {
    let mut spec = json!({
        "postgresVersion": 15,
        "image": pair.patroni.image(),
        "imagePullPolicy": "Never",
        "standby": standby(side, peer),
        "instances": [{
            "name": INSTANCE_SET,
            "replicas": pair.instances,
            "dataVolumeClaimSpec": {
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": STORAGE_CLASS,
                "resources": {"requests": {"storage": "1Gi"}},
            },
        }],
        "users": [{
            "name": USER,
            "databases": [USER],
            "password": {"type": "AlphaNumeric"},
        }],
        "backups": {"pgbackrest": {
            "image": pair.patroni.image(),
            "configuration": [{"secret": {"name": S3_CREDENTIALS}}],
            "global": {
                format!("{REPO}-path"): repository_path(&pair.name),
                format!("{REPO}-s3-uri-style"): "path",
                format!("{REPO}-storage-verify-tls"): "n",
                "start-fast": "y",
            },
            "repos": [{
                "name": REPO,
                "s3": {"bucket": S3_BUCKET, "endpoint": S3_ENDPOINT, "region": S3_REGION},
                "schedules": {"full": "0 3 * * 0"},
            }],
        }},
    });
    if pair.standby == super::Standby::Streaming {
        spec["customTLSSecret"] = json!({"name": server_certificate(&pair.name)});
        spec["customReplicationTLSSecret"] = json!({"name": client_certificate(&pair.name)});
    }
    json!({
        "apiVersion": "postgres-operator.crunchydata.com/v1beta1",
        "kind": "PostgresCluster",
        "metadata": {
            "name": pair.name,
            "namespace": SERVICE_NAMESPACE,
            "annotations": {"postgres-operator.crunchydata.com/autoCreateUserSchema": "true"},
        },
        "spec": spec,
    })
}

/// `spec.standby` of one side.
pub(super) fn standby(side: Side, peer: Option<&str>) -> Value {
    let mut standby = json!({"enabled": side == Side::Standby, "repoName": REPO});
    if let Some(host) = peer {
        standby["host"] = json!(host);
        standby["port"] = json!(5432);
    }
    standby
}

pub(super) fn server_certificate(name: &str) -> String {
    format!("{name}-lab-server-tls")
}

pub(super) fn client_certificate(name: &str) -> String {
    format!("{name}-lab-replication-tls")
}

#[cfg(test)]
mod tests {
    use super::super::{Patroni, Standby};
    use super::*;

    fn pair(standby: Standby) -> Pair {
        Pair {
            name: "zitadel".into(),
            standby,
            patroni: Patroni::V4_1,
            instances: 2,
        }
    }

    #[test]
    fn the_sides_of_a_pair_differ_in_enabled_only() {
        let pair = pair(Standby::Archive);
        let mut primary = postgres_cluster(&pair, Side::Primary, None);
        let standby = postgres_cluster(&pair, Side::Standby, None);
        assert_eq!(primary["spec"]["standby"]["enabled"], false);
        primary["spec"]["standby"]["enabled"] = json!(true);
        assert_eq!(primary, standby);
    }

    #[test]
    fn a_streaming_standby_has_the_other_sides_address_and_a_common_authority() {
        let spec = postgres_cluster(
            &pair(Standby::Streaming),
            Side::Standby,
            Some("10.101.96.7"),
        );
        assert_eq!(spec["spec"]["standby"]["host"], "10.101.96.7");
        assert_eq!(spec["spec"]["standby"]["repoName"], "repo1");
        assert_eq!(
            spec["spec"]["customTLSSecret"]["name"],
            "zitadel-lab-server-tls"
        );
    }
}
