//! Bugs of other tools as scenarios in the simulated world, each by its name (docs/testing.md lists them all).

use serde_json::Value;

use crate::fault::{Faults, Trouble};
use crate::pair::Pair;
use crate::schedule::{self, First, Verdict};

const PLAIN: Pair = Pair::ALL[0];

/// Writes of a move that are sent after its claim.
const WRITES: std::ops::RangeInclusive<u64> = 9..=54;

fn with(write: u64, trouble: Trouble) -> Verdict {
    let faults = Faults {
        at: vec![(write, trouble)],
        ..Faults::default()
    };
    schedule::run_with(PLAIN, 1, faults)
}

fn record(verdict: &Verdict, epoch: u64) -> Value {
    let text = verdict.journal[format!("move-{epoch}")].as_str();
    text.and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default()
}

/// A demotion's token was written, and wiped when the controller ran again before it was used.
#[test]
fn cnpg_11074_what_a_killed_run_had_recorded_is_there_when_the_next_one_needs_it() {
    for write in WRITES {
        let verdict = with(write, Trouble::KillAfter);
        assert_eq!(verdict.violations, [""; 0], "write {write}");
        assert!(verdict.moved, "write {write}");
        let (first, next) = (record(&verdict, 1), record(&verdict, 2));
        let events = first["events"].as_array().unwrap();
        assert!(!events.is_empty(), "write {write}: {first}");
        assert_eq!(next["continues"], 1, "write {write}");
        // What was there before the first move is what the next one puts back.
        assert_eq!(next["source"]["settings"], first["source"]["settings"]);
    }
}

/// Another writer wiped the conditions that a demotion waited for, and it was stuck.
#[test]
fn cnpg_6317_a_status_that_somebody_wipes_ends_in_no_standstill() {
    for write in WRITES {
        for site in [0, 1] {
            let verdict = with(write, Trouble::WipeConditions(site));
            assert_eq!(verdict.violations, [""; 0], "write {write}");
            assert_ne!(verdict.first, First::Left, "write {write}");
        }
    }
}

/// After its demotion no pod of the old primary became ready, and nobody said which side was writable.
#[test]
fn cnpg_5754_a_source_that_never_comes_back_holds_nobody_up() {
    let promote = schedule::run_with(PLAIN, 1, Faults::default())
        .write_of("Promote")
        .unwrap();
    let verdict = with(promote, Trouble::NeverUp(0));
    assert!(verdict.moved, "{:?}", verdict.trace);
    assert_eq!(verdict.first, First::Held);
    // Where it stands is said after a bounded wait; once the source starts, the command that is named brings the end.
    let told = |line: &String| line.contains("the move: Promoted at Verify");
    assert!(verdict.trace.iter().any(told), "{:?}", verdict.trace);
    assert_eq!(verdict.violations, [""; 0]);
}

/// Moving back was refused because of a stale token, and the way around it made both sides writable.
#[test]
fn cnpg_9273_fifty_moves_back_and_forth_need_no_hand() {
    for (pair, moves) in Pair::ALL.into_iter().zip([50, 10, 10, 10]) {
        let violations = schedule::ping_pong(pair, 1, moves);
        assert_eq!(violations, [""; 0], "{}", pair.name());
    }
}

/// A history that a failed promotion had left in the archive broke every standby after the next one.
#[test]
fn cnpg_3147_an_orphan_history_is_found_before_anything_stops() {
    let faults = Faults {
        orphan_history: true,
        ..Faults::default()
    };
    let verdict = schedule::run_with(PLAIN, 1, faults);
    assert_eq!(verdict.first, First::Back);
    assert_eq!(verdict.violations, [""; 0]);
    let told = |line: &String| line.contains("00000002.history") || line.contains("dead-branch");
    assert!(verdict.trace.iter().any(told), "{:?}", verdict.trace);
    assert!(
        !verdict
            .trace
            .iter()
            .any(|line| line.contains("shut down at"))
    );
}

/// A plan that was carried out late, on both sides, left neither writable.
#[test]
fn documentdb_375_a_tool_that_wakes_up_beside_another_leaves_one_primary() {
    for write in WRITES {
        let verdict = with(write, Trouble::Freeze(15_000));
        assert_eq!(verdict.violations, [""; 0], "write {write}");
        assert!(verdict.moved, "write {write}");
    }
}

/// Programs wrote to the old site after the other one was promoted.
#[test]
fn patroni_3298_the_old_side_takes_no_write_whatever_restarts_it() {
    for write in WRITES {
        // The writer of the world tries both sides all the time, and the auditor counts who lets it.
        let verdict = with(write, Trouble::Crash(0));
        assert_eq!(verdict.violations, [""; 0], "write {write}");
    }
}

/// A restart in the wrong order left the cluster without a leader for seconds.
#[test]
fn get_1032_operators_are_held_before_anything_changes_and_released_after_everything() {
    let verdict = schedule::run_with(PLAIN, 1, Faults::default());
    assert_eq!(verdict.first, First::Done);
    let at = |text: &str| verdict.trace.iter().position(|line| line.contains(text));
    let held = at("Settled { step: Hold").unwrap();
    let writes = |range: std::ops::Range<usize>, object: &str| {
        let lines = &verdict.trace[range];
        let written = format!("PATCH {object}");
        lines.iter().filter(|line| line.ends_with(&written)).count()
    };
    let claimed = at("Settled { step: Claim").unwrap();
    assert_eq!(writes(claimed..held, "db-ha-config"), 0);
    let released = at("Started { step: Release").unwrap();
    let last = |object: &str| {
        let written = format!("PATCH {object}");
        verdict
            .trace
            .iter()
            .rposition(|line| line.ends_with(&written))
    };
    assert!(released < last("db-ha-config").unwrap());
    assert!(last("db-ha-config") < last("db"));
}
