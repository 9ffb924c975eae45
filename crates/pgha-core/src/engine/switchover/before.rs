//! The steps up to the proof: each can be taken back.

use pgha_model::plan::{Feed, Step};
use pgha_model::timeline::Timeline;

use super::Switchover;
use super::pause::pause_patroni;
use super::wait::{await_archived, await_replay, await_setting, emit_canary, switch_segment};
use crate::application::stop;
use crate::engine::StepError;
use crate::engine::branch::holds_history;
use crate::engine::push::push_archived;
use crate::operator::pgo_v5::render;

/// How often an archive-only target asks for log during a move; 5 s otherwise (PostgreSQL documentation, 20.6.3).
pub(super) const POLL_INTERVAL: &str = "200ms";

/// How much log the source of an archive-only move keeps.
const KEPT_LOG: &str = "512MB";

/// For how long the source of a move that streams sends to a receiver that does not answer; 60 s otherwise (PostgreSQL
/// documentation, 20.6.1). One that can is asked for an answer after half of it.
const SENDS_FOR: &str = "3s";

impl Switchover<'_> {
    /// Both operators leave their cluster alone: each is otherwise a second writer of Patroni's configuration.
    pub(super) async fn hold(&mut self) -> Result<((), String), StepError> {
        let limit = self.limits.step;
        tokio::try_join!(self.source.hold(limit), self.target.hold(limit))?;
        let (source, target) = (self.source.told_held(), self.target.told_held());
        let paused = "Both objects say Progressing=False, reason Paused.";
        Ok(((), format!("{paused}{source}{target}")))
    }

    /// The target asks the archive often; that bounds what an archive-only move waits for.
    pub(super) async fn prepare(&mut self) -> Result<((), String), StepError> {
        let mut config = self.target.config();
        render::set_parameter(
            &mut config,
            "wal_retrieve_retry_interval",
            Some(POLL_INTERVAL),
        );
        self.target.send_config(&config).await?;
        self.prepare_source().await?;
        if self.pauses() {
            pause_patroni(&mut self.source, self.limits.step).await?;
        }
        let limit = self.limits.step;
        for psql in &mut self.target.members {
            await_setting(psql, "wal_retrieve_retry_interval", POLL_INTERVAL, limit).await?;
        }
        Ok((
            (),
            format!("Every member of the target looks for log each {POLL_INTERVAL}."),
        ))
    }

    /// What is handed over directly must still be there when the source has stopped: its shutdown checkpoint recycles
    /// every segment that the archive holds. One that streams would not end before a receiver beyond a cut link has answered.
    async fn prepare_source(&mut self) -> Result<(), StepError> {
        let (name, value) = match self.plan.feed {
            Feed::Archive => ("wal_keep_size", KEPT_LOG),
            Feed::Streaming => ("wal_sender_timeout", SENDS_FOR),
        };
        let mut config = self.source.config();
        render::set_parameter(&mut config, name, Some(value));
        self.source.send_config(&config).await?;
        let limit = self.limits.step;
        await_setting(self.source.psql()?, name, value, limit).await
    }

    /// A canary takes the very way that the last records will take.
    pub(super) async fn rehearse(&mut self) -> Result<((), String), StepError> {
        let limit = self.limits.step;
        let psql = self.source.psql()?;
        psql.query("checkpoint", limit)
            .await
            .map_err(StepError::Sql)?;
        let canary = emit_canary(psql).await?;
        let segment = switch_segment(psql).await?;
        await_replay(&mut self.target, canary, limit, self.plan.feed).await?;
        await_archived(self.source.psql()?, &segment, limit).await?;
        push_archived(&mut self.source, &segment, limit).await?;
        self.refuse_dead_branch().await?;
        let written = self.write_to_repositories().await?;
        self.declare_source().await?;
        Ok((
            (),
            format!(
                "The canary at {canary} was replayed on every member of the target; {written}."
            ),
        ))
    }

    /// The application leaves the source while it still takes writes, so that what is under way there can end.
    pub(super) async fn drain(&mut self) -> Result<((), String), StepError> {
        let steps = self.steps.clone();
        let mut tell = |text| steps.note(Step::Drain, text);
        let (site, limit) = (&self.source.site, self.limits.step);
        let stopped = stop(site, &self.application, limit, &mut tell).await;
        Ok((
            (),
            stopped.map_err(|error| StepError::Application(Box::new(error)))?,
        ))
    }

    /// A history of the next timeline in the repository belongs to a dead branch: whoever follows it is lost.
    async fn refuse_dead_branch(&mut self) -> Result<(), StepError> {
        let Some(source) = &self.source.facts.postgres else {
            return Ok(());
        };
        let next = Timeline(source.checkpoint_timeline + 1);
        if holds_history(&mut self.target, next, self.limits.step).await? {
            let history = next.history_file_name();
            return Err(StepError::BasisChanged {
                what: format!("the repository already holds {history}, of a branch that is dead"),
            });
        }
        Ok(())
    }
}
