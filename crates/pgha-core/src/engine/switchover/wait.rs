//! What several steps wait for.

use std::time::Duration;

use futures::future::try_join_all;
use pgha_model::lsn::Lsn;
use pgha_model::plan::Feed;
use tokio::time::timeout;

use crate::clock;
use crate::engine::StepError;
use crate::engine::side::{Side, settled};
use crate::postgres::{ANSWER_TIME, Psql};
use crate::settle::{Look, await_until};

/// A committed transaction that changes nothing; returns its position.
pub(in crate::engine) async fn emit_canary(psql: &mut Psql) -> Result<Lsn, StepError> {
    let canary = "select pg_logical_emit_message(true, 'pgha', 'canary')";
    psql.lsn(canary, ANSWER_TIME).await.map_err(StepError::Sql)
}

/// Ends the current segment of a primary's log, which then goes to the archive; returns its name.
pub(in crate::engine) async fn switch_segment(psql: &mut Psql) -> Result<String, StepError> {
    let segment = "select pg_walfile_name(pg_current_wal_insert_lsn())";
    let segment = psql
        .query(segment, ANSWER_TIME)
        .await
        .map_err(StepError::Sql)?;
    psql.query("select pg_switch_wal()", ANSWER_TIME)
        .await
        .map_err(StepError::Sql)?;
    Ok(segment)
}

/// Waits until every member of a standby side has replayed past a position; returns up to where each has, the leader
/// first. `feed` is how the log comes to its leader.
pub(in crate::engine) async fn await_replay(
    side: &mut Side,
    past: Lsn,
    limit: Duration,
    feed: Feed,
) -> Result<Vec<(String, Lsn)>, StepError> {
    let Some((leader, replicas)) = side.members.split_first_mut() else {
        return Err(StepError::BasisChanged {
            what: format!("the {} has no members", side.part),
        });
    };
    let mut others = std::pin::pin!(await_each(replicas, past, limit));
    let mut early = None;
    let first = {
        let mut first = std::pin::pin!(await_leader(leader, past, limit, feed));
        loop {
            tokio::select! {
                first = &mut first => break in_time(first)?,
                others = &mut others, if early.is_none() => early = Some(others?),
            }
        }
    };
    let others = match early {
        Some(others) => others,
        None if first.is_err() => others.await?,
        None => loop {
            if let Ok(others) = timeout(WAKE, &mut others).await {
                break others?;
            }
            wake_senders(leader).await?;
        },
    };
    Ok(std::iter::once(first?).chain(others?).collect())
}

/// What was waited for, or that it took too long; any other error is outside.
type InTime<T> = Result<Result<T, StepError>, StepError>;

/// What only took too long is told when all have been waited for: whoever is left in the middle of a statement answers no other.
fn in_time<T>(waited: Result<T, StepError>) -> InTime<T> {
    match waited {
        Err(late @ StepError::NotSettled { .. }) => Ok(Err(late)),
        waited => waited.map(Ok),
    }
}

async fn await_leader(
    leader: &mut Psql,
    past: Lsn,
    limit: Duration,
    feed: Feed,
) -> Result<(String, Lsn), StepError> {
    let first = await_member(leader, past, limit).await?;
    if feed == Feed::Archive {
        wake_senders(leader).await?;
    }
    Ok(first)
}

/// The same for members that all follow somebody else.
pub(in crate::engine) async fn await_members(
    members: &mut [Psql],
    past: Lsn,
    limit: Duration,
) -> Result<Vec<(String, Lsn)>, StepError> {
    await_each(members, past, limit).await?
}

async fn await_each(
    members: &mut [Psql],
    past: Lsn,
    limit: Duration,
) -> InTime<Vec<(String, Lsn)>> {
    let all = members.iter_mut();
    let all = all.map(async |psql| in_time(await_member(psql, past, limit).await));
    let waited = try_join_all(all).await?;
    Ok(waited.into_iter().collect())
}

async fn await_member(
    psql: &mut Psql,
    past: Lsn,
    limit: Duration,
) -> Result<(String, Lsn), StepError> {
    let replayed = psql
        .await_replay(past, limit)
        .await
        .map_err(StepError::Sql)?;
    let member = psql.member().to_owned();
    tracing::debug!(member, ?replayed, %past, "waited for replay");
    match replayed {
        Some(replayed) => Ok((member, replayed)),
        None => Err(StepError::NotSettled {
            what: "replay past the awaited position",
            limit,
            seen: format!("{member} has not replayed past {past}"),
        }),
    }
}

/// Has a standby leader send on what it has replayed.
///
/// Before Postgres 16 the senders of a standby that is fed by the archive are not woken by its replay and look by
/// themselves only every 10 s (PostgreSQL source, `walsender.c`, `WalSndComputeSleeptime`); a reload wakes them.
pub(in crate::engine) async fn wake_senders(leader: &mut Psql) -> Result<(), StepError> {
    let reload = leader.query("select pg_reload_conf()", ANSWER_TIME).await;
    reload.map(drop).map_err(StepError::Sql)
}

/// Pause between two reloads.
const WAKE: Duration = Duration::from_millis(100);

/// Waits until the archiver of a primary says that a segment, or a later one, is in the archive.
pub(in crate::engine) async fn await_archived(
    psql: &mut Psql,
    segment: &str,
    limit: Duration,
) -> Result<(), StepError> {
    let settlement = await_until(clock::monotonic() + limit, LOOK, async || {
        let query = "select coalesce(last_archived_wal, '') from pg_stat_archiver";
        let last = psql
            .query(query, ANSWER_TIME)
            .await
            .map_err(StepError::Sql)?;
        // Names of one timeline sort as their positions do, and a later timeline sorts later.
        Ok::<_, StepError>(if *last >= *segment {
            Look::Settled(())
        } else {
            Look::NotYet(format!(
                "the last archived segment is {last}, awaited was {segment}"
            ))
        })
    });
    settled("archiving", limit, settlement.await?)
}

/// Pause between two looks at a server.
const LOOK: Duration = Duration::from_millis(50);

pub(super) async fn await_setting(
    psql: &mut Psql,
    name: &str,
    wanted: &str,
    limit: Duration,
) -> Result<(), StepError> {
    let settlement = await_until(clock::monotonic() + limit, LOOK, async || {
        let seen = psql
            .query(&format!("show {name}"), ANSWER_TIME)
            .await
            .map_err(StepError::Sql)?;
        Ok::<_, StepError>(if seen == wanted {
            Look::Settled(())
        } else {
            Look::NotYet(format!("{name} is {seen} on {}", psql.member()))
        })
    });
    settled("a change of settings", limit, settlement.await?)
}
