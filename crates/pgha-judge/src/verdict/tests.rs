use super::*;
use crate::bench::{Method, MoveRun, NotMeasured, Standby};
use crate::ledger::tests::Script;
use crate::{Lsn, Record, RowId, Scan, SideRows, TimelineHistory, WalKind, WalRecord};

const SOURCE: &str = "core1";
const TARGET: &str = "core2";

/// A run in which everything went well; each test spoils one thing.
struct Run {
    script: Script,
    rows: Vec<RowId>,
    sides: Vec<Side>,
    unread: Vec<Unread>,
    wal: Option<WalEvidence>,
    question: Question,
}

impl Run {
    fn good() -> Self {
        let mut script = Script::begin();
        let mut rows = Vec::new();
        for at_ms in (0..500).step_by(10) {
            script.beat(at_ms);
            rows.push(script.ack(1, at_ms, 1));
        }
        script.lost(1, 500);
        for at_ms in (600..1100).step_by(10) {
            script.beat(at_ms);
            rows.push(script.ack(2, at_ms, 2));
        }
        script.end(1110);
        let question = Question {
            expected_moves: Some(1),
            ..Question::default()
        };
        let (sides, unread, wal) = (Vec::new(), Vec::new(), Some(wal()));
        let mut run = Self {
            script,
            rows,
            sides,
            unread,
            wal,
            question,
        };
        run.sides = vec![run.side(SOURCE, true), run.side(TARGET, false)];
        run
    }

    fn side(&self, site: &str, in_recovery: bool) -> Side {
        Side {
            site: site.into(),
            member: format!("{site}-a"),
            system_identifier: "7".into(),
            in_recovery,
            timeline: 2,
            lsn: Lsn(0x0800_0000),
            rows: self.rows.iter().map(|id| (*id, 1)).collect(),
        }
    }

    fn target_rows(&mut self) -> &mut SideRows {
        &mut self.sides[1].rows
    }

    fn verdict(&self) -> Verdict {
        let ledger = self.script.ledger();
        let wal = self
            .wal
            .as_ref()
            .map_or(WalReading::NotAsked, WalReading::Read);
        let evidence = Evidence {
            ledger: &ledger,
            sides: &self.sides,
            unread: &self.unread,
            wal,
        };
        judge(evidence, &self.question)
    }

    /// Asserts that `id` alone is not held, in the state and with the ruling given.
    #[track_caller]
    fn shows(&self, id: &str, state: State, ruling: Ruling) {
        let verdict = self.verdict();
        let all: Vec<_> = verdict.assumptions.iter().chain(&verdict.checks).collect();
        let spoilt: Vec<_> = all
            .iter()
            .filter(|check| check.state != State::Holds)
            .collect();
        let seen: Vec<_> = spoilt
            .iter()
            .map(|check| (check.id.as_str(), check.state))
            .collect();
        assert_eq!(
            (seen, verdict.ruling),
            (vec![(id, state)], ruling),
            "{verdict}"
        );
    }
}

fn wal() -> WalEvidence {
    let record = |lsn, kind| WalRecord {
        lsn: Lsn(lsn),
        kind,
    };
    let records = vec![
        record(0x06FF_FF50, WalKind::Commit { xid: 7 }),
        record(0x0700_0028, WalKind::ShutdownCheckpoint),
    ];
    let (site, member, address) = (SOURCE.into(), "core1-a".into(), "10.101.128.5".into());
    let scan = Scan {
        site,
        member,
        address,
        timeline: 1,
        records,
    };
    WalEvidence {
        history: TimelineHistory::parse(2, "1\t0/70000A0\tx").unwrap(),
        scans: vec![scan],
    }
}

#[test]
fn a_clean_move_passes_with_its_gap() {
    let run = Run::good();
    let verdict = run.verdict();
    assert_eq!(verdict.ruling, Ruling::Pass, "{verdict}");
    assert_eq!(verdict.moves().next().unwrap().gap_us, 110_000);
    let account = verdict.account.as_ref().unwrap();
    assert_eq!(
        (account.acknowledged, account.present, account.unknown),
        (100, 100, 1)
    );
    let measured = MoveRun::measured(&verdict, Standby::Archive, 0, Method::Pgha).unwrap();
    assert!((measured.gap_s - 0.11).abs() < 1e-9 && measured.rejoined && measured.missing == 0);
}

