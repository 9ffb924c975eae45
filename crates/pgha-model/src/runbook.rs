//! The procedure by which people move such a service by hand, and what of a move takes the place of each part of it.
//!
//! The parts are those of the run book for a ZITADEL service that two clusters of PGO share, in its order; what a person does
//! there is said for any service. What that run book does not have and a move does comes after it.

mod tasks;

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

pub use self::tasks::{Doer, TASKS, Task};
use crate::event::{Event, Follower};
use crate::plan::Step;
use crate::record::{Action, Epoch, MoveRecord};

/// One task of the procedure, and what has become of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Which.
    #[serde(flatten)]
    pub task: &'static Task,
    /// What has become of it.
    pub answer: Answer,
    /// Why it was not done, as full sentences; nothing of one that was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// What did it and proved it, in order.
    pub proofs: Vec<Proof>,
}

/// What has become of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Answer {
    /// It was done and proved.
    Proved,
    /// The move was not to do it.
    NotPart,
    /// The record does not say whether it was to be done.
    Untold,
    /// It was done and proved, and then the move was taken back.
    TakenBack,
    /// The move did not come so far.
    NotReached,
    /// It was begun and not proved.
    NotProved,
}

/// Something that a record says.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Proof {
    /// The record.
    #[serde(rename = "move")]
    pub epoch: Epoch,
    /// Which event of it, counted from zero; `None` of what the record says beside its events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<usize>,
    /// What did it, one word.
    pub by: &'static str,
    /// When it was proved, by the writer's clock.
    pub at: Timestamp,
    /// How long it took, where that is known.
    #[serde(
        rename = "tookSeconds",
        skip_serializing_if = "Option::is_none",
        serialize_with = "crate::seconds::optional::serialize"
    )]
    pub took: Option<Duration>,
    /// What was seen, as full sentences.
    pub said: String,
}

/// What has come of one who does a part of a task.
struct Part {
    answer: Answer,
    proofs: Vec<Proof>,
}

/// A move with everything that was recorded of it.
#[derive(Clone, Debug, Default)]
pub struct Story<'a> {
    /// Its records, oldest first: the last one goes on with the one before, and so on.
    pub chain: Vec<&'a MoveRecord>,
    /// The records of the owners that were let go after it.
    pub releases: Vec<&'a MoveRecord>,
}

/// Whether an action is one that the procedure is of.
pub const fn is_of(action: Action) -> bool {
    match action {
        Action::Switchover | Action::Demote | Action::Promote | Action::Failover => true,
        Action::Rejoin | Action::Release | Action::Resume | Action::Abort => false,
    }
}

/// The whole procedure as the records of a move answer it; empty where none of them is of it.
pub fn runbook(story: &Story<'_>) -> Vec<Row> {
    let is_told = story.chain.iter().any(|record| is_of(record.action));
    let tasks = TASKS.iter().filter(|_| is_told);
    tasks.map(|task| row(task, story)).collect()
}

fn row(task: &'static Task, story: &Story<'_>) -> Row {
    let parts = task.by.iter().flat_map(|doer| story.parts(*doer));
    let parts: Vec<Part> = parts.collect();
    let answers = || parts.iter().map(|part| part.answer);
    let worst = answers().max().unwrap_or(Answer::NotPart);
    // What was not to be done, or is not told, takes nothing away from what was.
    let answer = if worst <= Answer::Untold && answers().any(|it| it == Answer::Proved) {
        Answer::Proved
    } else {
        worst
    };
    Row {
        task,
        answer,
        because: because(task, answer),
        proofs: parts.into_iter().flat_map(|part| part.proofs).collect(),
    }
}

fn because(task: &Task, answer: Answer) -> Option<String> {
    let text = match answer {
        Answer::Proved => return None,
        Answer::NotPart => task.otherwise,
        Answer::Untold => "The record does not say whether it was to be done.",
        Answer::TakenBack => "The move was taken back afterwards.",
        Answer::NotReached => "The move did not come so far.",
        Answer::NotProved => "It was begun, and was not seen to be so.",
    };
    Some(text.to_owned())
}

