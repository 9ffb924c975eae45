//! An unfinished move put in order: no earlier tool can write any more, and each side is whole again as what it is.
//!
//! Nothing is decided here. A side that is a standby by Patroni's configuration stays one, a side that was told to become
//! primary is seen doing it, settings are put back and both operators work again. Who is to be primary where nobody is, the
//! caller decides, on a proof.

use std::time::Duration;

use pgha_model::event::Standing;
use pgha_model::guard::Guard;
use pgha_model::guard::lifted::sentence;
use pgha_model::plan::{Feed, Step};
use pgha_model::record::{Action, Epoch, MoveRecord, RecordedSide};
use pgha_model::site::Part;
use pgha_model::unfinished::{Course, SideState, Whereabouts, whereabouts};
use serde_json::{Map, Value};

use super::claim::{Intent, claim};
use super::push::push_recovered;
use super::side::settled;
use super::steps::{Steps, standing_of};
use super::switchover::pause::resume_as_standby;
use super::switchover::wait::{await_members, await_replay, emit_canary, switch_segment};
use super::{Aside, Interrupt, Limits, MoveError, Reporter, Side, StepError};
use crate::clock;
use crate::diagnose::chain_of;
use crate::operator::pgo_v5::render;
use crate::settle::{Look, await_until};

/// Pause between two looks at a side that comes to rest.
const LOOK: Duration = Duration::from_millis(200);

/// An unfinished move that is taken over.
pub struct Restoration {
    source: Side,
    target: Side,
    limits: Limits,
    action: Action,
    epoch: Epoch,
    /// Its record, where that can be read: what was there before.
    record: Option<Box<MoveRecord>>,
    /// Whether two standbys are what it was to come to.
    wants_nobody: bool,
    aside: Option<Aside>,
}

impl Restoration {
    /// Takes over the move of this epoch, by this command.
    pub fn new(
        (source, target): (Side, Side),
        action: Action,
        epoch: Epoch,
        record: Option<Box<MoveRecord>>,
        limits: Limits,
    ) -> Self {
        Self {
            source,
            target,
            limits,
            action,
            epoch,
            record,
            wants_nobody: false,
            aside: None,
        }
    }

    /// The same, of a demotion: two standbys are its end.
    #[must_use]
    pub const fn wanting_nobody(mut self, wants: bool) -> Self {
        self.wants_nobody = wants;
        self
    }

    /// The same, with somebody who notes what happens beside it.
    #[must_use]
    pub fn with_aside(mut self, aside: &Aside) -> Self {
        self.aside = Some(aside.clone());
        self
    }

    /// Where the primary is, as both sides stand now; changes nothing, and what it says may change until the move is taken
    /// over.
    pub async fn whereabouts(&mut self) -> Result<Whereabouts, StepError> {
        let source = state_of(&mut self.source).await?;
        let target = state_of(&mut self.target).await?;
        Ok(whereabouts(source, target))
    }

