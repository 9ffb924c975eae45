//! The lists of others.

use super::Answer::{Checks, Not};
use super::{Item, item};

/// What went wrong elsewhere.
pub(super) const INCIDENTS: &[Item] = &[
    item(
        "GitHub 2018",
        "unreplicated writes on both coasts; the application did not fit the other coast",
        Checks(&["roles", "target-close"]),
    ),
    item(
        "GitLab 2017",
        "the wrong data directory was wiped, and backups were empty",
        Checks(&["finished-backup", "keeps-diverged-data"]),
    ),
    item(
        "GitLab geo 2018",
        "two masters after a restart",
        Checks(&["roles", "leader-evidence"]),
    ),
    item(
        "GoCardless 2017",
        "the automation could not promote",
        Checks(&[
            "patroni-not-paused",
            "no-hidden-standby",
            "synchronous-standbys",
        ]),
    ),
    item(
        "GoCardless 2016",
        "a planned move was called off, preparation incomplete",
        Checks(&["permissions", "user-secrets"]),
    ),
    item(
        "Cloudflare 2020",
        "half-dead network, every replica rebuilt",
        Checks(&["members-running", "rewind-possible"]),
    ),
    item(
        "EDB, documentdb, CNPG",
        "neither side takes writes",
        Checks(&["roles"]),
    ),
    item(
        "repmgr 841",
        "a logical slot that catches up blocks the stop",
        Checks(&["logical-slots", "other-walsenders"]),
    ),
    item(
        "repmgr 826",
        "too few workers stop the followers",
        Checks(&["standby-limits"]),
    ),
    item(
        "canonical 1173",
        "a diverged data directory is deleted",
        Checks(&["keeps-diverged-data"]),
    ),
    item(
        "Patroni, standby clusters",
        "member names must be unique across both clusters",
        Checks(&["member-names-differ"]),
    ),
];

/// repmgr 5.5, `repmgr-action-standby.c`.
pub(super) const REPMGR: &[Item] = &[
    item(
        "repmgr standby",
        "this node is a standby",
        Checks(&["roles", "postgres-role"]),
    ),
    item(
        "repmgr upstream",
        "its upstream is the primary",
        Checks(&["fed-by-source", "system-identifier"]),
    ),
    item(
        "repmgr SSH",
        "SSH to the primary and to every sibling",
        Checks(&["permissions", "postgres-answers"]),
    ),
    item(
        "repmgr binary",
        "the program and its configuration on the other nodes",
        Not("Nothing of pgha is installed in a cluster; `postgres-answers` shows that exec works."),
    ),
    item(
        "repmgr data",
        "a check of the data directory",
        Checks(&["system-identifier", "disk-space"]),
    ),
    item(
        "repmgr reverse",
        "the primary can connect back",
        Checks(&["peer-reachable"]),
    ),
    item(
        "repmgr replay",
        "replay is not paused",
        Checks(&["replay-not-paused"]),
    ),
    item(
        "repmgr backup",
        "no exclusive backup",
        Checks(&["no-running-backup"]),
    ),
    item(
        "repmgr archive",
        "the archive's backlog",
        Checks(&["archive-backlog", "archive-works"]),
    ),
    item(
        "repmgr lag",
        "the replication lag",
        Checks(&["target-close"]),
    ),
    item(
        "repmgr senders",
        "free WAL senders and slots",
        Checks(&["room-for-followers"]),
    ),
    item(
        "repmgr rewind",
        "what pg_rewind needs",
        Checks(&["rewind-possible"]),
    ),
    item(
        "repmgr repmgrd",
        "its daemon can be paused",
        Checks(&["operator-not-paused", "patroni-not-paused", "permissions"]),
    ),
    item(
        "repmgr command",
        "the shutdown command is shown",
        Not("`switchover --dry-run` shows every patch."),
    ),
];

/// Data Guard broker 26, `VALIDATE DATABASE` and its relatives.
pub(super) const DATA_GUARD: &[Item] = &[
    item(
        "Data Guard ready",
        "ready for switchover, ready for failover",
        Checks(&["roles"]),
    ),
    item(
        "Data Guard transport",
        "transport and apply are on, and how far behind",
        Checks(&["target-close", "archive-works", "replay-not-paused"]),
    ),
    item(
        "Data Guard APPLY_PROPERTY",
        "the standby's apply settings",
        Checks(&["no-apply-delay", "no-recovery-target"]),
    ),
    item(
        "Data Guard TRANSPORT_PROPERTY",
        "the primary's transport settings",
        Checks(&[
            "standby-section",
            "synchronous-standbys",
            "synchronous-mode-alike",
        ]),
    ),
    item(
        "Data Guard DATAFILES_OFFLINE",
        "data files that are offline",
        Not("Postgres has no data files that are offline while it runs."),
    ),
    item(
        "Data Guard FLASHBACK",
        "the old primary can be wound back",
        Checks(&["rewind-possible"]),
    ),
    item(
        "Data Guard FORCE_LOGGING",
        "changes that are not logged",
        Checks(&["unlogged-tables"]),
    ),
    item(
        "Data Guard LOG_FILES_CLEARED",
        "log files are prepared",
        Not("Postgres makes its segments itself; that there is room for them is `disk-space`."),
    ),
    item(
        "Data Guard LOG_FILE_CONFIGURATION",
        "log files of equal size and number",
        Not("The segment size is a part of the system that was copied; it cannot differ."),
    ),
    item(
        "Data Guard PDBS_OFFLINE, PDB_SAVE_STATE",
        "the state of pluggable databases",
        Not("Postgres has none."),
    ),
    item(
        "Data Guard DATAFILE",
        "compare blocks for lost writes",
        Not(
            "Postgres has no such comparison of two running servers; data checksums are told with `rewind-possible`.",
        ),
    ),
    item(
        "Data Guard NETWORK",
        "the network both ways",
        Checks(&["peer-reachable", "target-close"]),
    ),
    item(
        "Data Guard STATIC CONNECT IDENTIFIER",
        "the broker can start a database that is down",
        Not("Kubernetes starts the pods."),
    ),
    item(
        "Data Guard FAST_START FAILOVER",
        "readiness of the automatic failover",
        Not("There is no automatic failover yet."),
    ),
    item(
        "Data Guard versions",
        "both sides run one version",
        Checks(&["server-version", "server-minor-version"]),
    ),
];
