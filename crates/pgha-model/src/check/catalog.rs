//! The list of checks: what each looks at, why, and how bad it is when it does not hold.

use crate::finding::Severity;

/// A check of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    /// Its stable name, kebab-case.
    pub id: &'static str,
    /// What it looks at.
    pub looks_at: &'static str,
    /// Why: what harm is done where it does not hold.
    pub why: &'static str,
    /// What is said where it holds, as a full sentence.
    pub holds: &'static str,
    /// [`Severity::Fail`]: a switchover is refused. [`Severity::Warn`]: it is told.
    pub severity: Severity,
    /// Whether its failure at the target, or of the pair, stands in the way of a failover too.
    pub for_failover: bool,
}

/// The check of this name.
pub fn find(id: &str) -> Option<&'static Check> {
    CHECKS.iter().find(|check| check.id == id)
}

const fn fail(
    id: &'static str,
    looks_at: &'static str,
    why: &'static str,
    holds: &'static str,
) -> Check {
    Check {
        id,
        looks_at,
        why,
        holds,
        severity: Severity::Fail,
        for_failover: true,
    }
}

const fn warn(
    id: &'static str,
    looks_at: &'static str,
    why: &'static str,
    holds: &'static str,
) -> Check {
    Check {
        severity: Severity::Warn,
        for_failover: false,
        ..fail(id, looks_at, why, holds)
    }
}

/// A failure that a failover, which cannot ask the source, does not mind.
const fn planned_only(check: Check) -> Check {
    Check {
        for_failover: false,
        ..check
    }
}

