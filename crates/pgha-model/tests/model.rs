//! Every order in which two tools, two sites and a few faults can meet, searched for a state that no move may leave.
//!
//! The machine, the stages of a record and the judgement of an unfinished move are the product's; around them stands the
//! smallest world that still has what they are for: a record and an epoch at each site, an operator that renders what its
//! object says unless it is held, a Patroni that follows its configuration, requests that are lost or late, tools that die.
//! Each guard of that world is switched off once, to see that the search finds what it prevents.

#[path = "model/ending.rs"]
mod ending;
#[path = "model/perform.rs"]
mod perform;
#[path = "model/request.rs"]
mod request;
#[path = "model/script.rs"]
mod script;
#[path = "model/system.rs"]
mod system;
#[path = "model/tool.rs"]
mod tool;
#[path = "model/world.rs"]
mod world;

use system::{Found, Search, search};
use tool::Kind;
use world::Guards;

/// Faults in one run: few, and as many as close in some minutes when everything is to be searched.
#[expect(
    clippy::disallowed_methods,
    reason = "a test has no settings: what runs all tests says how far to search"
)]
fn faults(few: u8, all: u8) -> u8 {
    if std::env::var_os("PGHA_FULL").is_some() {
        all
    } else {
        few
    }
}

fn beside(second: Kind, guards: Guards, faults: u8) -> Search {
    Search {
        guards,
        kinds: [Kind::Switchover, second],
        faults,
        with_strays: false,
    }
}

#[track_caller]
#[expect(
    clippy::print_stdout,
    reason = "the way to what is broken is read by people"
)]
fn holds(what: Search) {
    let found = search(what, &[]);
    told(what, &found);
    for (name, way) in &found.broken {
        println!("broken: {name}\n{way}");
    }
    assert!(found.broken.is_empty() && found.is_whole);
}

#[expect(
    clippy::print_stdout,
    reason = "how far was searched is read by people"
)]
fn told(what: Search, found: &Found) {
    let (kinds, faults) = (what.kinds, what.faults);
    let (states, took) = (found.states, found.took);
    println!("{kinds:?}, {faults} faults: {states} states in {took:.1?}");
}

#[test]
fn a_move_beside_another() {
    holds(beside(Kind::Switchover, Guards::ALL, faults(2, 3)));
}

#[test]
fn a_move_that_is_resumed() {
    holds(beside(Kind::Resume, Guards::ALL, faults(1, 3)));
}

#[test]
fn a_move_that_is_aborted() {
    holds(beside(Kind::Abort, Guards::ALL, faults(2, 3)));
}

/// A Job at the source that sees nothing else, and that may take a living move over.
#[test]
fn a_move_that_a_job_at_the_source_watches() {
    holds(beside(Kind::Deadline, Guards::ALL, faults(2, 3)));
}

/// With this guard off, the search finds this broken.
#[track_caller]
fn finds(what: Search, broken: &'static str) {
    let found = search(what, &[broken]);
    told(what, &found);
    let names: Vec<_> = found.broken.iter().map(|(name, _)| *name).collect();
    assert!(names.contains(&broken), "{broken:?} is not among {names:?}");
}

const WRITABLE: &str = "never two writable sides";

#[test]
fn without_the_epoch_on_the_objects_both_sides_take_writes() {
    let guards = Guards {
        epoch: false,
        ..Guards::ALL
    };
    finds(beside(Kind::Abort, guards, 1), WRITABLE);
}

#[test]
fn without_the_swap_of_records_both_sides_take_writes() {
    let guards = Guards {
        swap: false,
        ..Guards::ALL
    };
    finds(beside(Kind::Switchover, guards, 1), WRITABLE);
}

/// The decision is a second lock: whoever takes over puts its epoch on both sides before it looks, and that alone keeps an
/// earlier promotion out. It is not what the sides' safety hangs on, and this says so.
#[test]
fn without_the_decision_the_epoch_alone_suffices() {
    let guards = Guards {
        decision: false,
        ..Guards::ALL
    };
    holds(beside(Kind::Abort, guards, 1));
}

/// The Job puts its epoch on the source alone: only the decision, in the one record that both sides of it write, keeps the
/// tool's promotion out.
#[test]
fn without_the_decision_a_job_at_the_source_makes_a_second_primary() {
    let guards = Guards {
        decision: false,
        ..Guards::ALL
    };
    finds(beside(Kind::Deadline, guards, 1), WRITABLE);
}

#[test]
fn a_job_that_goes_back_from_a_promotion_makes_a_second_primary() {
    let guards = Guards {
        untold: false,
        ..Guards::ALL
    };
    finds(beside(Kind::Deadline, guards, 1), WRITABLE);
}

#[test]
fn without_the_proof_something_is_lost() {
    let guards = Guards {
        proof: false,
        ..Guards::ALL
    };
    let lost = "promoted only with everything";
    finds(beside(Kind::Switchover, guards, 0), lost);
}

#[test]
fn a_hold_that_is_taken_back_from_a_reverted_object_makes_a_second_primary() {
    let guards = Guards {
        release: false,
        ..Guards::ALL
    };
    finds(beside(Kind::Switchover, guards, 1), WRITABLE);
}

/// What nobody poisons: a request that was given up, and arrives after its own tool has taken everything back and said so.
/// A hold that stays is the worst of it, and neither side's role changes for good.
#[test]
fn a_write_after_the_end_leaves_a_hold() {
    let what = Search {
        with_strays: true,
        ..beside(Kind::Switchover, Guards::ALL, 1)
    };
    finds(what, "ends somewhere, or says what to do");
}
