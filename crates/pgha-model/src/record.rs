//! The journal of one move, as both sites keep it: what it is, how far it has come, and how it ended.
//!
//! It holds no secret: names, positions, times and what was seen. What correctness needs is at the sites; the record is
//! evidence, the place of one decision, and what a later `resume` or `abort` puts back.

mod backup;
mod course;
mod journal;
mod merge;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::backup::BackupBefore;
pub use self::course::{Fate, Known, NoWrites, Stretch, What, course, no_writes};
pub use self::journal::{Entry, Journal, KEPT};
pub use self::merge::{KeptCopy, PastMove, merge};
use crate::application::Count;
use crate::event::{Event, Follower, Standing};
use crate::failover::Failover;
use crate::guard::Guard;
use crate::lsn::Lsn;
use crate::plan::{Demotion, Feed, LeaderIdentity};
use crate::proof::Closure;
use crate::site::{Part, Place};
use crate::timeline::Timeline;

/// The version of the shape below. A reader that does not know it shows the record as it is and refuses to act on it.
pub const VERSION: u32 = 1;

/// A number that rises with each move of a service. Every write of a move rests on it, so a late writer's fail.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The next one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Reads the number that an annotation or a key holds.
    pub fn from_text(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Which command a record is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// The whole move.
    Switchover,
    /// Only the source is stopped.
    Demote,
    /// Only the target is promoted.
    Promote,
    /// The target is promoted although the source cannot say where it ended.
    Failover,
    /// A side that was failed over from becomes a standby again.
    Rejoin,
    /// The owners that a move has held are let go.
    Release,
    /// A move that was left unfinished goes on.
    Resume,
    /// A move that was left unfinished is taken back.
    Abort,
}

impl Action {
    /// The command's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Switchover => "switchover",
            Self::Demote => "demote",
            Self::Promote => "promote",
            Self::Failover => "failover",
            Self::Rejoin => "rejoin",
            Self::Release => "release",
            Self::Resume => "resume",
            Self::Abort => "abort",
        }
    }
}

/// What of a move is decided. Only the writer of the record moves it on, but for one swap: whoever finds it `fenced` after
/// its deadline may make it `undone`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Stage {
    /// The source takes writes and was not told to stop.
    Preparing,
    /// The source was told to stop, or is about to be.
    Fenced,
    /// The target may be told to become primary: the source must not become it again.
    Promoting,
    /// The source is to become primary again: the target must not.
    Undone,
    /// Nothing more will be written.
    Ended,
}

impl Stage {
    /// Its name, one word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Preparing => "preparing",
            Self::Fenced => "fenced",
            Self::Promoting => "promoting",
            Self::Undone => "undone",
            Self::Ended => "ended",
        }
    }

    /// Whether the writer of a record may go from this stage to that one, or write it once more.
    ///
    /// Out of `promoting` there is a way back only for a writer that knows that it has not told the target anything.
    pub fn allows(self, next: Self) -> bool {
        Guard::OneDecision.holds(matches!(
            (self, next),
            (Self::Preparing, _)
                | (_, Self::Ended)
                | (Self::Fenced, Self::Fenced | Self::Promoting | Self::Undone)
                | (Self::Promoting, Self::Promoting | Self::Undone)
                | (Self::Undone, Self::Undone)
        ))
    }
}

/// One side as it was when the move was claimed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordedSide {
    /// Where it is, in the words of who began the move.
    #[serde(flatten)]
    pub place: Place,
    /// The identity of the site, which no context name can fake.
    pub identity: SiteIdentity,
    /// The member that led it.
    pub leader: Option<LeaderIdentity>,
    /// `spec.paused` as it was; `None` when it was not there.
    pub paused: Option<bool>,
    /// Whether the object said that this side is a standby.
    pub standby: bool,
    /// Postgres' settings in Patroni's configuration that the move changes, as they were; `None` for one that was not there.
    pub settings: BTreeMap<String, Option<String>>,
}

/// What tells one Kubernetes site from another, whatever a context calls it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SiteIdentity {
    /// The UID of the namespace `kube-system`, where it may be read: the identity of the Kubernetes cluster.
    pub kube_system_uid: Option<String>,
    /// SHA-256 of the certificate authority that the kubeconfig trusts there, as hexadecimal digits.
    pub server_ca: Option<String>,
    /// The UID of the operator's object.
    pub object_uid: String,
}

/// One thing that happened, with its time by the writer's clock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordedEvent {
    /// When.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub event: Event,
}

/// How a move ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ending {
    /// When, by the writer's clock.
    pub at: Timestamp,
    /// Where it has left things; `None` when everything went as planned.
    pub standing: Option<Standing>,
    /// What stopped it, as a full sentence; nothing when everything went as planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// What a move that went as planned came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<MoveResult>,
}

/// What a finished move came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MoveResult {
    /// From the fence's first request to the target's first commit, as the tool saw it.
    #[serde(
        rename = "writeGapSeconds",
        default,
        skip_serializing_if = "Option::is_none",
        with = "crate::seconds::optional"
    )]
    pub write_gap: Option<Duration>,
    /// Where the source ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closure: Option<Closure>,
    /// The new timeline.
    pub timeline: Timeline,
    /// Where it forks off the old one.
    pub fork: Lsn,
}

/// The journal of one move.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MoveRecord {
    /// [`VERSION`].
    pub version: u32,
    /// Its epoch, which is also its name.
    pub epoch: Epoch,
    /// What it is.
    pub action: Action,
    /// The unfinished move that it takes over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<Epoch>,
    /// Who began it: user, machine and process, for people.
    pub operator: String,
    /// When, by the writer's clock.
    pub claimed_at: Timestamp,
    /// Both sides' system identifier.
    pub system_identifier: String,
    /// The side that is primary before the move; `None` when it was not seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<RecordedSide>,
    /// The side that is primary after it; `None` when it was not seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<RecordedSide>,
    /// How the target is fed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feed: Option<Feed>,
    /// How the source is stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub demotion: Option<Demotion>,
    /// What a failover adds: what was known of the source, said and accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failover: Option<Failover>,
    /// The name of the Job at the source that goes back to it when the writer says nothing any more; without one nobody does
    /// so by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_job: Option<String>,
    /// How many pods each workload of the application had at the source before it was stopped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub application: Vec<Count>,
    /// The backup of the source that was made for this move, before it was claimed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupBefore>,
    /// Who was to follow, by the service's file; `None` where the record does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub followers: Option<Vec<Follower>>,
    /// What is decided.
    pub stage: Stage,
    /// Until when the writer means to have written again; after it nobody need wait for it.
    pub deadline: Timestamp,
    /// What happened, in order.
    pub events: Vec<RecordedEvent>,
    /// How it ended; nothing while it has not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
}

impl MoveRecord {
    /// The side that has this part in it.
    pub const fn side(&self, part: Part) -> Option<&RecordedSide> {
        match part {
            Part::Source => self.source.as_ref(),
            Part::Target => self.target.as_ref(),
        }
    }

    /// Whether somebody still has to see to it: it has not ended, or has ended with something left behind.
    pub fn is_open(&self) -> bool {
        let Some(ending) = &self.ending else {
            return true;
        };
        let took_over = self.continues.is_some();
        let standing = ending.standing;
        standing.is_some_and(|standing| standing.leaves_work(took_over))
    }

    /// Whether its writer may still be at work: it has not ended, and has not let its deadline pass.
    pub fn may_be_alive(&self, now: Timestamp) -> bool {
        self.ending.is_none() && now <= self.deadline
    }
}

#[cfg(test)]
pub(crate) mod tests;
