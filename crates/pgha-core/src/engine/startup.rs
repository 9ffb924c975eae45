//! One side is started. Where it is to be a standby, Patroni's configuration says so before any pod is there: the operator
//! can write it only into a running member, which has opened read-write by then.

use std::time::Duration;

use pgha_model::check::StartAs;
use pgha_model::startup::{StartupOutcome, StartupPlan};
use serde_json::Value;

use super::beside::refuse_unless_still_standby;
use super::running::{Running, wanted_members};
use super::side::settled;
use super::upkeep::{InTheWay, Told, UpkeepError, basis, refuse_changed, send};
use super::{Interrupt, Side, StepError, changed};
use crate::client::SiteClient;
use crate::clock::{self, Instant};
use crate::diagnose::chain_of;
use crate::operator::pgo_v5::render;
use crate::patch::ObjectPatch;
use crate::settle::{Look, await_until};

/// Pause between two looks at the members.
const LOOK: Duration = Duration::from_millis(500);

/// A start under way.
pub struct StartupRun {
    plan: StartupPlan,
    side: Side,
    /// Where the other side is, when it was seen.
    peer: Option<SiteClient>,
    limit: Duration,
    decided_from: [Option<Value>; 4],
    /// Patroni's configuration was changed, which by itself starts nothing.
    prepared: bool,
}

/// The patches of a start, in their order, as they would be sent now.
pub fn startup_patches(plan: &StartupPlan, side: &Side) -> Vec<ObjectPatch> {
    if plan.asked {
        return Vec::new();
    }
    let config = wanted_config(plan, side).map(|wanted| side.config_patch(&wanted));
    let object = side.shutdown_patch(false, plan.standby.as_ref());
    config.into_iter().chain([object]).collect()
}

/// Whether every member that the object asks for runs, and every source names the same leader.
pub async fn is_up(side: &Side) -> bool {
    side.quiet(wanted_members(side.object())).await.is_ok()
}

impl StartupRun {
    /// A start that carries out a plan made from these sides; `limit` is how long it may take until every member runs.
    pub fn new(plan: StartupPlan, side: Side, peer: Option<&Side>, limit: Duration) -> Self {
        Self {
            peer: peer.map(|peer| peer.site.clone()),
            decided_from: basis(side.object()),
            plan,
            side,
            limit,
            prepared: false,
        }
    }

    /// Carries the plan out.
    ///
    /// # Errors
    /// The request was not taken, a member did not run when the time was over, or Postgres is something else than what was
    /// asked for. Whoever runs it again waits for the rest.
    pub async fn run(
        mut self,
        interrupt: Interrupt,
        tell: &mut Told<'_>,
    ) -> Result<StartupOutcome, UpkeepError> {
        let place = self.plan.place.clone();
        if !self.plan.asked
            && let Err(error) = Box::pin(self.ask(tell)).await
        {
            let what = format!("{place} was not started");
            return Err(if self.prepared {
                UpkeepError::after(what, error)
            } else {
                UpkeepError::before(what, error)
            });
        }
        let deadline = clock::monotonic() + self.limit;
        let started = async {
            let members = self.await_members(deadline, tell).await?;
            let running = Running {
                side: &self.side,
                peer: self.peer.as_ref(),
                limit: self.limit,
            };
            let proved = Box::pin(running.prove(self.plan.starts_as, deadline)).await?;
            Ok(StartupOutcome {
                place: place.clone(),
                started_as: self.plan.starts_as,
                members,
                committed: proved.committed,
                replay: proved.replay,
                unproved: proved.unproved,
            })
        };
        let started = interrupt.stops(Box::pin(started)).await;
        let failed = |error| UpkeepError::after(format!("{place} was not seen to start"), error);
        started.map_err(failed)
    }

    async fn ask(&mut self, tell: &mut Told<'_>) -> Result<(), StepError> {
        if let Some(section) = &self.plan.config {
            self.side.refresh().await?;
            refuse_changed(&self.side, &self.decided_from)?;
            let wanted = as_standby(&self.side, section);
            self.side.send_config(&wanted).await?;
            self.prepared = true;
            tell("Patroni's configuration makes it a standby, before anything runs.");
        }
        match self.plan.starts_as {
            StartAs::Standby => {
                self.side.refresh().await?;
                if !self.side.config_says_standby() {
                    return Err(changed(
                        "somebody has changed Patroni's configuration meanwhile",
                    ));
                }
            }
            // It may have been promoted since it was looked at.
            StartAs::Primary => {
                if let Some(peer) = &self.peer {
                    refuse_unless_still_standby(peer, &self.side.cluster).await?;
                }
            }
        }
        let section = self.plan.standby.clone();
        let patch = |side: &Side| side.shutdown_patch(false, section.as_ref());
        send(&mut self.side, &self.decided_from, patch).await?;
        tell("The operator was asked to start it; the member that was stopped last comes first.");
        Ok(())
    }

    /// Waits until every member runs and every source names the same leader; how many there are.
    async fn await_members(
        &mut self,
        deadline: Instant,
        tell: &mut Told<'_>,
    ) -> Result<usize, StepError> {
        let mut in_the_way = InTheWay::new(tell);
        let side = &mut self.side;
        let settlement = await_until(deadline, LOOK, async || {
            match side.refresh().await {
                Ok(()) => {}
                Err(error) if error.may_pass() => return Ok(Look::NotYet(chain_of(&error))),
                Err(error) => return Err(error),
            }
            if side.object().pointer("/spec/shutdown") == Some(&Value::Bool(true)) {
                return Err(changed("somebody has set spec.shutdown again"));
            }
            Ok(match side.quiet(wanted_members(side.object())).await {
                Ok(members) => Look::Settled(members),
                Err(doubt) => in_the_way.not_yet(doubt),
            })
        });
        settled(
            "a cluster whose members all run",
            self.limit,
            settlement.await?,
        )
    }
}

fn wanted_config(plan: &StartupPlan, side: &Side) -> Option<Value> {
    let section = plan.config.as_ref()?;
    Some(as_standby(side, section))
}

/// Patroni's configuration as the operator would render it for a standby.
fn as_standby(side: &Side, section: &serde_json::Map<String, Value>) -> Value {
    render::config_as_standby(&side.config(), section)
}

#[cfg(test)]
mod tests;
