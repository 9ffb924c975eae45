//! The promotion and what comes after it: nothing here is taken back.

use std::time::Duration;

use pgha_model::effect::Effect;
use pgha_model::login::Logins;
use pgha_model::lsn::Lsn;
use pgha_model::plan::Step;
use pgha_model::timeline::{History, Timeline};

use super::schedule::Schedules;
use super::wait::{await_archived, await_members, await_replay, emit_canary};
use super::{NewPrimary, Operators, Proof, Switchover};
use crate::clock::{self, Instant};
use crate::diagnose::Diagnose as _;
use crate::engine::StepError;
use crate::operator::pgo_v5::render;
use crate::postgres::ANSWER_TIME;

/// How long each login is tried: `PgBouncer` lets nobody in for 15 s after its own login has failed (its documentation,
/// `server_login_retry`).
const LOGIN_LIMIT: Duration = Duration::from_secs(20);

impl Switchover<'_> {
    /// Tells the target to become primary: the operator's object first, the point of no return; then Patroni's own
    /// configuration, which only makes it happen sooner.
    pub(super) async fn send_promotion(&mut self) -> Result<(), StepError> {
        let section = self.target.standby_section(&self.source);
        let object = self.target.standby_patch(&section, false);
        let config = render::config_as_primary(&self.target.config());
        self.reached.promotion_sent = true;
        if let Err(error) = self.target.send_object(&object).await {
            // A request that was refused has changed nothing, and the way back is open.
            let refused = matches!(&error, StepError::Call(call) if call.effect() == Effect::None);
            self.reached.promotion_sent = !refused;
            return Err(error);
        }
        if let Err(error) = self.target.send_config(&config).await {
            self.note(
                Step::Promote,
                format!("Patroni's configuration was not written: {error}."),
            );
            self.target.refresh().await?;
            let config = render::config_as_primary(&self.target.config());
            self.target.send_config(&config).await?;
        }
        Ok(())
    }

    /// Waits until the target takes writes, and commits the first one.
    pub(super) async fn await_primary(&mut self, fenced: Instant) -> Result<NewPrimary, StepError> {
        let begun = clock::monotonic();
        let limit = self.limits.promotion;
        let psql = self.target.psql()?;
        if !psql.await_promotion(limit).await.map_err(StepError::Sql)? {
            return Err(StepError::NotSettled {
                what: "the promotion",
                limit,
                seen: format!("{} is still in recovery", psql.member()),
            });
        }
        let mark = emit_canary(psql).await?;
        let write_gap = clock::monotonic() - fenced;
        self.parts.promote = write_gap.saturating_sub(self.parts.until_proved());
        let timeline = timeline_of(psql).await?;
        let member = psql.member().to_owned();
        let evidence =
            format!("{member} is out of recovery on timeline {timeline} and committed at {mark}.");
        self.end(Step::Promote, begun, evidence);
        Ok(NewPrimary {
            write_gap,
            timeline,
            mark,
        })
    }

    /// What the database says of itself, and beside it what programs can do.
    pub(super) async fn verify(
        &mut self,
        proof: &Proof,
        primary: &NewPrimary,
    ) -> Result<((Lsn, Logins), String), StepError> {
        let programs = self.target.programs();
        let limit = self.limits.step.min(LOGIN_LIMIT);
        let log_in = async move {
            match programs {
                Some(programs) => programs.log_in(limit).await,
                None => Logins::default(),
            }
        };
        let database = Box::pin(self.verify_database(proof, primary));
        let (verified, logins) = tokio::join!(database, Box::pin(log_in));
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
            self.resume_as_standby().await?;
        }
        let psql = self.target.psql()?;
        let file = primary.timeline.history_file_name();
        let history = format!("select pg_read_file('pg_wal/{file}')");
        let history = psql
            .query(&history, ANSWER_TIME)
            .await
            .map_err(StepError::Sql)?;
        let history = History::from_file(&history).map_err(|error| StepError::BasisChanged {
            what: format!("{file} cannot be read: {error}"),
        })?;
        let fork = proof
            .closure
            .judge_fork(primary.timeline, &history, proof.replayed)
            .map_err(StepError::NotProved)?;
        self.check_source_reads_only(limit).await?;
        self.reached.operators = Operators::Harmless;
        let psql = self.target.psql()?;
        let segment = "select pg_walfile_name(pg_current_wal_insert_lsn())";
        let segment = psql
            .query(segment, ANSWER_TIME)
            .await
            .map_err(StepError::Sql)?;
        psql.query("select pg_switch_wal()", ANSWER_TIME)
            .await
            .map_err(StepError::Sql)?;
        await_archived(psql, &segment, limit).await?;
        self.check_pushed().await;
        Ok((
            fork,
            format!(
                "Timeline {} forks at {fork}, archives {segment}; the source is read-only.",
                primary.timeline
            ),
        ))
    }

    /// The push may outlast the promotion of a streaming target; the old side needs it when it cannot stream.
    async fn check_pushed(&mut self) {
        while let Some(pushed) = self.pushing.join_next().await {
            let failed = match pushed {
                Ok(Ok(output)) if output.exit_code == 0 => continue,
                Ok(Ok(output)) => output.stdout.lines().last().unwrap_or_default().to_owned(),
                Ok(Err(error)) => error.to_string(),
                Err(error) => error.to_string(),
            };
            let failed = crate::diagnose::sanitised(&failed);
            self.note(
                Step::Verify,
                format!("The source's last segment was not pushed: {failed}."),
            );
        }
    }

    async fn check_source_reads_only(&mut self, limit: Duration) -> Result<(), StepError> {
        self.source.reconnect(limit).await?;
        for psql in &mut self.source.members {
            let row = psql.query("select pg_is_in_recovery()", ANSWER_TIME).await;
            if row.map_err(StepError::Sql)?.trim() != "t" {
                return Err(StepError::BasisChanged {
                    what: format!(
                        "{} of the source takes writes: both sides are primary",
                        psql.member()
                    ),
                });
            }
        }
        Ok(())
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
        self.reached.operators = Operators::Released;
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
        await_replay(&mut self.source, mark, limit).await?;
        let replicas = self.target.members.get_mut(1..).unwrap_or_default();
        let followed = await_members(replicas, mark, limit).await?;
        Ok(self.source.members.len() + followed.len())
    }
}

async fn timeline_of(psql: &mut crate::postgres::Psql) -> Result<Timeline, StepError> {
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
