//! The suite passes a good backend, and names the law that each wrong one breaks.

use pgha_nlb::conformance::broken;

use crate::memory::{Fault, Memory};

async fn laws_broken_by(fault: Fault) -> Vec<&'static str> {
    let broken = broken(async || Memory::new("memory", fault)).await;
    broken.into_iter().map(|broken| broken.law).collect()
}

#[tokio::test]
async fn a_good_backend_breaks_no_law() {
    assert_eq!(laws_broken_by(Fault::None).await, [""; 0]);
}

#[tokio::test]
async fn each_fault_is_found_by_the_law_that_forbids_it() {
    let faults = [
        (Fault::LooksWrite, "looking_changes_nothing"),
        (
            Fault::AppliesNothing,
            "an_apply_moves_every_route_and_settles",
        ),
        (
            Fault::MovesOneRoute,
            "an_apply_moves_every_route_and_settles",
        ),
        (
            Fault::NeverSettles,
            "an_apply_moves_every_route_and_settles",
        ),
        (Fault::PlansAlways, "an_empty_plan_changes_nothing"),
        (Fault::RollsBackNearly, "a_rollback_restores_the_bytes"),
        (Fault::ForgetsChanges, "a_rollback_from_the_journal_works"),
        (
            Fault::AppliesTwice,
            "an_apply_that_is_repeated_changes_once",
        ),
        (Fault::IgnoresFence, "a_stale_fence_is_a_conflict"),
        (Fault::IgnoresFenceBack, "a_stale_receipt_is_a_conflict"),
        (Fault::TakesFirst, "what_is_split_is_refused"),
        (Fault::GuessesSite, "what_is_unknown_is_refused"),
        (Fault::GuessesValue, "a_site_without_a_value_is_refused"),
        (Fault::PreparesByMoving, "a_preparation_moves_nobody"),
        (Fault::TellsInPlan, "no_secret_is_told"),
        (Fault::TellsInReceipt, "no_secret_is_told"),
        (Fault::TellsInError, "no_secret_is_told"),
    ];
    for (fault, law) in faults {
        let broken = laws_broken_by(fault).await;
        assert!(broken.contains(&law), "{fault:?} breaks {broken:?}");
    }
}
