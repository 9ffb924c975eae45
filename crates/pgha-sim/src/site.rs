//! One site: its members, its Patroni and its operator, as far as a move meets them.

use pgha_testkit::FakeCluster;
use serde_json::{Value, json};

use crate::pair::Patroni;
use crate::stream::Receiver;
use crate::time::wall_clock;
use crate::wal::Position;

/// Name of the operator's cluster.
pub(crate) const CLUSTER: &str = "db";

/// Kubernetes namespace.
pub(crate) const NAMESPACE: &str = "prod";

/// `loop_wait`, as the operator renders it.
pub(crate) const LOOP_MS: u64 = 10_000;

/// The database's identifier.
pub(crate) const SYSTEM: &str = "7710549851658973354";

/// What a Postgres does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It takes writes.
    Primary,
    /// It is in recovery.
    Standby,
    /// It is in recovery and becomes primary.
    Promoting { until: u64 },
    /// It stops cleanly: no connection lives, and its shutdown checkpoint is not written yet.
    Stopping { until: u64 },
    /// It is down; Patroni starts it again.
    Down { until: u64 },
}

/// A member.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) pod: String,
    pub(crate) uid: String,
    pub(crate) log: Position,
    pub(crate) state: State,
    /// Rises whenever Postgres stops: connections of an earlier life are lost.
    pub(crate) life: u32,
    pub(crate) control: Control,
    /// Rises whenever Postgres starts: receivers of an earlier run are lost.
    pub(crate) run: u32,
    /// Until when one that has stopped waits for whom it still sends to.
    pub(crate) drain_until: u64,
    /// Whether it does not start any more once it is down.
    pub(crate) never_up: bool,
    /// What is before it was removed from its log.
    pub(crate) kept_from: u64,
    /// What was put into its log beside the archive.
    pub(crate) handed: Option<Position>,
}

impl Member {
    /// One that has this log, on the first timeline.
    pub(crate) fn new((pod, uid): (&str, String), state: State, log: Position) -> Self {
        let control = Control {
            state: if state == State::Primary {
                "in production"
            } else {
                "in archive recovery"
            },
            checkpoint: log.at - 0x28,
            timeline: 1,
        };
        Self {
            pod: pod.to_owned(),
            uid,
            log,
            state,
            life: 0,
            control,
            run: 0,
            drain_until: 0,
            never_up: false,
            kept_from: 0,
            handed: None,
        }
    }

    /// Whether its Postgres is gone, or waits only for whom it still sends to.
    pub(crate) const fn is_down(&self) -> bool {
        matches!(self.state, State::Down { .. })
    }

    /// Whether its Postgres answers.
    pub(crate) const fn is_up(&self) -> bool {
        !matches!(self.state, State::Stopping { .. } | State::Down { .. })
    }
}

/// What the control file says.
#[derive(Clone, Debug)]
pub(crate) struct Control {
    pub(crate) state: &'static str,
    pub(crate) checkpoint: u64,
    pub(crate) timeline: u32,
}

/// What Patroni is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Demote,
    Promote,
}

/// What the operator reads of its object.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Spec {
    pub(crate) paused: bool,
    pub(crate) standby: Option<Value>,
}

impl Spec {
    pub(crate) fn of(object: &Value) -> Self {
        let section = object.pointer("/spec/standby");
        Self {
            paused: object.pointer("/spec/paused") == Some(&json!(true)),
            standby: section
                .filter(|section| section["enabled"] != json!(false))
                .cloned(),
        }
    }
}

