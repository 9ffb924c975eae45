//! The Postgres of every member of one side is restarted, one after the other, by Patroni in the member itself: the way that
//! the operator takes for settings that need it (PGO `reconcile`, patroni restarts). No pod is replaced, no object is
//! written, and the leader keeps its lock, so that nobody fails over.

use std::time::Duration;

use jiff::Timestamp;
use pgha_model::plan::LeaderIdentity;
use pgha_model::restart::{RestartOutcome, RestartPlan, Restarted};

use super::side::{database, settled};
use super::switchover::wait::emit_canary;
use super::upkeep::{Told, UpkeepError};
use super::{Interrupt, Side, StepError, changed};
use crate::clock::{self, Instant};
use crate::diagnose::sanitised;
use crate::exec::{self, Container};
use crate::operator::pgo_v5;
use crate::postgres::{ANSWER_TIME, Psql};
use crate::settle::{Look, await_until};
use crate::survey::{Depth, survey_site};

/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(500);

/// Since when the server runs, in microseconds since 1970, and whether it is in recovery.
const STARTED: &str = "select (extract(epoch from pg_postmaster_start_time()) * 1000000)::bigint, pg_is_in_recovery()";

/// A restart under way.
pub struct RestartRun {
    plan: RestartPlan,
    side: Side,
    limit: Duration,
}

/// What a server says of its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Started {
    at: Timestamp,
    in_recovery: bool,
}

impl RestartRun {
    /// A restart that carries out a plan made from this side; `limit` is how long all of it may take.
    pub fn new(plan: RestartPlan, side: Side, limit: Duration) -> Self {
        Self { plan, side, limit }
    }

    /// Carries the plan out.
    ///
    /// # Errors
    /// A member was replaced, did not restart, or is something else afterwards: those after it were not touched.
    pub async fn run(
        self,
        interrupt: Interrupt,
        tell: &mut Told<'_>,
    ) -> Result<RestartOutcome, UpkeepError> {
        let place = self.plan.place.clone();
        let deadline = clock::monotonic() + self.limit;
        let mut restarted = Vec::new();
        for member in self.plan.members.clone() {
            let done = restarted.len();
            let failed = |error| {
                let what = format!("{} of {place} was not seen to restart", member.pod);
                UpkeepError::after(format!("{what}; {done} members were restarted"), error)
            };
            let checked = Box::pin(interrupt.stops(self.check(&member))).await;
            let before = match checked {
                Ok(before) => before,
                Err(error) if restarted.is_empty() => {
                    let what = format!("nothing of {place} was restarted");
                    return Err(UpkeepError::before(what, error));
                }
                Err(error) => return Err(failed(error)),
            };
            let restart = self.restart(&member, before, deadline);
            let one = Box::pin(interrupt.stops(restart)).await.map_err(failed)?;
            tell(&format!("{} runs since {}.", one.pod, one.since));
            restarted.push(one);
        }
        let concluded = Box::pin(interrupt.stops(self.conclude(restarted))).await;
        concluded.map_err(|error| {
            UpkeepError::after(format!("{place} was not seen to be well again"), error)
        })
    }

    /// The member is still the pod that the plan means, and the leader is still the leader; since when it runs.
    async fn check(&self, member: &LeaderIdentity) -> Result<Started, StepError> {
        let survey = survey_site(&self.side.site, &self.side.cluster, Depth::Members).await;
        let survey = survey.map_err(|error| changed(error.to_string()))?;
        let mut members = survey.members.iter();
        let is_same = members.any(|one| one.pod == member.pod && one.uid == member.uid);
        if !is_same {
            return Err(changed(format!("{} was replaced", member.pod)));
        }
        let holder = survey.lock_holder().map(|one| one.pod.as_str());
        let planned = self.plan.members.last().map(|one| one.pod.as_str());
        if holder != planned {
            return Err(changed(format!(
                "the leader was {}, now it is {}",
                planned.unwrap_or("nobody"),
                holder.unwrap_or("nobody")
            )));
        }
        self.started(&database(&member.pod)).await
    }

    /// Has Patroni restart one member, and waits until its server is a new one and every member is well again.
    async fn restart(
        &self,
        member: &LeaderIdentity,
        before: Started,
        deadline: Instant,
    ) -> Result<Restarted, StepError> {
        let container = database(&member.pod);
        let scope = pgo_v5::lock_name(&self.side.cluster);
        let command = ["patronictl", "restart", "--force", &scope, &member.pod];
        let left = deadline.saturating_duration_since(clock::monotonic());
        let output = exec::run(&self.side.site, &container, &command, left).await;
        // It ends with 0 also where the member refused: what it said is told where no new server comes.
        let said = output.map_err(StepError::Exec)?;
        let said = said.stdout.lines().last().unwrap_or_default().to_owned();
        let count = self.plan.members.len();
        let settlement = await_until(deadline, LOOK, async || {
            let now = match self.started(&container).await {
                Ok(now) => now,
                Err(error) => return Ok(Look::NotYet(error.to_string())),
            };
            if now.at <= before.at {
                let said = sanitised(&said);
                return Ok(Look::NotYet(format!("it runs since {}: {said}", now.at)));
            }
            if now.in_recovery != before.in_recovery {
                return Err(changed(format!(
                    "pg_is_in_recovery() of {} was {}, and is {} after its restart",
                    member.pod, before.in_recovery, now.in_recovery
                )));
            }
            Ok::<_, StepError>(match self.side.quiet(count).await {
                Ok(_) => Look::Settled(now.at),
                Err(doubt) => Look::NotYet(doubt),
            })
        });
        Ok(Restarted {
            pod: member.pod.clone(),
            before: before.at,
            since: settled("a new server", self.limit, settlement.await?)?,
        })
    }

    /// Asks a member's server since when it runs.
    async fn started(&self, container: &Container) -> Result<Started, StepError> {
        let opened = Psql::open(&self.side.site, container, ANSWER_TIME).await;
        let mut psql = opened.map_err(StepError::Sql)?;
        let row = psql
            .query(STARTED, ANSWER_TIME)
            .await
            .map_err(StepError::Sql)?;
        read_started(&row).ok_or_else(|| changed(format!("{} says no start", container.pod)))
    }

    /// The leader is the one that led before, and a primary commits.
    async fn conclude(&self, restarted: Vec<Restarted>) -> Result<RestartOutcome, StepError> {
        let Some(last) = self.plan.members.last() else {
            return Err(changed("this side has no members"));
        };
        self.check(last).await?;
        let leader = last.pod.clone();
        let mut committed = None;
        if self.plan.is_primary {
            let container = database(&leader);
            let opened = Psql::open(&self.side.site, &container, ANSWER_TIME).await;
            let mut psql = opened.map_err(StepError::Sql)?;
            committed = Some(emit_canary(&mut psql).await?);
        }
        Ok(RestartOutcome {
            place: self.plan.place.clone(),
            restarted,
            leader,
            committed,
        })
    }
}

fn read_started(row: &str) -> Option<Started> {
    let (at, in_recovery) = row.trim().split_once('|')?;
    Some(Started {
        at: Timestamp::from_microsecond(at.parse().ok()?).ok()?,
        in_recovery: in_recovery == "t",
    })
}

#[cfg(test)]
mod tests;