#[test]
fn a_killed_writer_leaves_no_conclusion() {
    let mut run = Run::good();
    let text = run.script.text();
    let without_end = text.rsplit_once("{\"k\":\"end\"").unwrap().0.to_owned();
    let ledger = Ledger::parse(&without_end).unwrap();
    let wal = WalReading::Read(run.wal.as_ref().unwrap());
    let evidence = Evidence {
        ledger: &ledger,
        sides: &run.sides,
        unread: &[],
        wal,
    };
    let verdict = judge(evidence, &run.question);
    assert_eq!(verdict.ruling, Ruling::Inconclusive);
    assert_eq!(
        verdict.check("ledger-complete").unwrap().state,
        State::Broken
    );
    run.question.is_open = true;
    assert_eq!(judge(evidence, &run.question).ruling, Ruling::Pass);
    let error = MoveRun::measured(&verdict, Standby::Archive, 0, Method::Pgha).unwrap_err();
    assert!(matches!(error, NotMeasured::Assumption(_)), "{error}");
}

#[test]
fn a_ledger_that_contradicts_itself_leaves_no_conclusion() {
    let mut run = Run::good();
    run.script.push(&Record::No {
        at_us: 2_000_000,
        lane: 1,
        seq: 9999,
        code: "25006".into(),
    });
    run.shows("ledger-complete", State::Broken, Ruling::Inconclusive);
}

#[test]
fn a_clock_that_went_back_leaves_no_conclusion() {
    let mut run = Run::good();
    run.script.push(&Record::Down {
        at_us: 5,
        lane: 1,
        why: "closed".into(),
    });
    run.shows("clock-monotonic", State::Broken, Ruling::Inconclusive);
}

#[test]
fn a_writer_that_stood_still_leaves_no_conclusion() {
    let mut run = Run::good();
    run.question.max_stall_us = 50_000;
    run.shows("writer-ran-through", State::Broken, Ruling::Inconclusive);
}

#[test]
fn too_few_rows_on_a_side_or_an_unseen_move_leave_no_conclusion() {
    let mut run = Run::good();
    run.question.min_rows = 51;
    run.shows("moves-measured", State::Broken, Ruling::Inconclusive);
    run.question = Question {
        expected_moves: Some(2),
        ..Question::default()
    };
    run.shows("moves-measured", State::Broken, Ruling::Inconclusive);
    run.question = Question::default();
    assert_eq!(run.verdict().ruling, Ruling::Pass);
}

#[test]
fn two_different_services_leave_no_conclusion() {
    let mut run = Run::good();
    run.sides[0].system_identifier = "8".into();
    run.shows("same-service", State::Broken, Ruling::Inconclusive);
}

#[test]
fn two_primaries_fail_even_without_a_row() {
    let mut run = Run::good();
    run.sides[0].in_recovery = false;
    let verdict = run.verdict();
    assert_eq!(verdict.ruling, Ruling::Fail);
    assert_eq!(verdict.check("one-primary").unwrap().state, State::Broken);
    assert_eq!(
        verdict.check("nothing-missing").unwrap().state,
        State::Unjudged
    );
    let error = MoveRun::measured(&verdict, Standby::Archive, 0, Method::Pgha).unwrap_err();
    assert_eq!(error, NotMeasured::NoPrimary);
}

#[test]
fn no_primary_at_all_fails() {
    let mut run = Run::good();
    run.sides[1].in_recovery = true;
    let verdict = run.verdict();
    assert_eq!(verdict.check("one-primary").unwrap().state, State::Broken);
    assert_eq!(verdict.ruling, Ruling::Fail);
}

#[test]
fn writes_on_both_sides_at_once_fail() {
    let mut run = Run::good();
    run.script = Script::begin();
    for at_ms in (0..600).step_by(10) {
        run.script.beat(at_ms);
        run.script.ack(1, at_ms, 1);
        if at_ms >= 400 {
            run.script.ack(2, at_ms + 1, 2);
        }
    }
    run.script.end(700);
    let ledger = run.script.ledger();
    for side in &mut run.sides {
        side.rows = ledger.rows.iter().map(|row| (row.id, 1)).collect();
    }
    run.question.expected_moves = None;
    run.shows("one-writer", State::Broken, Ruling::Fail);
}

#[test]
fn a_missing_acknowledged_row_fails_and_is_named() {
    let mut run = Run::good();
    let lost = run.rows[3];
    run.target_rows().remove(&lost);
    run.shows("nothing-missing", State::Broken, Ruling::Fail);
    assert_eq!(run.verdict().account.unwrap().missing, [lost]);
    assert!(
        run.verdict()
            .to_string()
            .contains(&format!("missing                      1  {lost}"))
    );
}

#[test]
fn a_run_without_an_acknowledged_row_shows_nothing() {
    let mut run = Run::good();
    run.script = Script::begin();
    run.script.end(10);
    for side in &mut run.sides {
        side.rows.clear();
    }
    run.question.expected_moves = None;
    run.shows("nothing-missing", State::Broken, Ruling::Fail);
}

#[test]
fn a_duplicate_fails() {
    let mut run = Run::good();
    let twice = run.rows[0];
    run.target_rows().insert(twice, 2);
    run.shows("no-duplicates", State::Broken, Ruling::Fail);
}

