//! What is the same for every product: when it may be changed, and what became of that.
//!
//! A backend says how its product is looked at and how it is changed. What must not differ between backends is here: a change
//! rests on what was seen right before, it is never made twice, and what the product says afterwards decides how it ended.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use pgha_model::effect::Effect;

use crate::cutover::{Cutover, Descriptor, Look};
use crate::error::{CutoverError, Problem};
use crate::finding::Finding;
use crate::name::SiteName;
use crate::plan::{Change, Gate, Plan, Refusal, gate};
use crate::preparation::Preparation;
use crate::receipt::{Did, Receipt};
use crate::state::{Fence, Held, RouteState};

/// A product as its backend knows it; [`Cutover`] is made of it.
#[async_trait]
pub trait Product: fmt::Debug + Send + Sync {
    /// What a look finds beside the routes, and a change needs: the records of a zone.
    type Details: Send + Sync;

    /// The check that passes when the product answers.
    const REACHED: &'static str;

    /// The check of each route, and what to do about one that is split or unknown, as a full sentence.
    const ROUTE: (&'static str, &'static str);

    /// What it is and can do. Reads nothing.
    fn descriptor(&self) -> Descriptor;

    /// Where it is, in messages and diffs. Never with a secret.
    fn at(&self) -> String {
        self.descriptor().at
    }

    /// What is found without a look.
    fn beforehand(&self) -> Vec<Finding> {
        Vec::new()
    }

    /// What else is found when the product answers. Changes nothing.
    async fn findings(&self, _now: &Looked<Self::Details>, _within: Duration) -> Vec<Finding> {
        Vec::new()
    }

    /// One look. Changes nothing.
    async fn look(&self, within: Duration) -> Result<Looked<Self::Details>, CutoverError>;

    /// The changes that lead every route to a site. Pure.
    fn changes(&self, seen: &RouteState, to: &SiteName) -> Result<Vec<Change>, Refusal>;

    /// The plan with what only this backend knows of it. Pure.
    fn finish(&self, _seen: &RouteState, plan: Plan) -> Result<Plan, Refusal> {
        Ok(plan)
    }

    /// Changes the product; nothing is sent twice. An error says itself what it left behind, and nobody looks after it.
    async fn write(
        &self,
        order: &Order<'_, Self::Details>,
        within: Duration,
    ) -> Result<Written<Self::Details>, CutoverError>;

    /// Puts back what was made of a change that was not made whole; what is left of it.
    async fn take_back_part(
        &self,
        _order: &Order<'_, Self::Details>,
        _now: &Looked<Self::Details>,
        _within: Duration,
    ) -> Effect {
        Effect::Unknown
    }

    /// What the product shows, each a full sentence; the order is what was just carried out, if anything.
    fn evidence(
        &self,
        _order: Option<&Order<'_, Self::Details>>,
        _now: &Looked<Self::Details>,
    ) -> Vec<String> {
        Vec::new()
    }

    /// One look whether changes have taken effect.
    async fn arrived(&self, changes: &[Change], within: Duration) -> Result<Look, CutoverError> {
        let now = self.look(within).await?.state;
        let (at, fence) = (self.at(), &now.fence);
        Ok(match now.held(changes) {
            Held::After => Look::Settled(format!("{at} shows the change ({fence}).")),
            Held::Before | Held::Neither => {
                Look::NotYet(format!("{at} does not show the change ({fence})."))
            }
        })
    }

    /// What would make a later move take effect sooner.
    async fn to_prepare(&self, _within: Duration) -> Result<Preparation, CutoverError> {
        Ok(Preparation::none(&self.descriptor().id, Fence::from("")))
    }
}

/// What one look found.
#[derive(Clone, Debug)]
pub struct Looked<D> {
    /// The routes.
    pub state: RouteState,
    /// What only the backend understands.
    pub details: D,
}

impl From<RouteState> for Looked<()> {
    fn from(state: RouteState) -> Self {
        Self { state, details: () }
    }
}

/// Changes that may be made now, and what they rest on.
#[derive(Debug)]
pub struct Order<'a, D> {
    /// What for.
    pub purpose: Purpose<'a>,
    /// The changes.
    pub changes: &'a [Change],
    /// What the product showed right before.
    pub seen: &'a Looked<D>,
}

/// What changes are made for.
#[derive(Clone, Copy, Debug)]
pub enum Purpose<'a> {
    /// Users are led to a site.
    LeadTo(&'a SiteName),
    /// An earlier change is taken back.
    TakeBack,
    /// A later move takes effect sooner.
    Prepare,
}

impl Purpose<'_> {
    const fn tried(self) -> &'static str {
        match self {
            Self::LeadTo(_) => "apply the plan",
            Self::TakeBack => "roll back",
            Self::Prepare => "prepare the move",
        }
    }
}

/// How a write ended, as far as its answer tells.
#[derive(Debug)]
pub enum Written<D> {
    /// This is there now, and needs no other look.
    Shown(Looked<D>),
    /// The product says that it is done; what else it says, each a full sentence.
    Taken(Vec<String>),
    /// The product says no, and nothing is under way any more.
    Denied(CutoverError),
    /// There was no answer that tells, and it may still take hold.
    Lost(CutoverError),
}

