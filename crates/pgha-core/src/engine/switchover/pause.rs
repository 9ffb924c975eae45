//! The recipe for Patroni before 4.1: paused, Postgres stopped by hand, and a standby before Patroni goes on.
//!
//! Those versions stop a primary at once when its cluster becomes a standby (`ha.py`, `follow`: `immediate-nolock`). The
//! order here is the safety argument: resumed before its configuration says standby, Patroni would start the old primary
//! read-write on its old timeline (patroni issue 1660).

use std::time::Duration;

use k8s_openapi::api::core::v1::Endpoints;
use kube::Api;
use pgha_model::plan::Demotion;

use super::Switchover;
use crate::clock;
use crate::engine::StepError;
use crate::engine::side::settled;
use crate::exec::Shell;
use crate::operator::pgo_v5::{self, render};
use crate::settle::{Look, await_until};
use crate::survey::{Depth, survey_site};

/// Asks Postgres to stop cleanly. Patroni is paused and leaves it alone. The stop is not awaited here: `pg_ctl` looks each
/// 100 ms, and for the end of the last archiving, which comes after the end of the log.
pub(super) const STOP: &str = r#"pg_ctl stop -s -m fast -W -D "$PGDATA" || exit 3"#;

const LOOK: Duration = Duration::from_millis(100);

impl Switchover<'_> {
    /// Whether the source's Patroni needs this recipe.
    pub(in crate::engine) fn pauses(&self) -> bool {
        self.plan.demotion == Demotion::WhilePaused
    }

    /// Pauses the source's Patroni and waits until every member says that it sees it.
    pub(super) async fn pause_patroni(&mut self) -> Result<(), StepError> {
        let mut config = self.source.config();
        render::set_pause(&mut config, true);
        self.source.send_config(&config).await?;
        let limit = self.limits.step;
        let (site, cluster) = (&self.source.site, &self.source.cluster);
        let settlement = await_until(clock::monotonic() + limit, LOOK, async || {
            let seen = survey_site(site, cluster, Depth::Members).await;
            let seen = seen.map_err(|error| StepError::BasisChanged {
                what: format!("the source could not be surveyed: {error}"),
            })?;
            let awake = seen
                .members
                .iter()
                .find(|member| !member.freshest().is_ok_and(|status| status.paused));
            Ok::<_, StepError>(match awake {
                None => Look::Settled(()),
                Some(member) => {
                    Look::NotYet(format!("{} does not say that it is paused", member.pod))
                }
            })
        });
        settled(
            "the pause of every member's Patroni",
            limit,
            settlement.await?,
        )
    }

    /// Makes the stopped source a standby: its configuration first, then the lock is let go, then Patroni goes on.
    pub(in crate::engine) async fn resume_as_standby(&mut self) -> Result<(), StepError> {
        let section = self.source.standby_section(&self.target);
        let mut config = render::config_as_standby(&self.source.config(), &section);
        self.source.send_config(&config).await?;
        self.await_lock_released().await?;
        render::set_pause(&mut config, false);
        self.source.send_config(&config).await
    }

    async fn await_lock_released(&self) -> Result<(), StepError> {
        let (limit, site) = (self.limits.step, &self.source.site);
        let name = pgo_v5::lock_name(&self.source.cluster);
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
    pub(in crate::engine) async fn stop_for_undo(&mut self) -> Result<(), StepError> {
        let limit = self.limits.stop;
        let Some(leader) = self.source.leader() else {
            return Ok(());
        };
        let mut shell = Shell::open(&self.source.site, &leader, limit)
            .await
            .map_err(StepError::Exec)?;
        // It fails when Postgres has stopped already.
        let stop = "pg_ctl stop -m fast -w -D \"$PGDATA\" >/dev/null 2>&1; true";
        shell.run(stop, limit).await.map_err(StepError::Exec)?;
        self.resume_as_standby().await
    }
}
