//! A side that was failed over from becomes a standby again: kept down, compared, what only it holds is kept, and its data is
//! set aside and made anew where it has left the service's history. Nothing is ever deleted.

mod branch;
mod rebuild;
mod tail;

use pgha_model::event::Standing;
use pgha_model::failover::SourceSight;
use pgha_model::plan::{Feed, Step};
use pgha_model::record::{Action, Epoch, MoveRecord};
use pgha_model::rejoin::{KeptTail, RejoinOutcome, Tail};
use serde_json::{Map, Value};

use self::tail::read_tail;
use super::claim::{Intent, claim};
use super::keep_down::{keep_down, without_server};
use super::steps::{Steps, standing_of};
use super::switchover::wait::{await_replay, emit_canary};
use super::{Interrupt, Limits, MoveError, Reporter, Side, StepError};
use crate::clock;
use crate::operator::pgo_v5::render;

/// Where what only one side holds is kept on this machine.
pub trait Keep: Send {
    /// Stores a file under this name; says where.
    fn file(&mut self, name: &str, content: &[u8]) -> std::io::Result<()>;

    /// Where the files are.
    fn folder(&self) -> String;
}

/// Why a side is not a standby of the service yet.
#[derive(Debug)]
pub enum RejoinError {
    /// A step failed.
    Stopped(MoveError),
    /// It has left the service's history: what only it holds is kept, its members stay down, and a rebuild was not asked for.
    NeedsRebuild(Box<KeptTail>),
}

/// A rejoin under way.
pub struct RejoinRun<'k> {
    source: Side,
    target: Side,
    limits: Limits,
    takes_over: Option<(Epoch, Option<Box<MoveRecord>>)>,
    /// Whether data that has left the service's history may be set aside and made anew.
    rebuilds: bool,
    keep: &'k mut dyn Keep,
    /// What the source's object says, or said before a failover, of how to be a standby.
    section: Map<String, Value>,
    /// The primary was told to stop, and does not take writes again yet.
    primary_stopped: bool,
}

/// Whether the source replays what the target writes: on the same timeline, and in recovery.
pub fn follows(source: &Side, target: &Side) -> bool {
    let (Some(own), Some(primary)) = (&source.facts.postgres, &target.facts.postgres) else {
        return false;
    };
    let replayed = own.received_timeline.or(own.recovery_timeline);
    own.in_recovery
        && source.facts.survey.object.standby
        && replayed.is_some()
        && replayed == primary.written_timeline
}

impl<'k> RejoinRun<'k> {
    /// A rejoin of the source to the target.
    pub fn new(
        (source, target): (Side, Side),
        limits: Limits,
        rebuilds: bool,
        keep: &'k mut dyn Keep,
    ) -> Self {
        let section = section_before(&source, &target);
        Self {
            source,
            target,
            limits,
            takes_over: None,
            rebuilds,
            keep,
            section,
            primary_stopped: false,
        }
    }

    /// The same, which takes over an unfinished move.
    #[must_use]
    pub fn taking_over(mut self, epoch: Epoch, record: Option<Box<MoveRecord>>) -> Self {
        self.takes_over = Some((epoch, record));
        self
    }

