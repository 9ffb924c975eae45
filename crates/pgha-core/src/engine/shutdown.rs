//! One side is shut down: a checkpoint, the request, and the wait until nothing of it runs, while its leader is watched for
//! the end that its own control data names.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Endpoints, Pod};
use kube::{Api, ResourceExt as _};
use pgha_model::control::ControlData;
use pgha_model::shutdown::{CleanEnd, ShutdownOutcome, ShutdownPlan};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::fence::WATCH_FOR_SHUTDOWN;
use super::side::settled;
use super::upkeep::{Told, UpkeepError, basis, pods_beside_jobs, send};
use super::{Interrupt, Side, StepError, changed};
use crate::clock;
use crate::diagnose::chain_of;
use crate::exec::Shell;
use crate::operator::pgo_v5;
use crate::patch::ObjectPatch;
use crate::settle::{Look, await_until};

/// Pause between two looks at the pods.
const LOOK: Duration = Duration::from_millis(500);

/// How long the word of a leader whose pod is gone may still be under way.
const LAST_WORD: Duration = Duration::from_secs(5);

/// What was waited for, in an error.
const GONE: &str = "a cluster without pods";

/// A shutdown under way.
pub struct ShutdownRun {
    plan: ShutdownPlan,
    side: Side,
    limit: Duration,
    decided_from: [Option<Value>; 4],
}

/// The patch that asks for it, as it would be sent now.
pub fn shutdown_patch(side: &Side) -> ObjectPatch {
    side.shutdown_patch(true, None)
}

impl ShutdownRun {
    /// A shutdown that carries out a plan made from this side; `limit` is how long it may take until nothing runs.
    pub fn new(plan: ShutdownPlan, side: Side, limit: Duration) -> Self {
        let decided_from = basis(side.object());
        Self {
            plan,
            side,
            limit,
            decided_from,
        }
    }

    /// Carries the plan out.
    ///
    /// # Errors
    /// The request was not taken, or something still ran when the time was over. Whoever runs it again waits for the rest.
    pub async fn run(
        mut self,
        interrupt: Interrupt,
        tell: &mut Told<'_>,
    ) -> Result<ShutdownOutcome, UpkeepError> {
        let place = self.plan.place.clone();
        if !self.plan.asked {
            let checkpoint = interrupt.stops(self.checkpoint(tell));
            let failed = |error| UpkeepError::before(format!("{place} was not shut down"), error);
            checkpoint.await.map_err(failed)?;
        }
        let mut watched = JoinSet::new();
        if let Some(shell) = self.side.shell.take() {
            watched.spawn(watch(shell, self.limit));
        }
        if !self.plan.asked {
            let sent = send(&mut self.side, &self.decided_from, shutdown_patch).await;
            let failed = |error| UpkeepError::before(format!("{place} was not shut down"), error);
            sent.map_err(failed)?;
            tell("The operator was asked to stop everything; the leader is stopped last.");
        }
        let failed = |error| UpkeepError::after(format!("{place} was not seen to stop"), error);
        let gone = interrupt.stops(self.await_gone(tell)).await;
        gone.map_err(failed)?;
        let said = timeout(LAST_WORD, watched.join_next()).await;
        let said = said.ok().flatten().and_then(Result::ok);
        Ok(self.conclude(said).await)
    }

    /// What is not in the data files yet is written now, so that the stop itself is short: kubelet kills a member that
    /// takes longer than 30 s (PGO sets no other grace).
    async fn checkpoint(&mut self, tell: &mut Told<'_>) -> Result<(), StepError> {
        let Some(psql) = self.side.members.first_mut() else {
            return Ok(());
        };
        psql.query("checkpoint", self.limit)
            .await
            .map_err(StepError::Sql)?;
        tell(&format!("{} wrote a checkpoint.", psql.member()));
        Ok(())
    }

    /// Waits until no pod is left that is not of a Job.
    async fn await_gone(&mut self, tell: &mut Told<'_>) -> Result<(), StepError> {
        let mut told = usize::MAX;
        let side = &mut self.side;
        let limit = self.limit;
        let settlement = await_until(clock::monotonic() + limit, LOOK, async || match look_once(
            side, &mut told, tell,
        )
        .await
        {
            Err(error) if error.may_pass() => Ok(Look::NotYet(chain_of(&error))),
            looked => looked,
        });
        settled(GONE, limit, settlement.await?)
    }

