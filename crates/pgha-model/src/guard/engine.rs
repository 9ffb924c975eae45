//! The guards that act while a move is under way.

use super::{Guard, Place, Target, Test};

/// A guard as the list has it.
pub(super) struct Engine {
    pub(super) id: &'static str,
    pub(super) stops: &'static str,
    pub(super) place: Place,
    pub(super) answers: &'static [&'static str],
    pub(super) lifted_by: Option<&'static str>,
    pub(super) missed_by: Test,
}

const fn unit(name: &'static str) -> Test {
    Test {
        package: "pgha-model",
        target: Target::Library,
        name,
    }
}

const fn core(name: &'static str) -> Test {
    Test {
        package: "pgha-core",
        ..unit(name)
    }
}

const fn wire(name: &'static str) -> Test {
    Test {
        package: "pgha-core",
        target: Target::Tests("wire"),
        name,
    }
}

const fn process(name: &'static str) -> Test {
    Test {
        package: "kubectl-pgha",
        target: Target::Tests("cli"),
        name,
    }
}

/// In the order of [`Guard`].
pub(super) const ENGINE: &[(Guard, Engine)] = &[
    (
        Guard::CleanEnd,
        Engine {
            id: "clean-end",
            stops: "a crash or an immediate stop is taken for the end of the log, and the writes after the last checkpoint are lost",
            place: Place::Proof,
            answers: &["F20"],
            lifted_by: None,
            missed_by: unit("proof::tests::only_a_clean_end_of_the_same_system_closes_the_source"),
        },
    ),
    (
        Guard::SameDatabase,
        Engine {
            id: "same-database",
            stops: "another database's end stands for the service's",
            place: Place::Proof,
            answers: &["F27", "GitLab 2017"],
            lifted_by: None,
            missed_by: unit("proof::tests::only_a_clean_end_of_the_same_system_closes_the_source"),
        },
    ),
    (
        Guard::SameBranch,
        Engine {
            id: "same-branch",
            stops: "a source that somebody has promoted meanwhile is taken for one that has stopped",
            place: Place::Proof,
            answers: &["F14"],
            lifted_by: None,
            missed_by: unit("proof::tests::a_server_back_in_recovery_closes_its_own_timeline"),
        },
    ),
    (
        Guard::PastTheEnd,
        Engine {
            id: "past-the-end",
            stops: "a member is promoted that lacks the source's last records",
            place: Place::Proof,
            answers: &["GitHub 2018", "F16"],
            lifted_by: None,
            missed_by: unit("proof::tests::a_target_exactly_at_the_checkpoint_does_not_hold_it"),
        },
    ),
    (
        Guard::ForkAtEnd,
        Engine {
            id: "fork-at-end",
            stops: "a fork before the source's end goes unseen, and the old side can never follow",
            place: Place::Proof,
            answers: &["pushed too late"],
            lifted_by: None,
            missed_by: unit("proof::tests::a_fork_before_the_end_of_the_last_record_is_told"),
        },
    ),
    (
        Guard::OneDecision,
        Engine {
            id: "one-decision",
            stops: "one tool promotes the target while another makes the source primary again",
            place: Place::Decision,
            answers: &["F11", "GitLab geo 2018"],
            lifted_by: None,
            missed_by: unit("record::tests::what_is_decided_stays_decided"),
        },
    ),
    (
        Guard::PromotionDecided,
        Engine {
            id: "promotion-decided",
            stops: "the target is promoted although the source may come back",
            place: Place::Decision,
            answers: &["F6", "F11"],
            lifted_by: None,
            missed_by: unit(
                "machine::tests::nothing_is_promoted_but_after_the_decision_and_nothing_is_undone_after_the_promotion_was_sent",
            ),
        },
    ),
    (
        Guard::ReturnDecided,
        Engine {
            id: "return-decided",
            stops: "the source comes back although the target may be promoted",
            place: Place::Decision,
            answers: &["F6", "EDB, documentdb, CNPG"],
            lifted_by: None,
            missed_by: unit(
                "machine::tests::a_failure_after_the_fence_is_undone_only_once_that_is_decided",
            ),
        },
    ),
    (
        Guard::UntoldTarget,
        Engine {
            id: "untold-target",
            stops: "the Job at the source makes it primary at the deadline although the target may have been told to become so",
            place: Place::Decision,
            answers: &["F1", "F6", "EDB, documentdb, CNPG"],
            lifted_by: None,
            missed_by: unit(
                "deadline::tests::a_source_whose_target_may_be_told_to_become_primary_stays_fenced",
            ),
        },
    ),
    (
        Guard::ForwardOnly,
        Engine {
            id: "forward-only",
            stops: "a promotion without an answer is taken for none, and both sides become primary",
            place: Place::Decision,
            answers: &["F6", "F21"],
            lifted_by: None,
            missed_by: unit(
                "machine::tests::nothing_is_promoted_but_after_the_decision_and_nothing_is_undone_after_the_promotion_was_sent",
            ),
        },
    ),
    (
        Guard::SupersededStops,
        Engine {
            id: "superseded-stops",
            stops: "a tool that was paused goes on with a move that another one has taken over",
            place: Place::Decision,
            answers: &["F3"],
            lifted_by: None,
            missed_by: unit("machine::tests::whoever_was_superseded_does_nothing_more"),
        },
    ),
    (
        Guard::HarmlessRelease,
        Engine {
            id: "harmless-release",
            stops: "an operator gets its cluster back while a side may be lost or both may be primary",
            place: Place::Decision,
            answers: &["F12", "F13"],
            lifted_by: None,
            missed_by: unit(
                "machine::tests::operators_get_their_clusters_back_only_where_they_do_no_harm_and_somebody_waits",
            ),
        },
    ),
    (
        Guard::AtRest,
        Engine {
            id: "at-rest",
            stops: "a position that still moves is taken for an end",
            place: Place::Proof,
            answers: &["F16"],
            lifted_by: None,
            missed_by: unit("standstill::tests::whoever_still_replays_has_no_end"),
        },
    ),
    (
        Guard::NobodyWrites,
        Engine {
            id: "nobody-writes",
            stops: "a side is promoted beside a member that takes writes",
            place: Place::Proof,
            answers: &["EDB, documentdb, CNPG"],
            lifted_by: None,
            missed_by: unit("standstill::tests::who_takes_writes_is_told_first"),
        },
    ),
    (
        Guard::HoldsSource,
        Engine {
            id: "holds-source",
            stops: "a side is promoted while a member of the other one has more",
            place: Place::Proof,
            answers: &["GitHub 2018"],
            lifted_by: None,
            missed_by: unit("standstill::tests::any_member_of_the_source_counts"),
        },
    ),
    (
        Guard::ElectableHolds,
        Engine {
            id: "electable-holds",
            stops: "a member is elected right after the proof that lacks what was proved",
            place: Place::Proof,
            answers: &["F15"],
            lifted_by: None,
            missed_by: unit(
                "standstill::tests::cnpg_4284_a_member_that_could_be_elected_must_hold_it_too",
            ),
        },
    ),
    (
        Guard::SameLog,
        Engine {
            id: "same-log",
            stops: "two branches of one timeline at the same position are taken for one log",
            place: Place::Proof,
            answers: &["F30"],
            lifted_by: None,
            missed_by: unit("standstill::tests::only_equal_bytes_are_the_same_log"),
        },
    ),
    (
        Guard::WholeSegments,
        Engine {
            id: "whole-segments",
            stops: "a broken or foreign segment is put into the target's log",
            place: Place::Proof,
            answers: &["F27"],
            lifted_by: None,
            missed_by: unit("handover::tests::anything_else_is_refused_by_name"),
        },
    ),
    (
        Guard::StoppedStaysDown,
        Engine {
            id: "stopped-stays-down",
            stops: "a leader that was stopped for a demotion comes back as a primary",
            place: Place::Decision,
            answers: &["F30", "started read-write"],
            lifted_by: None,
            missed_by: unit(
                "unfinished::tests::a_leader_that_was_stopped_while_patroni_is_paused_comes_back_as_a_standby",
            ),
        },
    ),
    (
        Guard::ReturningDown,
        Engine {
            id: "returning-down",
            stops: "a side that comes back after a failover takes writes while its log is compared",
            place: Place::Proof,
            answers: &["F30"],
            lifted_by: None,
            missed_by: core("engine::keep_down::tests::a_member_that_does_not_answer_is_not_down"),
        },
    ),
    (
        Guard::RecordVersion,
        Engine {
            id: "record-version",
            stops: "a record of a later program is overlooked, and a second move begins beside it",
            place: Place::Write,
            answers: &["F29"],
            lifted_by: None,
            missed_by: unit("record::tests::what_cannot_be_read_is_kept_and_counts_as_an_epoch"),
        },
    ),
    (
        Guard::LivingTool,
        Engine {
            id: "living-tool",
            stops: "a tool that is at work is stopped by one that nobody meant to",
            place: Place::Command,
            answers: &["F11"],
            lifted_by: Some("--take-over"),
            missed_by: process("unfinished::a_tool_that_may_be_alive_is_not_taken_over_by_itself"),
        },
    ),
    (
        Guard::EpochInWrite,
        Engine {
            id: "epoch-in-write",
            stops: "a late write of an earlier tool takes hold after another one has taken over",
            place: Place::Write,
            answers: &["F3", "F11", "GitLab geo 2018"],
            lifted_by: None,
            missed_by: core("engine::side::tests::a_write_of_an_earlier_move_is_refused"),
        },
    ),
    (
        Guard::EpochRises,
        Engine {
            id: "epoch-rises",
            stops: "an earlier tool puts its own epoch back, and its writes pass again",
            place: Place::Write,
            answers: &["F3"],
            lifted_by: None,
            missed_by: core("engine::side::tests::an_epoch_is_never_put_back"),
        },
    ),
    (
        Guard::RecordSwap,
        Engine {
            id: "record-swap",
            stops: "of two tools that begin at the same time both go on",
            place: Place::Write,
            answers: &["F11"],
            lifted_by: None,
            missed_by: wire("journal::a_claim_that_was_read_too_early_is_refused"),
        },
    ),
    (
        Guard::RecordOwner,
        Engine {
            id: "record-owner",
            stops: "a tool writes over what another one has decided",
            place: Place::Write,
            answers: &["F11", "F3"],
            lifted_by: None,
            missed_by: wire("journal::who_finds_it_undone_by_another_does_not_promote"),
        },
    ),
    (
        Guard::UnfinishedFirst,
        Engine {
            id: "unfinished-first",
            stops: "a move begins on sides that an earlier one has left half done",
            place: Place::Command,
            answers: &["F1", "F2"],
            lifted_by: Some("promote --force"),
            missed_by: wire("journal::an_unfinished_move_is_in_the_way_of_all_but_its_successor"),
        },
    ),
    (
        Guard::EpochOnObjects,
        Engine {
            id: "epoch-on-objects",
            stops: "a lost record lets an old epoch be given twice",
            place: Place::Write,
            answers: &["F29"],
            lifted_by: None,
            missed_by: wire("journal::an_epoch_on_an_object_counts_although_the_journal_is_lost"),
        },
    ),
    (
        Guard::TestedValues,
        Engine {
            id: "tested-values",
            stops: "a change is made to what nobody has looked at",
            place: Place::Write,
            answers: &["F8", "F12", "F13"],
            lifted_by: None,
            missed_by: wire("patch::a_patch_that_rests_on_an_old_value_changes_nothing"),
        },
    ),
    (
        Guard::PlannedLeader,
        Engine {
            id: "planned-leader",
            stops: "another member than the planned one is stopped or promoted, or its word is taken",
            place: Place::Proof,
            answers: &["F14", "F15", "GitLab 2017"],
            lifted_by: None,
            missed_by: core(
                "engine::fence::tests::another_leader_or_another_pod_is_not_the_planned_one",
            ),
        },
    ),
    (
        Guard::HoldAcknowledged,
        Engine {
            id: "hold-acknowledged",
            stops: "an operator renders its own configuration over the move's",
            place: Place::Write,
            answers: &["F13"],
            lifted_by: None,
            missed_by: core("engine::side::tests::a_hold_that_no_operator_acknowledges_is_none"),
        },
    ),
    (
        Guard::RevertedStaysHeld,
        Engine {
            id: "reverted-stays-held",
            stops: "an operator makes a second primary of an object that was put back",
            place: Place::Write,
            answers: &["F12"],
            lifted_by: None,
            missed_by: core(
                "engine::side::tests::an_object_that_was_put_back_meanwhile_stays_held",
            ),
        },
    ),
    (
        Guard::BesidePrimary,
        Engine {
            id: "beside-primary",
            stops: "a side is promoted without a proof although the other one has become primary since it was planned",
            place: Place::Decision,
            answers: &["F14", "GitLab geo 2018"],
            lifted_by: None,
            missed_by: core("engine::beside::tests::nobody_is_promoted_beside_a_primary"),
        },
    ),
    (
        Guard::BackBesideStandby,
        Engine {
            id: "back-beside-standby",
            stops: "a demotion that fails makes its side primary again although the other one has become so meanwhile",
            place: Place::Decision,
            answers: &["F11", "GitLab geo 2018"],
            lifted_by: None,
            missed_by: core(
                "engine::beside::tests::nobody_goes_back_unless_the_other_side_is_a_standby",
            ),
        },
    ),
    (
        Guard::NotBothPrimary,
        Engine {
            id: "not-both-primary",
            stops: "two primaries are given back to their operators as if all were well",
            place: Place::Decision,
            answers: &["F30"],
            lifted_by: None,
            missed_by: process("unfinished::two_primaries_are_not_taken_over"),
        },
    ),
    (
        Guard::RecordedSites,
        Engine {
            id: "recorded-sites",
            stops: "another service's sides are put in order",
            place: Place::Command,
            answers: &["C7", "F27"],
            lifted_by: None,
            missed_by: process("unfinished::the_sides_must_be_those_of_the_move"),
        },
    ),
    (
        Guard::Consent,
        Engine {
            id: "consent",
            stops: "a script changes a cluster that nobody has agreed to",
            place: Place::Command,
            answers: &[],
            lifted_by: Some("--yes"),
            missed_by: process("unfinished::without_consent_nothing_is_taken_over"),
        },
    ),
    (
        Guard::HarmlessText,
        Engine {
            id: "harmless-text",
            stops: "a name in a cluster steers the terminal of who looks at it",
            place: Place::Command,
            answers: &["C6"],
            lifted_by: None,
            missed_by: process("refusal::names_that_would_steer_the_terminal_are_shown_harmless"),
        },
    ),
];
