//! What is known of a source that may be gone, and what still comes from it to the target.

use futures::future::join_all;
use pgha_model::control::{ClusterState, ControlData};
use pgha_model::failover::{MemberSight, SourceSight, Supply};
use pgha_model::member::{MemberStatus, Role};
use pgha_model::proof::Closure;
use pgha_model::site::Place;
use pgha_model::survey::Member;

use crate::backup::fetch_info;
use crate::client::SiteClient;
use crate::diagnose::chain_of;
use crate::engine::Side;
use crate::engine::side::database;
use crate::exec::{self, Container};
use crate::postgres::{ANSWER_TIME, Psql};
use crate::survey::{Depth, survey_site};

/// Whether a server runs there, and its control data. `pg_ctl status` ends with 3 where none does (PostgreSQL
/// documentation, `pg_ctl`).
const LOOK_INSIDE: &str =
    "pg_ctl -s -D \"$PGDATA\" status >/dev/null; printf 'pgha-status: %s\\n' $?
LC_ALL=C pg_controldata \"$PGDATA\"";

/// What [`LOOK_INSIDE`] says where no server runs.
const NO_SERVER: &str = "pgha-status: 3";

/// Asks every member of the source anew, whatever the survey said. A source whose API server does not answer is known by its
/// place alone.
pub async fn look_at_source(place: &Place, source: Result<&Side, &str>) -> SourceSight {
    let mut sight = SourceSight::at(place.clone());
    let side = match source {
        Ok(side) => side,
        Err(because) => {
            sight.unseen = Some(because.to_owned());
            return sight;
        }
    };
    let survey = match survey_site(&side.site, &side.cluster, Depth::Members).await {
        Ok(survey) => survey,
        Err(error) => {
            sight.unseen = Some(chain_of(&error));
            return sight;
        }
    };
    let members = survey.members.iter();
    let seen: Vec<_> = join_all(members.map(|member| look_at_member(&side.site, member))).await;
    let lock = survey.lock.as_seen();
    sight.last_seen = lock.and_then(|lock| lock.renewed_at);
    let written = survey.members.iter();
    sight.last_known = written
        .filter_map(|member| member.freshest().ok()?.written)
        .max();
    let all: Option<Vec<_>> = seen
        .iter()
        .map(|(_, _, control)| control.as_ref())
        .collect();
    sight.closure = all.and_then(|all| closure(&all, survey.system_identifier()?));
    let named = seen.into_iter();
    sight.members = named.map(|(pod, sight, _)| (pod, sight)).collect();
    sight
}

/// Where a side ended whose members are all stopped. Only what the newest timeline was shut down with counts: a member that
/// stopped earlier does not know what another one has written since.
fn closure(members: &[&ControlData], system_identifier: &str) -> Option<Closure> {
    let newest = members.iter().map(|control| control.timeline).max()?;
    let crashed = |control: &&&ControlData| {
        !matches!(
            control.state,
            ClusterState::ShutDown
                | ClusterState::ShutDownInRecovery
                | ClusterState::InArchiveRecovery
        )
    };
    if members.iter().any(|control| crashed(&control)) {
        return None;
    }
    let mut ended = members
        .iter()
        .filter(|control| control.timeline == newest && control.state == ClusterState::ShutDown);
    let last = ended.next()?;
    ended
        .next()
        .is_none()
        .then(|| Closure::from_control(last, system_identifier).ok())?
}

async fn look_at_member(
    site: &SiteClient,
    member: &Member,
) -> (String, MemberSight, Option<ControlData>) {
    let container = database(&member.pod);
    let asked = ask(site, &container).await;
    let live = member.live.as_seen();
    let (sight, control) = match asked {
        Ok(false) => (MemberSight::Writes, None),
        Ok(true) => (MemberSight::Reads, None),
        // Patroni asks Postgres itself, by another way than `pods/exec`.
        Err(_) if live.is_some_and(MemberStatus::is_running) => {
            let role = live.map(|status| &status.role);
            let writes = role == Some(&Role::Primary);
            (
                if writes {
                    MemberSight::Writes
                } else {
                    MemberSight::Reads
                },
                None,
            )
        }
        Err(because) => look_inside(site, &container, member, because).await,
    };
    (member.pod.clone(), sight, control)
}

/// Whether it is in recovery.
async fn ask(site: &SiteClient, container: &Container) -> Result<bool, String> {
    let opened = Psql::open(site, container, ANSWER_TIME).await;
    let mut psql = opened.map_err(|error| chain_of(&error))?;
    let row = psql.query("select pg_is_in_recovery()", ANSWER_TIME).await;
    Ok(row.map_err(|error| chain_of(&error))?.trim() == "t")
}

async fn look_inside(
    site: &SiteClient,
    container: &Container,
    member: &Member,
    because: String,
) -> (MemberSight, Option<ControlData>) {
    if matches!(member.phase.as_str(), "Succeeded" | "Failed") {
        return (MemberSight::Stopped, None);
    }
    match exec::run(site, container, &exec::bash(LOOK_INSIDE), ANSWER_TIME).await {
        Ok(said) if said.stdout.lines().any(|line| line == NO_SERVER) => (
            MemberSight::Stopped,
            ControlData::from_text(&said.stdout).ok(),
        ),
        Ok(_) | Err(_) => (MemberSight::Silent(because), None),
    }
}

/// What comes to the target now. The archive is looked at once here, and compared with what an earlier look found.
pub async fn look_at_supply(target: &mut Side, before: Option<&Supply>) -> Supply {
    let receiver = match target.members.first_mut() {
        Some(psql) => psql
            .query("select status from pg_stat_wal_receiver", ANSWER_TIME)
            .await
            .ok()
            .filter(|status| !status.is_empty()),
        None => None,
    };
    let newest = match target.leader() {
        Some(leader) => fetch_info(&target.site, &leader).await.ok(),
        None => None,
    };
    let newest = newest.and_then(|info| info.newest_segment);
    let earlier = before.and_then(|before| before.newest.clone());
    Supply {
        receiver,
        newest: newest.map(|newest| match earlier {
            Some((earliest, _)) => (earliest, newest),
            None => (newest.clone(), newest),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control(timeline: u32, state: &str) -> ControlData {
        ControlData::from_text(&format!(
            "Database system identifier:           7\n\
             Database cluster state:               {state}\n\
             Latest checkpoint location:           0/5000028\n\
             Latest checkpoint's REDO location:    0/5000028\n\
             Latest checkpoint's REDO WAL file:    00000003000000000000000{timeline}\n\
             Latest checkpoint's TimeLineID:       {timeline}\n\
             Bytes per WAL segment:                16777216\n"
        ))
        .unwrap()
    }

    #[test]
    fn only_the_last_primary_of_a_side_says_where_it_ended() {
        let ended = control(3, "shut down");
        let replica = control(3, "shut down in recovery");
        let at = |members: &[&ControlData]| closure(members, "7").map(|closure| closure.timeline.0);
        assert_eq!(at(&[&ended, &replica]), Some(3));
        // Another member was promoted since, and has crashed or stopped.
        assert_eq!(at(&[&ended, &control(4, "in production")]), None);
        assert_eq!(at(&[&ended, &control(4, "shut down in recovery")]), None);
        assert_eq!(at(&[&ended, &control(4, "shut down")]), Some(4));
        assert_eq!(at(&[&ended, &ended]), None);
        assert_eq!(at(&[&control(3, "in production")]), None);
        assert_eq!(at(&[]), None);
    }
}
