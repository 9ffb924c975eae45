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
    /// Past the fork by its position, and nothing shows yet on which branch: the promotion is too recent.
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
/// went over to the new one. So a position past the fork alone is not enough: it must also be short of what a follower
/// would hold by now, and no commit made after the promotion may have been replayed.
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
mod tests {
    use super::*;

    const PRIMARY: &str = r#"{"state":"running","role":"primary","timeline":2,"xlog":{"location":134217728},
        "replication":[{"application_name":"b-0","state":"streaming"}],"database_system_identifier":"7"}"#;

    fn status(json: &str) -> MemberStatus {
        MemberStatus::from_json(json).unwrap()
    }

    /// A standby leader at a position, in bytes, fed by the archive.
    fn standby(timeline: u32, end: u64, replayed_at: Option<&str>) -> MemberStatus {
        let mut status = status(&format!(
            r#"{{"state":"running","role":"standby_leader","timeline":{timeline},
                "replication_state":"in archive recovery","xlog":{{"replayed_location":{end}}}}}"#
        ));
        status.replayed_at = replayed_at.map(|time| time.parse().unwrap());
        status
    }

    /// Timeline 2 left timeline 1 at 0/7000000.
    fn history() -> Observed<History> {
        Observed::Seen(
            History::from_patroni(r#"[[1,117440512,"x","2026-11-21T09:00:00+00:00","b-0"]]"#)
                .unwrap(),
        )
    }

    fn branch(standby: &MemberStatus) -> Branch {
        judge_following(&status(PRIMARY), &history(), standby, "b-0").branch
    }

    #[test]
    fn a_standby_on_the_primarys_timeline_is_behind_by_bytes() {
        let seen = judge_following(
            &status(PRIMARY),
            &history(),
            &standby(2, 134_217_000, None),
            "b-0",
        );
        assert_eq!(
            seen,
            Following {
                lag_bytes: Some(728),
                feed: Feed::Archive,
                branch: Branch::Same
            }
        );
    }

    #[test]
    fn a_fork_before_the_standbys_end_is_a_wedge() {
        let seen = judge_following(
            &status(PRIMARY),
            &history(),
            &standby(1, 117_440_672, None),
            "b-0",
        );
        assert_eq!(
            seen.branch,
            Branch::Wedged {
                timeline: Timeline(1),
                forked_at: "0/7000000".parse().unwrap(),
                end: "0/70000A0".parse().unwrap(),
            }
        );
        assert_eq!(seen.lag_bytes, None);
    }

    #[test]
    fn a_standby_at_the_fork_can_follow() {
        assert!(matches!(
            branch(&standby(1, 117_440_512, None)),
            Branch::Ancestor { .. }
        ));
    }

    #[test]
    fn a_commit_from_after_the_promotion_clears_a_stale_timeline() {
        let after = standby(1, 117_440_672, Some("2026-11-21T09:00:01Z"));
        assert_eq!(branch(&after), Branch::Same);
        let before = standby(1, 117_440_672, Some("2026-11-21T08:59:59Z"));
        assert!(branch(&before).is_lost());
    }

    #[test]
    fn a_commit_from_between_two_promotions_decides_nothing() {
        let history = Observed::Seen(
            History::from_patroni(
                r#"[[1,117440512,"x","2026-11-21T09:00:00Z"],[2,117450000,"x","2026-11-21T10:00:00Z"]]"#,
            )
            .unwrap(),
        );
        let primary = status(&PRIMARY.replace(r#""timeline":2"#, r#""timeline":3"#));
        let between = standby(1, 117_440_672, Some("2026-11-21T09:30:00Z"));
        assert!(matches!(
            judge_following(&primary, &history, &between, "b-0").branch,
            Branch::Undecided { .. }
        ));
    }

    #[test]
    fn in_the_primarys_own_segment_nothing_is_decided() {
        let primary = status(&PRIMARY.replace("134217728", "117441000"));
        let seen = judge_following(&primary, &history(), &standby(1, 117_440_672, None), "b-0");
        assert!(matches!(seen.branch, Branch::Undecided { .. }));
    }

    #[test]
    fn a_timeline_that_the_primary_never_had_is_foreign() {
        assert!(branch(&standby(3, 117_440_672, None)).is_lost());
        let mut stale = status(PRIMARY);
        stale.system_identifier = None;
        let seen = judge_following(&stale, &history(), &standby(3, 117_440_672, None), "b-0");
        assert!(matches!(seen.branch, Branch::Undecided { .. }));
        let history =
            Observed::Seen(History::from_patroni(r#"[[1,10,"x"],[2,20,"x"],[4,30,"x"]]"#).unwrap());
        let primary = status(&PRIMARY.replace(r#""timeline":2"#, r#""timeline":5"#));
        let seen = judge_following(&primary, &history, &standby(3, 25, None), "b-0");
        assert_eq!(
            seen.branch,
            Branch::Foreign {
                timeline: Timeline(3)
            }
        );
    }

    #[test]
    fn a_history_that_was_not_written_yet_decides_nothing() {
        let empty = Observed::Seen(History::default());
        let seen = judge_following(&status(PRIMARY), &empty, &standby(1, 20, None), "b-0");
        assert!(matches!(seen.branch, Branch::Undecided { .. }));
        let unseen = Observed::unseen("timed out");
        let seen = judge_following(&status(PRIMARY), &unseen, &standby(1, 20, None), "b-0");
        assert_eq!(
            seen.branch,
            Branch::Unseen {
                because: "timed out".to_owned()
            }
        );
    }

    #[test]
    fn streaming_is_checked_at_both_ends() {
        let mut streaming = standby(2, 134_217_000, None);
        streaming.replication_state = Some("streaming".to_owned());
        let feed = |primary: &str, name| {
            judge_following(&status(primary), &history(), &streaming, name).feed
        };
        let from_primary = |seen| Feed::Streaming { from_primary: seen };
        assert_eq!(feed(PRIMARY, "b-0"), from_primary(Some(true)));
        assert_eq!(feed(PRIMARY, "c-0"), from_primary(Some(false)));
        let annotation = r#"{"state":"running","role":"primary","timeline":2,"xlog_location":9}"#;
        assert_eq!(feed(annotation, "b-0"), from_primary(None));
    }

    #[test]
    fn a_standby_without_a_source_of_log_gets_nothing() {
        let mut idle = standby(2, 134_217_000, None);
        idle.replication_state = None;
        let feed =
            |idle: &MemberStatus| judge_following(&status(PRIMARY), &history(), idle, "b-0").feed;
        assert!(matches!(feed(&idle), Feed::Unseen { .. }));
        idle.patroni = Some(SAYS_HOW_IT_IS_FED);
        assert_eq!(feed(&idle), Feed::Nothing);
    }
}