#[async_trait]
impl<P: Product> Cutover for P {
    fn describe(&self) -> Descriptor {
        self.descriptor()
    }

    async fn preflight(&self, within: Duration) -> Vec<Finding> {
        let id = self.descriptor().id;
        let mut findings = self.beforehand();
        match self.look(within).await {
            Err(error) => findings.push(Finding::of_error(&id, P::REACHED, &error)),
            Ok(now) => {
                findings.push(Finding::pass(&id, P::REACHED));
                let (check, advice) = P::ROUTE;
                let finding = |route| Finding::of_route(&id, check, route, advice);
                findings.extend(now.state.routes.iter().map(finding));
                findings.extend(self.findings(&now, within).await);
            }
        }
        findings
    }

    async fn observe(&self, within: Duration) -> Result<RouteState, CutoverError> {
        Ok(self.look(within).await?.state)
    }

    fn plan(&self, seen: &RouteState, to: &SiteName) -> Result<Plan, Refusal> {
        let (id, changes) = (self.descriptor().id, self.changes(seen, to)?);
        self.finish(seen, Plan::of_changes(&id, &self.at(), seen, to, changes))
    }

    async fn apply(&self, plan: &Plan, within: Duration) -> Result<Receipt, CutoverError> {
        let purpose = Purpose::LeadTo(&plan.to);
        carry_out(self, purpose, (&plan.changes, &plan.fence), within).await
    }

    async fn settled(&self, receipt: &Receipt, within: Duration) -> Result<Look, CutoverError> {
        self.arrived(&receipt.changes, within).await
    }

    async fn rollback(&self, receipt: &Receipt, within: Duration) -> Result<Receipt, CutoverError> {
        let changes = receipt.inverse();
        carry_out(self, Purpose::TakeBack, (&changes, &receipt.fence), within).await
    }

    async fn preparation(&self, within: Duration) -> Result<Preparation, CutoverError> {
        self.to_prepare(within).await
    }

    async fn prepare(
        &self,
        preparation: &Preparation,
        within: Duration,
    ) -> Result<Receipt, CutoverError> {
        let Preparation { changes, fence, .. } = preparation;
        if changes.is_empty() {
            return Ok(preparation.nothing_done());
        }
        carry_out(self, Purpose::Prepare, (changes, fence), within).await
    }
}

/// Makes changes that rest on a fence, unless the product says already what they would make it say.
async fn carry_out<P: Product>(
    product: &P,
    purpose: Purpose<'_>,
    (changes, fence): (&[Change], &Fence),
    within: Duration,
) -> Result<Receipt, CutoverError> {
    let seen = product.look(within).await?;
    let receipt = |did, now: Looked<P::Details>, evidence| Receipt {
        backend: product.descriptor().id,
        did,
        changes: changes.to_vec(),
        fence: now.state.fence,
        evidence,
    };
    match gate(changes, fence, &seen.state, purpose.tried(), &product.at())? {
        Gate::Done => {
            let evidence = product.evidence(None, &seen);
            Ok(receipt(Did::Nothing, seen, evidence))
        }
        Gate::Go => {
            let order = Order {
                purpose,
                changes,
                seen: &seen,
            };
            let (now, told) = changed(product, &order, within).await?;
            let mut evidence = product.evidence(Some(&order), &now);
            evidence.extend(told);
            Ok(receipt(Did::Change, now, evidence))
        }
    }
}

/// Writes, and says by what the product shows afterwards how that ended: it, and what else is to be told.
async fn changed<P: Product>(
    product: &P,
    order: &Order<'_, P::Details>,
    within: Duration,
) -> Result<(Looked<P::Details>, Vec<String>), CutoverError> {
    let (mut told, failed) = match product.write(order, within).await? {
        Written::Shown(now) => return Ok((now, Vec::new())),
        Written::Taken(told) => (told, None),
        Written::Denied(error) => (Vec::new(), Some(error.leaving(Effect::None))),
        Written::Lost(error) => (Vec::new(), Some(error.leaving(Effect::Unknown))),
    };
    let now = match product.look(within).await {
        Ok(now) => now,
        Err(error) => return Err(failed.unwrap_or(error).leaving(Effect::Unknown)),
    };
    match (now.state.held(order.changes), failed) {
        (Held::After, failed) => {
            let lost = "Its answer was lost; it was looked at afterwards.";
            told.extend(failed.map(|_| lost.to_owned()));
            Ok((now, told))
        }
        (Held::Before, Some(error)) => Err(error),
        (Held::Before | Held::Neither, failed) => {
            let error = failed.unwrap_or_else(|| {
                let seen = "it took the change and does not show it".to_owned();
                let next = "Look at the routes again before anything else.";
                let (tried, at) = (order.purpose.tried(), product.at());
                CutoverError::new(tried, at, Problem::Unfit { seen }, next)
            });
            Err(error.leaving(product.take_back_part(order, &now, within).await))
        }
    }
}