    /// Puts both sides in order, and says where the primary is and in which epoch that was seen. Where nobody is primary, the
    /// record stays open for whoever promotes a side.
    pub async fn run<'a>(
        mut self,
        interrupt: Interrupt,
        report: &'a mut Reporter<'a>,
    ) -> Result<(Whereabouts, Epoch), MoveError> {
        let steps = Steps::new(interrupt, report);
        let steps = match &self.aside {
            Some(aside) => steps.beside(aside),
            None => steps,
        };
        let ended = Box::pin(self.carry_out(&steps)).await;
        let nobody = matches!(ended, Ok((Whereabouts::Nowhere, _))) && !self.wants_nobody;
        let leaves = nobody.then_some(Standing::Fenced);
        steps.conclude(&ended, leaves, None).await;
        ended
    }

    async fn carry_out(&mut self, steps: &Steps<'_>) -> Result<(Whereabouts, Epoch), MoveError> {
        let claimed = steps.steadily(Step::Claim, self.claim(steps)).await;
        claimed.map_err(|failed| left(failed, Standing::Held))?;
        let epoch = steps.epoch().await.unwrap_or(self.epoch);
        let released = Box::pin(self.put_in_order(steps));
        let released = steps.gives_up(Step::Release, released).await;
        let place = released.map_err(|failed| left(failed, Standing::Held))?;
        if place == Whereabouts::Target {
            let followed = Box::pin(self.see_followers());
            let followed = steps.gives_up(Step::Rejoin, followed).await;
            followed.map_err(|failed| left(failed, Standing::Released))?;
        }
        Ok((place, epoch))
    }

    async fn claim(&mut self, steps: &Steps<'_>) -> Result<((), String), StepError> {
        let record = self.record.as_deref();
        let alive = record.filter(|record| record.may_be_alive(clock::now()));
        let lifted: Vec<_> = alive.map(living).into_iter().collect();
        let intent = Intent {
            takes_over: Some(self.epoch),
            before: record,
            lifted: &lifted,
            ..Intent::of(self.action)
        };
        let sides = (Some(&mut self.source), Some(&mut self.target));
        claim(steps, intent, sides.0, sides.1, self.limits).await
    }

    /// The epoch is on every object: what is read now no earlier tool can change.
    async fn put_in_order(
        &mut self,
        steps: &Steps<'_>,
    ) -> Result<(Whereabouts, String), StepError> {
        let states = (
            state_of(&mut self.source).await?,
            state_of(&mut self.target).await?,
        );
        let place = whereabouts(states.0, states.1);
        if !Guard::NotBothPrimary.holds(place != Whereabouts::Both) {
            return Err(StepError::BasisChanged {
                what: "both sides are or will be primary: nothing was released".to_owned(),
            });
        }
        if place != Whereabouts::Source {
            self.source.keep_owners();
            self.target.keep_owners();
        }
        let record = self.record.as_deref();
        let before = |part| record.and_then(|record| record.side(part)).cloned();
        let (source, target) = (before(Part::Source), before(Part::Target));
        let sections = (
            self.source.standby_section(&self.target),
            self.target.standby_section(&self.source),
        );
        let limits = self.limits;
        restore(
            &mut self.source,
            states.0,
            &sections.0,
            source.as_ref(),
            limits,
        )
        .await?;
        restore(
            &mut self.target,
            states.1,
            &sections.1,
            target.as_ref(),
            limits,
        )
        .await?;
        steps.note(
            Step::Release,
            "Both operators work again, and settings are as before.".to_owned(),
        );
        steps.note_left([&self.source, &self.target]);
        for (side, state) in [(&mut self.source, states.0), (&mut self.target, states.1)] {
            await_course(side, state.course(), limits).await?;
            if let Some(doubt) = side.await_agreement(limits.step).await {
                steps.note(Step::Release, format!("Of the {}: {doubt}", side.part));
            }
        }
        if place == Whereabouts::Nowhere && self.action == Action::Resume {
            self.push_last(steps).await;
        }
        let evidence = match place {
            Whereabouts::Source => "The source takes writes; the target is a standby.",
            Whereabouts::Target => "The target takes writes; the source is a standby.",
            Whereabouts::Nowhere | Whereabouts::Both => "Both sides are standbys.",
        };
        Ok((place, evidence.to_owned()))
    }

    /// The segment of the source's shutdown checkpoint, which the archive lacks when the tool died before it had pushed it: a
    /// target that is fed by the archive gets it from there. What it holds is proved afterwards, whatever comes of this.
    async fn push_last(&mut self, steps: &Steps<'_>) {
        let recorded = self.record.as_ref();
        let leader = recorded.and_then(|record| record.source.as_ref()?.leader.clone());
        let leader = leader.as_ref().map(|leader| leader.pod.as_str());
        let limit = self.limits.step;
        let pushed = match self.source.reconnect(limit).await {
            Ok(()) => push_recovered(&mut self.source, leader, limit).await,
            Err(error) => Err(error),
        };
        let text = match pushed {
            Ok(segment) => format!("{segment}, the source's last segment, is in the archive."),
            Err(error) => {
                let because = chain_of(&error);
                format!("The source's last segment was not pushed: {because}.")
            }
        };
        steps.note(Step::Release, text);
    }

    /// Every member of the source replays a position that only the target has written.
    async fn see_followers(&mut self) -> Result<((), String), StepError> {
        let limit = self.limits.step;
        self.target.await_primary(limit).await?;
        let mark = emit_canary(self.target.psql()?).await?;
        // A side that is fed by the archive gets the mark with the end of its segment, which on a quiet database comes at
        // `archive_timeout`, or never.
        switch_segment(self.target.psql()?).await?;
        self.source.reconnect(limit).await?;
        let source = await_replay(&mut self.source, mark, limit, Feed::Archive).await?;
        self.target.reconnect(limit).await?;
        let replicas = self.target.members.get_mut(1..).unwrap_or_default();
        let own = await_members(replicas, mark, limit).await?;
        let count = source.len() + own.len();
        let evidence = format!("{count} members replayed past {mark}, which the target wrote now.");
        Ok(((), evidence))
    }
}

/// Takes an unfinished move over at one side alone, because the other one is gone, and puts that side in order: settings
/// and holds are put back, and a side that was told to become primary is seen doing it. Says what the side is; a standby's
/// record stays open for whoever promotes it.
pub async fn put_in_order_alone<'a>(
    mut side: Side,
    (epoch, record): (Epoch, Option<Box<MoveRecord>>),
    limits: Limits,
    interrupt: Interrupt,
    report: &'a mut Reporter<'a>,
) -> Result<(Course, Epoch), MoveError> {
    let steps = Steps::new(interrupt, report);
    let ended = Box::pin(alone(&mut side, (epoch, record.as_deref()), limits, &steps)).await;
    let nobody = matches!(ended, Ok((Course::Standby, _)));
    let leaves = nobody.then_some(Standing::Fenced);
    steps.conclude(&ended, leaves, None).await;
    ended
}