    async fn conclude(self, said: Option<Result<String, String>>) -> ShutdownOutcome {
        let mut unproved = Vec::new();
        let end = match self.end(said) {
            Ok(end) => Some(end),
            Err(because) => {
                unproved.push(format!(
                    "That Postgres stopped cleanly is not proved: {because}."
                ));
                None
            }
        };
        let lock_released = match is_lock_free(&self.side).await {
            Ok(is_free) => Some(is_free),
            Err(error) => {
                unproved.push(format!(
                    "Patroni's lock was not seen: {}.",
                    chain_of(&error)
                ));
                None
            }
        };
        if lock_released == Some(false) {
            unproved.push(
                "Patroni has not let its lock go: it was killed before it had seen its Postgres stop.".to_owned(),
            );
        }
        ShutdownOutcome {
            place: self.plan.place,
            members: self.plan.members,
            end,
            lock_released,
            unproved,
        }
    }

    /// What the leader said at its end, or why that is not known, as a fragment.
    fn end(&self, said: Option<Result<String, String>>) -> Result<CleanEnd, String> {
        let Some(leader) = &self.plan.leader else {
            return Err("nobody held Patroni's lock".to_owned());
        };
        let Some(said) = said else {
            return Err(format!("{} could not be watched", leader.pod));
        };
        let control = ControlData::from_text(&said?).map_err(|error| error.to_string())?;
        let identifier = self.side.facts.survey.system_identifier();
        let end = CleanEnd::from_control(&leader.pod, &control, identifier.unwrap_or_default());
        end.map_err(|error| error.to_string())
    }
}

/// Looks which pods are left, and whether they are still to go; tells each time that there are fewer.
async fn look_once(
    side: &mut Side,
    told: &mut usize,
    tell: &mut Told<'_>,
) -> Result<Look<(), String>, StepError> {
    let pods = running_pods(side).await?;
    if pods.is_empty() {
        return Ok(Look::Settled(()));
    }
    if pods.len() < *told {
        *told = pods.len();
        tell(&format!("Still there: {}.", pods.join(", ")));
    }
    side.refresh().await?;
    if side.object().pointer("/spec/shutdown") != Some(&Value::Bool(true)) {
        return Err(changed("somebody has taken spec.shutdown back"));
    }
    Ok(Look::NotYet(format!("{} are still there", pods.join(", "))))
}

/// The script that prints a server's control data once it says that it stopped, whichever of both it was.
fn watch_for_any_stop() -> String {
    WATCH_FOR_SHUTDOWN.replace(r"shut\ down$", r"shut\ down(\ in\ recovery)?$")
}

/// What the leader said, or why it could not be heard, as a fragment.
async fn watch(mut shell: Shell, limit: Duration) -> Result<String, String> {
    let container = shell.container().clone();
    let output = shell.run(&watch_for_any_stop(), limit).await;
    let text = output.and_then(|output| output.ok(&container));
    text.map_err(|error| chain_of(&error))
}

/// The pods of the cluster that run, may run, or are about to be gone; those of Jobs end by themselves, and one that has ended and
/// that nobody deletes, as after an eviction, stays.
async fn running_pods(side: &Side) -> Result<Vec<String>, StepError> {
    let has_ended = |pod: &Pod| {
        let phase = pod
            .status
            .as_ref()
            .and_then(|status| status.phase.as_deref());
        let is_going = pod.metadata.deletion_timestamp.is_some();
        !is_going && matches!(phase, Some("Succeeded" | "Failed"))
    };
    let pods = pods_beside_jobs(side).await?;
    let pods = pods.iter().filter(|pod| !has_ended(pod));
    let mut names: Vec<String> = pods.map(kube::ResourceExt::name_any).collect();
    names.sort();
    Ok(names)
}

/// Whether nobody holds Patroni's lock.
async fn is_lock_free(side: &Side) -> Result<bool, StepError> {
    let api: Api<Endpoints> = Api::namespaced(side.site.client.clone(), &side.site.namespace);
    let name = pgo_v5::lock_name(&side.cluster);
    let what = format!("endpoints {name}");
    let lock = side.site.call("get", &what, api.get(&name)).await?;
    let holder = lock.annotations().get("leader");
    Ok(holder.is_none_or(String::is_empty))
}

#[cfg(test)]
mod tests;
