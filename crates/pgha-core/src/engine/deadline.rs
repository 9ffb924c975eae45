//! A tool that dies between the fence and the promotion leaves nobody primary. A Job at the source, placed when the move is
//! claimed, goes back to it when the move's record has not changed for long enough.
//!
//! Whether it may is decided where everything is decided, on the source's record: the Job takes the move over by a later
//! epoch, and the tool can then neither promote nor go back. It sees the source alone: what the move has left at the target,
//! `kubectl pgha abort` or `resume` puts back. Time is the Job's own monotonic clock, and only silence counts: no two clocks
//! are compared.

mod job;

use std::time::Duration;

use pgha_model::deadline::{Watch, may_go_back, watch};
use pgha_model::event::Standing;
use pgha_model::plan::Step;
use pgha_model::record::{Action, Epoch, Journal, MoveRecord, Stage};
use pgha_model::site::Part;
use pgha_model::unfinished::Course;

pub use self::job::DeadlineJob;
pub(super) use self::job::{await_watching, place};
use super::claim::{Intent, claim};
use super::fence::tell_primary;
use super::restore::{left, restore, state_of};
use super::side::database;
use super::steps::Steps;
use super::switchover::pause::resume_as_standby;
use super::switchover::wait::emit_canary;
use super::{Interrupt, Limits, MoveError, Reporter, Side, StepError};
use crate::client::{CallError, SiteClient};
use crate::clock::{self, Instant};
use crate::journal::read_journal;
use crate::operator::pgo_v5::render;
use crate::settle::{Look, Settlement, await_until};

/// Pause between two looks at the record.
const LOOK: Duration = Duration::from_secs(1);

/// How long a Job watches at most: longer than any writer may be silent.
const LONGEST: Duration = Duration::from_hours(24 * 30);

/// Which move a Job watches.
#[derive(Clone, Debug)]
pub struct Watched {
    /// Its epoch.
    pub epoch: Epoch,
    /// The Job's name.
    pub job: String,
    /// For how long the record may stay as it is.
    pub patience: Duration,
}

/// What a Job is to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Nothing; why, as a clause.
    Over(String),
    /// Go back to the source, from this record.
    GoBack(Box<MoveRecord>),
}

/// Watches a move's record at the source until nothing is left to do, or until it has not changed for too long. An API
/// server that does not answer is asked again: while it does not, nobody's record changes there either. Errs where it answers
/// that the record may not be read: who cannot read watches nothing.
pub async fn await_silence(
    site: &SiteClient,
    cluster: &str,
    watched: &Watched,
) -> Result<Verdict, CallError> {
    let mut last: Option<(Journal, Instant)> = None;
    let settlement = await_until(clock::monotonic() + LONGEST, LOOK, async || {
        let kept = match read_journal(site, cluster).await {
            Ok(kept) => kept,
            Err(error) if error.may_pass() => return Ok(Look::NotYet(())),
            Err(error) => return Err(error),
        };
        let journal = kept.journal;
        let now = clock::monotonic();
        let since = match &last {
            Some((before, since)) if *before == journal => *since,
            _ => now,
        };
        let seen = watch(&journal, watched.epoch, &watched.job);
        last = Some((journal, since));
        Ok::<_, CallError>(match seen {
            Watch::Over(why) => Look::Settled(Verdict::Over(why)),
            Watch::Begun(record) => Look::Settled(Verdict::GoBack(record)),
            Watch::Silence(record) if now - since >= watched.patience => {
                Look::Settled(Verdict::GoBack(record))
            }
            Watch::Silence(_) => Look::NotYet(()),
        })
    });
    Ok(match settlement.await? {
        Settlement::Settled(verdict) => verdict,
        Settlement::TimedOut { .. } => {
            Verdict::Over("no API server has answered for weeks".to_owned())
        }
    })
}

/// Goes back to the source of a move that has fallen silent.
pub struct GoingBack {
    source: Side,
    watched: Watched,
    record: Box<MoveRecord>,
    limits: Limits,
}

impl GoingBack {
    /// From what [`await_silence`] found.
    pub fn new(source: Side, watched: Watched, record: Box<MoveRecord>, limits: Limits) -> Self {
        Self {
            source,
            watched,
            record,
            limits,
        }
    }

