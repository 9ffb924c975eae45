//! A primary that goes on past a dead branch.
//!
//! A side that came back as a second primary has begun a timeline of its own and left its history in the repository. Whoever
//! asks the archive for the latest timeline follows it: a new copy does not start at all ("requested timeline 3 does not
//! contain minimum recovery point"), and a replica of the primary would not after
//! its next restart. A promotion takes the first timeline that has no history (PostgreSQL source, `timeline.c`,
//! `findNewestTimeLine`): after one the dead branch is no longer the latest, and nothing need be deleted.

use std::time::Duration;

use futures::future::try_join_all;
use pgha_model::plan::{Step, demotion_of, leader_of};
use pgha_model::timeline::Timeline;

use super::RejoinRun;
use super::tail::run;
use crate::clock;
use crate::diagnose::chain_of;
use crate::engine::branch::holds_history;
use crate::engine::fence::Fence;
use crate::engine::keep_down::without_server;
use crate::engine::promotion::{archive_segment, await_primary, timeline_of};
use crate::engine::side::{database, settled};
use crate::engine::steps::Steps;
use crate::engine::switchover::wait::emit_canary;
use crate::engine::{Side, StepError};
use crate::operator::pgo_v5::render;
use crate::settle::{Look, await_until};

/// Pause between two tries.
const LOOK: Duration = Duration::from_millis(200);

impl RejoinRun<'_> {
    /// Sees that the latest timeline of the repository is the primary's. Where it is not, the primary is stopped and promoted
    /// again if a rebuild was asked for; else that is told.
    pub(super) async fn pass_dead_branch(
        &mut self,
        steps: &Steps<'_>,
    ) -> Result<((), String), StepError> {
        let limit = self.limits.step;
        self.target.await_primary(limit).await?;
        let timeline = timeline_of(self.target.psql()?).await?;
        let dead = Timeline(timeline.0 + 1);
        if !holds_history(&mut self.target, dead, limit).await? {
            let evidence = format!("No timeline in the repository is later than {timeline}.");
            return Ok(((), evidence));
        }
        let history = dead.history_file_name();
        let found =
            format!("The repository holds {history}, of a branch that the primary is not on");
        if !self.rebuilds {
            let told = "a new copy would follow it, and so would a replica of the primary that is started again";
            return Ok(((), format!("{found}: {told}.")));
        }
        steps.note(
            Step::Verify,
            format!("{found}: the primary is stopped and promoted past it."),
        );
        let (later, gap) = self.promote_past(&history).await?;
        let evidence = format!(
            "The primary is on timeline {later}, past {history}, after {:.1} s without writes.",
            gap.as_secs_f64()
        );
        Ok(((), evidence))
    }

    /// Stops the primary cleanly and promotes it on the first timeline that nobody has used; how long nobody wrote.
    ///
    /// While it is in recovery it does not ask the archive: it would follow the dead branch itself. Instead the dead history
    /// is put into its log, where a promotion looks as well (`xlogarchive.c`, `RestoreArchivedFile`).
    async fn promote_past(&mut self, history: &str) -> Result<(Timeline, Duration), StepError> {
        let limits = self.limits;
        let leader = leader_of(&self.target.facts).ok_or_else(|| StepError::BasisChanged {
            what: "the primary has no leader".to_owned(),
        })?;
        let fence = Fence {
            section: without_server(&self.target.standby_section(&self.source)),
            demotion: demotion_of(&self.target.facts),
            leader,
            asks_archive: false,
        };
        self.at_each_member(&fetch(&self.target, history)?, limits.step)
            .await?;
        // The end of its log is past the fork then: a member in recovery that sees the dead history stays on its own.
        emit_canary(self.target.psql()?).await?;
        self.target.hold(limits.step).await?;
        let config = self.target.config();
        let mut begun = None;
        let stopped = fence.stop(&mut self.target, limits, &mut begun).await;
        let Some(begun) = begun else {
            self.target.release(&config, limits.step).await?;
            stopped?;
            return Err(StepError::BasisChanged {
                what: "the primary was not told to stop".to_owned(),
            });
        };
        // Whatever came of the stop: what was told is taken back.
        self.primary_stopped = true;
        self.target.leader_in_recovery(limits.stop).await?;
        self.place(history).await?;
        fence.take_back(&mut self.target, limits).await?;
        self.target.await_primary(limits.promotion).await?;
        let primary = await_primary(&mut self.target, limits.promotion).await?;
        self.primary_stopped = false;
        let gap = clock::monotonic() - begun;
        self.at_each_member(&forget(history), limits.step).await?;
        archive_segment(&mut self.target, limits.step).await?;
        self.target.release(&config, limits.step).await?;
        Ok((primary.timeline, gap))
    }

    /// Nobody is primary while this is tried: a container that cannot be asked now is asked again.
    async fn place(&self, history: &str) -> Result<(), StepError> {
        let limit = self.limits.step;
        let script = place(history);
        let settlement = await_until(clock::monotonic() + limit, LOOK, async || {
            Ok::<_, StepError>(match self.at_each_member(&script, limit).await {
                Ok(()) => Look::Settled(()),
                Err(error) => Look::NotYet(chain_of(&error)),
            })
        });
        settled("the dead history in every log", limit, settlement.await?)
    }

    async fn at_each_member(&self, script: &str, limit: Duration) -> Result<(), StepError> {
        let target = &self.target;
        let runs = target
            .facts
            .survey
            .members
            .iter()
            .map(async |member| run(&target.site, &database(&member.pod), script, limit).await);
        try_join_all(runs).await.map(drop)
    }
}

/// Where a member keeps the dead history until it is needed.
fn kept(history: &str) -> String {
    format!("/tmp/pgha-{history}")
}

fn fetch(side: &Side, history: &str) -> Result<String, StepError> {
    let facts = side.facts.postgres.as_ref();
    let restore = facts.map_or("", |facts| facts.restore_command.as_str());
    render::fetch_command(restore, history, &kept(history)).ok_or_else(|| StepError::BasisChanged {
        what: format!("{history} cannot be fetched by {restore}"),
    })
}

fn place(history: &str) -> String {
    format!("cp -- {} \"$PGDATA/pg_wal/{history}\"", kept(history))
}

fn forget(history: &str) -> String {
    format!("rm -f -- {} \"$PGDATA/pg_wal/{history}\"", kept(history))
}
