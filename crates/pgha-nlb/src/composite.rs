//! Several backends that move together: all of them, or none.

use std::fmt;
use std::time::Duration;

use pgha_model::effect::Effect;

use crate::cutover::{Cutover, Look};
use crate::error::{CutoverError, Problem};
use crate::finding::Finding;
use crate::name::{BackendId, SiteName};
use crate::plan::{Plan, Refusal};
use crate::preparation::Preparation;
use crate::receipt::{Did, Receipt};
use crate::state::{Held, RouteState};

/// Backends in the order in which they are changed. A call's `within` counts for each of them.
#[derive(Debug)]
pub struct Composite {
    parts: Vec<Box<dyn Cutover>>,
}

/// A part that failed, and what became of the others.
#[derive(Debug, thiserror::Error)]
#[error("backend {backend} failed, {}", fate(.taken_back, .stuck))]
pub struct CompositeError {
    /// The one that failed.
    pub backend: BackendId,
    /// How.
    #[source]
    pub error: CutoverError,
    /// What was taken back, the last change first.
    pub taken_back: Vec<Receipt>,
    /// What could not be taken back, or may not have been: it is to be put in order by hand.
    pub stuck: Vec<Stuck>,
}

/// A backend that was not brought back.
#[derive(Debug)]
pub struct Stuck {
    /// Which one.
    pub backend: BackendId,
    /// Why.
    pub error: CutoverError,
}

fn fate(taken_back: &[Receipt], stuck: &[Stuck]) -> String {
    let names = |ids: Vec<&BackendId>| {
        let ids: Vec<_> = ids.into_iter().map(BackendId::as_str).collect();
        ids.join(", ")
    };
    let back = match taken_back {
        [] => "no other had been changed".to_owned(),
        some => format!(
            "taken back: {}",
            names(some.iter().map(|receipt| &receipt.backend).collect())
        ),
    };
    match stuck {
        [] => back,
        some => format!(
            "{back}; NOT taken back: {}",
            names(some.iter().map(|stuck| &stuck.backend).collect())
        ),
    }
}

impl CompositeError {
    /// What all of it left behind.
    pub fn effect(&self) -> Effect {
        let stuck = self.stuck.iter().map(|stuck| match stuck.error.effect {
            // It was changed, and the change was not taken back.
            Effect::None | Effect::Applied => Effect::Applied,
            Effect::Unknown => Effect::Unknown,
        });
        stuck.max().unwrap_or(Effect::None)
    }
}

/// The parts of a composite's state or plan do not fit its backends.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{given} of them for {parts} backends")]
pub struct Uneven {
    /// How many were given.
    pub given: usize,
    /// How many backends there are.
    pub parts: usize,
}

impl Composite {
    /// Backends in the order in which they are changed; they are taken back in the other order.
    pub fn new(parts: Vec<Box<dyn Cutover>>) -> Self {
        Self { parts }
    }

    /// The backends.
    pub fn parts(&self) -> impl Iterator<Item = &dyn Cutover> {
        self.parts.iter().map(AsRef::as_ref)
    }

    /// Looks at every backend.
    pub async fn preflight(&self, within: Duration) -> Vec<Finding> {
        let mut findings = Vec::new();
        for part in &self.parts {
            findings.extend(part.preflight(within).await);
        }
        findings
    }

    /// Reads every backend, one state each.
    pub async fn observe(&self, within: Duration) -> Result<Vec<RouteState>, CutoverError> {
        let mut states = Vec::new();
        for part in &self.parts {
            states.push(part.observe(within).await?);
        }
        Ok(states)
    }

    /// A plan for every backend, from one state each.
    pub fn plan(
        &self,
        seen: &[RouteState],
        to: &SiteName,
    ) -> Result<Result<Vec<Plan>, Refusal>, Uneven> {
        self.even(seen.len())?;
        let pairs = self.parts.iter().zip(seen);
        Ok(pairs.map(|(part, seen)| part.plan(seen, to)).collect())
    }

    /// Applies the plans in order. When one fails, what came before it is taken back, the last one first.
    ///
    /// A backend that fails without saying what it changed is looked at once: if it holds the change, that is taken back
    /// too; if it cannot be told, it is [stuck](CompositeError::stuck).
    pub async fn apply(
        &self,
        plans: &[Plan],
        within: Duration,
    ) -> Result<Result<Vec<Receipt>, CompositeError>, Uneven> {
        self.even(plans.len())?;
        let mut done: Vec<Receipt> = Vec::new();
        for (part, plan) in self.parts.iter().zip(plans) {
            match part.apply(plan, within).await {
                Ok(receipt) => done.push(receipt),
                Err(error) => return Ok(Err(self.compensate(plan, error, done, within).await)),
            }
        }
        Ok(Ok(done))
    }