    /// Carries it out.
    pub async fn run<'a>(
        mut self,
        interrupt: Interrupt,
        report: &'a mut Reporter<'a>,
    ) -> Result<RejoinOutcome, RejoinError> {
        let steps = Steps::new(interrupt, report);
        let ended = Box::pin(self.carry_out(&steps)).await;
        match &ended {
            Ok(_) => steps.end(None, None, None).await,
            Err(RejoinError::NeedsRebuild(_)) => {
                steps.end(Some(Standing::Released), None, None).await;
            }
            Err(RejoinError::Stopped(error)) => {
                let standing = Some(error.standing);
                steps.end(standing, Some(&error.source), None).await;
            }
        }
        ended
    }

    async fn carry_out(&mut self, steps: &Steps<'_>) -> Result<RejoinOutcome, RejoinError> {
        let claimed = steps.steadily(Step::Claim, self.claim(steps)).await;
        claimed.map_err(|failed| stopped(failed, Standing::Unchanged))?;
        let late = |failed| stopped(failed, Standing::Promoted);
        let fenced = steps.gives_up(Step::Fence, self.fence()).await;
        fenced.map_err(late)?;
        steps.stops(Step::Hold, self.hold()).await.map_err(late)?;
        let kept = steps.stops(Step::Prove, self.keep_tail(steps)).await;
        let kept = kept.map_err(late)?;
        let passed = steps
            .gives_up(Step::Verify, self.pass_dead_branch(steps))
            .await;
        passed.map_err(|failed| {
            let nobody = self.primary_stopped;
            stopped(
                failed,
                if nobody {
                    Standing::Fenced
                } else {
                    Standing::Promoted
                },
            )
        })?;
        let mut rebuilt = Vec::new();
        if let Some(tail) = kept.as_ref().filter(|kept| !kept.tail.is_empty) {
            if !self.rebuilds {
                let released = steps.gives_up(Step::Release, self.release()).await;
                released.map_err(late)?;
                return Err(RejoinError::NeedsRebuild(Box::new(tail.clone())));
            }
            let made = steps.gives_up(Step::Prepare, self.rebuild(steps)).await;
            rebuilt = made.map_err(late)?;
        }
        let followed = steps.gives_up(Step::Rejoin, self.follow()).await;
        let following = followed.map_err(late)?;
        let released = steps.gives_up(Step::Release, self.release()).await;
        released.map_err(late)?;
        Ok(RejoinOutcome {
            source: self.source.facts.survey.place.clone(),
            target: self.target.facts.survey.place.clone(),
            tail: kept,
            rebuilt,
            following,
        })
    }

    async fn claim(&mut self, steps: &Steps<'_>) -> Result<((), String), StepError> {
        let over = self.takes_over.as_ref();
        let record = over.and_then(|(_, record)| record.as_deref());
        let before = record.filter(|record| record.action == Action::Rejoin);
        let intent = Intent {
            takes_over: over.map(|(epoch, _)| *epoch),
            before,
            ..Intent::of(Action::Rejoin)
        };
        if let Some(recorded) = before.and_then(|record| record.source.as_ref()) {
            self.source.was_paused(recorded.paused);
        }
        let sides = (&mut self.source, &mut self.target);
        claim(steps, intent, Some(sides.0), Some(sides.1), self.limits).await
    }

    /// At once, before anything is looked at: it may be a second primary.
    async fn fence(&mut self) -> Result<((), String), StepError> {
        let section = without_server(&self.section);
        let limit = self.limits.step;
        let sight = keep_down(&mut self.source, &section, limit, SourceSight::not_down).await?;
        Ok(((), sight.sentences(clock::now()).join(" ")))
    }

    async fn hold(&mut self) -> Result<((), String), StepError> {
        self.source.hold(self.limits.step).await?;
        let evidence = "The source's object says Progressing=False, reason Paused.";
        Ok(((), evidence.to_owned()))
    }

    /// Where the source has left the service's history, and what only it holds, copied to this machine.
    async fn keep_tail(
        &mut self,
        steps: &Steps<'_>,
    ) -> Result<(Option<KeptTail>, String), StepError> {
        let limit = self.limits.step;
        self.await_begun_copies(steps).await?;
        let tail = read_tail(&mut self.source, &mut self.target, limit).await?;
        let Some(tail) = tail else {
            let evidence =
                "The source is on the primary's own history, and holds nothing beside it.";
            return Ok((None, evidence.to_owned()));
        };
        if tail.is_empty {
            let evidence = format!("{} wrote nothing after the fork.", tail.member);
            let kept = KeptTail {
                tail,
                folder: None,
                kept: Vec::new(),
            };
            return Ok((Some(kept), evidence));
        }
        let kept = tail::keep(&self.source, &tail, self.keep).await?;
        let evidence = format!(
            "{}: {} files are kept in {}.",
            said(&tail),
            kept.len(),
            self.keep.folder()
        );
        let kept = KeptTail {
            folder: Some(self.keep.folder()),
            kept,
            tail,
        };
        Ok((Some(kept), evidence))
    }

    /// Every member of the source replays a position that only the target has written.
    async fn follow(&mut self) -> Result<(usize, String), StepError> {
        let limit = self.limits.step;
        let config = render::config_as_standby(&self.source.config(), &self.section);
        let mut config = config;
        render::set_pause(&mut config, false);
        self.source.refresh().await?;
        self.source.send_config(&config).await?;
        let patch = self.source.standby_patch(&self.section, true);
        self.source.send_object(&patch).await?;
        self.target.await_primary(limit).await?;
        let mark = emit_canary(self.target.psql()?).await?;
        self.await_recovery(limit).await?;
        self.source.reconnect(limit).await?;
        let following = await_replay(&mut self.source, mark, limit, Feed::Archive).await?;
        let count = following.len();
        let evidence = format!(
            "{count} members of the source replayed past {mark}, which the primary wrote now."
        );
        Ok((count, evidence))
    }

    async fn await_recovery(&mut self, limit: std::time::Duration) -> Result<(), StepError> {
        if self.source.leader_in_recovery(limit).await? {
            return Ok(());
        }
        Err(StepError::NotSettled {
            what: "a standby at the source",
            limit,
            seen: "no leader of the source is in recovery".to_owned(),
        })
    }

    async fn release(&mut self) -> Result<((), String), StepError> {
        self.source.unhold(self.limits.step).await?;
        Ok(((), "The source's operator works again.".to_owned()))
    }
}

fn said(tail: &Tail) -> String {
    let from = tail.strays.first();
    let from = from.map_or_else(String::new, |stray| {
        format!(" after {} on timeline {}", stray.from, stray.timeline)
    });
    format!(
        "{} has log of its own{from} with {} committed transactions",
        tail.member, tail.committed
    )
}

/// A failover that fenced the source has shortened its section, and kept the old one in its record.
fn section_before(source: &Side, target: &Side) -> Map<String, Value> {
    let own = source.standby_section(target);
    let failovers = [target, source].into_iter().filter_map(|side| {
        let journal = side.journal.as_ref().ok()?;
        let mut epochs = journal.moves.keys().rev();
        let place = &source.facts.survey.place;
        epochs.find_map(|epoch| {
            let failover = journal.readable(*epoch)?.failover.as_ref()?;
            let is_this = failover.source.cluster == place.cluster
                && failover.source.namespace == place.namespace;
            failover.standby_section.clone().filter(|_| is_this)
        })
    });
    let mut before = failovers.filter_map(|section| section.as_object().cloned());
    let shortened = |before: &Map<String, Value>| {
        own.get("host").is_none() && before.get("repoName") == own.get("repoName")
    };
    before.find(shortened).unwrap_or(own)
}

fn stopped((step, error): (Step, StepError), standing: Standing) -> RejoinError {
    let standing = standing_of(&error, standing);
    RejoinError::Stopped(MoveError::new(step, standing, error))
}
