use super::*;

const DUMP: &str = "\
rmgr: Transaction len (rec/tot):     34/    34, tx:        735, lsn: 0/06FFFF50, prev 0/06FFFF10, desc: COMMIT 2026-11-21 15:00:00.000000 UTC
rmgr: Transaction len (rec/tot):     34/    34, tx:        736, lsn: 0/06FFFF80, prev 0/06FFFF50, desc: ABORT 2026-11-21 15:00:00.000000 UTC
rmgr: XLOG        len (rec/tot):    114/   114, tx:          0, lsn: 0/07000028, prev 0/06FFFF80, desc: CHECKPOINT_SHUTDOWN redo 0/7000028; tli 1; prev tli 1; fpw true
pg_waldump: error: error in WAL record at 0/7000028: invalid record length at 0/70000A0: wanted 24, got 0
";

fn source() -> Vec<(TimelineId, String, String)> {
    vec![
        (1, "core1".into(), "10.101.128.5".into()),
        (2, "core2".into(), "10.102.128.5".into()),
    ]
}

fn evidence(fork: &str, dump: &str) -> WalEvidence {
    let scan = Scan {
        site: "core1".into(),
        member: "zitadel-a".into(),
        address: "10.101.128.5".into(),
        timeline: 1,
        records: Scan::parse_records(dump),
    };
    let history =
        TimelineHistory::parse(2, &format!("1\t{fork}\tno recovery target specified\n")).unwrap();
    WalEvidence {
        history,
        scans: vec![scan],
    }
}

#[test]
fn records_are_read_and_the_complaint_about_the_end_is_not_one() {
    let records = Scan::parse_records(DUMP);
    assert_eq!(records.len(), 3);
    assert_eq!(records[0].kind, WalKind::Commit { xid: 735 });
    assert_eq!(records[1].kind, WalKind::Other);
    assert_eq!(
        records[2],
        WalRecord {
            lsn: Lsn(0x0700_0028),
            kind: WalKind::ShutdownCheckpoint
        }
    );
}

#[test]
fn a_history_is_read_with_comments_and_without_a_parent() {
    let text =
        "# comment\n1\t0/7000000\tno recovery target specified\n\n2\t1/A0\treason with words\n";
    let history = TimelineHistory::parse(3, text).unwrap();
    assert_eq!(
        history.forks[1],
        Fork {
            timeline: 2,
            at: Lsn(0x1_0000_00A0)
        }
    );
    assert!(history.holds(1, Lsn(0x06FF_FFFF)) && !history.holds(1, Lsn(0x0700_0000)));
    assert!(history.holds(3, Lsn(u64::MAX)) && !history.holds(4, Lsn(0)));
    assert!(TimelineHistory::parse(1, "").unwrap().forks.is_empty());
    assert_eq!(
        TimelineHistory::parse(2, "one two")
            .unwrap_err()
            .to_string(),
        "`one two` is no line of a timeline history"
    );
}

#[test]
fn a_fork_right_after_the_shutdown_checkpoint_is_clean() {
    let finding = judge_wal(&evidence("0/70000A0", DUMP), &source());
    let clean = WalFinding {
        forks: vec![Fork {
            timeline: 1,
            at: Lsn(0x0700_00A0),
        }],
        ..WalFinding::default()
    };
    assert_eq!(finding, clean);
}

#[test]
fn a_fork_before_the_shutdown_checkpoint_loses_no_commit_but_strands_the_source() {
    let finding = judge_wal(&evidence("0/7000000", DUMP), &source());
    assert!(finding.stray_commits.is_empty());
    assert_eq!(
        finding.stray_others[0].record.kind,
        WalKind::ShutdownCheckpoint
    );
    assert_eq!(finding.unclean_forks.len(), 1);
}

#[test]
fn a_commit_past_the_fork_is_a_stray_commit() {
    let finding = judge_wal(&evidence("0/6FFFF50", DUMP), &source());
    assert_eq!(
        finding.stray_commits[0].record,
        WalRecord {
            lsn: Lsn(0x06FF_FF50),
            kind: WalKind::Commit { xid: 735 }
        }
    );
    assert_eq!(finding.stray_commits[0].member, "zitadel-a");
}

#[test]
fn commits_on_a_timeline_that_is_no_ancestor_are_stray() {
    let mut evidence = evidence("0/70000A0", DUMP);
    let mut branch = evidence.scans[0].clone();
    branch.timeline = 6;
    evidence.scans.push(branch);
    let finding = judge_wal(&evidence, &source());
    assert_eq!(finding.stray_commits.len(), 1);
    assert_eq!(finding.stray_commits[0].timeline, 6);
}

#[test]
fn older_timelines_than_the_runs_are_not_judged() {
    let mut evidence = evidence("0/70000A0", DUMP);
    evidence.history = TimelineHistory::parse(9, "1\t0/10\tx\n8\t0/70000A0\tx\n").unwrap();
    evidence.scans[0].timeline = 1;
    let sources = [(9, "core2".to_owned(), "10.102.128.5".to_owned())];
    assert_eq!(judge_wal(&evidence, &sources), WalFinding::default());
}

#[test]
fn a_log_that_is_gone_is_said_and_never_taken_for_clean() {
    let finding = judge_wal(&evidence("0/70000A0", ""), &source());
    assert_eq!(finding.uncovered.len(), 1);
    let mut branch = evidence("0/70000A0", DUMP);
    branch.history = TimelineHistory::parse(2, "").unwrap();
    branch.scans.clear();
    let finding = judge_wal(&branch, &source());
    assert!(finding.uncovered[0].contains("dead branch"), "{finding:?}");
}

#[test]
fn the_member_that_wrote_must_show_its_own_log() {
    let mut evidence = evidence("0/70000A0", DUMP);
    let mut replica = evidence.scans[0].clone();
    replica.address = "10.101.128.6".into();
    evidence.scans[0].records.clear();
    evidence.scans.push(replica);
    assert_eq!(judge_wal(&evidence, &source()).uncovered.len(), 1);
    evidence.scans.remove(0);
    assert!(judge_wal(&evidence, &source()).uncovered.is_empty());
}

#[test]
fn a_record_that_replicas_have_too_is_counted_once() {
    let mut evidence = evidence("0/6FFFF50", DUMP);
    let mut replica = evidence.scans[0].clone();
    replica.member = "zitadel-b".into();
    evidence.scans.push(replica);
    assert_eq!(judge_wal(&evidence, &source()).stray_commits.len(), 1);
}
