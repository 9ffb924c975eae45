//! The lists of others and of our own that the checks answer to: each item has its checks, or the reason why it has none.

use self::Answer::{Checks, Not};

/// A list with where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct List {
    /// Its title.
    pub title: &'static str,
    /// Its items.
    pub items: &'static [Item],
}

/// One thing that the list says must be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its short name, by which the table of checks refers to it.
    pub name: &'static str,
    /// What it asks for.
    pub asks: &'static str,
    /// What answers it.
    pub answer: Answer,
}

/// What answers an item of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// These checks.
    Checks(&'static [&'static str]),
    /// No check, for this reason.
    Not(&'static str),
}

const fn item(name: &'static str, asks: &'static str, answer: Answer) -> Item {
    Item { name, asks, answer }
}

/// Every list.
pub const LISTS: &[List] = &[
    List {
        title: "The survey before a move (step S0 of the design)",
        items: S0,
    },
    List {
        title: "The faults of the fault matrix, before anything is changed",
        items: FAULTS,
    },
    List {
        title: "Published incidents",
        items: INCIDENTS,
    },
    List {
        title: "Security",
        items: SECURITY,
    },
    List {
        title: "repmgr, `standby switchover --dry-run`",
        items: REPMGR,
    },
    List {
        title: "Oracle Data Guard, `VALIDATE DATABASE`",
        items: DATA_GUARD,
    },
    List {
        title: "The operator, seen on a running one",
        items: OPERATOR,
    },
];

const S0: &[Item] = &[
    item(
        "S0 identity",
        "equal system identifiers, different sites",
        Checks(&["sites-differ", "system-identifier"]),
    ),
    item(
        "S0 roles",
        "who is what",
        Checks(&["roles", "leader-evidence", "postgres-role"]),
    ),
    item(
        "S0 lag",
        "lag and freshness",
        Checks(&["target-close", "leader-evidence"]),
    ),
    item(
        "S0 Patroni",
        "the version of every member",
        Checks(&["patroni-version"]),
    ),
    item(
        "S0 archive",
        "the health of the archive",
        Checks(&[
            "archive-works",
            "archive-backlog",
            "archive-queue-limit",
            "dead-branch",
        ]),
    ),
    item(
        "S0 GitOps",
        "owners of the object",
        Checks(&["not-managed"]),
    ),
    item(
        "S0 operator",
        "work that the operator has not finished",
        Checks(&[
            "operator-not-paused",
            "no-pending-switchover",
            "not-shut-down",
            "no-pending-backup",
        ]),
    ),
    item(
        "S0 secrets",
        "secrets in step",
        Checks(&["user-secrets", "pgbouncer-secret", "monitoring-secret"]),
    ),
    item(
        "S0 collations",
        "a trap of a physical copy",
        Checks(&["collation-versions"]),
    ),
    item(
        "S0 extensions",
        "a trap of a physical copy",
        Checks(&["extension-libraries", "preload-libraries"]),
    ),
    item(
        "S0 slots",
        "a trap of a physical copy",
        Checks(&["logical-slots", "slots-reserved"]),
    ),
    item(
        "S0 delays",
        "a trap of a physical copy",
        Checks(&["no-apply-delay", "no-recovery-target", "replay-not-paused"]),
    ),
    item(
        "S0 synchronous",
        "synchronous settings",
        Checks(&["synchronous-standbys", "synchronous-mode-alike"]),
    ),
    item(
        "S0 permissions",
        "permissions on both sites",
        Checks(&["permissions"]),
    ),
];