    /// One look at every backend: settled when all are.
    pub async fn settled(
        &self,
        receipts: &[Receipt],
        within: Duration,
    ) -> Result<Result<Vec<Look>, CutoverError>, Uneven> {
        self.even(receipts.len())?;
        let mut looks = Vec::new();
        for (part, receipt) in self.parts.iter().zip(receipts) {
            match part.settled(receipt, within).await {
                Ok(look) => looks.push(look),
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(looks))
    }

    /// Takes every receipt back, the last one first, and goes on where one cannot be.
    pub async fn rollback(
        &self,
        receipts: &[Receipt],
        within: Duration,
    ) -> Result<(Vec<Receipt>, Vec<Stuck>), Uneven> {
        self.even(receipts.len())?;
        Ok(self.take_back(receipts, within).await)
    }

    /// What would make a later move take effect sooner, one for each backend.
    pub async fn preparations(&self, within: Duration) -> Result<Vec<Preparation>, CutoverError> {
        let mut preparations = Vec::new();
        for part in &self.parts {
            preparations.push(part.preparation(within).await?);
        }
        Ok(preparations)
    }

    /// Prepares every backend, and goes on where one cannot be: what is prepared moves nobody, so nothing is taken back.
    pub async fn prepare(
        &self,
        preparations: &[Preparation],
        within: Duration,
    ) -> Result<Vec<Result<Receipt, CutoverError>>, Uneven> {
        self.even(preparations.len())?;
        let mut done = Vec::new();
        for (part, preparation) in self.parts.iter().zip(preparations) {
            done.push(part.prepare(preparation, within).await);
        }
        Ok(done)
    }

    async fn compensate(
        &self,
        plan: &Plan,
        error: CutoverError,
        mut done: Vec<Receipt>,
        within: Duration,
    ) -> CompositeError {
        let failed = &self.parts[done.len()];
        let mut stuck = Vec::new();
        match error.effect {
            Effect::None => {}
            Effect::Applied | Effect::Unknown => {
                match look_after(failed.as_ref(), plan, within).await {
                    Ok(receipt) => done.push(receipt),
                    Err(error) => stuck.push(Stuck {
                        backend: plan.backend.clone(),
                        error,
                    }),
                }
            }
        }
        let (taken_back, others) = self.take_back(&done, within).await;
        stuck.extend(others);
        CompositeError {
            backend: plan.backend.clone(),
            error,
            taken_back,
            stuck,
        }
    }

    async fn take_back(
        &self,
        receipts: &[Receipt],
        within: Duration,
    ) -> (Vec<Receipt>, Vec<Stuck>) {
        let (mut taken_back, mut stuck) = (Vec::new(), Vec::new());
        for (part, receipt) in self.parts.iter().zip(receipts).rev() {
            if receipt.did == Did::Nothing {
                continue;
            }
            match part.rollback(receipt, within).await {
                Ok(receipt) => taken_back.push(receipt),
                Err(error) => stuck.push(Stuck {
                    backend: receipt.backend.clone(),
                    error,
                }),
            }
        }
        (taken_back, stuck)
    }

    fn even(&self, given: usize) -> Result<(), Uneven> {
        let parts = self.parts.len();
        if given == parts {
            Ok(())
        } else {
            Err(Uneven { given, parts })
        }
    }
}

/// The receipt of a change whose call did not say that it was made. A backend that is as before is no proof that nothing comes:
/// a request that is still under way rests on what is there, and no comparison would refuse it.
async fn look_after(
    part: &dyn Cutover,
    plan: &Plan,
    within: Duration,
) -> Result<Receipt, CutoverError> {
    let seen = part
        .observe(within)
        .await
        .map_err(|error| error.leaving(Effect::Unknown))?;
    match seen.held(&plan.changes) {
        Held::After => Ok(Receipt {
            backend: plan.backend.clone(),
            did: Did::Change,
            changes: plan.changes.clone(),
            fence: seen.fence,
            evidence: vec!["Its answer was lost; it was looked at afterwards.".to_owned()],
        }),
        Held::Before | Held::Neither => Err(CutoverError::new(
            "tell what the failed change left",
            part.describe().at,
            Problem::Unfit {
                seen: "it may still take hold, or a part of it did".to_owned(),
            },
            "Look at its routes again, and put them in order by hand.",
        )
        .leaving(Effect::Unknown)),
    }
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} ({})",
            self.backend, self.error, self.error.effect
        )
    }
}
