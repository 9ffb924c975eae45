//! What was seen at one site, and when.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::member::MemberStatus;
use crate::observed::Observed;
use crate::owner::Owner;
use crate::site::Place;
use crate::timeline::History;

/// Facts read at one site, as close together as the network allows. Stale the moment it exists: a decision that acts on
/// it names the values it rests on again when it acts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SiteSurvey {
    /// Where this was read.
    pub place: Place,
    /// When the reading began, by this machine's clock.
    pub seen_at: Timestamp,
    /// The operator's object.
    pub object: ClusterObject,
    /// Patroni's lock; `Unseen` when the object that holds it cannot be read.
    pub lock: Observed<LeaderLock>,
    /// Patroni's own configuration and history.
    pub store: Observed<PatroniStore>,
    /// The members, by pod name.
    pub members: Vec<Member>,
}

/// The operator's object, in words that do not depend on the operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts of the object, each with its own name"
)]
pub struct ClusterObject {
    /// Which operator's contract the object follows, `pgo-v5`.
    pub operator: &'static str,
    /// Kubernetes' UID of the object.
    pub uid: String,
    /// `metadata.generation`.
    pub generation: Option<i64>,
    /// Whether the object says that this side is to be a standby.
    pub standby: bool,
    /// The object's standby section as it is, for a patch to test.
    pub standby_section: Option<Value>,
    /// Whether the operator is told to leave the cluster alone.
    pub paused: bool,
    /// Whether the operator is told to shut the cluster down.
    pub shutdown: bool,
    /// Whether the operator says, by its condition, that it leaves the cluster alone.
    pub pause_acknowledged: bool,
    /// Who else writes this object. Of an owner's own object only what was read with the survey is known.
    pub owners: Vec<Owner>,
    /// A switchover inside the cluster that the operator was asked for and has not finished.
    pub pending_switchover: Option<String>,
    /// A standby section in the operator's free-form Patroni configuration: it survives promotion (PGO never deletes it).
    pub hidden_standby_section: bool,
    /// The id of the manual backup that was last asked for. Other than [`ManualBackup::id`]: it was not accepted yet,
    /// and on a standby it starts by itself after the promotion.
    pub requested_backup: Option<String>,
    /// The last manual backup, as the object's status has it.
    pub manual_backup: Option<ManualBackup>,
    /// The newest scheduled or manual backup that completed, in the object's own text.
    pub last_backup: Option<String>,
    /// The repositories, as the object's status has them.
    pub repos: Vec<BackupRepo>,
    /// The object's conditions.
    pub conditions: Vec<Condition>,
    /// The system identifier as the object's status has it.
    pub system_identifier: Option<String>,
    /// The images that it names; those that it leaves to the operator are `None`.
    pub images: Images,
}

/// The images of a cluster's containers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Images {
    /// Of Postgres and Patroni.
    pub postgres: Option<String>,
    /// Of pgBackRest's containers and Jobs.
    pub pgbackrest: Option<String>,
}

impl Images {
    /// Whether these are those that are asked for; what is not asked for may be anything.
    pub fn have(&self, asked: &Self) -> bool {
        let is = |here: &Option<String>, asked: &Option<String>| asked.is_none() || here == asked;
        is(&self.postgres, &asked.postgres) && is(&self.pgbackrest, &asked.pgbackrest)
    }

    /// The same without regard to the registry and the path there, which may differ between sites.
    pub fn have_names_of(&self, asked: &Self) -> bool {
        self.without_paths().have(&asked.without_paths())
    }

    fn without_paths(&self) -> Self {
        let name = |image: &Option<String>| {
            let last = image.as_deref()?.rsplit('/').next()?;
            Some(last.to_owned())
        };
        Self {
            postgres: name(&self.postgres),
            pgbackrest: name(&self.pgbackrest),
        }
    }
}

/// A manual backup, as the operator reports it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ManualBackup {
    /// The id that the request carried.
    pub id: String,
    /// Whether it ended, well or not.
    pub finished: bool,
    /// Pods that succeeded.
    pub succeeded: u32,
    /// Pods that failed.
    pub failed: u32,
    /// When it ended well.
    pub completed_at: Option<String>,
}

