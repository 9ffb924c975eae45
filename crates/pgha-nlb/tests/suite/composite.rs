//! Several backends: all are changed, or those that were are taken back.

use std::time::Duration;

use pgha_model::effect::Effect;
use pgha_nlb::composite::CompositeError;
use pgha_nlb::{Composite, Cutover, Did, Look, Preparation, Receipt};

use crate::memory::{Fault, Memory, site};

const WITHIN: Duration = Duration::from_secs(1);

struct Several {
    tables: Vec<Memory>,
    composite: Composite,
}

fn several(faults: &[Fault]) -> Several {
    let tables: Vec<_> = faults
        .iter()
        .enumerate()
        .map(|(number, fault)| Memory::new(&format!("part{number}"), *fault))
        .collect();
    let parts = tables.iter().cloned();
    let parts = parts.map(|part| Box::new(part) as Box<dyn Cutover>);
    Several {
        composite: Composite::new(parts.collect()),
        tables,
    }
}

impl Several {
    async fn apply(&self) -> Result<Vec<Receipt>, CompositeError> {
        let seen = self.composite.observe(WITHIN).await.unwrap();
        let plans = self.composite.plan(&seen, &site("a")).unwrap().unwrap();
        self.composite.apply(&plans, WITHIN).await.unwrap()
    }

    fn is_at(&self, part: usize, value: &str) -> bool {
        self.tables[part].values().iter().all(|seen| seen == value)
    }
}

fn names(receipts: &[Receipt]) -> Vec<&str> {
    let names = receipts.iter().map(|receipt| receipt.backend.as_str());
    names.collect()
}

#[tokio::test]
async fn all_are_changed_and_all_settle_and_all_come_back() {
    let several = several(&[Fault::None, Fault::None]);
    let receipts = several.apply().await.unwrap();
    assert!(several.is_at(0, "a-be") && several.is_at(1, "a-be"));
    let looks = several.composite.settled(&receipts, WITHIN).await;
    let looks = looks.unwrap().unwrap();
    assert!(looks.iter().all(|look| matches!(look, Look::Settled(_))));
    let (back, stuck) = several.composite.rollback(&receipts, WITHIN).await.unwrap();
    assert_eq!(names(&back), ["part1", "part0"]);
    assert!(stuck.is_empty());
    assert!(several.is_at(0, "b-be") && several.is_at(1, "b-be"));
}

#[tokio::test]
async fn a_failure_takes_back_what_came_before_it_last_first() {
    let several = several(&[Fault::None, Fault::None, Fault::Denies, Fault::None]);
    let error = several.apply().await.unwrap_err();
    assert_eq!(error.backend.as_str(), "part2");
    assert_eq!(names(&error.taken_back), ["part1", "part0"]);
    assert_eq!(error.effect(), Effect::None);
    assert!((0..4).all(|part| several.is_at(part, "b-be")));
    assert_eq!(several.tables[3].table().writes, 0);
    assert_eq!(
        error.to_string(),
        "backend part2 failed, taken back: part1, part0"
    );
}

#[tokio::test]
async fn what_cannot_be_taken_back_is_named() {
    let several = several(&[Fault::None, Fault::DeniesRollback, Fault::Denies]);
    let error = several.apply().await.unwrap_err();
    assert_eq!(names(&error.taken_back), ["part0"]);
    assert_eq!(error.stuck.len(), 1);
    assert_eq!(error.stuck[0].backend.as_str(), "part1");
    assert_eq!(error.effect(), Effect::Applied);
    assert!(several.is_at(0, "b-be") && several.is_at(1, "a-be"));
    assert!(
        error.to_string().ends_with("NOT taken back: part1"),
        "{error}"
    );
}

#[tokio::test]
async fn a_lost_answer_is_looked_after_and_the_change_taken_back() {
    let several = several(&[Fault::None, Fault::LosesAnswer]);
    let error = several.apply().await.unwrap_err();
    assert_eq!(names(&error.taken_back), ["part1", "part0"]);
    assert_eq!(error.effect(), Effect::None);
    assert!(several.is_at(0, "b-be") && several.is_at(1, "b-be"));
}

#[tokio::test]
async fn what_nobody_can_tell_is_stuck_and_unknown() {
    let several = several(&[Fault::None, Fault::Vanishes]);
    let error = several.apply().await.unwrap_err();
    assert_eq!(names(&error.taken_back), ["part0"]);
    assert_eq!(error.stuck[0].backend.as_str(), "part1");
    assert_eq!(error.effect(), Effect::Unknown);
}

/// A product that compares refuses only what rests on something else: a late request still rests on what is there.
#[tokio::test]
async fn what_may_take_hold_later_is_stuck_and_unknown() {
    let several = several(&[Fault::None, Fault::Dawdles]);
    let error = several.apply().await.unwrap_err();
    assert_eq!(names(&error.taken_back), ["part0"]);
    assert_eq!(error.stuck[0].backend.as_str(), "part1");
    assert_eq!(error.effect(), Effect::Unknown);
}

#[tokio::test]
async fn what_was_there_already_is_not_taken_back() {
    let several = several(&[Fault::None, Fault::Denies]);
    let seen = several.composite.observe(WITHIN).await.unwrap();
    let plans = several.composite.plan(&seen, &site("a")).unwrap().unwrap();
    several.tables[0].apply(&plans[0], WITHIN).await.unwrap();
    let error = several.composite.apply(&plans, WITHIN).await;
    let error = error.unwrap().unwrap_err();
    assert!(error.taken_back.is_empty());
    assert!(several.is_at(0, "a-be"));
}

#[tokio::test]
async fn plans_that_do_not_fit_the_backends_are_refused() {
    let several = several(&[Fault::None, Fault::None]);
    let uneven = several.composite.apply(&[], WITHIN).await.unwrap_err();
    assert_eq!((uneven.given, uneven.parts), (0, 2));
    assert!(several.is_at(0, "b-be"));
}

#[tokio::test]
async fn what_cannot_be_prepared_does_not_keep_the_others() {
    let several = several(&[Fault::None, Fault::Denies, Fault::None]);
    let preparations = several.composite.preparations(WITHIN).await.unwrap();
    let done = several.composite.prepare(&preparations, WITHIN).await;
    let did: Vec<_> = done
        .unwrap()
        .into_iter()
        .map(|done| done.ok().map(|receipt| receipt.did))
        .collect();
    assert_eq!(did, [Some(Did::Change), None, Some(Did::Change)]);
    assert!((0..3).all(|part| several.is_at(part, "b-be")));
    let left = several.composite.preparations(WITHIN).await.unwrap();
    let left: Vec<_> = left.iter().map(Preparation::is_empty).collect();
    assert_eq!(left, [true, false, true]);
    assert!(several.composite.prepare(&[], WITHIN).await.is_err());
}
