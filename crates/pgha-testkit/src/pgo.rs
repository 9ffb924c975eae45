//! A site of Crunchy PGO v5 as its API server shows it: the `PostgresCluster`, Patroni's objects, the members' pods, and
//! what Patroni answers in them.
//!
//! Shapes as read from the operator's and Patroni's sources and seen on running ones.

mod object;
mod patroni;
mod pod;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::FakeCluster;

/// The port of Patroni's REST API.
pub const PATRONI_PORT: u16 = 8008;

/// The size of a log segment, for positions that look real.
const SEGMENT_BYTES: u64 = 16 << 20;

/// What a site is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It takes writes.
    Primary,
    /// It follows the other site's archive.
    ArchiveStandby,
    /// It follows the other site's primary, and its archive when that is not there.
    StreamingStandby,
}

/// Builds one site. What is not said is that of a healthy one with two members on Patroni 4.1.
#[derive(Clone, Debug)]
pub struct PgoSite {
    cluster: String,
    namespace: String,
    kind: Kind,
    now: Timestamp,
    members: Vec<MemberState>,
    leader: Option<usize>,
    renewed_at: Timestamp,
    timeline: u32,
    written: u64,
    history: Vec<(u32, u64)>,
    system_identifier: String,
    other_receivers: Vec<String>,
    object: Value,
    config: Value,
    has_live_answers: bool,
}

#[derive(Clone, Debug)]
struct MemberState {
    pod: String,
    role: String,
    label: Option<&'static str>,
    state: String,
    patroni: String,
}

impl PgoSite {
    /// A healthy site. `now` is the time at which its leader renewed its lock last.
    pub fn new(kind: Kind, cluster: &str, namespace: &str, now: Timestamp) -> Self {
        // A member's name is its name at the other site too, so no two members may share one.
        let sets = match kind {
            Kind::Primary => ["pgha1-abcd", "pgha1-jklm"],
            Kind::ArchiveStandby | Kind::StreamingStandby => ["pgha1-wxyz", "pgha1-mnop"],
        };
        let pod = |set: &str, role: &str, label| MemberState {
            pod: format!("{cluster}-{set}-0"),
            role: role.to_owned(),
            label: Some(label),
            state: "running".to_owned(),
            patroni: "4.1.4".to_owned(),
        };
        let leader_role = if kind == Kind::Primary {
            "primary"
        } else {
            "standby_leader"
        };
        Self {
            cluster: cluster.to_owned(),
            namespace: namespace.to_owned(),
            kind,
            now,
            members: vec![
                pod(sets[0], leader_role, "master"),
                pod(sets[1], "replica", "replica"),
            ],
            leader: Some(0),
            renewed_at: now,
            timeline: 1,
            written: 5 * SEGMENT_BYTES + 0x28,
            history: Vec::new(),
            system_identifier: "7710549851658973354".to_owned(),
            other_receivers: Vec::new(),
            object: object::postgrescluster(kind, cluster, namespace, now),
            config: patroni::config(kind),
            has_live_answers: true,
        }
    }

    /// A healthy primary.
    pub fn primary(cluster: &str, namespace: &str, now: Timestamp) -> Self {
        Self::new(Kind::Primary, cluster, namespace, now)
    }

    /// A healthy standby that follows the archive.
    pub fn standby(cluster: &str, namespace: &str, now: Timestamp) -> Self {
        Self::new(Kind::ArchiveStandby, cluster, namespace, now)
    }

    /// The name of a member's pod; member 0 leads a healthy site.
    pub fn pod(&self, member: usize) -> &str {
        self.members
            .get(member)
            .map_or("", |member| member.pod.as_str())
    }

    /// The lock was renewed last before this many seconds.
    #[must_use]
    pub fn lock_age_seconds(mut self, seconds: i64) -> Self {
        self.renewed_at = self.now - SignedDuration::from_secs(seconds);
        self
    }

    /// The lock was released and nobody took it: every member is a replica.
    #[must_use]
    pub fn without_leader(mut self) -> Self {
        self.leader = None;
        for member in &mut self.members {
            "replica".clone_into(&mut member.role);
            member.label = Some("replica");
        }
        self
    }

    /// A second member says that it is what the leader is.
    #[must_use]
    pub fn two_leaders(mut self) -> Self {
        let role = self.members[0].role.clone();
        for member in &mut self.members {
            role.clone_into(&mut member.role);
            member.label = Some("master");
        }
        self
    }

    /// Every member runs this version of Patroni; before 4.0 a primary is a `master`.
    #[must_use]
    pub fn patroni(mut self, version: &str) -> Self {
        for index in 0..self.members.len() {
            self = self.patroni_of(index, version);
        }
        self
    }

    /// One member runs this version of Patroni.
    #[must_use]
    pub fn patroni_of(mut self, member: usize, version: &str) -> Self {
        let member = &mut self.members[member];
        version.clone_into(&mut member.patroni);
        let is_old = version
            .split('.')
            .next()
            .and_then(|major| major.parse().ok())
            < Some(4_u32);
        if is_old && member.role == "primary" {
            "master".clone_into(&mut member.role);
        }
        self
    }