/// One site.
pub(crate) struct Site {
    pub(crate) name: &'static str,
    pub(crate) cluster: FakeCluster,
    pub(crate) patroni: Patroni,
    /// Whether the first member holds Patroni's lock; when Patroni looks after it next, and whether something has woken it.
    pub(crate) is_locked: bool,
    pub(crate) turn_at: u64,
    pub(crate) is_woken: bool,
    /// The leader first.
    pub(crate) members: Vec<Member>,
    pub(crate) spec: Spec,
    pub(crate) config: Value,
    /// The settings that Postgres shows, and when the configuration's are shown.
    pub(crate) shown: Value,
    pub(crate) shown_at: u64,
    pub(crate) action: Option<(u64, Action)>,
    /// Whether the operator has something to look at, and what it is at work on until when.
    pub(crate) dirty: bool,
    pub(crate) at_work: Option<(u64, Spec)>,
    pub(crate) resync_at: u64,
    /// When Patroni renews its lock.
    pub(crate) renew_at: u64,
    /// Until when its API server is not reached.
    pub(crate) down_until: u64,
    /// What its leader streams from.
    pub(crate) receiver: Option<Receiver>,
    pub(crate) archive_at: u64,
    pub(crate) fetch_at: u64,
    /// The segment that the archiver could not push.
    pub(crate) failing: Option<String>,
}

impl Site {
    /// The records of moves that the site keeps, by key; nothing before the first.
    pub(crate) fn journal(&self) -> Value {
        let name = format!("{CLUSTER}-pgha");
        let journal = self.cluster.object("configmaps", NAMESPACE, &name);
        journal.map_or(Value::Null, |journal| journal["data"].clone())
    }

    /// Whether a move has claimed the site's cluster.
    pub(crate) fn has_record(&self) -> bool {
        !self.journal().is_null()
    }

    /// Whether the first move's record says that the target may be told to become primary.
    pub(crate) fn says_promoting(&self) -> bool {
        let journal = self.journal();
        let record = journal["move-1"]
            .as_str()
            .and_then(|text| serde_json::from_str::<Value>(text).ok());
        record.is_some_and(|record| {
            record["stage"] == "promoting" || record["ending"]["standing"] == "promotionUnknown"
        })
    }

    pub(crate) fn leader(&self) -> &Member {
        &self.members[0]
    }

    pub(crate) fn member(&self, pod: &str) -> Option<usize> {
        self.members.iter().position(|member| member.pod == pod)
    }

    /// Renews Patroni's lock, each `loop_wait`: the product looks at its age by the wall clock, which may be a slow machine's.
    pub(crate) fn renew_lock(&mut self, now: u64) {
        if now < self.renew_at {
            return;
        }
        self.renew_at = now + LOOP_MS;
        let time = wall_clock().to_string();
        self.cluster
            .change("endpoints", NAMESPACE, "db-ha", |lock| {
                lock["metadata"]["annotations"]["renewTime"] = json!(time);
            });
    }

    pub(crate) fn wants_standby(&self) -> bool {
        self.config.get("standby_cluster").is_some()
    }

    /// Whether its configuration names a server to stream from.
    pub(crate) fn names_server(&self) -> bool {
        self.config["standby_cluster"]["host"].is_string()
    }

    pub(crate) fn is_patroni_paused(&self) -> bool {
        self.config["pause"] == json!(true)
    }

