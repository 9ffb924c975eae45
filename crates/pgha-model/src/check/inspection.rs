//! What a closer look at one side found, beyond its survey: inside each member, the repository, secrets, permissions.

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use serde::Deserialize;

use crate::observed::Observed;
use crate::timeline::Timeline;

/// A closer look at one side. What was not looked at is `Unseen`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// Each member by the name of its pod, the leader first.
    pub members: Vec<(String, Observed<MemberFacts>)>,
    /// The newest branch of history in each repository that the leader's pgBackRest is configured for.
    pub branches: Observed<Vec<RepositoryBranch>>,
    /// Where `archive-push-queue-max` is set in the operator's object, `repo1 = 5GB`.
    pub queue_limit_in_object: Option<String>,
    /// The secrets that programs log in with.
    pub secrets: Observed<Vec<LoginSecret>>,
    /// What the credentials in use may do.
    pub permissions: Observed<Vec<Permission>>,
    /// The service of the pooler that the operator runs beside the database, where it runs one.
    pub operators_pooler: Option<String>,
}

impl Inspection {
    /// Nothing was looked at, for this reason.
    pub fn unseen(because: &str) -> Self {
        Self {
            members: Vec::new(),
            branches: Observed::unseen(because),
            queue_limit_in_object: None,
            secrets: Observed::unseen(because),
            permissions: Observed::unseen(because),
            operators_pooler: None,
        }
    }

    /// The member that holds Patroni's lock; the reason when it was not seen.
    pub fn leader(&self) -> Result<&MemberFacts, &str> {
        self.members
            .first()
            .ok_or("no member holds Patroni's lock")
            .and_then(|(_, facts)| facts.seen())
    }
}

/// Inside one member's database container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberFacts {
    /// Its Postgres server.
    pub server: ServerFacts,
    /// Its databases that can be connected to, by name.
    pub databases: BTreeMap<String, DatabaseFacts>,
    /// The lines of pgBackRest's configuration files, and variables, that set `archive-push-queue-max`.
    pub queue_limits: Vec<String>,
    /// Whether pgBackRest pushes in the background (`archive-async`): it then refuses a segment that the archiver has
    /// not asked for, as the one of the shutdown checkpoint (pgBackRest `command/archive/push/push.c`).
    pub archives_asynchronously: bool,
    /// Bytes free on the volume of the data directory.
    pub free_bytes: Option<u64>,
    /// Whether the server that this side would stream from after a move takes connections; `None` when there is none to
    /// ask.
    pub reaches_peer: Option<bool>,
    /// This machine's clock at the end of the look less the container's, in seconds; positive when the container is behind.
    pub clock_behind_s: i64,
}

/// What a server says of itself as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerFacts {
    /// `server_version_num`.
    pub version: u32,
    /// `shared_preload_libraries`.
    pub preload_libraries: String,
    /// The settings that a standby must have at least as large as its primary (PostgreSQL documentation, 27.4.3 "Hot
    /// Standby Parameter Reference").
    pub limits: BTreeMap<String, i64>,
    /// Whether `pg_rewind` can work here: data checksums, or `wal_log_hints`.
    pub can_rewind: bool,
    /// `synchronous_standby_names`.
    pub synchronous_standby_names: String,
    /// `pg_is_wal_replay_paused()` on a standby.
    pub replay_paused: Option<bool>,
    /// `recovery_min_apply_delay` in milliseconds.
    pub apply_delay_ms: i64,
    /// The recovery targets that are set.
    pub recovery_targets: Vec<String>,
    /// `pg_stat_wal_receiver.status` on a standby that streams.
    pub receiver_status: Option<String>,
    /// `pg_replication_slots`.
    pub slots: Vec<SlotFacts>,
    /// `pg_stat_replication`.
    pub walsenders: Vec<WalsenderFacts>,
    /// Segments that wait to be archived.
    pub segments_to_archive: u64,
    /// `wal_segment_size` in bytes.
    pub segment_size_bytes: NonZeroU64,
    /// Age of the oldest open transaction, in seconds.
    pub oldest_transaction_s: i64,
    /// Transactions that are prepared and not finished.
    pub prepared_transactions: u64,
    /// Connections of a backup that runs.
    pub backups_running: u64,
    /// What extensions the server's files offer.
    pub extensions_offered: Vec<OfferedExtension>,
}

/// One row of `pg_replication_slots`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SlotFacts {
    /// Its name.
    pub name: String,
    /// Whether it is a logical one.
    pub is_logical: bool,
    /// Whether it ends with its session.
    pub is_temporary: bool,
    /// `reserved`, `extended`, `unreserved` or `lost`.
    pub wal_status: Option<String>,
    /// Whether it is kept in step with a primary's (Postgres 17); `None` before.
    pub synced: Option<bool>,
}

/// One row of `pg_stat_replication`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WalsenderFacts {
    /// What the receiver calls itself; a member of Patroni uses its name.
    pub application_name: String,
    /// `streaming`, `catchup`, `backup`, …
    pub state: String,
}

/// An extension that can be created or loaded.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OfferedExtension {
    /// Its name.
    pub name: String,
    /// The version that `CREATE EXTENSION` makes: the version of the library.
    pub default_version: Option<String>,
    /// Every version there are scripts for.
    pub versions: Vec<String>,
}

/// What one database says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseFacts {
    /// The database's own collation, those that users made, and those that something in it uses.
    pub collations: Vec<CollationFacts>,
    /// `pg_extension`.
    pub extensions: Vec<InstalledExtension>,
    /// Unlogged tables.
    pub unlogged_tables: Vec<String>,
}

/// A collation with the version of the library that orders by it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CollationFacts {
    /// Its name; the database's own is `database default`.
    pub name: String,
    /// `libc` or `icu`.
    pub provider: String,
    /// The version by which indexes were built (`collversion`, `datcollversion`).
    pub recorded: Option<String>,
    /// The version of the library that is there.
    pub actual: Option<String>,
}

/// An extension that a database has.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InstalledExtension {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// The newest history file in a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryBranch {
    /// `repo1` to `repo4`.
    pub repo: String,
    /// The newest timeline whose history is there; `None` when there is no history, as on timeline 1.
    pub newest: Option<Timeline>,
    /// That history's text is what the leader's own file of that timeline says; `None` when the leader has no such file.
    pub same_as_leaders: Option<bool>,
}

/// For whom a secret is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Login {
    /// A Postgres user that the object names.
    User,
    /// The pooler.
    Pgbouncer,
    /// The monitoring.
    Monitoring,
}

/// A secret with which a program logs in, without its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginSecret {
    /// For whom.
    pub login: Login,
    /// Its name.
    pub name: String,
    /// For each key, what tells whether two values are equal and nothing else; `None` when there is no such secret.
    pub digests: Option<BTreeMap<String, u64>>,
}

/// Whether something is permitted, by the API server's own word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    /// Kubernetes' verb.
    pub verb: &'static str,
    /// The resource with its subresource, `pods/exec`.
    pub resource: String,
    /// Whether it is permitted.
    pub allowed: bool,
}