impl Story<'_> {
    fn parts(&self, doer: Doer) -> Vec<Part> {
        match doer {
            Doer::Backup => vec![self.part(of_backup)],
            Doer::Step(step) => vec![self.of_step(step)],
            Doer::Follower(who) => vec![self.part(|record| of_follower(who, record))],
            Doer::Release => {
                let releases = self.releases.iter();
                releases.map(|one| of_step(Step::Release, one)).collect()
            }
        }
    }

    /// The newest record that proves it, else the newest that says something of it, else the newest.
    fn part(&self, of: impl Fn(&MoveRecord) -> Part) -> Part {
        let mut parts: Vec<Part> = self.chain.iter().rev().map(|record| of(record)).collect();
        let proved = parts.iter().position(|part| part.answer == Answer::Proved);
        let said = || parts.iter().position(|part| !part.says_nothing());
        let wanted = proved.or_else(said).unwrap_or_default();
        if wanted < parts.len() {
            parts.swap_remove(wanted)
        } else {
            Part::without(Answer::NotPart)
        }
    }

    fn of_step(&self, step: Step) -> Part {
        let part = self.part(|record| of_step(step, record));
        let last = self.chain.last().map(|record| record.action);
        let answer = match part.answer {
            Answer::Proved if last == Some(Action::Abort) && step < Step::Release => {
                Answer::TakenBack
            }
            Answer::NotPart if self.is_cut_short() => Answer::NotReached,
            Answer::Proved
            | Answer::NotPart
            | Answer::Untold
            | Answer::TakenBack
            | Answer::NotReached
            | Answer::NotProved => part.answer,
        };
        let has_none = step == Step::Drain && self.chain.iter().all(|one| has_no_application(one));
        if part.proofs.is_empty() && has_none {
            return Part::without(Answer::NotPart);
        }
        Part { answer, ..part }
    }

    /// A whole move has every step that it was to have, and a single step of one side has no others.
    fn is_cut_short(&self) -> bool {
        let mut chain = self.chain.iter();
        chain.any(|record| {
            let ending = record.ending.as_ref();
            let is_whole = ending.is_some_and(|ending| ending.standing.is_none());
            record.action == Action::Switchover && !is_whole
        })
    }
}

impl Part {
    const fn without(answer: Answer) -> Self {
        Self {
            answer,
            proofs: Vec::new(),
        }
    }

    /// Whether a record has nothing to say of it.
    fn says_nothing(&self) -> bool {
        self.proofs.is_empty() && matches!(self.answer, Answer::NotPart | Answer::Untold)
    }
}

fn of_backup(record: &MoveRecord) -> Part {
    let Some(backup) = &record.backup else {
        return Part::without(Answer::NotPart);
    };
    Part {
        answer: Answer::Proved,
        proofs: vec![Proof {
            epoch: record.epoch,
            event: None,
            by: "backup",
            at: backup.at,
            took: Some(backup.took),
            said: backup.evidence.clone(),
        }],
    }
}

fn of_step(wanted: Step, record: &MoveRecord) -> Part {
    let events = record.events.iter().enumerate();
    let settled = events.filter_map(|(index, recorded)| match &recorded.event {
        Event::Settled {
            step,
            took,
            evidence,
        } if *step == wanted => Some(Proof {
            epoch: record.epoch,
            event: Some(index),
            by: wanted.name(),
            at: recorded.at,
            took: Some(*took),
            said: evidence.clone(),
        }),
        Event::Settled { .. }
        | Event::Started { .. }
        | Event::Noted { .. }
        | Event::Undoing { .. }
        | Event::Undone { .. } => None,
    });
    let proofs: Vec<Proof> = settled.collect();
    let answer = match proofs.last().and_then(|proof| proof.event) {
        Some(index) if is_taken_back_after(index, record) => Answer::TakenBack,
        Some(_) => Answer::Proved,
        None if has_begun(wanted, record) => Answer::NotProved,
        None => Answer::NotPart,
    };
    Part { answer, proofs }
}

fn has_begun(wanted: Step, record: &MoveRecord) -> bool {
    let mut events = record.events.iter();
    events.any(|one| matches!(one.event, Event::Started { step } if step == wanted))
}

fn has_no_application(record: &MoveRecord) -> bool {
    let followers = record.followers.as_ref();
    followers.is_some_and(|asked| !asked.contains(&Follower::Application))
}

fn is_taken_back_after(index: usize, record: &MoveRecord) -> bool {
    let mut later = record.events.iter().skip(index);
    later.any(|one| matches!(one.event, Event::Undoing { .. } | Event::Undone { .. }))
}

fn of_follower(wanted: Follower, record: &MoveRecord) -> Part {
    let events = record.events.iter().enumerate();
    let told = events.filter_map(|(index, recorded)| match &recorded.event {
        Event::Noted {
            text,
            followed: Some(followed),
            ..
        } if followed.who == wanted => Some((
            followed.arrived,
            Proof {
                epoch: record.epoch,
                event: Some(index),
                by: wanted.name(),
                at: recorded.at,
                took: Some(followed.took),
                said: text.clone(),
            },
        )),
        Event::Noted { .. }
        | Event::Started { .. }
        | Event::Settled { .. }
        | Event::Undoing { .. }
        | Event::Undone { .. } => None,
    });
    let told: Vec<(bool, Proof)> = told.collect();
    let answer = match told.last() {
        Some((true, _)) => Answer::Proved,
        Some((false, _)) => Answer::NotProved,
        None => match &record.followers {
            // Nobody follows where nobody becomes primary.
            None if record.action == Action::Demote => Answer::NotPart,
            None => Answer::Untold,
            Some(asked) if asked.contains(&wanted) => Answer::NotReached,
            Some(_) => Answer::NotPart,
        },
    };
    let proofs = told.into_iter().map(|(_, proof)| proof).collect();
    Part { answer, proofs }
}

#[cfg(test)]
mod tests;
