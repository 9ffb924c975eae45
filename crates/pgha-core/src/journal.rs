//! The records of moves at the sites: read, claimed, and written by compare-and-swap.
//!
//! Each site keeps one `ConfigMap` a cluster. A write rests on the object's resourceVersion: nobody else writes it, so
//! whoever loses the race has been superseded, or is told so by what it then reads (docs/decisions/0005).

mod claim;
mod identity;
mod store;

use std::time::Duration;

use pgha_model::event::{Event, Followed, Follower};
use pgha_model::plan::Step;
use pgha_model::record::{Action, BackupBefore, Ending, Epoch, MoveRecord, RecordedEvent, Stage};
use pgha_model::site::Part;

pub use self::claim::{Claiming, claim};
pub use self::identity::identify;
use self::store::Copy;
pub use self::store::{Kept, name_of, read_journal};
use crate::client::CallError;
use crate::clock;
use crate::settle::{Look, Settlement, await_until};

/// Pause between two tries to write a record.
const LOOK: Duration = Duration::from_millis(200);

/// Why a record could not be written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// A request failed.
    #[error("the record of the move could not be written")]
    Call(#[source] Box<CallError>),
    /// A later move has claimed the service: this one must write nothing any more.
    #[error("{} has taken over", taken_over_by(*epoch, *action, operator.as_deref()))]
    Superseded {
        /// The later one.
        epoch: Epoch,
        /// What it is, where its record can be read.
        action: Option<Action>,
        /// Who began it.
        operator: Option<String>,
    },
    /// Somebody else has decided what this move was about to decide.
    #[error("the record at the {part} is `{}` already", stage.name())]
    Decided {
        /// At which side.
        part: Part,
        /// What it says.
        stage: Stage,
    },
    /// An earlier move is not finished.
    #[error("an earlier {} (epoch {epoch}) is not finished", action.map_or("move", Action::name))]
    Unfinished {
        /// Which.
        epoch: Epoch,
        /// What it is, where its record can be read.
        action: Option<Action>,
    },
}

impl From<CallError> for JournalError {
    fn from(error: CallError) -> Self {
        Self::Call(Box::new(error))
    }
}

fn taken_over_by(epoch: Epoch, action: Option<Action>, operator: Option<&str>) -> String {
    let action = action.map_or("another move", Action::name);
    let operator = operator.map_or_else(String::new, |operator| format!(" of {operator}"));
    format!("{action} (epoch {epoch}){operator}")
}

/// The record of a move under way, at each site that takes part.
pub struct Claim {
    record: MoveRecord,
    /// The source's first, where it takes part.
    copies: Vec<Copy>,
    /// For how long a writer may be silent.
    patience: Duration,
}

impl Claim {
    /// The epoch that every write of the move rests on.
    pub const fn epoch(&self) -> Epoch {
        self.record.epoch
    }

    /// The record as it stands.
    pub const fn record(&self) -> &MoveRecord {
        &self.record
    }

    /// The record of an earlier move as it was when this one was claimed where it is decided, at the source: since then
    /// nobody can change it.
    pub fn earlier(&self, epoch: Epoch) -> Option<&MoveRecord> {
        self.copies.first()?.journal().readable(epoch)
    }

    /// Names the Job that goes back when this move falls silent; it is durable with the next write.
    pub fn watched_by(&mut self, job: String) {
        self.record.deadline_job = Some(job);
    }

    /// Says who is to follow, and which backup was made before; it is durable with the next write.
    pub fn beside(&mut self, followers: Vec<Follower>, backup: Option<BackupBefore>) {
        self.record.followers = Some(followers);
        self.record.backup = backup;
    }

    /// Notes what happened; it is durable with the next write.
    pub fn note(&mut self, event: &Event) {
        self.record.events.push(RecordedEvent {
            at: clock::now(),
            event: event.clone(),
        });
    }

    /// Notes what happens beside the steps: it is durable with the next write, or at once after the last one. What could not be
    /// written is returned, a fragment each.
    pub async fn note_beside(&mut self, text: String, followed: Option<Followed>) -> Vec<String> {
        let mut so_far = self.record.events.iter().rev();
        let step = so_far.find_map(|one| one.event.step());
        let step = step.unwrap_or(Step::Claim);
        self.note(&Event::Noted {
            step,
            text,
            followed,
        });
        if self.record.ending.is_none() {
            return Vec::new();
        }
        match self.flush().await {
            Ok(lost) => lost,
            Err(error) => vec![crate::diagnose::chain_of(&error)],
        }
    }

    /// Moves the record on; it is durable with the next write.
    pub fn enter(&mut self, stage: Stage) {
        if self.record.stage.allows(stage) {
            self.record.stage = stage;
        }
    }

    /// Writes what was noted to every site, at the same time. Errs when the source's copy, or the only one, was not written;
    /// what became of the others is returned, a fragment each.
    pub async fn flush(&mut self) -> Result<Vec<String>, JournalError> {
        self.record.deadline = deadline(self.patience);
        let record = &self.record;
        let written = futures::future::join_all(
            self.copies
                .iter_mut()
                .map(|copy| async { (copy.part, copy.write(record).await) }),
        );
        let mut lost = Vec::new();
        for (index, (part, result)) in written.await.into_iter().enumerate() {
            match result {
                Ok(()) => {}
                Err(error @ JournalError::Superseded { .. }) => return Err(error),
                Err(error) if index == 0 => return Err(error),
                Err(error) => lost.push(format!(
                    "the record at the {part} was not written: {}",
                    crate::diagnose::chain_of(&error)
                )),
            }
        }
        Ok(lost)
    }

    /// Makes a decision durable where it is decided, at the source, and waits for it as long as that may take. A write without
    /// an answer is read back: it counts when it is there.
    pub async fn decide(&mut self, stage: Stage, limit: Duration) -> Result<(), JournalError> {
        let before = self.record.stage;
        if !before.allows(stage) {
            let part = self.copies.first().map_or(Part::Source, |copy| copy.part);
            return Err(JournalError::Decided {
                part,
                stage: before,
            });
        }
        self.record.stage = stage;
        self.record.deadline = deadline(self.patience);
        let Some(first) = self.copies.first_mut() else {
            return Ok(());
        };
        let record = &self.record;
        let settlement = await_until(clock::monotonic() + limit, LOOK, async || {
            match first.write(record).await {
                Ok(()) => Ok(Look::Settled(())),
                Err(JournalError::Call(error)) if error.may_pass() => Ok(Look::NotYet(error)),
                Err(error) => Err(error),
            }
        });
        let result = match settlement.await {
            Ok(Settlement::Settled(())) => Ok(()),
            Ok(Settlement::TimedOut {
                last_seen: Some(error),
            }) => Err(JournalError::Call(error)),
            Ok(Settlement::TimedOut { last_seen: None }) => first.write(record).await,
            Err(error) => Err(error),
        };
        if result.is_err() {
            // What was perhaps written stays possible: only the way back is open from here, and it is a decision too.
            self.record.stage = before;
        }
        result
    }

    /// Writes how the move ended. Best done at every site; what could not be written is returned, a fragment each.
    pub async fn end(&mut self, ending: Ending) -> Vec<String> {
        self.record.ending = Some(ending);
        self.record.stage = Stage::Ended;
        match self.flush().await {
            Ok(lost) => lost,
            Err(error) => vec![crate::diagnose::chain_of(&error)],
        }
    }
}

fn deadline(patience: Duration) -> jiff::Timestamp {
    let now = clock::now();
    now.checked_add(patience).unwrap_or(now)
}
