//! Whether a standby side really follows a primary side.

use serde::Serialize;

use crate::lsn::{Lsn, SegmentSize};
use crate::member::{MemberStatus, PatroniVersion};
use crate::observed::Observed;
use crate::timeline::{Fork, History, Timeline};

/// The first Patroni that has `replication_state` in a member's status (Patroni release notes, 3.1.0).
const SAYS_HOW_IT_IS_FED: PatroniVersion = PatroniVersion {
    major: 3,
    minor: 1,
    patch: 0,
};

/// What one reading of both leaders says about a standby side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Following {
    /// Bytes of log that the primary has written and the standby has not replayed; `None` where that means nothing.
    pub lag_bytes: Option<u64>,
    /// By which way the standby gets the log.
    pub feed: Feed,
    /// Whether the standby is on the primary's branch of history.
    pub branch: Branch,
}

/// By which way a standby gets the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "way", rename_all_fields = "camelCase")]
pub enum Feed {
    /// A connection to another server.
    Streaming {
        /// Whether the primary's leader sees that connection; `None` when the leader itself was not asked.
        from_primary: Option<bool>,
    },
    /// Segments from the archive. Whether they arrive is seen by the position only.
    Archive,
    /// Neither.
    Nothing,
    /// Not known.
    Unseen {
        /// Why, as a lowercase fragment.
        because: String,
    },
}

/// Where a standby is, relative to the primary's branch of history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(
    rename_all = "camelCase",
    tag = "state",
    rename_all_fields = "camelCase"
)]
pub enum Branch {
    /// On the primary's timeline, or provably past its last fork.
    Same,
    /// On an ancestor, before the fork: it can follow.
    Ancestor {
        /// The standby's timeline.
        timeline: Timeline,
        /// Where the primary's branch left it.
        forked_at: Lsn,
    },
    /// Past the fork by its position, and nothing that was read shows on which branch.
    Undecided {
        /// The timeline that the standby reports.
        timeline: Timeline,
    },
    /// The primary's branch forked off before the end of what the standby holds: it can never follow.
    Wedged {
        /// The standby's timeline.
        timeline: Timeline,
        /// Where the primary's branch left it.
        forked_at: Lsn,
        /// Where the standby stands.
        end: Lsn,
    },
    /// On a timeline that is no ancestor of the primary's: it can never follow.
    Foreign {
        /// The standby's timeline.
        timeline: Timeline,
    },
    /// Not known.
    Unseen {
        /// Why, as a lowercase fragment.
        because: String,
    },
}

/// The most that a clean stop leaves past a fork when its shutdown checkpoint alone was not taken along: the header of a
/// segment's first page, and the record (PostgreSQL `xlog_internal.h`, `pg_control.h`: 40 and 120 bytes in version 15).
const SHUTDOWN_CHECKPOINT_BYTES: u64 = 168;

impl Branch {
    /// Bytes past the fork that may hold commits which the primary lacks; `None` where there are none, or the fork is
    /// not known.
    pub fn bytes_of_its_own(&self) -> Option<u64> {
        let Self::Wedged { forked_at, end, .. } = self else {
            return None;
        };
        let bytes = end.bytes_ahead_of(*forked_at);
        (bytes > SHUTDOWN_CHECKPOINT_BYTES).then_some(bytes)
    }

    /// Whether the standby cannot follow any more without a rebuild.
    pub const fn is_lost(&self) -> bool {
        matches!(self, Self::Wedged { .. } | Self::Foreign { .. })
    }
}

/// Compares a primary side's leader with a standby side's, both read together.
///
/// `history` is the primary side's. `standby_name` is what the standby's leader calls itself when it connects.
pub fn judge_following(
    primary: &MemberStatus,
    history: &Observed<History>,
    standby: &MemberStatus,
    standby_name: &str,
) -> Following {
    let branch = judge_branch(primary, history, standby);
    let lag_bytes = match (
        &branch,
        primary.written,
        standby.replayed.or(standby.written),
    ) {
        (Branch::Wedged { .. } | Branch::Foreign { .. }, _, _) => None,
        (_, Some(written), Some(replayed)) => Some(written.bytes_ahead_of(replayed)),
        (_, _, _) => None,
    };
    Following {
        lag_bytes,
        feed: judge_feed(primary, standby, standby_name),
        branch,
    }
}

fn judge_feed(primary: &MemberStatus, standby: &MemberStatus, standby_name: &str) -> Feed {
    match standby.replication_state.as_deref() {
        Some("streaming") => Feed::Streaming {
            from_primary: is_live(primary).then(|| {
                let mut receivers = primary.receivers.iter();
                receivers.any(|receiver| receiver.application_name == standby_name)
            }),
        },
        Some("in archive recovery") => Feed::Archive,
        Some(other) => Feed::Unseen {
            because: format!("Patroni says `{other}`"),
        },
        None if !standby.is_running() => Feed::Unseen {
            because: format!("the standby leader is {}", standby.state),
        },
        None if standby
            .patroni
            .is_none_or(|version| version < SAYS_HOW_IT_IS_FED) =>
        {
            Feed::Unseen {
                because: "its Patroni does not say".to_owned(),
            }
        }
        None => Feed::Nothing,
    }
}

