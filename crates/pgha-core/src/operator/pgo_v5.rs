//! Crunchy PGO v5 and 6.0: `PostgresCluster` in `postgres-operator.crunchydata.com/v1beta1`.
//!
//! Names, labels and fields as in the operator's source, `internal/naming` and `pkg/apis`. `v1beta1` is served by every
//! release from 5.0 to 6.0.

pub mod backup;
pub mod program;
mod read;
pub mod render;
pub mod secret;
pub mod service;

pub use self::read::{patroni_port, read_object};
use crate::k8s::{self, ApiResource};

/// How the operator is called in output.
pub const OPERATOR: &str = "pgo-v5";

/// What the operator's labels and annotations begin with, and its API group.
pub const PREFIX: &str = "postgres-operator.crunchydata.com";

/// The container of an instance's pod in which Postgres and Patroni run.
pub const DATABASE_CONTAINER: &str = "database";

/// The container of an instance's pod with pgBackRest's server.
pub const BACKREST_CONTAINER: &str = "pgbackrest";

/// The label on which Patroni writes the role of a member.
pub const ROLE_LABEL: &str = "postgres-operator.crunchydata.com/role";

/// The annotation that asks for a manual backup; its value is the backup's id.
pub const BACKUP_ANNOTATION: &str = "postgres-operator.crunchydata.com/pgbackrest-backup";

/// The fields of the operator's object that a command changes and does not put back.
pub const MOVED_FIELDS: &[&[&str]] = &[&["spec", "standby"], &["spec", "shutdown"]];

/// The annotation that asks for a switchover inside the cluster.
pub const SWITCHOVER_ANNOTATION: &str = "postgres-operator.crunchydata.com/trigger-switchover";

/// The resource of the operator's object.
pub fn resource() -> ApiResource {
    k8s::resource(PREFIX, "v1beta1", "PostgresCluster", "postgresclusters")
}

/// Selects the pods that run Postgres, with the operator's own selector (`naming.ClusterInstances`).
pub fn instances_selector(cluster: &str) -> String {
    format!("{PREFIX}/cluster={cluster},{PREFIX}/instance")
}

/// Selects everything of a cluster: its instances, its repository host, its pooler, and the pods of its Jobs.
pub fn cluster_selector(cluster: &str) -> String {
    format!("{PREFIX}/cluster={cluster}")
}

/// Selects Patroni's objects (`naming.ClusterPatronis`).
pub fn patroni_selector(cluster: &str) -> String {
    format!(
        "{PREFIX}/cluster={cluster},{PREFIX}/patroni={}",
        lock_name(cluster)
    )
}

/// The Endpoints object that is Patroni's lock, and the Service of the writable address.
pub fn lock_name(cluster: &str) -> String {
    format!("{cluster}-ha")
}

/// The Endpoints object that holds Patroni's configuration and history.
pub fn store_name(cluster: &str) -> String {
    format!("{cluster}-ha-config")
}
