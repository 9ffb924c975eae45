//! A tool's next request carried out on the world, and what its tool learns of it.

use pgha_model::machine::Cause;
use pgha_model::record::Stage;

use crate::request::{Fate, awaited, copy, is_write, may_fail, site_of};
use crate::script::{Job, Todo};
use crate::tool::{Kind, Tool};
use crate::world::{A, B, Ended, Guards, Object, What, World, Write};

/// What a tool learns.
enum Learned {
    Done,
    /// It will see the same again.
    Again,
    Failed(Cause),
}

/// How a write was answered.
enum Answer {
    Yes,
    /// What it rests on has changed.
    No,
    /// It never arrived.
    Nothing,
    /// It has, or will have, or has not: nobody said.
    Silence,
}

/// Carries out the tool's next request; returns the site whose record was written.
pub(crate) fn perform(
    tool: &mut Tool,
    world: &mut World,
    fate: Fate,
    guards: Guards,
) -> Option<usize> {
    let todo = tool.todo()?;
    let down = match site_of(todo, tool.target) {
        Some(at) => world.sites[at].down,
        None => world.sites.iter().any(|site| site.down) && may_fail(todo),
    };
    let fate = if down { Fate::Refused } else { fate };
    let mut sender = Sender {
        tool,
        world,
        fate,
        guards,
        wrote: None,
    };
    let learned = sender.carry_out(todo);
    let wrote = sender.wrote;
    match learned {
        Learned::Done => tool.advance(),
        Learned::Again => {}
        Learned::Failed(cause) => tool.fail(cause),
    }
    tool.settle();
    wrote
}

struct Sender<'a> {
    tool: &'a mut Tool,
    world: &'a mut World,
    fate: Fate,
    guards: Guards,
    wrote: Option<usize>,
}

