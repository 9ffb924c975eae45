//! A tool: the real machine, and the requests by which its commands are carried out.

use pgha_model::event::Standing;
use pgha_model::machine::{Cause, Command, End, Machine, Observation, Reached};
use pgha_model::record::Stage;
use pgha_model::unfinished::{Course, Whereabouts, whereabouts};

use crate::script::{Job, Leg, Then, Todo};
use crate::world::{A, B, Ended, Guards, Object, Record, Site, World, Write};

/// Which command it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Switchover,
    Resume,
    Abort,
    /// The Job at the source, which takes a move over there alone.
    Deadline,
}

/// Whether it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Run {
    /// It may begin.
    Idle,
    Busy,
    Dead,
    /// It has ended, and said this.
    Over(Option<Standing>),
}

/// What a tool last saw of a side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Seen {
    pub(crate) object: Object,
    pub(crate) config: bool,
    pub(crate) writes: bool,
}

impl Seen {
    fn of(site: &Site) -> Self {
        Self {
            object: site.object,
            config: site.config,
            writes: site.writes(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Tool {
    pub(crate) id: u8,
    pub(crate) kind: Kind,
    pub(crate) run: Run,
    pub(crate) job: Job,
    pub(crate) at: usize,
    machine: Machine,
    pub(crate) reached: Reached,
    pub(crate) epoch: u8,
    /// The unfinished move that it takes over.
    over: u8,
    /// What the record of that move said when it was taken over.
    pub(crate) over_stage: Stage,
    /// What its record says.
    pub(crate) stage: Stage,
    /// Whether nobody has written the record of a site since this tool saw it.
    pub(crate) fresh: [bool; 2],
    pub(crate) seen: [Option<Seen>; 2],
    /// What each side is to be, once that is judged.
    pub(crate) standby: [bool; 2],
    /// Which side is to be promoted.
    pub(crate) target: usize,
    pub(crate) was_fenced: bool,
    /// The second write of a promotion is sent once more.
    pub(crate) again: bool,
}

impl Tool {
    pub(crate) const fn new(id: u8, kind: Kind) -> Self {
        let (machine, command) = Machine::begin();
        let job = match kind {
            Kind::Switchover => Job::Command(command),
            Kind::Resume | Kind::Abort => Job::TakeOver,
            Kind::Deadline => Job::TakeSource,
        };
        Self {
            id,
            kind,
            run: Run::Idle,
            job,
            at: 0,
            machine,
            reached: NOTHING,
            epoch: 0,
            over: 0,
            over_stage: Stage::Preparing,
            stage: Stage::Preparing,
            fresh: [false; 2],
            seen: [None; 2],
            standby: [false, true],
            target: B,
            was_fenced: false,
            again: false,
        }
    }

    pub(crate) const fn is_active(&self) -> bool {
        matches!(self.run, Run::Busy)
    }

    /// Whether it has already looked for what it has to take back where this was written.
    pub(crate) fn is_past_undo(&self, write: &Write) -> bool {
        let is_past = match self.job {
            Job::Command(Command::Undo) => self.at > write.site,
            Job::Promotion(Leg::Back) | Job::Ending(..) => true,
            Job::Command(_)
            | Job::TakeOver
            | Job::TakeSource
            | Job::GoBack
            | Job::Order
            | Job::Promotion(_) => false,
        };
        is_past && self.epoch == write.epoch
    }

    /// Whether it has ended and says that nothing is left to do.
    pub(crate) const fn is_content(&self) -> bool {
        match self.run {
            Run::Over(None | Some(Standing::Unchanged | Standing::BackAtSource)) => true,
            Run::Over(Some(_)) | Run::Idle | Run::Busy | Run::Dead => false,
        }
    }

    pub(crate) fn todo(&self) -> Option<Todo> {
        self.job.script().get(self.at).copied()
    }

    pub(crate) fn look(&mut self, at: usize, world: &World) {
        self.seen[at] = Some(Seen::of(&world.sites[at]));
    }

    /// The record as it would write it.
    pub(crate) fn record(&self, stage: Stage, ended: Ended) -> Record {
        Record {
            epoch: self.epoch,
            by: self.id,
            stage,
            ended,
        }
    }

    /// Reads records and sides before anything is written; `Err` when it is refused.
    pub(crate) fn read(&mut self, world: &World) -> Result<(), Cause> {
        self.look(A, world);
        self.look(B, world);
        let is_begin = matches!(self.job, Job::TakeOver);
        if is_begin {
            let open = world
                .newest()
                .filter(|record| record.ended != Ended::Closed);
            self.over = open.ok_or(Cause::Trouble)?.epoch;
            let place = whereabouts(world.sites[A].state(), world.sites[B].state());
            let too_late = self.kind == Kind::Abort && place == Whereabouts::Target;
            if too_late || place == Whereabouts::Both {
                return Err(Cause::Trouble);
            }
        }
        if matches!(self.job, Job::Command(_))
            && (!world.sites[A].writes() || world.sites[B].writes())
        {
            return Err(Cause::Trouble);
        }
        let may_pass = |record: Record| record.ended == Ended::Closed || record.epoch <= self.over;
        if !world
            .sites
            .iter()
            .filter_map(|site| site.record)
            .all(may_pass)
        {
            return Err(Cause::Trouble);
        }
        let epochs = world
            .sites
            .iter()
            .flat_map(|site| [site.record_epoch(), site.object_epoch, site.config_epoch]);
        self.epoch = epochs.max().unwrap_or_default() + 1;
        self.stage = Stage::Preparing;
        self.fresh = [true; 2];
        Ok(())
    }

    /// Reads the source's record, where a move is under way; the other site is not seen.
    pub(crate) fn read_source(&mut self, world: &World) -> Result<(), Cause> {
        let source = &world.sites[A];
        let open = source.record.filter(|record| record.ended == Ended::Not);
        let record = open.ok_or(Cause::Trouble)?;
        (self.over, self.over_stage) = (record.epoch, record.stage);
        let epochs = [
            source.record_epoch(),
            source.object_epoch,
            source.config_epoch,
        ];
        self.epoch = epochs.into_iter().max().unwrap_or_default() + 1;
        self.stage = Stage::Preparing;
        self.fresh = [true, false];
        Ok(())
    }

    /// Whether the target cannot have been told, by the record as it was at the moment of the take-over.
    pub(crate) fn judge_untold(&mut self, guards: Guards) -> Result<(), Cause> {
        let source = self.seen[A].map(state).ok_or(Cause::Trouble)?;
        self.was_fenced = source.config_standby || source.object_standby;
        // It may have ended, at the target too, since it was read.
        let is_untold = !matches!(self.over_stage, Stage::Promoting | Stage::Ended);
        if guards.untold && !is_untold {
            return Err(Cause::Trouble);
        }
        Ok(())
    }

    /// What both sides are to be, from what was seen of them.
    pub(crate) fn judge_order(&mut self) -> Result<(), Cause> {
        let [Some(source), Some(target)] = self.seen.map(|seen| seen.map(state)) else {
            return Err(Cause::Trouble);
        };
        if whereabouts(source, target) == Whereabouts::Both {
            return Err(Cause::Trouble);
        }
        self.standby = [source, target].map(|side| side.course() == Course::Standby);
        Ok(())
    }

    pub(crate) const fn took_over(&self) -> bool {
        self.over != 0
    }

    /// The next thing to do; at the end of a script, what comes of it.
    pub(crate) fn advance(&mut self) {
        self.at += 1;
        self.settle();
    }

    pub(crate) fn settle(&mut self) {
        while self.is_active() && self.at >= self.job.script().len() {
            self.succeed();
        }
    }

    fn begin(&mut self, job: Job) {
        self.job = job;
        self.at = 0;
        self.again = false;
    }

    fn stop(&mut self, standing: Option<Standing>) {
        self.become_one(Run::Over(standing));
    }

    /// It does nothing any more: where it stopped no longer matters.
    pub(crate) fn become_one(&mut self, run: Run) {
        *self = Self {
            run,
            ..Self::new(self.id, self.kind)
        };
    }

    /// The machine, told.
    fn tell(&mut self, seen: Observation) {
        let (machine, command) = self.machine.step(seen, self.reached);
        self.machine = machine;
        match command {
            Command::Stop(End::Done) => self.begin(Job::Ending(None, Then::Stop)),
            Command::Stop(End::Left(standing)) => self.end(standing),
            next @ (Command::Perform(_)
            | Command::Decide(_)
            | Command::Undo
            | Command::ReleaseAllTheSame) => self.begin(Job::Command(next)),
        }
    }

    /// Writes the end, where there is a record and it may be written.
    fn end(&mut self, standing: Standing) {
        if standing == Standing::Superseded || !self.reached.claimed {
            self.stop(Some(standing));
        } else {
            self.begin(Job::Ending(Some(standing), Then::Stop));
        }
    }

    fn succeed(&mut self) {
        match self.job {
            Job::Command(Command::Undo) => {
                let was_fenced = self.was_fenced;
                self.tell(Observation::Undone { was_fenced });
            }
            Job::Command(_) => self.tell(Observation::Settled),
            Job::TakeOver => self.begin(Job::Order),
            Job::Order => self.go_on(),
            Job::TakeSource => self.begin(Job::GoBack),
            // What the move has left at the target is still to be put back.
            Job::GoBack => self.begin(Job::Ending(Some(Standing::Held), Then::StopAtSource)),
            Job::Promotion(Leg::Claim) => self.begin(Job::Promotion(Leg::Hold)),
            Job::Promotion(Leg::Hold) => self.begin(Job::Promotion(Leg::Send)),
            Job::Promotion(Leg::Send) => self.begin(Job::Promotion(Leg::Verify)),
            Job::Promotion(Leg::Verify) => {
                self.standby[self.target] = false;
                self.begin(Job::Promotion(Leg::Release));
            }
            Job::Promotion(Leg::Release) => self.begin(Job::Ending(None, Then::Stop)),
            Job::Promotion(Leg::Back) => self.end(Standing::Unchanged),
            Job::Ending(standing, then) => self.after_end(standing, then),
        }
    }

    /// Both sides are in order: what is left to do depends on where the primary is.
    fn go_on(&mut self) {
        let then = match (self.standby, self.kind) {
            ([true, true], Kind::Abort) => Then::Promote(A),
            ([true, true], _) => Then::Promote(B),
            ([false, _], Kind::Resume) => Then::Move,
            (_, _) => Then::Stop,
        };
        let left = matches!(then, Then::Promote(_)).then_some(Standing::Fenced);
        self.begin(Job::Ending(left, then));
    }

    fn after_end(&mut self, standing: Option<Standing>, then: Then) {
        match then {
            Then::Stop | Then::StopAtSource => self.stop(standing),
            Then::Fail(cause) => self.fail(cause),
            Then::Promote(target) => {
                self.over = self.epoch;
                self.target = target;
                self.reached = NOTHING;
                self.begin(Job::Promotion(Leg::Claim));
            }
            Then::Move => {
                *self = Self {
                    run: Run::Busy,
                    ..Self::new(self.id, Kind::Switchover)
                };
            }
        }
    }

    /// What was being done failed.
    pub(crate) fn fail(&mut self, cause: Cause) {
        let is_half_claimed = self.todo() == Some(Todo::Claim(B));
        match self.job {
            Job::Ending(_, Then::Fail(cause)) => self.after_claim(cause),
            // What cannot be written of the end is told.
            Job::Ending(..) => self.advance(),
            _ if is_half_claimed => {
                self.begin(Job::Ending(Some(Standing::Unchanged), Then::Fail(cause)));
            }
            Job::TakeSource | Job::GoBack => self.fail_at_source(cause),
            Job::Command(_) | Job::TakeOver | Job::Order | Job::Promotion(_) => {
                self.after_claim(cause);
            }
        }
    }

    /// Its record, where there is one, stays open: the source may be as it was, or half made primary.
    fn fail_at_source(&mut self, cause: Cause) {
        if cause == Cause::Superseded || !self.reached.claimed {
            self.stop(Some(Standing::Superseded));
        } else {
            self.begin(Job::Ending(Some(Standing::Fenced), Then::StopAtSource));
        }
    }

    fn after_claim(&mut self, cause: Cause) {
        let or = |standing| match cause {
            Cause::Superseded => Standing::Superseded,
            Cause::Trouble | Cause::Interrupted | Cause::GivenUp => standing,
        };
        match self.job {
            Job::Command(_) => self.tell(Observation::Failed(cause)),
            // Only whoever could not claim writes its end this way, and it has no record any more.
            Job::Ending(..) if self.kind == Kind::Switchover => {
                self.tell(Observation::Failed(cause));
            }
            Job::Ending(..) => self.stop(Some(or(Standing::Unchanged))),
            Job::TakeOver | Job::Order | Job::TakeSource | Job::GoBack => {
                self.end(or(Standing::Held));
            }
            Job::Promotion(Leg::Claim) => self.end(or(Standing::Unchanged)),
            Job::Promotion(_) if cause == Cause::Superseded => self.end(Standing::Superseded),
            Job::Promotion(Leg::Send) if self.reached.promotion_sent => {
                self.end(Standing::PromotionUnknown);
            }
            Job::Promotion(Leg::Hold | Leg::Send) => self.begin(Job::Promotion(Leg::Back)),
            Job::Promotion(Leg::Back) => self.end(Standing::Held),
            Job::Promotion(Leg::Verify | Leg::Release) => self.end(Standing::Promoted),
        }
    }
}

fn state(seen: Seen) -> pgha_model::unfinished::SideState {
    pgha_model::unfinished::SideState {
        config_standby: seen.config,
        object_standby: seen.object.standby,
        patroni_paused: false,
        writes: seen.writes,
    }
}

const NOTHING: Reached = Reached {
    claimed: false,
    fence_sent: false,
    promotion_sent: false,
    harmless: false,
    released: false,
};
