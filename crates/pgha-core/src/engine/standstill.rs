//! Reading the ends of both sides' logs while neither takes writes.

use std::time::Duration;

use futures::future::try_join_all;
use pgha_model::lsn::SegmentSize;
use pgha_model::site::Part;
use pgha_model::standstill::{
    Compared, Doubt, MemberEnd, SideEnds, Standstill, Stretch, judge_positions, judge_stretches,
};
use pgha_model::timeline::History;

use super::StepError;
use super::promotion::read_history;
use super::side::Side;
use super::switchover::wait::wake_senders;
use crate::client::SiteClient;
use crate::clock;
use crate::diagnose::chain_of;
use crate::exec;
use crate::postgres::{ANSWER_TIME, Psql, SqlError};
use crate::settle::{Look, Settlement, await_until};

/// Where a member's log ends, as [`MemberEnd`] reads it.
///
/// It follows two restart points. The second has no new checkpoint to rest on, and then Postgres writes down up to where
/// it has replayed, and on which timeline (PostgreSQL source, `xlog.c`, `CreateRestartPoint`, `UpdateMinRecoveryPoint`).
const LOG_END: &str = "\
select json_build_object(
  'inRecovery', pg_is_in_recovery(),
  'replayed', case when pg_is_in_recovery() then pg_last_wal_replay_lsn()::text end,
  'recorded', (select min_recovery_end_lsn::text from pg_control_recovery()),
  'timeline', (select min_recovery_end_timeline from pg_control_recovery()),
  'waitsFor', (select wait_event from pg_stat_activity where backend_type = 'startup'))";

/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(200);

/// How long a restart point may take: it writes what is dirty.
const RESTART_POINT: Duration = Duration::from_mins(2);

/// Compares the ends of both sides, and looks again while time may remove a doubt. Nothing is changed, but each member
/// writes a restart point.
pub async fn compare_ends(
    source: &mut Side,
    target: &mut Side,
    limit: Duration,
) -> Result<Standstill, Doubt> {
    let settlement = await_until(clock::monotonic() + limit, LOOK, async || {
        Ok::<_, Doubt>(match look(source, target).await {
            Ok(standstill) => Look::Settled(standstill),
            Err(doubt) if doubt.may_pass() => Look::NotYet(doubt),
            Err(doubt) => return Err(doubt),
        })
    });
    match settlement.await? {
        Settlement::Settled(standstill) => Ok(standstill),
        Settlement::TimedOut { last_seen } => Err(last_seen.unwrap_or_else(|| Doubt::Unread {
            part: Part::Source,
            because: format!("no answer within {} s", limit.as_secs()),
        })),
    }
}

async fn look(source: &mut Side, target: &mut Side) -> Result<Standstill, Doubt> {
    let (at_source, at_target) = tokio::try_join!(read_side(source), read_side(target))?;
    let size = segment_size(target);
    let (standstill, stretches) = judge_positions(&at_source, &at_target, size)?;
    let mut compared = Vec::new();
    for stretch in stretches {
        compared.push(compare(source, target, stretch).await?);
    }
    judge_stretches(&compared)?;
    Ok(standstill)
}

/// The ends of every member of a side, and its leader's history.
pub(super) async fn read_side(side: &mut Side) -> Result<SideEnds, Doubt> {
    let part = side.part;
    read(side).await.map_err(|error| Doubt::Unread {
        part,
        because: chain_of(&error),
    })
}

async fn read(at: &mut Side) -> Result<SideEnds, StepError> {
    if let Some(leader) = at.members.first_mut() {
        wake_senders(leader).await?;
    }
    let (site, members) = (&at.site, at.members.iter_mut());
    let members = try_join_all(members.map(|psql| read_member(site, psql))).await?;
    let history = match (at.members.first_mut(), members.first()) {
        (Some(leader), Some(end)) if end.in_recovery => read_history(leader, end.timeline).await?,
        _ => History::default(),
    };
    Ok(SideEnds { members, history })
}

async fn read_member(site: &SiteClient, psql: &mut Psql) -> Result<MemberEnd, StepError> {
    let is_standby = psql.query("select pg_is_in_recovery()", ANSWER_TIME).await;
    // A primary would write a checkpoint, and has no such end.
    if is_standby.map_err(StepError::Sql)? == "t" {
        for _ in 0..2 {
            let made = psql.query("checkpoint", RESTART_POINT).await;
            made.map_err(StepError::Sql)?;
        }
    }
    let row = psql
        .query(LOG_END, ANSWER_TIME)
        .await
        .map_err(StepError::Sql)?;
    let unreadable = || {
        StepError::Sql(SqlError::Unreadable {
            member: psql.member().to_owned(),
            expected: "the end of its log",
        })
    };
    let end: MemberEnd = serde_json::from_str(&row).map_err(|_| unreadable())?;
    let has_no_more =
        end.in_recovery && end.asks_archive() && has_no_more(site, psql, &end).await?;
    Ok(MemberEnd {
        member: psql.member().to_owned(),
        has_no_more,
        ..end
    })
}

/// Whether a member's own log has no record after the one that was replayed last, by Postgres' own reader. Where it
/// finds none it ends with 1: `could not find a valid record`, or the file of it (PostgreSQL source, `pg_waldump.c`).
async fn has_no_more(site: &SiteClient, psql: &Psql, end: &MemberEnd) -> Result<bool, StepError> {
    let Some(at) = end.replayed else {
        return Ok(false);
    };
    let script = format!(
        "LC_ALL=C pg_waldump --path \"$PGDATA/pg_wal\" --timeline {} --start {at} --limit 1",
        end.timeline
    );
    let argv = exec::bash(&script);
    let read = exec::run(site, psql.container(), &argv, ANSWER_TIME).await;
    let read = read.map_err(StepError::Exec)?;
    Ok(read.exit_code == 1 && read.stderr.contains("could not find"))
}

fn segment_size(of: &Side) -> SegmentSize {
    let facts = of.facts.postgres.as_ref();
    let bytes = facts.map(|facts| facts.segment_size_bytes);
    bytes
        .and_then(SegmentSize::from_bytes)
        .unwrap_or(SegmentSize::DEFAULT)
}

async fn compare(
    source: &mut Side,
    target: &mut Side,
    stretch: Stretch,
) -> Result<Compared, Doubt> {
    let own = std::slice::from_ref(&stretch.segment);
    let mut members = source.members.iter_mut();
    let at_source = match members.find(|psql| psql.member() == stretch.member) {
        Some(psql) => digest(psql, own, stretch.bytes, Part::Source).await?,
        None => None,
    };
    let at_target = match target.members.first_mut() {
        Some(psql) => digest(psql, &stretch.at_target, stretch.bytes, Part::Target).await?,
        None => None,
    };
    Ok(Compared {
        stretch,
        at_source,
        at_target,
    })
}

/// The digest of the beginning of the first of these files that is in the log.
async fn digest(
    psql: &mut Psql,
    files: &[String],
    bytes: u64,
    part: Part,
) -> Result<Option<String>, Doubt> {
    let files = files
        .iter()
        .map(|file| format!("pg_read_binary_file('pg_wal/{file}', 0, {bytes}, true)"));
    let files = files.collect::<Vec<_>>().join(", ");
    let statement = format!("select encode(sha256(coalesce({files})), 'hex')");
    let row = psql.query(&statement, RESTART_POINT).await;
    let row = row.map_err(|error| Doubt::Unread {
        part,
        because: chain_of(&error),
    })?;
    Ok(Some(row.trim().to_owned()).filter(|digest| !digest.is_empty()))
}
