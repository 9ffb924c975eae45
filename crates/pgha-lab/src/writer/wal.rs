//! Reads the write-ahead logs of every member around the places where timelines were left.

use anyhow::Result;
use pgha_judge::{Lsn, Scan, SegmentName, TimelineHistory, TimelineId};

use super::member::Member;

/// Segments that the member still has, one name a line.
const LIST: &str = "ls -1 \"$PGDATA/pg_wal\"";
/// `pg_waldump` ends with an error at the end of the log, which is where it shall end.
const DUMP: &str = "pg_waldump --path=\"$PGDATA/pg_wal\" --timeline=\"$1\" --start=\"$2\" \
                    --rmgr=Transaction --rmgr=XLOG || true";
/// The same for a segment that only the repository has. The copy goes beside the data, for /tmp is
/// smaller than a segment (pgo.md 8.2).
const DUMP_ARCHIVED: &str = "\
    folder=$(mktemp -d \"$PGDATA/../audit-XXXXXX\") && trap 'rm -rf \"$folder\"' EXIT && \
    pgbackrest --stanza=db archive-get \"$3\" \"$folder/$3\" >&2 && \
    { pg_waldump --path=\"$folder\" --timeline=\"$1\" --start=\"$2\" \
    --rmgr=Transaction --rmgr=XLOG || true; }";

/// Scans a member's log on every timeline since `oldest` that is not the primary's own.
pub(super) fn scan(
    member: &Member,
    history: &TimelineHistory,
    oldest: TimelineId,
) -> Result<Vec<Scan>> {
    let listed = member.bash(LIST, &[])?;
    let held: Vec<SegmentName> = listed
        .lines()
        .filter_map(|name| name.parse().ok())
        .collect();
    let mut scans = Vec::new();
    for timeline in timelines(&held, history, oldest) {
        if let Some(start) = start(&held, history, timeline) {
            let text = member.bash(DUMP, &[&timeline.to_string(), &start.to_string()])?;
            scans.push(make(member, timeline, &text));
        }
    }
    Ok(scans)
}

/// Scans, through a member, the archived segment that holds the end of a timeline.
pub(super) fn scan_archived(
    member: &Member,
    history: &TimelineHistory,
    timeline: TimelineId,
) -> Result<Option<Scan>> {
    let Some(last) = last_shared(history, timeline) else {
        return Ok(None);
    };
    let args = [
        timeline.to_string(),
        last.start().to_string(),
        last.to_string(),
    ];
    let text = member.bash(DUMP_ARCHIVED, &args.each_ref().map(String::as_str))?;
    Ok(Some(make(member, timeline, &text)))
}

fn make(member: &Member, timeline: TimelineId, text: &str) -> Scan {
    Scan {
        site: member.site.name().to_owned(),
        member: member.pod.name.clone(),
        address: member.pod.address.clone().unwrap_or_default(),
        timeline,
        records: Scan::parse_records(text),
    }
}

/// The timelines of the segments that are there, oldest first, without the one being written.
fn timelines(
    held: &[SegmentName],
    history: &TimelineHistory,
    oldest: TimelineId,
) -> Vec<TimelineId> {
    let mut timelines: Vec<TimelineId> = held.iter().map(|segment| segment.timeline).collect();
    timelines.sort_unstable();
    timelines.dedup();
    timelines.retain(|timeline| *timeline >= oldest && *timeline != history.timeline);
    timelines
}

/// Where to begin on a timeline: in the segment that holds the last shared byte, so that a record
/// before the fork shows that the right place was read; or, where that segment is gone or the
/// timeline is no ancestor, at the first one that is there.
fn start(held: &[SegmentName], history: &TimelineHistory, timeline: TimelineId) -> Option<Lsn> {
    let last = last_shared(history, timeline);
    let here = held.iter().filter(|segment| segment.timeline == timeline);
    here.filter(|segment| last.is_none_or(|last| segment.number >= last.number))
        .map(|segment| segment.start())
        .min()
}

/// The segment with the last byte of a timeline that belongs to the history.
fn last_shared(history: &TimelineHistory, timeline: TimelineId) -> Option<SegmentName> {
    let fork = history
        .forks
        .iter()
        .find(|fork| fork.timeline == timeline)?;
    Some(SegmentName::holding(
        timeline,
        Lsn(fork.at.0.saturating_sub(1)),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(names: &[&str]) -> Vec<SegmentName> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    fn history() -> TimelineHistory {
        TimelineHistory::parse(4, "1\t0/3000000\tx\n2\t0/70000A0\tx\n3\t0/8000000\tx\n").unwrap()
    }

    #[test]
    fn only_timelines_of_the_run_that_are_no_more_written_are_scanned() {
        let held = held(&[
            "000000010000000000000002",
            "000000020000000000000007",
            "000000040000000000000009",
            "000000060000000000000009",
        ]);
        assert_eq!(timelines(&held, &history(), 2), [2, 6]);
    }

    #[test]
    fn a_scan_begins_in_the_segment_of_the_last_shared_byte() {
        let held = held(&["000000020000000000000006", "000000020000000000000007"]);
        assert_eq!(start(&held, &history(), 2), Some(Lsn(0x0700_0000)));
    }

    #[test]
    fn a_fork_at_a_segments_beginning_is_looked_for_in_the_segment_before() {
        let held = held(&["000000030000000000000007", "000000030000000000000008"]);
        assert_eq!(start(&held, &history(), 3), Some(Lsn(0x0700_0000)));
    }

    #[test]
    fn what_is_left_of_a_dead_branch_is_scanned_from_its_first_segment() {
        let held = held(&["000000060000000000000009", "000000060000000000000008"]);
        assert_eq!(start(&held, &history(), 6), Some(Lsn(0x0800_0000)));
    }

    #[test]
    fn a_timeline_whose_end_is_gone_has_no_start() {
        assert_eq!(
            start(&held(&["000000020000000000000005"]), &history(), 2),
            None
        );
    }
}