impl Sender<'_> {
    fn carry_out(&mut self, todo: Todo) -> Learned {
        if let Some(fulfilled) = awaited(todo, self.tool, self.world, self.guards) {
            return self.wait(todo, fulfilled);
        }
        if !is_write(todo) && self.fate != Fate::Answered {
            return Learned::Failed(Cause::Trouble);
        }
        match todo {
            Todo::Read => self
                .tool
                .read(self.world)
                .map_or_else(Learned::Failed, done),
            Todo::ReadSource => self
                .tool
                .read_source(self.world)
                .map_or_else(Learned::Failed, done),
            Todo::JudgeUntold => self
                .tool
                .judge_untold(self.guards)
                .map_or_else(Learned::Failed, done),
            Todo::Work => Learned::Done,
            Todo::Look(at) => self.look(at),
            Todo::Stamped => {
                self.world.stamped = self.world.stamped.max(self.tool.epoch);
                self.look(A);
                self.look(B)
            }
            Todo::CheckLeader => self.check_leader(),
            Todo::JudgeUndo => self.judge_undo(),
            Todo::JudgeOrder => self.tool.judge_order().map_or_else(Learned::Failed, done),
            Todo::Claim(at) => self.claim(at),
            Todo::Enter(at) => self.enter(at),
            Todo::Decide(stage) => self.decide(stage),
            Todo::End(at) => self.end(at),
            Todo::StampObject(at) | Todo::StampConfig(at) => self.stamp(todo, at),
            Todo::Hold(at) => self.object(at, |seen| Object { held: true, ..seen }, true),
            Todo::FenceObject => {
                self.tool.reached.fence_sent = true;
                self.make_standby(A, true)
            }
            Todo::FenceConfig => self.config(A, true),
            Todo::PromoteObject => self.promote_object(),
            Todo::PromoteConfig => self.promote_config(),
            Todo::UnfenceObject | Todo::UnfenceConfig if !self.tool.was_fenced => Learned::Done,
            Todo::UnfenceObject => self.make_standby(A, false),
            Todo::UnfenceConfig => self.config(A, false),
            Todo::Config(at, standby) => self.config(at, standby),
            Todo::Unhold(at, standby) => self.unhold(at, standby),
            Todo::OrderObject(at) => self.make_standby(at, self.tool.standby[at]),
            Todo::OrderConfig(at) => self.config(at, self.tool.standby[at]),
            Todo::OrderUnhold(at) => self.unhold(at, self.tool.standby[at]),
            Todo::AwaitClosure
            | Todo::AwaitReplay
            | Todo::AwaitStandstill
            | Todo::AwaitPromoted
            | Todo::CheckReadOnly
            | Todo::AwaitUnfenceable
            | Todo::AwaitUnfenced
            | Todo::AwaitOrder(_) => Learned::Failed(Cause::Trouble),
        }
    }

    fn wait(&mut self, todo: Todo, fulfilled: bool) -> Learned {
        // A leader that does not come back is told all the same.
        if todo == Todo::AwaitUnfenceable && self.fate == Fate::Answered {
            return Learned::Done;
        }
        if !fulfilled || self.fate != Fate::Answered {
            return Learned::Failed(Cause::Trouble);
        }
        if todo == Todo::CheckReadOnly {
            self.tool.reached.harmless = true;
        }
        Learned::Done
    }

    fn look(&mut self, at: usize) -> Learned {
        self.tool.look(at, self.world);
        Learned::Done
    }

    fn check_leader(&mut self) -> Learned {
        if self.world.sites[A].writes() {
            Learned::Done
        } else {
            Learned::Failed(Cause::Trouble)
        }
    }

    fn judge_undo(&mut self) -> Learned {
        let source = self.tool.seen[A];
        let is_standby = source.is_some_and(|seen| seen.object.standby || seen.config);
        self.tool.was_fenced = self.tool.reached.fence_sent && is_standby;
        Learned::Done
    }

    fn send(&mut self, site: usize, what: What) -> Answer {
        let write = Write {
            site,
            by: self.tool.id,
            epoch: self.tool.epoch,
            what,
        };
        match self.fate {
            Fate::Refused => Answer::Nothing,
            Fate::Late => {
                self.world.late = Some(write);
                Answer::Silence
            }
            Fate::Answered | Fate::Lost => {
                let applied = self.world.arrive(&write, self.guards);
                if applied && matches!(what, What::Record { .. }) {
                    self.wrote = Some(site);
                }
                match (self.fate, applied) {
                    (Fate::Lost, _) => Answer::Silence,
                    (_, true) => Answer::Yes,
                    (_, false) => Answer::No,
                }
            }
        }
    }

    /// Writes the record. What was refused, or had no answer, is read: one's own words there are an answer.
    fn write_record(&mut self, at: usize, stage: Stage, ended: Ended) -> Learned {
        let record = self.tool.record(stage, ended);
        let fresh = self.tool.fresh[at];
        match self.send(at, What::Record { record, fresh }) {
            Answer::Yes => {
                self.tool.fresh[at] = true;
                return Learned::Done;
            }
            Answer::Nothing => return Learned::Failed(Cause::Trouble),
            Answer::Silence => {
                self.tool.fresh[at] = false;
                return Learned::Again;
            }
            Answer::No => {}
        }
        self.tool.fresh[at] = true;
        let Some(found) = self.world.sites[at].record else {
            return Learned::Again;
        };
        if found == record {
            return Learned::Done;
        }
        // A claim that lost the race has read the record that it will take over now.
        if found.epoch < record.epoch {
            self.tool.over_stage = found.stage;
        }
        let is_other = found.epoch == record.epoch && found.by != record.by;
        if found.epoch > record.epoch || is_other {
            return Learned::Failed(Cause::Superseded);
        }
        if found.epoch == record.epoch && !found.stage.allows(stage) {
            return Learned::Failed(Cause::Trouble);
        }
        Learned::Again
    }

    fn claim(&mut self, at: usize) -> Learned {
        let site = copy(at, self.tool.target);
        let learned = self.write_record(site, self.tool.stage, Ended::Not);
        let last = if self.tool.kind == Kind::Deadline {
            A
        } else {
            B
        };
        if at == last && matches!(learned, Learned::Done) {
            self.tool.reached.claimed = true;
        }
        learned
    }

    fn enter(&mut self, at: usize) -> Learned {
        if self.tool.stage.allows(Stage::Fenced) {
            self.tool.stage = Stage::Fenced;
        }
        match self.write_record(at, self.tool.stage, Ended::Not) {
            // The source's copy counts.
            Learned::Failed(Cause::Trouble) if at == B => Learned::Done,
            learned @ (Learned::Done | Learned::Again | Learned::Failed(_)) => learned,
        }
    }

    fn decide(&mut self, stage: Stage) -> Learned {
        if !self.tool.stage.allows(stage) {
            return Learned::Failed(Cause::Trouble);
        }
        if !self.guards.decision {
            self.tool.stage = stage;
            return Learned::Done;
        }
        let first = 1 - self.tool.target;
        let learned = self.write_record(first, stage, Ended::Not);
        if matches!(learned, Learned::Done) {
            self.tool.stage = stage;
        }
        learned
    }

    fn end(&mut self, at: usize) -> Learned {
        let Job::Ending(standing, _) = self.tool.job else {
            return Learned::Done;
        };
        let took_over = self.tool.took_over();
        let ended = if standing.is_some_and(|standing| standing.leaves_work(took_over)) {
            Ended::Open
        } else {
            Ended::Closed
        };
        self.write_record(copy(at, self.tool.target), Stage::Ended, ended)
    }

    fn stamp(&mut self, todo: Todo, at: usize) -> Learned {
        let is_object = matches!(todo, Todo::StampObject(_));
        let site = &self.world.sites[at];
        let seen = if is_object {
            site.object_epoch
        } else {
            site.config_epoch
        };
        if seen > self.tool.epoch {
            return Learned::Failed(Cause::Superseded);
        }
        if seen == self.tool.epoch {
            return Learned::Done;
        }
        let what = if is_object {
            What::StampObject { seen }
        } else {
            What::StampConfig { seen }
        };
        match self.send(at, what) {
            Answer::Yes => Learned::Done,
            Answer::No => Learned::Again,
            Answer::Nothing | Answer::Silence => Learned::Failed(Cause::Trouble),
        }
    }

    fn object(
        &mut self,
        at: usize,
        wanted: impl Fn(Object) -> Object,
        tests_standby: bool,
    ) -> Learned {
        let Some(before) = self.tool.seen[at] else {
            return Learned::Failed(Cause::Trouble);
        };
        let (seen, wanted) = (before.object, wanted(before.object));
        if seen == wanted {
            return Learned::Done;
        }
        let what = What::Object {
            seen,
            wanted,
            tests_standby,
        };
        let answer = self.send(at, what);
        if matches!(answer, Answer::Yes) {
            self.tool.look(at, self.world);
        }
        self.told(at, &answer)
    }

    /// What an answer means: a refused write was refused for its epoch, or for another value that it rests on.
    fn told(&self, at: usize, answer: &Answer) -> Learned {
        let site = &self.world.sites[at];
        let is_later = site.object_epoch.max(site.config_epoch) > self.tool.epoch;
        match answer {
            Answer::Yes => Learned::Done,
            Answer::No if is_later => Learned::Failed(Cause::Superseded),
            Answer::No | Answer::Nothing | Answer::Silence => Learned::Failed(Cause::Trouble),
        }
    }

    fn make_standby(&mut self, at: usize, standby: bool) -> Learned {
        self.object(at, |seen| Object { standby, ..seen }, true)
    }

    fn unhold(&mut self, at: usize, standby: bool) -> Learned {
        if self.fate == Fate::Refused {
            return Learned::Failed(Cause::Trouble);
        }
        self.tool.look(at, self.world);
        let differs = self.world.sites[at].object.standby != standby;
        if self.guards.release && differs && self.world.sites[at].object.held {
            return Learned::Failed(Cause::Trouble);
        }
        let tests = self.guards.release;
        self.object(
            at,
            |seen| Object {
                held: false,
                ..seen
            },
            tests,
        )
    }

    fn config(&mut self, at: usize, wanted: bool) -> Learned {
        let Some(before) = &mut self.tool.seen[at] else {
            return Learned::Failed(Cause::Trouble);
        };
        let seen = before.config;
        if seen == wanted {
            return Learned::Done;
        }
        let answer = self.send(at, What::Config { seen, wanted });
        if let (Answer::Yes, Some(before)) = (&answer, &mut self.tool.seen[at]) {
            before.config = wanted;
        }
        self.told(at, &answer)
    }

    /// The point of no return, unless it is known that nothing was taken.
    fn promote_object(&mut self) -> Learned {
        let bit = 1 << self.tool.epoch;
        self.world.broken.sent_twice |= self.world.sent & bit != 0;
        self.world.sent |= bit;
        let target = self.tool.target;
        let learned = self.make_standby(target, false);
        let is_known = !matches!(self.fate, Fate::Lost | Fate::Late);
        let is_refused = matches!(learned, Learned::Failed(_)) && is_known;
        self.tool.reached.promotion_sent = !is_refused;
        learned
    }

    /// It only makes the promotion happen sooner, and is sent once more when it fails.
    fn promote_config(&mut self) -> Learned {
        let target = self.tool.target;
        match self.config(target, false) {
            Learned::Failed(_) if !self.tool.again && !self.world.sites[target].down => {
                self.tool.again = true;
                self.look(target);
                Learned::Again
            }
            learned @ (Learned::Done | Learned::Again | Learned::Failed(_)) => learned,
        }
    }
}

fn done<T>(_: T) -> Learned {
    Learned::Done
}
