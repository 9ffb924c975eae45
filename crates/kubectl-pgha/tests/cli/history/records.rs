//! Records as the sites keep them.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use jiff::Timestamp;
use pgha_model::event::{Event, Standing};
use pgha_model::plan::{Demotion, Feed, LeaderIdentity, Step};
use pgha_model::proof::{Closure, LogEnd};
use pgha_model::record::{
    Action, Ending, Epoch, Journal, MoveRecord, MoveResult, RecordedEvent, RecordedSide,
    SiteIdentity, Stage, VERSION,
};
use pgha_model::site::Place;
use pgha_model::timeline::Timeline;
use pgha_testkit::FakeCluster;
use serde_json::json;

use crate::bench::{NAMESPACE, empty_cluster, now};

/// What a site keeps.
#[derive(Default)]
pub(super) struct Site(BTreeMap<String, String>);

impl Site {
    pub(super) fn keeping(self, record: &MoveRecord) -> Self {
        let text = serde_json::to_string(record).unwrap();
        self.holding(record.epoch.0, &text)
    }

    pub(super) fn holding(mut self, epoch: u64, text: &str) -> Self {
        self.0.insert(Journal::key(Epoch(epoch)), text.to_owned());
        self.last_epoch(epoch)
    }

    pub(super) fn last_epoch(mut self, epoch: u64) -> Self {
        let key = Journal::epoch_key().to_owned();
        self.0.insert(key, epoch.to_string());
        self
    }

    pub(super) fn cluster(self) -> FakeCluster {
        let cluster = empty_cluster();
        cluster.insert(json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "zitadel-pgha", "namespace": NAMESPACE}, "data": self.0
        }));
        cluster
    }
}

/// A move that went as planned, so many days ago.
pub(super) fn switchover(epoch: u64, days: u64) -> MoveRecord {
    let mut tape = Tape::new(epoch, days);
    tape.settled(
        Step::Claim,
        0.18,
        "Both sites keep the record of this move.",
    );
    tape.settled(
        Step::Hold,
        1.21,
        "Both objects say Progressing=False, Paused.",
    );
    tape.settled(
        Step::Prepare,
        0.64,
        "Every member of core2 shows wal_retrieve_retry_interval=200ms.",
    );
    tape.note(
        Step::Rehearse,
        "The repository answered a push after 4.1 s.",
    );
    tape.settled(
        Step::Rehearse,
        9.42,
        "The canary at 0/6000128 was replayed by both members of core2, and the push of segment 000000010000000000000006 \
         was accepted.",
    );
    tape.settled(
        Step::Detach,
        1.06,
        "Both members of core2 show restore_command=/bin/false.",
    );
    tape.settled(
        Step::Fence,
        0.83,
        "The control data of zitadel-pgha1-abcd-0 says `shut down`, with its checkpoint at 0/7000028.",
    );
    tape.settled(
        Step::Prove,
        0.51,
        "Both members of core2 replayed up to 0/70000A0, past 0/7000028.",
    );
    tape.settled(
        Step::Promote,
        0.57,
        "A transaction was committed on zitadel-pgha1-wxyz-0, on timeline 2.",
    );
    tape.settled(
        Step::Verify,
        4.31,
        "Timeline 2 forks at 0/70000A0, and its first segment is archived.",
    );
    tape.settled(Step::Release, 1.9, "Both operators work again.");
    tape.settled(
        Step::Rejoin,
        11.2,
        "All four members replayed 0/7001F30 on timeline 2.",
    );
    let result = MoveResult {
        write_gap: Some(Duration::from_millis(1930)),
        closure: Some(Closure {
            system_identifier: "7".to_owned(),
            timeline: Timeline(1),
            end: LogEnd::Checkpoint("0/7000028".parse().unwrap()),
            segment: "000000010000000000000007".to_owned(),
        }),
        timeline: Timeline(2),
        fork: "0/70000A0".parse().unwrap(),
    };
    tape.end(None, None, Some(result))
}

/// A move that was taken back, so many days ago.
pub(super) fn undone(epoch: u64, days: u64) -> MoveRecord {
    let mut tape = Tape::new(epoch, days);
    tape.settled(Step::Claim, 0.2, "Both sites keep the record of this move.");
    tape.settled(
        Step::Hold,
        1.4,
        "Both objects say Progressing=False, Paused.",
    );
    tape.settled(
        Step::Fence,
        1.1,
        "The control data of zitadel-pgha1-abcd-0 says `shut down`.",
    );
    tape.started(Step::Prove);
    tape.pass(12.0);
    tape.happen(Event::Undoing {
        because: "the proof does not hold; core1 becomes primary again.".to_owned(),
    });
    tape.pass(4.2);
    tape.happen(Event::Undone {
        evidence: "core1 has committed on timeline 3.".to_owned(),
    });
    tape.end(
        Some(Standing::BackAtSource),
        Some("the proof does not hold: zitadel-pgha1-wxyz-1 replayed up to 0/7000000."),
        None,
    )
}

