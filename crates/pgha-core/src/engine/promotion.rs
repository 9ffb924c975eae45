//! Making a standby primary, whatever led to it: the two writes, the first commit, and what is read afterwards.

use std::time::Duration;

use pgha_model::effect::Effect;
use pgha_model::login::Logins;
use pgha_model::lsn::Lsn;
use pgha_model::proof::judge_fork;
use pgha_model::timeline::{History, Timeline};
use serde_json::{Map, Value};

use super::StepError;
use super::side::Side;
use super::switchover::wait::{await_archived, emit_canary, switch_segment};
use crate::diagnose::Diagnose as _;
use crate::login::Programs;
use crate::operator::pgo_v5::render;
use crate::postgres::{ANSWER_TIME, Psql};

/// How long each login is tried: `PgBouncer` lets nobody in for 15 s after its own login has failed (its documentation,
/// `server_login_retry`).
const LOGIN_LIMIT: Duration = Duration::from_secs(20);

/// What a new primary says of itself.
#[derive(Clone, Debug)]
pub(super) struct NewPrimary {
    pub(super) member: String,
    pub(super) timeline: Timeline,
    /// A position on the new timeline: who has replayed it follows.
    pub(super) mark: Lsn,
}

impl NewPrimary {
    /// What proves that it takes writes, as a full sentence.
    pub(super) fn evidence(&self) -> String {
        format!(
            "{} is out of recovery on timeline {} and committed at {}.",
            self.member, self.timeline, self.mark
        )
    }
}

/// Tells a side to become primary: the operator's object first, the point of no return; then Patroni's own configuration,
/// which only makes it happen sooner. Returns what made the second write be repeated.
///
/// `sent` is set before the first write, and taken back when that was refused: then nothing has changed.
pub(super) async fn send(
    side: &mut Side,
    section: &Map<String, Value>,
    sent: &mut bool,
) -> Result<Option<StepError>, StepError> {
    let object = side.standby_patch(section, false);
    let config = render::config_as_primary(&side.config());
    *sent = true;
    if let Err(error) = side.send_object(&object).await {
        let refused = matches!(&error, StepError::Call(call) if call.effect() == Effect::None);
        *sent = !refused && !error.is_superseded();
        // Where only the answer was lost, the object says so; it is never sent a second time.
        let is_there = *sent && side.refresh().await.is_ok() && !side.object_says_standby();
        if !is_there {
            return Err(error);
        }
    }
    let Err(repeated) = side.send_config(&config).await else {
        return Ok(None);
    };
    side.refresh().await?;
    let config = render::config_as_primary(&side.config());
    side.send_config(&config).await?;
    Ok(Some(repeated))
}

/// Waits until the leader takes writes, and commits the first one.
pub(super) async fn await_primary(
    side: &mut Side,
    limit: Duration,
) -> Result<NewPrimary, StepError> {
    let psql = side.psql()?;
    if !psql.await_promotion(limit).await.map_err(StepError::Sql)? {
        return Err(StepError::NotSettled {
            what: "the promotion",
            limit,
            seen: format!("{} is still in recovery", psql.member()),
        });
    }
    let mark = emit_canary(psql).await?;
    Ok(NewPrimary {
        member: psql.member().to_owned(),
        timeline: timeline_of(psql).await?,
        mark,
    })
}

/// Where the new timeline forks off the old one, which is not before its end.
pub(super) async fn read_fork(
    side: &mut Side,
    primary: &NewPrimary,
    from: Timeline,
    end: Lsn,
) -> Result<Lsn, StepError> {
    let history = read_history(side.psql()?, primary.timeline).await?;
    judge_fork(primary.timeline, &history, from, end).map_err(StepError::NotProved)
}

/// The ancestors of a timeline, from the file in the leader's log; the first timeline has none.
pub(super) async fn read_history(
    psql: &mut Psql,
    timeline: Timeline,
) -> Result<History, StepError> {
    if timeline == Timeline(1) {
        return Ok(History::default());
    }
    let file = timeline.history_file_name();
    let history = format!("select pg_read_file('pg_wal/{file}')");
    let history = psql
        .query(&history, ANSWER_TIME)
        .await
        .map_err(StepError::Sql)?;
    History::from_file(&history).map_err(|error| StepError::BasisChanged {
        what: format!("{file} cannot be read: {error}"),
    })
}

/// Has the new primary archive a segment of the new timeline; returns its name.
pub(super) async fn archive_segment(side: &mut Side, limit: Duration) -> Result<String, StepError> {
    let psql = side.psql()?;
    let segment = switch_segment(psql).await?;
    await_archived(psql, &segment, limit).await?;
    Ok(segment)
}

/// Every member of a side is in recovery: nobody writes there.
pub(super) async fn check_reads_only(side: &mut Side, limit: Duration) -> Result<(), StepError> {
    side.reconnect(limit).await?;
    for psql in &mut side.members {
        let row = psql.query("select pg_is_in_recovery()", ANSWER_TIME).await;
        if row.map_err(StepError::Sql)?.trim() != "t" {
            return Err(StepError::BasisChanged {
                what: format!("{} of the {} takes writes", psql.member(), side.part),
            });
        }
    }
    Ok(())
}

/// What programs can do at a new primary.
pub(super) async fn log_in(programs: Option<Programs>, limit: Duration) -> Logins {
    match programs {
        Some(programs) => programs.log_in(limit.min(LOGIN_LIMIT)).await,
        None => Logins::default(),
    }
}

/// The timeline that a primary writes.
pub(super) async fn timeline_of(psql: &mut Psql) -> Result<Timeline, StepError> {
    let query =
        "select ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int";
    let row = psql
        .query(query, ANSWER_TIME)
        .await
        .map_err(StepError::Sql)?;
    row.trim()
        .parse()
        .map(Timeline)
        .map_err(|_| StepError::BasisChanged {
            what: format!("{} names no timeline", psql.member()),
        })
}
