//! docs/testing.md: what is tested where, made from the lists here and from the matrix.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::matrix;

/// A test, by the file that holds it and its name.
struct Test {
    file: &'static str,
    name: &'static str,
}

const fn test(file: &'static str, name: &'static str) -> Test {
    Test { file, name }
}

/// A fault that the lab makes.
struct OnLab {
    faults: &'static str,
    what: &'static str,
    at: &'static str,
    ends: &'static str,
    test: Test,
}

const KILLED: &str = "tests/tests/lab/killed.rs";
const FAULTS: &str = "tests/tests/lab/faults.rs";
const FAILOVER: &str = "tests/tests/lab/failover.rs";

const LAB: &[OnLab] = &[
    OnLab {
        faults: "F1, F2",
        what: "kill -9, then `resume`",
        at: "fence, settled; archive-only",
        ends: "the target is primary",
        test: test(KILLED, "a_move_killed_at_the_fence_is_finished"),
    },
    OnLab {
        faults: "F1, F2",
        what: "kill -9, then `abort`",
        at: "fence, begun; archive-only",
        ends: "the source is primary",
        test: test(KILLED, "a_move_killed_at_the_fence_is_taken_back"),
    },
    OnLab {
        faults: "F1, F2",
        what: "kill -9, then `resume`",
        at: "promote, begun; streaming",
        ends: "the target is primary",
        test: test(
            KILLED,
            "a_streaming_move_killed_at_the_promotion_is_finished",
        ),
    },
    OnLab {
        faults: "F1, F31",
        what: "kill -9 with Patroni 3.3, then `resume`",
        at: "fence, settled",
        ends: "the target is primary",
        test: test(
            KILLED,
            "a_move_of_an_old_patroni_killed_at_the_fence_is_finished",
        ),
    },
    OnLab {
        faults: "F1, F2",
        what: "kill -9, then `resume` or `abort`",
        at: "prepare, fence, prove, promote, release; three kinds of pair",
        ends: "the target is primary, or the source",
        test: test(
            KILLED,
            "a_move_killed_anywhere_else_is_finished_or_taken_back",
        ),
    },
    OnLab {
        faults: "F1, F2",
        what: "dies right after a write, then `resume`",
        at: "every write, one after the other; streaming",
        ends: "the target is primary",
        test: test(
            KILLED,
            "a_streaming_move_that_dies_at_any_of_its_writes_is_finished",
        ),
    },
    OnLab {
        faults: "F1, F2",
        what: "the same",
        at: "every write, one after the other; archive-only",
        ends: "the target is primary",
        test: test(
            KILLED,
            "an_archive_only_move_that_dies_at_any_of_its_writes_is_finished",
        ),
    },
    OnLab {
        faults: "F1",
        what: "kill -9, and nobody comes but the Job at the source",
        at: "fence, settled",
        ends: "the source is primary at the deadline",
        test: test(
            "tests/tests/lab/deadline.rs",
            "a_source_whose_tool_is_dead_is_primary_again_at_the_deadline",
        ),
    },
    OnLab {
        faults: "F1, F31",
        what: "the same with Patroni 3.3, paused and stopped by hand",
        at: "fence, settled",
        ends: "the source is primary at the deadline",
        test: test(
            "tests/tests/lab/deadline.rs",
            "a_source_of_an_old_patroni_is_primary_again_at_the_deadline",
        ),
    },
    OnLab {
        faults: "F3, F11",
        what: "SIGSTOP, `resume` by another, SIGCONT",
        at: "fence, settled",
        ends: "the target is primary, the late tool ends with 5",
        test: test(KILLED, "a_tool_that_wakes_up_too_late_changes_nothing"),
    },
    OnLab {
        faults: "F11",
        what: "a second operator",
        at: "prepare",
        ends: "the second is refused, the first goes on",
        test: test(KILLED, "a_second_operator_is_refused"),
    },
    OnLab {
        faults: "F12",
        what: "GitOps puts the source's object back",
        at: "promote, settled",
        ends: "the source stays held, `resume` goes on",
        test: test(
            KILLED,
            "an_object_put_back_in_the_middle_makes_no_second_primary",
        ),
    },
    OnLab {
        faults: "F15",
        what: "the target's leader dies",
        at: "between proof and promotion",
        ends: "one primary, whichever the command it names brings",
        test: test(
            FAULTS,
            "the_leader_of_the_target_dies_between_proof_and_promotion",
        ),
    },
    OnLab {
        faults: "F4, F5, F9, F14, F15, F18",
        what: "API server of either side away, link cut, archive silent, leader of either side lost",
        at: "prepare, settled",
        ends: "one primary, whichever the command it names brings",
        test: test(FAULTS, "every_fault_before_the_fence"),
    },
    OnLab {
        faults: "F4, F5, F9, F14, F15, F18",
        what: "the same six",
        at: "fence, begun",
        ends: "one primary, whichever the command it names brings",
        test: test(FAULTS, "every_fault_as_the_source_is_told_to_stop"),
    },
    OnLab {
        faults: "F4, F5, F9, F14, F15, F18",
        what: "the same six",
        at: "fence, settled",
        ends: "one primary, whichever the command it names brings",
        test: test(FAULTS, "every_fault_after_the_fence"),
    },
    OnLab {
        faults: "F4, F5, F9, F14, F15, F18",
        what: "the same six",
        at: "promote, settled",
        ends: "one primary, whichever the command it names brings",
        test: test(FAULTS, "every_fault_after_the_promotion"),
    },
    OnLab {
        faults: "F20, F30",
        what: "the source crashes and its pods are gone; `failover`, then `rejoin`",
        at: "outside a move",
        ends: "the target is primary, the source follows, its lost rows are kept",
        test: test(
            FAILOVER,
            "a_half_dead_site_is_fenced_and_comes_back_without_a_second_primary",
        ),
    },
    OnLab {
        faults: "F4, F20, F30",
        what: "the whole site is gone and comes back as a second primary",
        at: "outside a move",
        ends: "refused without a word; then as above, past the dead branch",
        test: test(
            FAILOVER,
            "a_dead_site_needs_a_word_and_is_kept_down_when_it_comes_back",
        ),
    },
    OnLab {
        faults: "F19",
        what: "Ctrl-C, SIGTERM and a closed terminal, once and twice",
        at: "before the fence, after it, after the promotion; three kinds of pair, not all without `--full`",
        ends: "put back, taken back, or carried forward, and told how to go on",
        test: test(
            "tests/tests/lab/interrupt.rs",
            "after_the_fence_the_source_is_primary_again_and_archives",
        ),
    },
    OnLab {
        faults: "F10",
        what: "the watch of the stop is lost",
        at: "fence",
        ends: "the move goes on",
        test: test(
            "tests/tests/lab/window.rs",
            "a_lost_watch_does_not_lose_the_move",
        ),
    },
];