    /// A member's state in Patroni's words, `starting`, `stopped`.
    #[must_use]
    pub fn state_of(mut self, member: usize, state: &str) -> Self {
        state.clone_into(&mut self.members[member].state);
        self
    }

    /// The timeline, and where each earlier one was left: (timeline, bytes).
    #[must_use]
    pub fn timeline(mut self, timeline: u32, history: &[(u32, u64)]) -> Self {
        self.timeline = timeline;
        self.history = history.to_vec();
        self
    }

    /// The position, in bytes: written on a primary, replayed on a standby.
    #[must_use]
    pub fn position(mut self, bytes: u64) -> Self {
        self.written = bytes;
        self
    }

    /// Another database system.
    #[must_use]
    pub fn system_identifier(mut self, identifier: &str) -> Self {
        identifier.clone_into(&mut self.system_identifier);
        self.object["status"]["patroni"]["systemIdentifier"] = json!(identifier);
        self
    }

    /// A connection from outside this site takes the log, by the name it gives.
    #[must_use]
    pub fn receiver(mut self, application_name: &str) -> Self {
        self.other_receivers.push(application_name.to_owned());
        self
    }

    /// Changes the operator's object, for what has no method of its own.
    #[must_use]
    pub fn object(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.object);
        self
    }

    /// Changes Patroni's configuration.
    #[must_use]
    pub fn config(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.config);
        self
    }

    /// The object has a standby section that is switched off, as both sides of a pair do.
    #[must_use]
    pub fn disabled_standby_section(self) -> Self {
        self.object(|object| {
            object["spec"]["standby"] = object::standby_section(Kind::ArchiveStandby, false);
        })
    }

    /// The operator was told to pause, and did.
    #[must_use]
    pub fn paused(self) -> Self {
        self.object(object::pause)
    }

    /// A manual backup with this id ended well, at the site's time.
    #[must_use]
    pub fn manual_backup(self, id: &str) -> Self {
        let now = self.now;
        self.object(|object| object::add_manual_backup(object, id, now))
    }

    /// Flux applied the object.
    #[must_use]
    pub fn managed_by_flux(self) -> Self {
        self.object(object::label_by_flux)
    }

    /// Argo CD applied the object.
    #[must_use]
    pub fn managed_by_argo_cd(self) -> Self {
        self.object(object::annotate_by_argo_cd)
    }

    /// Helm installed the object.
    #[must_use]
    pub fn managed_by_helm(self) -> Self {
        self.object(object::annotate_by_helm)
    }

    /// Patroni's port refuses connections in every pod.
    #[must_use]
    pub fn without_live_answers(mut self) -> Self {
        self.has_live_answers = false;
        self
    }

    /// A cluster that holds this site and nothing else.
    pub fn build(&self) -> FakeCluster {
        let cluster = FakeCluster::new();
        self.install(&cluster);
        cluster
    }

    /// Puts this site into a cluster.
    pub fn install(&self, cluster: &FakeCluster) {
        cluster.insert(self.object.clone());
        cluster.insert(patroni::lock(self));
        cluster.insert(patroni::store(self));
        for index in 0..self.members.len() {
            let member = &self.members[index];
            cluster.insert(pod::pod(self, index));
            if self.has_live_answers {
                let answer = patroni::rest_answer(self, index).to_string();
                cluster.answer_proxy(&member.pod, PATRONI_PORT, "/patroni", 200, answer);
            }
        }
    }

    /// Where the site is: the lab's numbers of the two sites.
    fn number(&self) -> u8 {
        number(self.kind)
    }

    fn leads(&self, member: usize) -> bool {
        self.leader == Some(member)
    }
}

fn number(kind: Kind) -> u8 {
    if kind == Kind::Primary { 1 } else { 2 }
}

/// A pair in step: the primary, and a standby that replayed everything.
pub fn pair(kind: Kind, cluster: &str, namespace: &str, now: Timestamp) -> (PgoSite, PgoSite) {
    let standby = PgoSite::new(kind, cluster, namespace, now);
    let primary = PgoSite::primary(cluster, namespace, now).disabled_standby_section();
    let primary = match kind {
        Kind::StreamingStandby => primary.receiver(standby.pod(0)),
        Kind::Primary | Kind::ArchiveStandby => primary,
    };
    (primary, standby)
}

/// A pair after the documented procedure: the new primary forked off before the end of the old one, which calls itself
/// a standby leader and can never follow again.
pub fn forked_pair(cluster: &str, namespace: &str, now: Timestamp) -> (PgoSite, PgoSite) {
    let fork = 5 * SEGMENT_BYTES;
    let end = fork + 0xa0;
    let primary = PgoSite::primary(cluster, namespace, now)
        .disabled_standby_section()
        .timeline(2, &[(1, fork)])
        .position(fork + SEGMENT_BYTES);
    let wedged = PgoSite::standby(cluster, namespace, now).position(end);
    (primary, wedged)
}