/// A backup repository, as the operator reports it. On a cluster that was never primary nothing of it is there, which
/// is normal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackupRepo {
    /// `repo1` to `repo4`.
    pub name: String,
    /// Whether the repository was prepared for this cluster.
    pub stanza_created: bool,
    /// Whether the backup from which replicas are made is there; until then no manual backup starts.
    pub replica_create_backup_complete: bool,
}

/// A condition of the object (Kubernetes API conventions, "Typical status properties").
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Its type, `PGBackRestReplicaRepoReady`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// One word of why.
    pub reason: String,
    /// A sentence of why.
    pub message: String,
    /// The generation it was computed for.
    pub observed_generation: Option<i64>,
}

/// Patroni's lock, as its Kubernetes object has it (Patroni `dcs/kubernetes.py`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LeaderLock {
    /// The member that holds it; `None` when it was released.
    pub holder: Option<String>,
    /// Since when, by the holder's clock.
    pub acquired_at: Option<Timestamp>,
    /// When it was last renewed, by the holder's clock.
    pub renewed_at: Option<Timestamp>,
    /// Seconds for which a renewal holds.
    pub ttl_seconds: Option<u32>,
    /// How often it changed hands.
    pub transitions: Option<u64>,
}

impl LeaderLock {
    /// Seconds since the last renewal, as `now` sees them; negative when the clocks disagree.
    pub fn age_seconds(&self, now: Timestamp) -> Option<i64> {
        self.renewed_at
            .map(|renewed| now.as_second() - renewed.as_second())
    }

    /// Whether the last renewal is older than it holds. Clocks may differ: a hint, not a proof.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        match (self.age_seconds(now), self.ttl_seconds) {
            (Some(age), Some(ttl)) => age > i64::from(ttl),
            (_, _) => true,
        }
    }
}

/// What Patroni keeps for the whole cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PatroniStore {
    /// The dynamic configuration, exactly as it is written: a patch tests this text.
    pub config: String,
    /// Whether that configuration makes this a standby cluster: a `standby_cluster` with a truthy host, port or
    /// restore command (Patroni `global_config.py`).
    pub standby: bool,
    /// Whether that configuration pauses Patroni.
    pub paused: bool,
    /// The system identifier under which the cluster was initialised.
    pub system_identifier: Option<String>,
    /// Promotions that this site's Patroni has seen. It is written up to `loop_wait` after a promotion.
    pub history: Observed<History>,
}

/// A member: its pod, and what Patroni says of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// The pod's name, which is also the member's.
    pub pod: String,
    /// The pod's UID: another UID is another instance.
    pub uid: String,
    /// The node it runs on.
    pub node: Option<String>,
    /// Kubernetes' phase, `Running`.
    pub phase: String,
    /// Whether Kubernetes calls the pod ready.
    pub ready: bool,
    /// Whether the pod is being deleted.
    pub terminating: bool,
    /// The operator's role label: a hint where to look, never evidence.
    pub role_label: Option<String>,
    /// The images that its pod was made with.
    pub images: Images,
    /// What keeps a container of it from starting, as a clause; `None` where Kubernetes names nothing, or still tries.
    pub stuck: Option<String>,
    /// Patroni's own status on the pod, up to `loop_wait` old.
    pub status: Observed<MemberStatus>,
    /// The member's own answer, read live; `Unseen` also when nobody asked.
    pub live: Observed<MemberStatus>,
}

impl Member {
    /// The freshest description there is: live when it answered, else the pod's status.
    pub fn freshest(&self) -> Result<&MemberStatus, &str> {
        self.live.seen().or_else(|_| self.status.seen())
    }
}

impl SiteSurvey {
    /// The member that holds Patroni's lock, when there is such a pod.
    pub fn lock_holder(&self) -> Option<&Member> {
        let holder = self.lock.as_seen()?.holder.as_deref()?;
        self.members.iter().find(|member| member.pod == holder)
    }

    /// The database system identifier: the leader's own word, else Patroni's store, else the object's status.
    pub fn system_identifier(&self) -> Option<&str> {
        let live = self.lock_holder().and_then(|member| member.live.as_seen());
        live.and_then(|status| status.system_identifier.as_deref())
            .or_else(|| self.store.as_seen()?.system_identifier.as_deref())
            .or(self.object.system_identifier.as_deref())
    }
}