/// A bug of another tool, and the scenario that is named after it.
struct Rival {
    bug: &'static str,
    what: &'static str,
    test: Test,
}

const SIM: &str = "crates/pgha-sim/src/rivals.rs";
const MODEL: &str = "crates/pgha-model/src/check/rivals.rs";

const RIVALS: &[Rival] = &[
    Rival {
        bug: "CNPG 11074",
        what: "a demotion's token was wiped when the controller ran again before it was used",
        test: test(
            SIM,
            "cnpg_11074_what_a_killed_run_had_recorded_is_there_when_the_next_one_needs_it",
        ),
    },
    Rival {
        bug: "CNPG 6317",
        what: "a demotion was stuck because another writer patched conditions away",
        test: test(
            SIM,
            "cnpg_6317_a_status_that_somebody_wipes_ends_in_no_standstill",
        ),
    },
    Rival {
        bug: "CNPG 5754",
        what: "a demoted cluster whose pods never became ready",
        test: test(
            SIM,
            "cnpg_5754_a_source_that_never_comes_back_holds_nobody_up",
        ),
    },
    Rival {
        bug: "CNPG 9273",
        what: "moving back was refused by a stale token; the way around it made both sides writable",
        test: test(SIM, "cnpg_9273_fifty_moves_back_and_forth_need_no_hand"),
    },
    Rival {
        bug: "CNPG 4284",
        what: "a replica without the log was preferred for the promotion",
        test: test(
            "crates/pgha-model/src/standstill.rs",
            "cnpg_4284_a_member_that_could_be_elected_must_hold_it_too",
        ),
    },
    Rival {
        bug: "CNPG 3147",
        what: "an orphan history in the archive broke every standby",
        test: test(
            SIM,
            "cnpg_3147_an_orphan_history_is_found_before_anything_stops",
        ),
    },
    Rival {
        bug: "CNPG 7407, 7465",
        what: "an isolated primary was still reached by its clients",
        test: test(
            MODEL,
            "cnpg_7407_a_primary_that_is_only_unseen_is_not_failed_over_from",
        ),
    },
    Rival {
        bug: "documentdb 375",
        what: "both sides were stuck after a promotion, no writes anywhere",
        test: test(
            SIM,
            "documentdb_375_a_tool_that_wakes_up_beside_another_leaves_one_primary",
        ),
    },
    Rival {
        bug: "patroni 3298",
        what: "programs wrote to the old site after the promotion of the other",
        test: test(
            SIM,
            "patroni_3298_the_old_side_takes_no_write_whatever_restarts_it",
        ),
    },
    Rival {
        bug: "patroni 1164",
        what: "`standby_cluster` stopped a primary at once before 4.1",
        test: test(
            MODEL,
            "patroni_1164_an_older_patroni_is_never_told_to_demote_itself",
        ),
    },
    Rival {
        bug: "zalando 2854, bitnami 20998",
        what: "two pods were labelled master after a partition",
        test: test(MODEL, "zalando_2854_a_label_makes_no_leader"),
    },
    Rival {
        bug: "canonical 1173",
        what: "an option deletes the only copy of a diverged data directory",
        test: test(
            MODEL,
            "canonical_1173_an_option_that_deletes_diverged_data_is_told",
        ),
    },
    Rival {
        bug: "repmgr 841",
        what: "a dry run missed a logical slot that blocked the stop",
        test: test(
            MODEL,
            "repmgr_841_a_logical_slot_that_the_target_lacks_is_refused",
        ),
    },
    Rival {
        bug: "repmgr 826",
        what: "a dry run missed a worker count that stopped followers",
        test: test(MODEL, "repmgr_826_a_standby_with_fewer_workers_is_told"),
    },
    Rival {
        bug: "GET 1032",
        what: "a restart in the wrong order left no leader for seconds",
        test: test(
            SIM,
            "get_1032_operators_are_held_before_anything_changes_and_released_after_everything",
        ),
    },
];

