//! What happens during a move, in order.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::effect::Effect;
use crate::login::Logins;
use crate::lsn::Lsn;
use crate::plan::Step;
use crate::proof::Closure;
use crate::site::Place;
use crate::timeline::Timeline;

/// One thing that happened. Every output is a reader of this stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    rename_all = "camelCase",
    tag = "event",
    rename_all_fields = "camelCase"
)]
pub enum Event {
    /// A step begins; nothing of it was done before this.
    Started {
        /// Which.
        step: Step,
    },
    /// Something was learned on the way.
    Noted {
        /// During which step.
        step: Step,
        /// What, as a full sentence.
        text: String,
        /// Who has followed or was left behind, where it tells of that.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        followed: Option<Followed>,
    },
    /// A step's effect is real.
    Settled {
        /// Which.
        step: Step,
        /// How long it took.
        #[serde(rename = "tookSeconds", with = "crate::seconds")]
        took: Duration,
        /// What proves it, as a full sentence.
        evidence: String,
    },
    /// The move goes back to the source.
    Undoing {
        /// Why, as a full sentence.
        because: String,
    },
    /// The source is primary again and everything is as it was before.
    Undone {
        /// What proves it, as a full sentence.
        evidence: String,
    },
}

/// Who follows a move of the database, in the order in which they do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Follower {
    /// The clients of poolers, who waited meanwhile.
    Poolers,
    /// What runs only where the primary is.
    Application,
    /// Those who come in from outside.
    Users,
    /// Somebody who logs in at the application, last of all.
    Login,
}

impl Follower {
    /// Its name, one word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Poolers => "poolers",
            Self::Application => "application",
            Self::Users => "users",
            Self::Login => "login",
        }
    }
}

/// What became of somebody who was to follow.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Followed {
    /// Who.
    pub who: Follower,
    /// Whether they were seen where they belong.
    pub arrived: bool,
    /// How long it took.
    #[serde(rename = "tookSeconds", with = "crate::seconds")]
    pub took: Duration,
}

impl Event {
    /// Something that was learned during a step, as a full sentence.
    pub const fn noted(step: Step, text: String) -> Self {
        Self::Noted {
            step,
            text,
            followed: None,
        }
    }

    /// The step that it is of; `None` of the way back.
    pub const fn step(&self) -> Option<Step> {
        match self {
            Self::Started { step } | Self::Noted { step, .. } | Self::Settled { step, .. } => {
                Some(*step)
            }
            Self::Undoing { .. } | Self::Undone { .. } => None,
        }
    }
}

/// A finished move.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// The side that is a standby now.
    pub source: Place,
    /// The side that is primary now.
    pub target: Place,
    /// From the first request of the fence to the first commit on the target, as this tool saw it: an upper bound of what
    /// a client saw.
    #[serde(
        rename = "writeGapSeconds",
        serialize_with = "crate::seconds::serialize"
    )]
    pub write_gap: Duration,
    /// What the write gap was spent on.
    pub parts: GapParts,
    /// Where the source ended.
    pub closure: Closure,
    /// Up to where the target had replayed when it was promoted: the end of the source's last record.
    pub replayed: Lsn,
    /// The new timeline.
    pub timeline: Timeline,
    /// Where the new timeline forks off the source's.
    pub fork: Lsn,
    /// What came of logging in to the target as a program does.
    pub logins: Logins,
}

/// What a write gap was spent on: its parts in order, which add up to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GapParts {
    /// From the fence's request until the source began to stop: the API servers' and Patroni's time.
    #[serde(
        rename = "reactionSeconds",
        serialize_with = "crate::seconds::serialize"
    )]
    pub reaction: Duration,
    /// Until its control data said `shut down`.
    #[serde(rename = "stopSeconds", serialize_with = "crate::seconds::serialize")]
    pub stop: Duration,
    /// Until the last segments were in the target's log; nothing for a target that streams.
    #[serde(rename = "shipSeconds", serialize_with = "crate::seconds::serialize")]
    pub ship: Duration,
    /// Until every member of the target had replayed them.
    #[serde(rename = "replaySeconds", serialize_with = "crate::seconds::serialize")]
    pub replay: Duration,
    /// Until the target's first commit.
    #[serde(
        rename = "promoteSeconds",
        serialize_with = "crate::seconds::serialize"
    )]
    pub promote: Duration,
}

impl GapParts {
    /// The time up to the proof, without the promotion.
    pub fn until_proved(&self) -> Duration {
        self.reaction + self.stop + self.ship + self.replay
    }
}

/// Where a move that did not finish has left things.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Standing {
    /// Everything is as before.
    Unchanged,
    /// The source is primary as before, and some of the preparation is still in place.
    Held,
    /// The source is primary again, on a new timeline.
    BackAtSource,
    /// The source is fenced and nobody is primary.
    Fenced,
    /// The target was told to promote and it is not known whether it did.
    PromotionUnknown,
    /// The target is primary; what comes after the promotion is not finished, and the operators may still be held.
    Promoted,
    /// The target is primary and both operators work again; what was still to be seen was not.
    Released,
    /// Another move has taken over; this one has written nothing since.
    Superseded,
}

impl Standing {
    /// It in a few words, as a clause.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Unchanged => "nothing was changed",
            Self::Held => "the preparation is still in place",
            Self::BackAtSource => "back at the source",
            Self::Fenced => "fenced, nobody is primary",
            Self::PromotionUnknown => "the promotion is unknown",
            Self::Promoted => "promoted, the operators may be held",
            Self::Released => "promoted, not all of it was seen",
            Self::Superseded => "another move took over",
        }
    }

    /// Whether somebody still has to see to a move that ended so.
    ///
    /// A move that took over an unfinished one and changed nothing has left that one as it was: unfinished.
    pub const fn leaves_work(self, took_over: bool) -> bool {
        match self {
            Self::Unchanged => took_over,
            Self::BackAtSource | Self::Superseded => false,
            Self::Held
            | Self::Fenced
            | Self::PromotionUnknown
            | Self::Promoted
            | Self::Released => true,
        }
    }

    /// What the failure left behind.
    pub const fn effect(self) -> Effect {
        match self {
            Self::Unchanged => Effect::None,
            Self::Held | Self::BackAtSource | Self::Promoted | Self::Released => Effect::Applied,
            Self::Fenced | Self::PromotionUnknown | Self::Superseded => Effect::Unknown,
        }
    }
}