/// Every check, in the order in which they are made.
pub const CHECKS: &[Check] = &[
    fail(
        "sites-differ",
        "the UIDs of both objects",
        "a move onto itself stops the only primary",
        "Source and target are two objects.",
    ),
    fail(
        "system-identifier",
        "the system identifier of both sides",
        "two databases of the same name are not two sides of one service",
        "Both sides have one system identifier.",
    ),
    fail(
        "roles",
        "the role of each side's leader",
        "a move goes from a primary to a standby; two primaries have each taken writes",
        "The source is the primary and the target is a standby.",
    ),
    fail(
        "leader-evidence",
        "Patroni's lock and its age, the pod, the object, Patroni's configuration and the member's own answer",
        "a label or a log line proves nothing; where sources disagree something is under way",
        "Every source names the same leader.",
    ),
    planned_only(fail(
        "members-running",
        "the state of every member",
        "a member that is down at the move can be elected later without the last writes",
        "Every member runs.",
    )),
    fail(
        "operator-not-paused",
        "`spec.paused`",
        "an operator that somebody holds does nothing that a move asks of it",
        "Nobody holds the operator.",
    ),
    fail(
        "not-shut-down",
        "`spec.shutdown`",
        "a cluster that is shut down and started again as a standby opens read-write first",
        "The cluster is not to be shut down.",
    ),
    fail(
        "no-pending-switchover",
        "the switchover that the operator was asked for and the one it has done",
        "the operator does nothing else until it has succeeded",
        "The operator has no unfinished switchover.",
    ),
    fail(
        "no-hidden-standby",
        "`standby_cluster` in `spec.patroni.dynamicConfiguration`",
        "it survives `standby.enabled: false`: the target would never be promoted",
        "There is no second standby section.",
    ),
    fail(
        "not-managed",
        "labels, annotations and managers of the object",
        "Flux, Argo CD or Helm takes the change back, in the middle of a move or after it; told as a warning with \
         --allow-managed",
        "Nobody else writes the object.",
    ),
    warn(
        "owner-to-hold",
        "the owners that would take a change back, with --hold-owners",
        "the move suspends them, with everything else that they apply, and leaves that to be let go by `release`",
        "No owner is to be held.",
    ),
    warn(
        "owner-held",
        "the owner's own object, and what the object tells it to leave alone",
        "what Git says of the object takes effect when its owner is released, whatever the sites are by then",
        "No owner of the object is held.",
    ),
    fail(
        "patroni-not-paused",
        "`pause` in Patroni's configuration",
        "a paused Patroni neither demotes nor promotes",
        "Patroni is not paused.",
    ),
    fail(
        "patroni-version",
        "the version of Patroni of every member",
        "what stops a primary cleanly depends on it; with mixed versions it depends on who leads",
        "Every member runs a version with a known way to stop it cleanly.",
    ),
    fail(
        "postgres-answers",
        "an answer of the leader's Postgres through `pods/exec`",
        "what Postgres itself says is the only proof",
        "The leader's Postgres answers.",
    ),
    fail(
        "postgres-role",
        "`pg_is_in_recovery()` on the leader",
        "Patroni's word for the role may be late",
        "Postgres agrees with Patroni about the role.",
    ),
    planned_only(fail(
        "archive-works",
        "`archive_mode`, `archive_command` and `pg_stat_archiver` at the source",
        "the last segments reach an archive-fed target only through it, and the old side follows by it",
        "The archive takes the source's segments.",
    )),
    fail(
        "replay-not-paused",
        "`pg_is_wal_replay_paused()` on every member of the target",
        "what is not replayed cannot be proved, and a promotion waits or leaves it out",
        "Replay runs on every member.",
    ),
    fail(
        "no-apply-delay",
        "`recovery_min_apply_delay` on every member of the target",
        "a promotion waits until the delay is over",
        "No member delays its replay.",
    ),
    fail(
        "no-recovery-target",
        "the `recovery_target*` settings on every member of the target",
        "replay stops there, before the source's last write",
        "No member has a recovery target.",
    ),
    fail(
        "target-close",
        "what the source has written and what the target has replayed",
        "what is missing is caught up while nobody can write; without the source it is lost",
        "The target has replayed nearly all that the source has written.",
    ),
    planned_only(fail(
        "standby-section",
        "`spec.standby` of both objects",
        "without it nobody knows from where the old side is to follow",
        "The objects say how to be a standby.",
    )),
    fail(
        "same-timeline",
        "the timelines of both control files",
        "a target that has forked off can never hold the source's writes",
        "The target is on the source's branch.",
    ),
    fail(
        "can-follow",
        "the target's timeline and position, and where the source's history left that timeline",
        "a target that holds more than the fork is wedged: it calls itself a standby leader, and never follows again",
        "The target is on a branch from which it can follow.",
    ),
    fail(
        "server-version",
        "`server_version_num` of every member",
        "a physical copy works within one major version only",
        "Every member runs one major version.",
    ),
    warn(
        "server-minor-version",
        "`server_version_num` of every member",
        "a fix that one side has and the other lacks can change results, or how an index is built",
        "Every member runs one minor version.",
    ),
    fail(
        "collation-versions",
        "`datcollversion` and `collversion` at the source, and the versions of libc and ICU on every member of the \
         target, for the database's own collation, those that users made and those that something uses",
        "indexes on text were built in another order than the target's library has: rows are not found, and unique \
         keys are taken twice",
        "Both sides order text by the same versions.",
    ),
    fail(
        "extension-libraries",
        "`pg_extension` at the source and `pg_available_extensions` on every member of the target",
        "the copy has the SQL of an extension and not its library: calls fail after the move",
        "The target offers every extension that the source has, of the same version.",
    ),
    fail(
        "preload-libraries",
        "`shared_preload_libraries` of the source and of every member of the target",
        "what one side loads and the other does not (auditing, statistics, hooks) is missing after the move, or stops \
         the start",
        "Both sides load the same libraries.",
    ),
    fail(
        "standby-limits",
        "`max_connections`, `max_worker_processes`, `max_wal_senders`, `max_prepared_transactions` and \
         `max_locks_per_transaction` of the source and of every member of the target",
        "a standby whose limit is below its primary's stops replaying, and does not start again",
        "Every member of the target has at least the source's limits.",
    ),
    warn(
        "room-for-followers",
        "`max_wal_senders` and `max_replication_slots` of the target's leader, and how many are in use",
        "the old side cannot connect to the new primary",
        "The target has room for one more follower.",
    ),
    planned_only(fail(
        "logical-slots",
        "logical slots at the source, and their copies at the target (`synced` from Postgres 17 on)",
        "a slot is no part of a physical copy: its subscriber loses its place and misses changes",
        "Every logical slot of the source is in step at the target.",
    )),
    warn(
        "slots-reserved",
        "`wal_status` of every slot at the source",
        "a slot whose log is gone, or about to go, cannot be followed any more",
        "Every slot still has its log.",
    ),
    planned_only(fail(
        "other-walsenders",
        "`pg_stat_replication` at the source, without its own members, the target's, and who has asked for no log yet",
        "a clean stop waits for each of them to take everything, and none of them follows the new primary by itself",
        "Nobody else takes the log from the source.",
    )),
    planned_only(fail(
        "fed-by-source",
        "the target's WAL receiver and the source's WAL senders",
        "a target that streams from somewhere else is not proved by what the source sends",
        "The target streams from the source, or from no server.",
    )),
    fail(
        "synchronous-standbys",
        "`synchronous_mode`, `synchronous_mode_strict` and `synchronous_node_count` in the target's Patroni \
         configuration, and `synchronous_standby_names` on its members",
        "a new primary that waits for a standby it does not have acknowledges no write",
        "The target's own replicas satisfy its synchronous settings.",
    ),
    warn(
        "synchronous-mode-alike",
        "`synchronous_mode` in both Patroni configurations",
        "writes that were safe on two servers are on one after the move",
        "Both sides replicate alike.",
    ),
    warn(
        "member-names-differ",
        "the names of the members of both sides",
        "a member's name is what a synchronous standby is counted by: the wrong one can satisfy it",
        "No two members share a name.",
    ),
    planned_only(fail(
        "archive-queue-limit",
        "`archive-push-queue-max` in the object, and in pgBackRest's files and environment on every member",
        "past that size pgBackRest drops segments and says that they are archived: whoever follows the archive stops \
         for good",
        "Nothing lets pgBackRest drop segments.",
    )),
    planned_only(fail(
        "archive-backlog",
        "`pg_ls_archive_statusdir()` at the source",
        "a clean stop waits until everything is archived",
        "The archive has nearly everything.",
    )),
    fail(
        "dead-branch",
        "the newest timeline history in each repository, and the source's timeline",
        "the history of a branch that nobody is on leads every standby that is restored from this repository astray, \
         and takes the number that the next promotion needs",
        "The repository knows no newer branch than the source's.",
    ),
    warn(
        "finished-backup",
        "the backups in the source's status",
        "without one, nothing can be restored and no side can be rebuilt",
        "A backup was finished.",
    ),
    warn(
        "no-pending-backup",
        "the backup that the target was asked for",
        "a standby makes none; the request fires after the promotion",
        "No backup waits for the target to be promoted.",
    ),
    warn(
        "no-running-backup",
        "the source's manual backup, and the connections of pgBackRest to its leader",
        "a stop ends it, and it has to be made again",
        "No backup runs.",
    ),
    warn(
        "unlogged-tables",
        "unlogged tables at the source",
        "a standby has none of their rows: they are empty after a move",
        "There are no unlogged tables.",
    ),
    warn(
        "long-transactions",
        "the oldest open transaction at the source",
        "the stop ends it, and its work is lost to whoever waits for it",
        "No transaction is open for long.",
    ),
    warn(
        "prepared-transactions",
        "`pg_prepared_xacts` at the source",
        "they move with their locks, and their coordinator must find the new primary",
        "No transaction is prepared.",
    ),
    warn(
        "rewind-possible",
        "data checksums and `wal_log_hints` at the source",
        "after a failover the old primary can only be rebuilt from a backup",
        "The source could be rewound.",
    ),
    warn(
        "keeps-diverged-data",
        "`remove_data_directory_on_rewind_failure` and `remove_data_directory_on_diverged_timelines` in Patroni's \
         configuration",
        "Patroni deletes the only copy of rows that the other side lacks",
        "Patroni keeps the data of a member that has diverged.",
    ),
    fail(
        "disk-space",
        "free space of every member's data volume",
        "a full volume stops a server, and the log grows while a standby cannot follow",
        "Every member has room for the log.",
    ),
    warn(
        "peer-reachable",
        "a connection from the source's leader to the host of its own standby section",
        "the old side is to stream from there after the move, and would follow by the archive only, or not at all",
        "The source reaches the server it would stream from.",
    ),
    fail(
        "user-secrets",
        "the keys `password` and `verifier` of each user's secret on both sides, by digest",
        "after the move the operator gives the user the target's password: programs are locked out",
        "Every user has the same password on both sides.",
    ),
    fail(
        "pgbouncer-secret",
        "the keys `pgbouncer-password` and `pgbouncer-verifier` on both sides, by digest",
        "the target's pooler cannot look up any password after the move",
        "The pooler has the same password on both sides.",
    ),
    fail(
        "monitoring-secret",
        "the keys `password` and `verifier` of the monitoring's secret on both sides, by digest",
        "the target is not watched after the move",
        "The monitoring has the same password on both sides.",
    ),
    fail(
        "permissions",
        "every verb that a move uses, by SelfSubjectAccessReview",
        "a move that is denied half-way leaves a side fenced",
        "Everything that a move does is permitted.",
    ),
    warn(
        "operators-pooler",
        "`spec.proxy.pgBouncer` of the source's object",
        "its clients see their connections end instead of waiting: it has no user that may enter its admin console",
        "The operator runs no pooler whose clients would have to be paused.",
    ),
    warn(
        "clocks-agree",
        "the clock of each leader's server and this machine's",
        "ages and freshness are misread; recovery to a time hits another one",
        "The clocks agree.",
    ),
    warn(
        "stops-cleanly-by-hand",
        "the version of Patroni of the source's members",
        "before 4.1 it stops a primary at once when `spec.standby` is set by hand: acknowledged rows are lost, and the \
         old side with them; a switchover pauses it and stops Postgres cleanly",
        "Patroni stops a primary cleanly when its cluster becomes a standby.",
    ),
    warn(
        "last-segment-by-hand",
        "`archive-async` of the source's pgBackRest, and how the target is fed",
        "Patroni's own push of the segment with the shutdown checkpoint fails then: a target fed by the archive that is \
         promoted by hand forks before the source's end, and the old side is lost; a switchover pushes it itself",
        "The target gets the source's last segment also when spec.standby is set by hand.",
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_id_is_there_once() {
        let ids: BTreeSet<_> = CHECKS.iter().map(|check| check.id).collect();
        assert_eq!(ids.len(), CHECKS.len());
        let kebab = |id: &str| {
            id.bytes()
                .all(|byte| byte == b'-' || byte.is_ascii_lowercase())
        };
        assert!(ids.iter().all(|id| kebab(id)));
    }
}