    /// Takes the move over, makes the source primary where it is not, and puts it in order. Its record stays open: what was
    /// done at the target is still to be put back. Whether the source had been fenced.
    pub async fn run<'a>(
        mut self,
        interrupt: Interrupt,
        report: &'a mut Reporter<'a>,
    ) -> Result<bool, MoveError> {
        let steps = Steps::new(interrupt, report);
        let ended = Box::pin(self.carry_out(&steps)).await;
        steps.conclude(&ended, Some(Standing::Held), None).await;
        ended
    }

    async fn carry_out(&mut self, steps: &Steps<'_>) -> Result<bool, MoveError> {
        let claimed = steps.steadily(Step::Claim, self.claim(steps)).await;
        claimed.map_err(|failed| left(failed, Standing::Fenced))?;
        let watched = self.watched.epoch;
        if !steps
            .earlier(watched)
            .await
            .is_some_and(|record| may_go_back(&record))
        {
            let what = "the target may have been told to become primary: the source stays as it is";
            let error = StepError::BasisChanged {
                what: what.to_owned(),
            };
            return Err(MoveError::new(
                Step::Claim,
                Standing::PromotionUnknown,
                error,
            ));
        }
        let decided = steps.decide(Stage::Undone, self.limits.step).await;
        decided.map_err(|error| left((Step::Claim, error), Standing::Fenced))?;
        let written = steps.gives_up(Step::Promote, self.make_primary()).await;
        let was_fenced = written.map_err(|failed| left(failed, Standing::Fenced))?;
        let released = steps.gives_up(Step::Release, self.release()).await;
        released.map_err(|failed| left(failed, Standing::Held))?;
        Ok(was_fenced)
    }

    async fn claim(&mut self, steps: &Steps<'_>) -> Result<((), String), StepError> {
        let record = &*self.record;
        let intent = Intent {
            takes_over: Some(record.epoch),
            before: Some(record),
            feed: record.feed,
            demotion: record.demotion,
            deadline_job: Some(&self.watched.job),
            ..Intent::of(Action::Abort)
        };
        claim(steps, intent, Some(&mut self.source), None, self.limits).await
    }

    /// A stop that is under way comes to its end first, so that the source is promoted to a new timeline and never started
    /// again on its old one: the segment of its shutdown checkpoint may be in the archive.
    async fn make_primary(&mut self) -> Result<(bool, String), StepError> {
        let limits = self.limits;
        let source = &mut self.source;
        let state = state_of(source).await?;
        let was_fenced = state.course() == Course::Standby;
        let section = source.standby_section_with(None);
        if was_fenced {
            if state.patroni_paused {
                resume_as_standby(source, &section, limits.step).await?;
            }
            if let Some(leader) = self
                .record
                .side(Part::Source)
                .and_then(|side| side.leader.as_ref())
            {
                source
                    .in_recovery(&database(&leader.pod), limits.stop)
                    .await?;
            }
            tell_primary(source, &section).await?;
        } else if state.patroni_paused {
            // The pause of a move that has stopped nothing: a Postgres that has crashed meanwhile starts only without it.
            let mut config = source.config();
            render::set_pause(&mut config, false);
            source.send_config(&config).await?;
        }
        source.await_primary(limits.promotion).await?;
        let at = emit_canary(source.psql()?).await?;
        let evidence = if was_fenced {
            format!("The source committed at {at} on a new timeline.")
        } else {
            format!("The source had not stopped; it committed at {at}.")
        };
        Ok((was_fenced, evidence))
    }

    async fn release(&mut self) -> Result<((), String), StepError> {
        let state = state_of(&mut self.source).await?;
        let section = self.source.standby_section_with(None);
        let before = self.record.side(Part::Source);
        restore(&mut self.source, state, &section, before, self.limits).await?;
        Ok((
            (),
            "The source's operator works again; the target is as the move has left it.".to_owned(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use pgha_testkit::pgo::PgoSite;
    use pgha_testkit::{Failure, Fault};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_may_not_read_the_record_watches_nothing() {
        let cluster = PgoSite::primary("db", "prod", clock::now()).build();
        let limit = Duration::from_secs(5);
        let site = SiteClient::from_client("core1", "prod", cluster.client(), limit);
        let watched = Watched {
            epoch: Epoch(1),
            job: "db-pgha-1".to_owned(),
            patience: limit,
        };
        cluster.fail(
            Fault::new(Failure::Forbidden)
                .resource("configmaps")
                .times(1),
        );
        await_silence(&site, "db", &watched).await.unwrap_err();
        let seen = await_silence(&site, "db", &watched).await.unwrap();
        assert!(matches!(seen, Verdict::Over(_)), "{seen:?}");
    }
}