#[test]
fn a_row_that_nobody_sent_fails() {
    let mut run = Run::good();
    run.target_rows().insert(RowId { lane: 9, seq: 9 }, 1);
    run.shows("nothing-invented", State::Broken, Ruling::Fail);
}

#[test]
fn an_old_side_that_lacks_rows_or_stays_behind_has_not_followed() {
    let mut run = Run::good();
    let lost = run.rows[99];
    run.sides[0].rows.remove(&lost);
    run.shows("old-side-follows", State::Broken, Ruling::Fail);
    let mut run = Run::good();
    run.sides[0].timeline = 1;
    run.shows("old-side-follows", State::Broken, Ruling::Fail);
    assert!(
        !MoveRun::measured(&run.verdict(), Standby::Archive, 0, Method::Documented)
            .unwrap()
            .rejoined
    );
}

#[test]
fn a_side_that_cannot_be_read_is_not_taken_for_a_standby() {
    let mut run = Run::good();
    run.sides.remove(0);
    let (site, member, why) = (SOURCE.into(), "core1-a".into(), "it does not answer".into());
    run.unread.push(Unread { site, member, why });
    let verdict = run.verdict();
    assert_eq!(verdict.check("one-primary").unwrap().state, State::Unjudged);
    assert_eq!(
        verdict.check("old-side-follows").unwrap().state,
        State::Broken
    );
}

#[test]
fn a_replica_beside_the_primary_that_lacks_rows_does_not_follow() {
    let mut run = Run::good();
    let mut replica = run.side(TARGET, true);
    replica.rows.clear();
    run.sides.push(replica);
    run.shows("replicas-follow", State::Broken, Ruling::Fail);
}

#[test]
fn a_standby_cannot_lack_what_the_primary_itself_lost() {
    let mut run = Run::good();
    let lost = run.rows[3];
    for side in &mut run.sides {
        side.rows.remove(&lost);
    }
    run.shows("nothing-missing", State::Broken, Ruling::Fail);
}

#[test]
fn logs_that_were_not_asked_for_make_no_promise() {
    let mut run = Run::good();
    run.wal = None;
    let verdict = run.verdict();
    assert_eq!(
        (verdict.ruling, verdict.check("no-commit-outside-history")),
        (Ruling::Pass, None)
    );
    let ledger = run.script.ledger();
    let wal = WalReading::Unreadable("no history");
    let evidence = Evidence {
        ledger: &ledger,
        sides: &run.sides,
        unread: &[],
        wal,
    };
    assert_eq!(judge(evidence, &run.question).ruling, Ruling::Inconclusive);
}

#[test]
fn one_side_alone_is_no_conclusion() {
    let mut run = Run::good();
    run.sides.remove(0);
    let verdict = run.verdict();
    assert_eq!(verdict.ruling, Ruling::Inconclusive);
    assert_eq!(
        verdict.check("same-service").unwrap().state,
        State::Unjudged
    );
}

#[test]
fn a_commit_outside_the_history_fails() {
    let mut run = Run::good();
    let wal = run.wal.as_mut().unwrap();
    let kind = WalKind::Commit { xid: 9 };
    wal.scans[0].records.push(WalRecord {
        lsn: Lsn(0x0700_00A0),
        kind,
    });
    run.shows("no-commit-outside-history", State::Broken, Ruling::Fail);
}

#[test]
fn a_fork_before_the_shutdown_checkpoint_fails() {
    let mut run = Run::good();
    run.wal.as_mut().unwrap().history.forks[0].at = Lsn(0x0700_0000);
    run.shows(
        "forks-after-shutdown-checkpoint",
        State::Broken,
        Ruling::Fail,
    );
}

#[test]
fn a_log_that_went_on_without_a_commit_fails_too() {
    let mut run = Run::good();
    run.wal.as_mut().unwrap().scans[0].records.push(WalRecord {
        lsn: Lsn(0x0700_00A0),
        kind: WalKind::Other,
    });
    run.shows(
        "forks-after-shutdown-checkpoint",
        State::Broken,
        Ruling::Fail,
    );
}

#[test]
fn logs_that_are_gone_leave_their_promises_unjudged() {
    let mut run = Run::good();
    run.wal.as_mut().unwrap().scans.clear();
    let verdict = run.verdict();
    assert_eq!(verdict.ruling, Ruling::Inconclusive);
    for id in [
        "no-commit-outside-history",
        "forks-after-shutdown-checkpoint",
    ] {
        assert_eq!(verdict.check(id).unwrap().state, State::Unjudged);
    }
}

#[test]
fn a_verdict_can_be_stored_and_read_again() {
    let mut verdict = Run::good().verdict();
    let json = serde_json::to_string(&verdict).unwrap();
    for side in &mut verdict.sides {
        side.rows.clear();
    }
    assert_eq!(serde_json::from_str::<Verdict>(&json).unwrap(), verdict);
}
