//! The guards that are checks.

use super::{Entry, Place, Target, Test, origins};

/// The checks of a single step, which the list of a whole move does not have: name, and what each keeps from happening.
pub(super) const SINGLE: &[(&str, &str)] = &[
    (
        "peer-seen",
        "a side is promoted beside another one that nobody has looked at and that may be primary",
    ),
    (
        "peer-not-primary",
        "a second primary is made beside the first",
    ),
    (
        "peer-stays-standby",
        "the other side's operator promotes it a moment later",
    ),
    (
        "holds-everything",
        "a side is promoted that lacks what the other one has",
    ),
    (
        "peer-ready",
        "a primary is stopped while nobody can take over, and nobody says so",
    ),
    (
        "source-silent",
        "a side is promoted after a dead one while somebody still writes the log that it replays",
    ),
    (
        "source-fenced",
        "a side is promoted beside one that does not answer, and that goes on taking writes",
    ),
    (
        "loss-accepted",
        "writes are lost that nobody has decided to lose",
    ),
    (
        "record-seen",
        "a cluster is stopped or started in the middle of a move that nobody has seen",
    ),
    (
        "leader-labelled",
        "an operator is asked to stop a cluster, and stops nothing of it",
    ),
    (
        "standby-elsewhere",
        "a primary is stopped that a standby elsewhere waits for, and nobody says so",
    ),
    (
        "standby-first",
        "a primary writes a log that its standby's older Postgres cannot read",
    ),
    (
        "members-gone",
        "a configuration that is put there for a start is written over by an operator that still stops",
    ),
    (
        "starts-read-only",
        "a side that is to start as a standby opens read-write first, on a timeline of its own",
    ),
];

/// The guard that this check is.
pub(super) fn of(id: &'static str, stops: &'static str) -> Entry {
    Entry {
        id,
        stops,
        place: Place::Check,
        answers: origins(id),
        lifted_by: lifted_by(id),
        missed_by: Test {
            package: "pgha-model",
            target: Target::Library,
            name: test(id),
        },
    }
}

fn lifted_by(id: &str) -> Option<&'static str> {
    match id {
        "not-managed" => Some("--allow-managed, --hold-owners"),
        "source-fenced" => Some("failover --site-is-down"),
        "loss-accepted" => Some("failover --accept-loss-of"),
        "peer-seen" => Some("promote --force, startup --alone"),
        "peer-stays-standby" | "holds-everything" | "members-running" | "dead-branch"
        | "user-secrets" | "pgbouncer-secret" | "monitoring-secret" => Some("promote --force"),
        // What a promotion asks of the other side only.
        "roles"
        | "leader-evidence"
        | "operator-not-paused"
        | "not-shut-down"
        | "no-pending-switchover"
        | "no-hidden-standby"
        | "postgres-answers"
        | "postgres-role"
        | "permissions" => Some("promote --force, at the other side"),
        _ => None,
    }
}

/// One test breaks each check of the list in turn; those of a single step have their own.
fn test(id: &str) -> &'static str {
    match id {
        "peer-not-primary" => {
            "check::promotion::tests::a_primary_peer_forbids_it_whatever_is_consented_to"
        }
        "peer-stays-standby" => {
            "check::promotion::tests::what_may_be_or_become_primary_needs_consent"
        }
        "peer-seen" => "promotion::tests::without_consent_there_is_no_plan_without_a_peer",
        "holds-everything" => {
            "check::promotion::tests::a_peer_that_is_ahead_is_named_with_the_command_that_promotes_it"
        }
        "source-silent" => "check::failover::tests::no_word_stands_against_a_log_that_still_comes",
        "source-fenced" | "loss-accepted" => {
            "check::failover::tests::what_was_said_and_accepted_is_enough_and_each_of_both_is_needed"
        }
        "record-seen" => "check::shutdown::tests::a_record_that_was_not_seen_forbids_it",
        "leader-labelled" => "check::shutdown::tests::without_a_labelled_leader_nothing_is_stopped",
        "standby-first" => "check::upgrade::tests::a_primary_waits_for_its_standby",
        "members-gone" => "check::startup::tests::nothing_is_started_that_still_stops",
        "starts-read-only" => {
            "check::startup::tests::a_standby_is_not_started_without_patronis_configuration_or_a_source_of_log"
        }
        "standby-elsewhere" => {
            "check::shutdown::tests::a_healthy_primary_may_be_shut_down_and_its_standby_is_told_of"
        }
        "peer-ready" => "check::demotion::tests::a_peer_that_cannot_take_over_is_told",
        _ => "check::tests::each_check_can_fail_with_the_severity_of_the_list",
    }
}