async fn alone(
    side: &mut Side,
    (epoch, record): (Epoch, Option<&MoveRecord>),
    limits: Limits,
    steps: &Steps<'_>,
) -> Result<(Course, Epoch), MoveError> {
    let part = side.part;
    let claiming = async {
        let intent = Intent {
            takes_over: Some(epoch),
            before: record,
            failover: record.and_then(|record| record.failover.as_ref()),
            // It may still be at work at the side that is gone.
            deadline_job: record.and_then(|record| record.deadline_job.as_deref()),
            ..Intent::of(Action::Failover)
        };
        match part {
            Part::Source => claim(steps, intent, Some(&mut *side), None, limits).await,
            Part::Target => claim(steps, intent, None, Some(&mut *side), limits).await,
        }
    };
    let claimed = steps.steadily(Step::Claim, claiming).await;
    claimed.map_err(|failed| left(failed, Standing::Held))?;
    let epoch = steps.epoch().await.unwrap_or(epoch);
    let releasing = Box::pin(async {
        let state = state_of(side).await?;
        let section = side.standby_section_with(None);
        let before = record.and_then(|record| record.side(part));
        restore(side, state, &section, before, limits).await?;
        await_course(side, state.course(), limits).await?;
        let evidence = match state.course() {
            Course::Primary => "This side is primary, and its operator works.",
            Course::Standby => "This side is a standby, and its operator works.",
        };
        Ok((state.course(), evidence.to_owned()))
    });
    let released = steps.gives_up(Step::Release, releasing).await;
    let course = released.map_err(|failed| left(failed, Standing::Held))?;
    Ok((course, epoch))
}

/// What is told of a tool that was stopped although it may have been at work.
fn living(record: &MoveRecord) -> String {
    let seen = format!("{} had until {}.", record.operator, record.deadline);
    sentence("living-tool", "--take-over", &seen)
}

pub(super) fn left((step, error): (Step, StepError), standing: Standing) -> MoveError {
    let standing = standing_of(&error, standing);
    MoveError::new(step, standing, error)
}

/// What a side is, read from the API server and from Postgres.
pub(super) async fn state_of(side: &mut Side) -> Result<SideState, StepError> {
    side.refresh().await?;
    let pause = side.config().get("pause").and_then(Value::as_bool);
    Ok(SideState {
        config_standby: side.config_says_standby(),
        object_standby: side.object_says_standby(),
        patroni_paused: pause == Some(true),
        writes: side.takes_writes().await,
    })
}

/// Makes the object, Patroni's configuration and the hold agree with what the side is.
pub(super) async fn restore(
    side: &mut Side,
    state: SideState,
    section: &Map<String, Value>,
    before: Option<&RecordedSide>,
    limits: Limits,
) -> Result<(), StepError> {
    side.hold_owners(limits.step).await?;
    let is_standby = state.course() == Course::Standby;
    if is_standby != state.object_standby {
        let patch = side.standby_patch(section, is_standby);
        side.send_object(&patch).await?;
    }
    if is_standby && state.patroni_paused {
        resume_as_standby(side, section, limits.step).await?;
    }
    let mut base = side.config();
    render::set_pause(&mut base, false);
    for name in render::MOVED_SETTINGS {
        let value = before.and_then(|before| before.settings.get(name));
        match value {
            Some(value) => render::set_parameter(&mut base, name, value.as_deref()),
            // Without the record: what no operator renders goes, and the archive is asked as PGO does.
            None if name == "restore_command" => render::forget_no_archive(&mut base),
            None => render::set_parameter(&mut base, name, None),
        }
    }
    let config = if is_standby {
        render::config_as_standby(&base, section)
    } else {
        render::config_as_primary(&base)
    };
    if let Some(before) = before {
        side.was_paused(before.paused);
    } else {
        side.was_paused(None);
    }
    side.release(&config, limits.step).await
}

/// Waits until some member says that the side is what it is to be.
async fn await_course(side: &mut Side, course: Course, limits: Limits) -> Result<(), StepError> {
    let limit = limits.promotion.max(limits.stop);
    if course == Course::Primary {
        return side.await_primary(limit).await;
    }
    let settlement = await_until(clock::monotonic() + limit, LOOK, async || {
        Ok::<_, StepError>(if side.leader_in_recovery(LOOK).await? {
            Look::Settled(())
        } else {
            Look::NotYet(format!(
                "the leader of the {} is not in recovery",
                side.part
            ))
        })
    });
    settled("a standby", limit, settlement.await?)
}
