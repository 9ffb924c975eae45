use std::collections::BTreeMap;

use super::*;
use crate::plan::Step;

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

fn side(context: &str, standby: bool) -> RecordedSide {
    RecordedSide {
        place: Place {
            context: context.to_owned(),
            namespace: "prod".to_owned(),
            cluster: "db".to_owned(),
        },
        identity: SiteIdentity {
            kube_system_uid: Some(format!("kube-{context}")),
            server_ca: None,
            object_uid: format!("object-{context}"),
        },
        leader: None,
        paused: None,
        standby,
        settings: BTreeMap::from([("wal_keep_size".to_owned(), None)]),
    }
}

pub(crate) fn record(epoch: u64) -> MoveRecord {
    MoveRecord {
        version: VERSION,
        epoch: Epoch(epoch),
        action: Action::Switchover,
        continues: None,
        operator: "jane@laptop, process 7".to_owned(),
        claimed_at: at(0),
        system_identifier: "7".to_owned(),
        source: Some(side("core1", false)),
        target: Some(side("core2", true)),
        feed: Some(Feed::Archive),
        demotion: Some(Demotion::InPlace),
        failover: None,
        deadline_job: None,
        application: Vec::new(),
        backup: None,
        followers: None,
        stage: Stage::Preparing,
        deadline: at(60),
        events: vec![RecordedEvent {
            at: at(1),
            event: Event::Settled {
                step: Step::Hold,
                took: Duration::from_millis(1500),
                evidence: "Both objects say so.".to_owned(),
            },
        }],
        ending: None,
    }
}

fn data(records: &[MoveRecord]) -> BTreeMap<String, String> {
    let text = |record| serde_json::to_string(record).unwrap();
    records
        .iter()
        .map(|record| (Journal::key(record.epoch), text(record)))
        .collect()
}

#[test]
fn a_record_reads_back_as_it_was_written() {
    let mut whole = record(3);
    whole.ending = Some(Ending {
        at: at(9),
        standing: None,
        because: None,
        result: Some(MoveResult {
            write_gap: Some(Duration::from_millis(640)),
            closure: None,
            timeline: Timeline(4),
            fork: "0/5000028".parse().unwrap(),
        }),
    });
    let journal = Journal::from_data(&data(&[record(2), whole.clone()]));
    assert_eq!(journal.epoch, Epoch(3));
    assert_eq!(journal.readable(Epoch(3)), Some(&whole));
    assert_eq!(journal.last().unwrap().0, Epoch(3));
}

#[test]
fn what_cannot_be_read_is_kept_and_counts_as_an_epoch() {
    let mut newer = serde_json::to_value(record(9)).unwrap();
    newer["version"] = serde_json::json!(2);
    let mut kept = data(&[record(2)]);
    kept.insert("move-9".to_owned(), newer.to_string());
    kept.insert("move-8".to_owned(), "{".to_owned());
    kept.insert("move-x".to_owned(), "{}".to_owned());
    kept.insert("epoch".to_owned(), "many".to_owned());
    let journal = Journal::from_data(&kept);
    assert_eq!(journal.epoch, Epoch(9));
    assert_eq!(journal.moves.len(), 3);
    assert!(matches!(
        journal.last(),
        Some((Epoch(9), Entry::Unreadable(_)))
    ));
    assert_eq!(journal.readable(Epoch(8)), None);
    assert_eq!(Journal::from_data(&BTreeMap::new()), Journal::default());
}

#[test]
fn the_named_epoch_counts_although_its_record_is_lost() {
    let mut kept = data(&[record(2)]);
    kept.insert("epoch".to_owned(), "7".to_owned());
    assert_eq!(Journal::from_data(&kept).epoch, Epoch(7));
}

#[test]
fn a_record_of_the_database_that_had_the_name_before_is_no_move_of_this_one() {
    let journal = Journal::from_data(&data(&[record(2)]));
    let own = record(2).system_identifier;
    assert_eq!(journal.clone().of_system(Some(&own)), journal);
    assert_eq!(journal.clone().of_system(None), journal);
    let of_another = journal.of_system(Some("another"));
    assert_eq!(of_another.moves, BTreeMap::new());
    assert_eq!(of_another.epoch, Epoch(2));
}

#[test]
fn the_oldest_records_are_dropped() {
    let records: Vec<_> = (1..=20).map(record).collect();
    let journal = Journal::from_data(&data(&records));
    assert_eq!(journal.outlived(Epoch(20)), Vec::<String>::new());
    assert_eq!(journal.outlived(Epoch(21)), ["move-1"]);
}

#[test]
fn what_is_decided_stays_decided() {
    assert!(Stage::Fenced.allows(Stage::Promoting) && Stage::Fenced.allows(Stage::Undone));
    assert!(!Stage::Undone.allows(Stage::Promoting));
    assert!(!Stage::Promoting.allows(Stage::Fenced));
    for next in [Stage::Fenced, Stage::Promoting, Stage::Undone] {
        assert!(!Stage::Ended.allows(next));
    }
    for stage in [Stage::Preparing, Stage::Fenced, Stage::Undone, Stage::Ended] {
        assert!(stage.allows(stage) && stage.allows(Stage::Ended));
    }
}

#[test]
fn a_move_is_open_until_it_has_left_nothing_behind() {
    let mut ended = record(1);
    assert!(ended.is_open() && ended.may_be_alive(at(60)) && !ended.may_be_alive(at(61)));
    let mut end = |standing| {
        ended.ending = Some(Ending {
            at: at(9),
            standing,
            because: None,
            result: None,
        });
        (ended.is_open(), ended.may_be_alive(at(9)))
    };
    assert_eq!(end(None), (false, false));
    assert_eq!(end(Some(Standing::BackAtSource)), (false, false));
    assert_eq!(end(Some(Standing::Fenced)), (true, false));
    assert_eq!(end(Some(Standing::Unchanged)), (false, false));
}

#[test]
fn a_taker_over_that_changed_nothing_leaves_the_move_unfinished() {
    let mut taker = record(2);
    taker.continues = Some(Epoch(1));
    let mut end = |standing| {
        taker.ending = Some(Ending {
            at: at(9),
            standing,
            because: None,
            result: None,
        });
        taker.is_open()
    };
    assert!(end(Some(Standing::Unchanged)));
    assert!(!end(None));
}