/// Whether the member itself answered: only its REST answer has the system identifier, and lists connections.
const fn is_live(status: &MemberStatus) -> bool {
    status.system_identifier.is_some()
}

fn judge_branch(
    primary: &MemberStatus,
    history: &Observed<History>,
    standby: &MemberStatus,
) -> Branch {
    let (Some(trunk), Some(timeline)) = (primary.timeline, standby.timeline) else {
        return Branch::Unseen {
            because: "a leader does not say its timeline".to_owned(),
        };
    };
    if timeline == trunk {
        return Branch::Same;
    }
    if timeline > trunk {
        // A pod's status may be older than the promotion that made the standby's timeline.
        return if is_live(primary) {
            Branch::Foreign { timeline }
        } else {
            Branch::Undecided { timeline }
        };
    }
    let history = match history.seen() {
        Ok(history) => history,
        Err(because) => {
            return Branch::Unseen {
                because: because.to_owned(),
            };
        }
    };
    match history.line_of(timeline) {
        Some(fork) => judge_fork(primary, history, fork, standby),
        None if is_left_out(history, timeline) => Branch::Foreign { timeline },
        // Patroni writes the history up to `loop_wait` after the promotion, and drops its oldest lines.
        None => Branch::Undecided { timeline },
    }
}

/// Whether the history goes from before this timeline to after it, without it.
fn is_left_out(history: &History, timeline: Timeline) -> bool {
    let older = history.0.iter().any(|fork| fork.timeline < timeline);
    let newer = history.0.iter().any(|fork| fork.timeline > timeline);
    older && newer
}

/// Judges a standby that reports an ancestor.
///
/// Fed by the archive it reports the timeline of its last restart point, which can be the old one for minutes after it
/// went over to the new one. So a position past the fork alone is not enough. What its control file has on record decides
/// where it was asked. Else the position must also be short of what a follower would hold by now, and no commit made after
/// the promotion may have been replayed.
fn judge_fork(
    primary: &MemberStatus,
    history: &History,
    fork: &Fork,
    standby: &MemberStatus,
) -> Branch {
    let timeline = fork.timeline;
    let Some(end) = standby.written.max(standby.replayed) else {
        return Branch::Unseen {
            because: "the standby leader does not say its position".to_owned(),
        };
    };
    if end <= fork.at {
        return Branch::Ancestor {
            timeline,
            forked_at: fork.at,
        };
    }
    if let Some(branch) = judge_record(primary, history, standby, end) {
        return branch;
    }
    let newest = history.0.iter().max_by_key(|fork| fork.timeline);
    if has_replayed_past(standby, newest) {
        return Branch::Same;
    }
    if has_replayed_past(standby, Some(fork)) || is_near(primary, end) {
        return Branch::Undecided { timeline };
    }
    Branch::Wedged {
        timeline,
        forked_at: fork.at,
        end,
    }
}

/// Judges by what the control file has: a record of an ancestor after its fork was never the primary's, and one of the
/// primary's own timeline can only have been replayed after the fork.
///
/// Nothing is decided where the last write of the control file is older than the fork: a follower writes it when it has
/// changed pages to flush.
fn judge_record(
    primary: &MemberStatus,
    history: &History,
    standby: &MemberStatus,
    end: Lsn,
) -> Option<Branch> {
    let past_its_fork = standby.reached.iter().find_map(|reached| {
        let fork = history.line_of(reached.timeline)?;
        (reached.at > fork.at).then_some(fork)
    });
    if let Some(fork) = past_its_fork {
        return Some(Branch::Wedged {
            timeline: fork.timeline,
            forked_at: fork.at,
            end,
        });
    }
    let mut reached = standby.reached.iter();
    reached
        .any(|reached| Some(reached.timeline) == primary.timeline)
        .then_some(Branch::Same)
}

/// Whether the standby replayed a commit that was made after this promotion.
fn has_replayed_past(standby: &MemberStatus, fork: Option<&Fork>) -> bool {
    let promoted_at = fork.and_then(|fork| fork.promoted_at);
    matches!((standby.replayed_at, promoted_at), (Some(replayed), Some(promoted)) if replayed > promoted)
}

/// Whether a position is in the segment that the primary writes now, or after it: no archive can hold more.
fn is_near(primary: &MemberStatus, end: Lsn) -> bool {
    let size = SegmentSize::DEFAULT;
    primary
        .written
        .is_none_or(|written| end.segment_number(size) >= written.segment_number(size))
}

#[cfg(test)]
mod tests;
