//! The promotion and what comes after it: nothing here is taken back.

use std::time::Duration;

use pgha_model::login::Logins;
use pgha_model::lsn::Lsn;
use pgha_model::plan::{Feed, Step};

use super::pause::resume_as_standby;
use super::schedule::Schedules;
use super::wait::{await_members, await_replay};
use super::{Proof, Switchover};
use crate::clock;
use crate::engine::StepError;
use crate::engine::promotion::{self, NewPrimary};
use crate::operator::pgo_v5::render;

impl Switchover<'_> {
    /// Tells the target to become primary, and waits until it takes writes; with the write gap as seen from here.
    pub(super) async fn promote(&mut self) -> Result<((NewPrimary, Duration), String), StepError> {
        self.declare_target().await?;
        let section = self.target.standby_section(&self.source);
        let sent = &mut self.reached.promotion_sent;
        if let Some(error) = promotion::send(&mut self.target, &section, sent).await? {
            let text = format!("Patroni's configuration was not written at first: {error}.");
            self.note(Step::Promote, text);
        }
        let primary = promotion::await_primary(&mut self.target, self.limits.promotion).await?;
        let now = clock::monotonic();
        let write_gap = now - self.fenced_at.unwrap_or(now);
        self.parts.promote = write_gap.saturating_sub(self.parts.until_proved());
        let evidence = primary.evidence();
        Ok(((primary, write_gap), evidence))
    }

    /// What the database says of itself, and beside it what programs can do.
    pub(super) async fn verify(
        &mut self,
        proof: &Proof,
        primary: &NewPrimary,
    ) -> Result<((Lsn, Logins), String), StepError> {
        let (programs, limit) = (self.target.programs(), self.limits.step);
        let log_in = Box::pin(promotion::log_in(programs, limit));
        let database = Box::pin(self.verify_database(proof, primary));
        let (verified, logins) = tokio::join!(database, log_in);
        for remark in logins.remarks() {
            self.note(Step::Verify, remark);
        }
        let (fork, evidence) = verified?;
        let evidence = format!("{evidence} {}", logins.evidence());
        Ok(((fork, logins), evidence))
    }

    /// The new history forks where the source ended, the new primary archives, and the source is read-only.
    async fn verify_database(
        &mut self,
        proof: &Proof,
        primary: &NewPrimary,
    ) -> Result<(Lsn, String), StepError> {
        let limit = self.limits.step;
        if self.pauses() {
            let section = self.source.standby_section(&self.target);
            resume_as_standby(&mut self.source, &section, limit).await?;
        }
        if !proof.by_archive
            && let Err(error) = self.start_push(&proof.closure)
        {
            self.note_not_pushed(&error.to_string());
        }
        let (from, end) = (proof.closure.timeline, proof.replayed);
        let fork = promotion::read_fork(&mut self.target, primary, from, end).await?;
        promotion::check_reads_only(&mut self.source, limit).await?;
        self.reached.harmless = true;
        let segment = promotion::archive_segment(&mut self.target, limit).await?;
        self.check_pushed().await;
        Ok((
            fork,
            format!(
                "Timeline {} forks at {fork}, archives {segment}; the source is read-only.",
                primary.timeline
            ),
        ))
    }

    /// The old side needs what was pushed when it cannot stream.
    async fn check_pushed(&mut self) {
        while let Some(pushed) = self.pushing.join_next().await {
            let failed = match pushed {
                Ok(Ok(output)) if output.exit_code == 0 => continue,
                Ok(Ok(output)) => output.stdout.lines().last().unwrap_or_default().to_owned(),
                Ok(Err(error)) => error.to_string(),
                Err(error) => error.to_string(),
            };
            self.note_not_pushed(&crate::diagnose::sanitised(&failed));
        }
    }

    fn note_not_pushed(&self, because: &str) {
        let text = format!("The source's last segment was not pushed: {because}.");
        self.note(Step::Verify, text);
    }

    /// Patroni's configuration is what the operators render, and they work again.
    pub(super) async fn release(&mut self) -> Result<((), String), StepError> {
        let limit = self.limits.step;
        let section = self.source.standby_section(&self.target);
        let as_standby = render::config_as_standby(self.source.config_before(), &section);
        let as_primary = render::config_as_primary(self.target.config_before());
        let (source, target) = tokio::join!(
            self.source.release(&as_standby, limit),
            self.target.release(&as_primary, limit)
        );
        source.and(target)?;
        self.reached.released = true;
        // Where Git says it already, whoever is held is let go right after the move.
        if !self.declares() {
            self.steps.note_left([&self.source, &self.target]);
        }
        Ok((
            (),
            "Settings are as the operators render them, and both operators work again.".to_owned(),
        ))
    }

    /// Every member of both sides has replayed a position that exists only on the new timeline, and backups are made where
    /// the primary is.
    pub(super) async fn rejoin(&mut self, mark: Lsn) -> Result<((), String), StepError> {
        let schedules = Schedules::of(&self.source, &self.target).settle();
        let (members, schedules) =
            tokio::join!(Box::pin(self.await_followers(mark)), Box::pin(schedules));
        for remark in schedules.remarks {
            self.note(Step::Rejoin, remark);
        }
        let evidence = format!(
            "{} members replayed past {mark}, which only the new timeline has; {}.",
            members?, schedules.evidence
        );
        Ok(((), evidence))
    }

    async fn await_followers(&mut self, mark: Lsn) -> Result<usize, StepError> {
        let limit = self.limits.step;
        self.source.reconnect(limit).await?;
        await_replay(&mut self.source, mark, limit, Feed::Archive).await?;
        let replicas = self.target.members.get_mut(1..).unwrap_or_default();
        let followed = await_members(replicas, mark, limit).await?;
        Ok(self.source.members.len() + followed.len())
    }
}
