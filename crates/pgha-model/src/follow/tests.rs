//! What one reading of both leaders comes to.

use super::*;
use crate::member::Reached;

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
        History::from_patroni(r#"[[1,117440512,"x","2026-11-21T09:00:00+00:00","b-0"]]"#).unwrap(),
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
fn the_control_file_of_a_standby_decides_in_the_primarys_own_segment() {
    let primary = status(&PRIMARY.replace("134217728", "117441000"));
    let judged = |reached: &[(u32, u64)]| {
        let mut standby = standby(1, 117_440_672, None);
        standby.reached = reached
            .iter()
            .map(|&(timeline, bytes)| Reached {
                timeline: Timeline(timeline),
                at: Lsn::from_bytes(bytes),
            })
            .collect();
        judge_following(&primary, &history(), &standby, "b-0").branch
    };
    let fork = 117_440_512;
    // The source's own shutdown checkpoint, which the target did not take along.
    assert!(judged(&[(1, fork + 40)]).is_lost());
    assert!(judged(&[(1, fork - 100), (1, fork + 1)]).is_lost());
    // A follower that flushed a page of the new timeline; its restart point is still an old one.
    assert_eq!(judged(&[(2, fork + 40), (1, fork - 100)]), Branch::Same);
    // One that just went over, fed by the archive: it wrote its control file before the fork, or at it.
    for old in [fork - 100, fork] {
        let branch = judged(&[(1, old)]);
        assert!(matches!(branch, Branch::Undecided { .. }), "{branch:?}");
    }
    // Records of a branch that the history does not tell decide nothing.
    let branch = judged(&[(9, fork + 40)]);
    assert!(matches!(branch, Branch::Undecided { .. }), "{branch:?}");
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
    let feed =
        |primary: &str, name| judge_following(&status(primary), &history(), &streaming, name).feed;
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
