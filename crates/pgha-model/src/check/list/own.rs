//! Our own lists.

use super::Answer::{Checks, Not};
use super::{Item, item};

/// Step S0 of the design.
pub(super) const S0: &[Item] = &[
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
        Checks(&["not-managed", "owner-to-hold", "owner-held"]),
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

/// F1 to F31, column S0.
pub(super) const FAULTS: &[Item] = &[
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
        // A pooler of the service's file is looked at by the move itself, which is refused where it cannot pause.
        Checks(&["operators-pooler", "pgbouncer-secret"]),
    ),
    item(
        "F25",
        "the route does not move",
        Not(
            "Users are moved and looked for at the new site by `switchover -f FILE`; their traffic is looked at before that move, \
             which is refused where they could not follow.",
        ),
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
            "can-follow",
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
        Not(
            "What a move rests on is read from the sites, and its epoch is on every object that it writes as well (`epoch-on-objects` in guards.md).",
        ),
    ),
    item(
        "F30",
        "the old primary comes back",
        Checks(&["roles", "same-timeline", "dead-branch"]),
    ),
    item("F31", "Patroni before 4.1", Checks(&["patroni-version"])),
];

/// The security notes.
pub(super) const SECURITY: &[Item] = &[
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

/// What a running operator was seen to do.
pub(super) const OPERATOR: &[Item] = &[
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
        Checks(&["can-follow", "same-timeline", "last-segment-by-hand"]),
    ),
    item(
        "stopped at once",
        "Patroni before 4.1 stops a primary at once when its object becomes a standby's, and rows are lost",
        Checks(&["stops-cleanly-by-hand"]),
    ),
    item(
        "started read-write",
        "a primary that was shut down and is started as a standby opens read-write first",
        Checks(&["not-shut-down"]),
    ),
];