    pub(crate) fn parameter(&self, name: &str) -> String {
        self.shown[name].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn asks_archive(&self) -> bool {
        self.parameter("restore_command").starts_with("pgbackrest ")
    }

    /// How long a standby waits before it looks for log again, in milliseconds.
    pub(crate) fn retry_ms(&self) -> u64 {
        let shown = self.parameter("wal_retrieve_retry_interval");
        let shown = shown
            .strip_suffix("ms")
            .and_then(|number| number.parse().ok());
        shown.unwrap_or(5_000)
    }

    /// Reads what a write has made of the operator's object and of Patroni's configuration.
    pub(crate) fn take_over(&mut self, now: u64, delay: u64) {
        if let Some(object) = self.cluster.object("postgresclusters", NAMESPACE, CLUSTER) {
            let spec = Spec::of(&object);
            self.dirty |= spec != self.spec;
            self.spec = spec;
        }
        let store = format!("{CLUSTER}-ha-config");
        let store = self
            .cluster
            .object("endpoints", NAMESPACE, &store)
            .unwrap_or_default();
        let text = store
            .pointer("/metadata/annotations/config")
            .and_then(Value::as_str);
        let config: Value = serde_json::from_str(text.unwrap_or("{}")).unwrap_or_default();
        if config != self.config {
            self.config = config;
            self.is_woken = true;
            self.shown_at = now + delay;
        }
    }

    /// Puts into the API server what Patroni says of its members, and into their ports what they answer.
    pub(crate) fn publish(&self, timelines: &[u32], seconds: i64) {
        for (index, (member, timeline)) in self.members.iter().zip(timelines).enumerate() {
            let status = self.status(index, *timeline);
            let leads = index == 0 && self.is_locked;
            let label = if leads { "master" } else { "replica" };
            self.cluster.change("pods", NAMESPACE, &member.pod, |pod| {
                pod["metadata"]["annotations"]["status"] = json!(status.to_string());
                pod["metadata"]["labels"]["postgres-operator.crunchydata.com/role"] = json!(label);
                pod["metadata"]["uid"] = json!(member.uid);
            });
            let mut answer = status;
            answer["patroni"] =
                json!({"version": self.patroni.version(), "scope": "db-ha", "name": member.pod});
            answer["dcs_last_seen"] = json!(seconds);
            answer["database_system_identifier"] = json!(SYSTEM);
            answer["server_version"] = json!(150_018);
            if answer.get("xlog_location").is_some() {
                let at = answer["xlog_location"].clone();
                answer["xlog"] = if member.state == State::Primary {
                    json!({"location": at})
                } else {
                    json!({"received_location": at, "replayed_location": at, "paused": false})
                };
            }
            self.cluster
                .answer_proxy(&member.pod, 8008, "/patroni", 200, answer.to_string());
        }
    }

    fn status(&self, index: usize, timeline: u32) -> Value {
        let member = &self.members[index];
        let (state, is_up) = match member.state {
            State::Primary | State::Standby | State::Promoting { .. } => ("running", true),
            State::Stopping { .. } => ("stopping", false),
            State::Down { .. } => ("stopped", false),
        };
        let role = match (index, member.state) {
            (0, State::Primary) => self.patroni.primary(),
            (0, State::Standby) if self.wants_standby() && self.is_locked => "standby_leader",
            (_, _) => "replica",
        };
        let mut status = json!({"conn_url": "postgres://10.0.0.1:5432/postgres", "api_url": "https://10.0.0.1:8008/patroni",
            "state": state, "role": role, "version": self.patroni.version()});
        if is_up {
            status["xlog_location"] = json!(member.log.at);
            status["timeline"] = json!(timeline);
            if member.state != State::Primary {
                if self.patroni == Patroni::V4_1 {
                    status["replay_lsn"] = json!(member.log.at);
                    status["receive_lsn"] = json!(member.log.at);
                }
                let streams = index > 0 || self.receiver.is_some();
                let word = if streams {
                    "streaming"
                } else {
                    "in archive recovery"
                };
                status["replication_state"] = json!(word);
            }
        }
        if self.is_patroni_paused() {
            status["pause"] = json!(true);
        }
        status
    }

    /// What the operator renders from its object (PGO v5.8 `internal/patroni/config.go`).
    pub(crate) fn rendered(spec: &Spec) -> Value {
        let restore = "pgbackrest --stanza=db archive-get %f \"%p\"";
        let mut config = json!({"loop_wait": 10, "ttl": 30, "postgresql": {"use_pg_rewind": true,
            "use_slots": false, "parameters": {"archive_command": "pgbackrest --stanza=db archive-push \"%p\"",
            "archive_mode": "on", "archive_timeout": "60s", "restore_command": restore}}});
        if let Some(section) = &spec.standby {
            let command = format!("{restore} --repo=1");
            let mut methods = vec!["pgbackrest"];
            config["postgresql"]["parameters"]["restore_command"] = json!(command);
            config["standby_cluster"] = json!({"restore_command": command});
            for key in ["host", "port"] {
                if let Some(value) = section.get(key) {
                    config["standby_cluster"][key] = value.clone();
                }
            }
            if section.get("host").is_some() {
                methods.push("basebackup");
            }
            config["standby_cluster"]["create_replica_methods"] = json!(methods);
        }
        config
    }
}