const HEAD: &str = "\
# What is tested where

Made by `cargo xtask sim --page`; `cargo xtask test` fails when this page is stale or a row ends in something else.

| rung | what | command |
|---|---|---|
| units, properties | decisions, parsers, rendering | `cargo test --workspace --exclude pgha-tests` |
| model | every order in which two tools, two sites and up to three faults can meet | `cargo test -p pgha-model --test model` |
| simulation | the real client, core and engine in a simulated world, 10,000 seeds | `cargo xtask sim` |
| guards | each of [docs/guards.md](guards.md) taken away; its test must fail | `cargo xtask guards` |
| wire, process | the client against a fake API server; the plugin as a process | `cargo test -p pgha-core -p kubectl-pgha` |
| lab | two real Kubernetes sites with real Patroni and Postgres | `cargo xtask test`, `cargo xtask test --full` |

F-numbers are those of the list of faults in docs/validate.md.

## Each fault at each write of a move, in the simulation

A pair is named by how its standby is fed (`archive`: by the repository alone; `streaming`: by the source, with the repository
behind it) and by its Patroni. Every row stands for as many schedules as there are writes: those of steps that follow each other,
and of pairs, that end alike. Each is judged besides as all are: in the end one side is primary, no acknowledged row is missing,
two sides never took writes, every member follows, nothing is held. A schedule again, with what happened: `cargo xtask sim
--strike PAIR-FAULT-WRITE`, for example `archive/4.1-1-30`: the fault by its place in the second table, and the number of a write,
by the first.

";

/// The page, and what is wrong with it.
pub(crate) fn make() -> (String, Vec<String>) {
    let steps = matrix::steps();
    let rows = matrix::rows(&steps);
    let mut wrong: Vec<_> = rows.iter().flat_map(matrix::Row::complaints).collect();
    let mut text = format!("{HEAD}{}", matrix::tables(&steps, &rows));
    text.push_str(
        "\n## Faults on the lab\n\n| fault | what | at | ends in | test |\n|---|---|---|---|---|\n",
    );
    for row in LAB {
        let only = if is_full(&row.test) {
            " (`--full`)"
        } else {
            ""
        };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | `{}`{only} |",
            row.faults, row.what, row.at, row.ends, row.test.name
        );
    }
    text.push_str(
        "\n## Bugs of other tools, as scenarios\n\n| bug | what happened | test |\n|---|---|---|\n",
    );
    for row in RIVALS {
        let _ = writeln!(text, "| {} | {} | `{}` |", row.bug, row.what, row.test.name);
    }
    let tests = LAB
        .iter()
        .map(|row| &row.test)
        .chain(RIVALS.iter().map(|row| &row.test));
    wrong.extend(
        tests
            .filter(|test| !is_there(test))
            .map(|test| format!("{} has no test {}", test.file, test.name)),
    );
    (text, wrong)
}

fn is_there(test: &Test) -> bool {
    body(&source(test), test.name).is_some()
}

/// Whether only `--full` has it: it asks for that itself, or what it calls in its file does.
fn is_full(test: &Test) -> bool {
    let source = source(test);
    let asks = |name: &str| body(&source, name).is_some_and(|body| body.contains("open_for_full"));
    let called = body(&source, test.name)
        .unwrap_or_default()
        .split('(')
        .filter_map(|before| {
            before
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .next_back()
        });
    asks(test.name) || called.into_iter().any(asks)
}

fn source(test: &Test) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::read_to_string(root.join(test.file)).unwrap_or_default()
}

/// What a function of this file says between its name and the brace that ends it.
fn body<'a>(source: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = source.split_once(&format!("fn {name}("))?;
    rest.split("\n}").next()
}