const FAULTS: &[Item] = &[
    item(
        "F1",
        "killed before a step's write",
        Not(
            "It happens during a move; before one there is nothing to look at. A move that left a hold behind is seen \
             by `operator-not-paused`.",
        ),
    ),
    item(
        "F2",
        "killed after a write, before the journal",
        Not(
            "As F1; what an earlier move left behind is seen in the objects: `roles`, `operator-not-paused`.",
        ),
    ),
    item(
        "F3",
        "paused past the lease, another resumes",
        Not("It happens during a move: each write there tests the values it rests on."),
    ),
    item(
        "F4",
        "the source's API server is down",
        Not("The survey itself fails: exit code 3 with the reason, before any check."),
    ),
    item(
        "F5",
        "the target's API server is down",
        Not("The survey itself fails: exit code 3 with the reason, before any check."),
    ),
    item(
        "F6",
        "a write timed out and took hold",
        Not("Nothing is written before a move."),
    ),
    item(
        "F7",
        "etcd stalls or is read-only",
        Not(
            "Every request has a deadline: a site that is too slow ends with exit code 3. A store that is read-only \
             shows at the first write of a move, the hold, which is taken back.",
        ),
    ),
    item(
        "F8",
        "a stale read",
        Not(
            "No read names a resource version, so each is answered from the store and not from a cache.",
        ),
    ),
    item(
        "F9",
        "the sites are cut from each other",
        Checks(&["target-close", "archive-works", "peer-reachable"]),
    ),
    item(
        "F10",
        "the tool is cut from one site",
        Not("The survey itself fails: exit code 3 with the reason, before any check."),
    ),
    item(
        "F11",
        "two operators, or an agent and a person",
        Checks(&["operator-not-paused"]),
    ),
    item(
        "F12",
        "GitOps takes the change back",
        Checks(&["not-managed"]),
    ),
    item(
        "F13",
        "the operator renders Patroni's configuration anew",
        Checks(&["no-hidden-standby", "no-pending-switchover"]),
    ),
    item(
        "F14",
        "a failover inside the source",
        Checks(&["leader-evidence", "members-running"]),
    ),
    item(
        "F15",
        "a change of leader at the target",
        Checks(&["leader-evidence", "members-running"]),
    ),
    item(
        "F16",
        "the target lags, or its replay is paused",
        Checks(&[
            "target-close",
            "replay-not-paused",
            "no-apply-delay",
            "standby-limits",
        ]),
    ),
    item(
        "F17",
        "a slot is lost, or its log gone",
        Checks(&["slots-reserved", "target-close"]),
    ),
    item(
        "F18",
        "the archive fails",
        Checks(&["archive-works", "archive-queue-limit"]),
    ),
    item(
        "F19",
        "a clean stop hangs",
        Checks(&[
            "other-walsenders",
            "logical-slots",
            "archive-backlog",
            "long-transactions",
            "prepared-transactions",
        ]),
    ),
    item(
        "F20",
        "the source crashes instead of stopping",
        Checks(&["members-running", "disk-space"]),
    ),
    item(
        "F21",
        "the target does not promote",
        Checks(&[
            "standby-limits",
            "disk-space",
            "replay-not-paused",
            "patroni-not-paused",
            "no-hidden-standby",
        ]),
    ),
    item(
        "F22",
        "the credentials expire",
        Not(
            "A kubeconfig does not say when a token ends that a program gets; each request gets a fresh one. A refusal \
             during a move is undone like any other failure.",
        ),
    ),
    item("F23", "the clocks differ", Checks(&["clocks-agree"])),
    item(
        "F24",
        "the pooler fails",
        Not(
            "A move does not touch the pooler yet. That it can log in afterwards is `pgbouncer-secret`.",
        ),
    ),
    item(
        "F25",
        "the route does not move",
        Not("A move does not touch the route yet."),
    ),
    item(
        "F26",
        "somebody writes past the pooler",
        Not("The stop ends every connection, and the proof includes what they wrote."),
    ),
    item(
        "F27",
        "the wrong pair",
        Checks(&[
            "system-identifier",
            "same-timeline",
            "sites-differ",
            "fed-by-source",
        ]),
    ),
    item(
        "F28",
        "a permission is missing half-way",
        Checks(&["permissions"]),
    ),
    item(
        "F29",
        "the journal is lost",
        Not("There is no journal yet; whatever a move rests on is read from the sites."),
    ),
    item(
        "F30",
        "the old primary comes back",
        Checks(&["roles", "same-timeline", "dead-branch"]),
    ),
    item("F31", "Patroni before 4.1", Checks(&["patroni-version"])),
];

const INCIDENTS: &[Item] = &[
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

const SECURITY: &[Item] = &[
    item(
        "C1",
        "rules of the plugin index",
        Not("About the release, not about a cluster."),
    ),
    item(
        "C2",
        "the supply chain",
        Not("About the release, not about a cluster."),
    ),
    item(
        "C3",
        "the least privilege, and both verbs of exec",
        Checks(&["permissions"]),
    ),
    item(
        "C4",
        "Patroni's unsafe REST endpoints without authentication",
        Not(
            "The operator sets them up with client certificates for every cluster, and a move uses none of them.",
        ),
    ),
    item(
        "C5",
        "no secret leaves the program",
        Checks(&["user-secrets", "pgbouncer-secret", "monitoring-secret"]),
    ),
    item(
        "C6",
        "text that steers a terminal",
        Not("About the output: every text of a cluster is made harmless before it is shown."),
    ),
    item(
        "C7",
        "a context that points to the wrong cluster",
        Checks(&["sites-differ", "system-identifier"]),
    ),
    item(
        "C8",
        "injected commands",
        Not("About the program: names are quoted or sent as values."),
    ),
    item(
        "C9",
        "the agent's own account",
        Not("There is no agent yet."),
    ),
];

const REPMGR: &[Item] = &[
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

const DATA_GUARD: &[Item] = &[
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

const OPERATOR: &[Item] = &[
    item(
        "dead branch",
        "a shut-down primary that was started again left the history of its own branch in the repository",
        Checks(&["dead-branch"]),
    ),
    item(
        "silent backup",
        "a backup request on a standby stays silent and fires after the promotion",
        Checks(&["no-pending-backup"]),
    ),
    item(
        "pushed too late",
        "the target forks before the source's shutdown checkpoint and the old side never follows again",
        Checks(&["same-timeline"]),
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::check::catalog::{CHECKS, find};

    #[test]
    fn every_item_names_checks_that_exist_and_is_named_once() {
        let mut names = BTreeSet::new();
        for item in LISTS.iter().flat_map(|list| list.items) {
            assert!(names.insert(item.name), "{} twice", item.name);
            match item.answer {
                Checks(ids) => {
                    assert!(!ids.is_empty(), "{}", item.name);
                    for id in ids {
                        assert!(find(id).is_some(), "{}: {id}", item.name);
                    }
                }
                Not(reason) => assert!(reason.ends_with('.'), "{}", item.name),
            }
        }
    }

    #[test]
    fn every_fault_is_answered() {
        let faults: Vec<_> = FAULTS.iter().map(|item| item.name.to_owned()).collect();
        let wanted: Vec<_> = (1..=31).map(|number| format!("F{number}")).collect();
        assert_eq!(faults, wanted);
    }

    #[test]
    fn every_check_comes_from_somewhere() {
        let answered: BTreeSet<_> = LISTS
            .iter()
            .flat_map(|list| list.items)
            .filter_map(|item| match item.answer {
                Checks(ids) => Some(ids),
                Not(_) => None,
            })
            .flatten()
            .copied()
            .collect();
        let all: BTreeSet<_> = CHECKS.iter().map(|check| check.id).collect();
        assert_eq!(answered, all);
    }
}
