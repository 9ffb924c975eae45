//! One side is started. Where it is to be a standby, Patroni's configuration says so before any pod is there: the operator
//! can write it only into a running member, which has opened read-write by then.

use std::time::Duration;

use pgha_model::check::StartAs;
use pgha_model::startup::{Replay, StartupOutcome, StartupPlan};
use serde_json::Value;

use super::beside::refuse_unless_still_standby;
use super::side::settled;
use super::switchover::wait::emit_canary;
use super::upkeep::{Told, UpkeepError, basis, refuse_changed, send};
use super::{Interrupt, Side, StepError, changed};
use crate::client::SiteClient;
use crate::clock::{self, Instant};
use crate::diagnose::chain_of;
use crate::operator::pgo_v5::render;
use crate::patch::ObjectPatch;
use crate::postgres::ANSWER_TIME;
use crate::settle::{Look, Settlement, await_until};
use crate::survey::{Depth, survey_site};

/// Pause between two looks at the members.
const LOOK: Duration = Duration::from_millis(500);

/// How long a standby that runs may take until it streams or has what its primary has written. An archive-only one gets the
/// rest with the next segment.
const CATCH_UP: Duration = Duration::from_secs(20);

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
            Box::pin(self.prove(members, deadline)).await
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
        let mut told = String::new();
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
                Err(doubt) => {
                    if doubt != told {
                        tell(&doubt);
                        told.clone_from(&doubt);
                    }
                    Look::NotYet(doubt)
                }
            })
        });
        settled(
            "a cluster whose members all run",
            self.limit,
            settlement.await?,
        )
    }

    /// Asks Postgres of every member what it is.
    async fn prove(self, members: usize, deadline: Instant) -> Result<StartupOutcome, StepError> {
        let starts_as = self.plan.starts_as;
        let mut side = self.opened(deadline).await?;
        let mut unproved = Vec::new();
        for pod in &side.facts.unconnected {
            unproved.push(format!("Postgres of {pod} does not answer."));
        }
        let expected = match starts_as {
            StartAs::Primary => "f",
            StartAs::Standby => "t",
        };
        for (index, psql) in side.members.iter_mut().enumerate() {
            let row = psql.query("select pg_is_in_recovery()", ANSWER_TIME).await;
            let row = row.map_err(StepError::Sql)?;
            // A primary's replicas are in recovery, as a standby's are.
            let expected = if index == 0 { expected } else { "t" };
            if row != expected {
                return Err(changed(format!(
                    "Postgres of {} says pg_is_in_recovery() = {row}",
                    psql.member()
                )));
            }
        }
        let (mut committed, mut replay) = (None, None);
        match starts_as {
            StartAs::Primary => committed = Some(emit_canary(side.psql()?).await?),
            StartAs::Standby => {
                let seen = self.replay(&mut side).await?;
                unproved.extend(seen.doubt());
                replay = Some(seen);
            }
        }
        Ok(StartupOutcome {
            place: self.plan.place,
            started_as: starts_as,
            members,
            committed,
            replay,
            unproved,
        })
    }

    /// The side anew, with connections to its members.
    async fn opened(&self, deadline: Instant) -> Result<Side, StepError> {
        let (site, cluster, part) = (&self.side.site, &self.side.cluster, self.side.part);
        let settlement = await_until(deadline, LOOK, async || {
            let opened = Box::pin(Side::open(site.clone(), cluster, part)).await;
            Ok::<_, StepError>(match opened {
                Ok(opened) if !opened.members.is_empty() => Look::Settled(opened),
                Ok(_) => Look::NotYet("Postgres on the leader does not answer".to_owned()),
                Err(error) => Look::NotYet(chain_of(&error)),
            })
        });
        settled("an answer of Postgres", self.limit, settlement.await?)
    }

    /// How far the standby's leader is, once it streams or has what the other side's primary had written before.
    async fn replay(&self, side: &mut Side) -> Result<Replay, StepError> {
        let written = self.written().await;
        let psql = side.psql()?;
        let mut last = Replay {
            replayed: None,
            written,
            streams: false,
        };
        let settlement = await_until(clock::monotonic() + CATCH_UP, LOOK, async || {
            let facts = psql.facts(ANSWER_TIME).await.map_err(StepError::Sql)?;
            last = Replay {
                replayed: facts.replayed,
                written,
                streams: facts.receiver_status.as_deref() == Some("streaming"),
            };
            Ok::<_, StepError>(match last.doubt() {
                None => Look::Settled(()),
                Some(_) => Look::NotYet(()),
            })
        });
        match settlement.await? {
            Settlement::Settled(()) | Settlement::TimedOut { .. } => Ok(last),
        }
    }

    /// What the other side's primary has written, by its own word.
    async fn written(&self) -> Option<pgha_model::lsn::Lsn> {
        let peer = self.peer.as_ref()?;
        let survey = survey_site(peer, &self.side.cluster, Depth::Leader)
            .await
            .ok()?;
        survey.lock_holder()?.live.as_seen()?.written
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

/// How many members the object asks for (`spec.instances[].replicas`, 1 where it is not said).
fn wanted_members(object: &Value) -> usize {
    let sets = object.pointer("/spec/instances").and_then(Value::as_array);
    let replicas = |set: &Value| set.get("replicas").map_or(Some(1), Value::as_u64);
    let wanted: u64 = sets.into_iter().flatten().filter_map(replicas).sum();
    usize::try_from(wanted).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
