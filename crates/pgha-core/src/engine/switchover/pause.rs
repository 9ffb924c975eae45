//! The recipe for Patroni before 4.1: paused, Postgres stopped by hand, and a standby before Patroni goes on.
//!
//! Those versions stop a primary at once when its cluster becomes a standby (`ha.py`, `follow`: `immediate-nolock`). The
//! order here is the safety argument: resumed before its configuration says standby and its lock is let go, Patroni would
//! start the old primary read-write on its old timeline (patroni issue 1660). So the configuration follows the stop at
//! once, long before the other side is promoted.

use std::time::Duration;

use k8s_openapi::api::core::v1::Endpoints;
use kube::Api;
use serde_json::{Map, Value};

use crate::clock;
use crate::engine::side::{Side, settled};
use crate::engine::{Limits, StepError};
use crate::exec::Shell;
use crate::operator::pgo_v5::{self, render};
use crate::settle::{Look, await_until};
use crate::survey::{Depth, survey_site};

/// Stops Postgres cleanly, and waits until it is gone: Patroni is paused and leaves it alone, but one that is told to be a
/// standby while its Postgres still archives takes it for a running primary, and keeps the lock.
pub(in crate::engine) const STOP: &str = r#"pg_ctl stop -s -m fast -w -D "$PGDATA" || exit 3"#;

const LOOK: Duration = Duration::from_millis(100);

/// Pauses a side's Patroni and waits until every member says that it sees it.
pub(in crate::engine) async fn pause_patroni(
    at: &mut Side,
    limit: Duration,
) -> Result<(), StepError> {
    let mut config = at.config();
    render::set_pause(&mut config, true);
    at.send_config(&config).await?;
    let (site, cluster) = (&at.site, &at.cluster);
    let settlement = await_until(clock::monotonic() + limit, LOOK, async || {
        let seen = survey_site(site, cluster, Depth::Members).await;
        let seen = seen.map_err(|error| StepError::BasisChanged {
            what: format!("the {} could not be surveyed: {error}", at.part),
        })?;
        let awake = seen
            .members
            .iter()
            .find(|member| !member.freshest().is_ok_and(|status| status.paused));
        Ok::<_, StepError>(match awake {
            None => Look::Settled(()),
            Some(member) => Look::NotYet(format!("{} does not say that it is paused", member.pod)),
        })
    });
    settled(
        "the pause of every member's Patroni",
        limit,
        settlement.await?,
    )
}

/// Makes a stopped side a standby: its configuration first, then the lock is let go, then Patroni goes on.
pub(in crate::engine) async fn resume_as_standby(
    at: &mut Side,
    section: &Map<String, Value>,
    limit: Duration,
) -> Result<(), StepError> {
    let mut config = render::config_as_standby(&at.config(), section);
    at.send_config(&config).await?;
    await_lock_released(at, limit).await?;
    render::set_pause(&mut config, false);
    at.send_config(&config).await
}

async fn await_lock_released(at: &Side, limit: Duration) -> Result<(), StepError> {
    let site = &at.site;
    let name = pgo_v5::lock_name(&at.cluster);
    let locks: Api<Endpoints> = Api::namespaced(site.client.clone(), &site.namespace);
    let settlement = await_until(clock::monotonic() + limit, LOOK, async || {
        let lock = site.call("get", "endpoints", locks.get(&name)).await?;
        let annotations = lock.metadata.annotations.unwrap_or_default();
        let holder = annotations
            .get("leader")
            .filter(|holder| !holder.is_empty());
        Ok::<_, StepError>(match holder {
            None => Look::Settled(()),
            Some(holder) => Look::NotYet(format!("{holder} still holds the lock")),
        })
    });
    settled("the release of the source's lock", limit, settlement.await?)
}

/// On the way back: whatever was under way, Postgres is stopped now, and comes back in recovery.
pub(in crate::engine) async fn stop_for_undo(
    at: &mut Side,
    section: &Map<String, Value>,
    limits: Limits,
) -> Result<(), StepError> {
    let Some(leader) = at.leader() else {
        return Ok(());
    };
    let mut shell = Shell::open(&at.site, &leader, limits.stop)
        .await
        .map_err(StepError::Exec)?;
    // It fails when Postgres has stopped already.
    let stop = "pg_ctl stop -m fast -w -D \"$PGDATA\" >/dev/null 2>&1; true";
    shell
        .run(stop, limits.stop)
        .await
        .map_err(StepError::Exec)?;
    resume_as_standby(at, section, limits.step).await
}