/// A move whose tool died while the source was fenced, so many days ago.
pub(super) fn fenced(epoch: u64, days: u64) -> MoveRecord {
    let mut tape = Tape::new(epoch, days);
    tape.settled(Step::Claim, 0.2, "Both sites keep the record of this move.");
    tape.settled(
        Step::Hold,
        1.4,
        "Both objects say Progressing=False, Paused.",
    );
    tape.started(Step::Fence);
    tape.record.stage = Stage::Fenced;
    tape.record
}

/// A record that a later version wrote.
pub(super) fn newer(epoch: u64) -> String {
    let mut record = serde_json::to_value(switchover(epoch, 1)).unwrap();
    record["version"] = json!(VERSION + 1);
    record.to_string()
}

/// A record that somebody has cut off.
pub(super) fn broken() -> String {
    r#"{"version": 1, "epoch": 3, "action": "switch"#.to_owned()
}

/// The record with this text wherever it has words of anybody's.
pub(super) fn saying(mut record: MoveRecord, words: &str) -> MoveRecord {
    for recorded in &mut record.events {
        if let Event::Settled { evidence: text, .. } | Event::Noted { text, .. } =
            &mut recorded.event
        {
            words.clone_into(text);
        }
    }
    if let Some(ending) = &mut record.ending {
        ending.because = Some(words.to_owned());
    }
    record
}

/// A record while it is written.
struct Tape {
    record: MoveRecord,
    now: Timestamp,
}

impl Tape {
    fn new(epoch: u64, days: u64) -> Self {
        // A little more than whole days: what is told of them does not change while a test runs.
        static TODAY: LazyLock<Timestamp> = LazyLock::new(now);
        let claimed_at = *TODAY - Duration::from_hours(24 * days) - Duration::from_mins(10);
        // Programs read the same time back: they keep nanoseconds, records need none of them.
        let claimed_at = Timestamp::from_millisecond(claimed_at.as_millisecond()).unwrap();
        let record = MoveRecord {
            version: VERSION,
            epoch: Epoch(epoch),
            action: Action::Switchover,
            continues: None,
            operator: "jane@laptop, process 7".to_owned(),
            claimed_at,
            system_identifier: "7".to_owned(),
            source: Some(side("core1", "zitadel-pgha1-abcd-0")),
            target: Some(side("core2", "zitadel-pgha1-wxyz-0")),
            feed: Some(Feed::Archive),
            demotion: Some(Demotion::InPlace),
            failover: None,
            deadline_job: None,
            application: Vec::new(),
            backup: None,
            followers: Some(Vec::new()),
            stage: Stage::Preparing,
            deadline: claimed_at + Duration::from_mins(2),
            events: Vec::new(),
            ending: None,
        };
        Self {
            record,
            now: claimed_at,
        }
    }

    fn pass(&mut self, seconds: f64) {
        self.now += Duration::from_secs_f64(seconds);
    }

    fn happen(&mut self, event: Event) {
        self.record.events.push(RecordedEvent {
            at: self.now,
            event,
        });
    }

    fn started(&mut self, step: Step) {
        if step != Step::Claim {
            self.happen(Event::Started { step });
        }
    }

    fn settled(&mut self, step: Step, seconds: f64, evidence: &str) {
        self.started(step);
        self.pass(seconds);
        self.happen(Event::Settled {
            step,
            took: Duration::from_secs_f64(seconds),
            evidence: evidence.to_owned(),
        });
    }

    fn note(&mut self, step: Step, text: &str) {
        let text = text.to_owned();
        self.happen(Event::noted(step, text));
    }

    fn end(
        mut self,
        standing: Option<Standing>,
        because: Option<&str>,
        result: Option<MoveResult>,
    ) -> MoveRecord {
        self.record.stage = Stage::Ended;
        self.record.ending = Some(Ending {
            at: self.now,
            standing,
            because: because.map(str::to_owned),
            result,
        });
        self.record
    }
}

fn side(context: &str, leader: &str) -> RecordedSide {
    RecordedSide {
        place: Place {
            context: context.to_owned(),
            namespace: NAMESPACE.to_owned(),
            cluster: "zitadel".to_owned(),
        },
        identity: SiteIdentity {
            kube_system_uid: None,
            server_ca: None,
            object_uid: format!("object-{context}"),
        },
        leader: Some(LeaderIdentity {
            pod: leader.to_owned(),
            uid: format!("uid-{leader}"),
        }),
        paused: None,
        standby: context == "core2",
        settings: BTreeMap::new(),
    }
}
