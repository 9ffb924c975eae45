//! What Postgres of every member of a side says once all of them run: what it is, and that it does what it is there for.

use std::time::Duration;

use pgha_model::check::StartAs;
use pgha_model::lsn::Lsn;
use pgha_model::startup::Replay;
use serde_json::Value;

use super::side::settled;
use super::switchover::wait::emit_canary;
use super::{Side, StepError, changed};
use crate::client::SiteClient;
use crate::clock::{self, Instant};
use crate::diagnose::chain_of;
use crate::postgres::ANSWER_TIME;
use crate::settle::{Look, Settlement, await_until};
use crate::survey::{Depth, survey_site};

/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(500);

/// How long a standby that runs may take until it streams or has what its primary has written. An archive-only one gets the
/// rest with the next segment.
const CATCH_UP: Duration = Duration::from_secs(20);

/// A side whose members all run.
pub(super) struct Running<'a> {
    pub(super) side: &'a Side,
    /// Where the other side is, when it was seen.
    pub(super) peer: Option<&'a SiteClient>,
    /// How long all of it may take.
    pub(super) limit: Duration,
}

/// What Postgres proves of it.
pub(super) struct Proved {
    /// Where a transaction was committed, on a primary.
    pub(super) committed: Option<Lsn>,
    /// How far a standby is.
    pub(super) replay: Option<Replay>,
    /// What could not be proved, as full sentences.
    pub(super) unproved: Vec<String>,
}

impl Running<'_> {
    /// Asks Postgres of every member what it is.
    pub(super) async fn prove(
        &self,
        runs_as: StartAs,
        deadline: Instant,
    ) -> Result<Proved, StepError> {
        let mut side = self.opened(deadline).await?;
        let mut unproved = Vec::new();
        for pod in &side.facts.unconnected {
            unproved.push(format!("Postgres of {pod} does not answer."));
        }
        let expected = match runs_as {
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
        match runs_as {
            StartAs::Primary => committed = Some(emit_canary(side.psql()?).await?),
            StartAs::Standby => {
                let seen = self.replay(&mut side).await?;
                unproved.extend(seen.doubt());
                replay = Some(seen);
            }
        }
        Ok(Proved {
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
    async fn written(&self) -> Option<Lsn> {
        let peer = self.peer?;
        let survey = survey_site(peer, &self.side.cluster, Depth::Leader)
            .await
            .ok()?;
        survey.lock_holder()?.live.as_seen()?.written
    }
}

/// How many members the object asks for (`spec.instances[].replicas`, 1 where it is not said).
pub(super) fn wanted_members(object: &Value) -> usize {
    let sets = object.pointer("/spec/instances").and_then(Value::as_array);
    let replicas = |set: &Value| set.get("replicas").map_or(Some(1), Value::as_u64);
    let wanted: u64 = sets.into_iter().flatten().filter_map(replicas).sum();
    usize::try_from(wanted).unwrap_or(usize::MAX)
}
