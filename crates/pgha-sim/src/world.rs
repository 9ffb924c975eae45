//! The world that moves meet: two sites, a repository, a writer, and an auditor that only looks.

use serde_json::{Value, json};

use crate::fault::Faults;
use crate::pair::Pair;
use crate::rng::Rng;
use crate::site::{CLUSTER, Control, Member, NAMESPACE, Site, Spec, State};
use crate::time;
use crate::wal::{Archive, Branches, CHECKPOINT_RECORD, Position, SEGMENT, record_start};

/// Milliseconds between two moments of the world.
pub(crate) const TICK_MS: u64 = 10;

/// Everything there is beside the tools.
pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) rng: Rng,
    pub(crate) branches: Branches,
    pub(crate) archive: Archive,
    /// Until when nothing passes between the databases of both sites.
    pub(crate) link_until: u64,
    pub(crate) sites: [Site; 2],
    pub(crate) faults: Faults,
    /// Where each acknowledged row is.
    pub(crate) rows: Vec<Position>,
    pub(crate) trace: Vec<String>,
    pub(crate) violations: Vec<String>,
    writes_at: u64,
    seconds: i64,
}

impl World {
    /// A primary at the first site, a standby at the second.
    pub(crate) fn new(pair: Pair, mut rng: Rng, faults: Faults) -> Self {
        let now = time::wall_clock();
        let mut branches = Branches::default();
        let mut archive = Archive::default();
        let written = 5 * SEGMENT + 0x28;
        let branch = branches.fork(1, None, 0);
        let log = Position {
            branch,
            at: written,
        };
        for number in 0..5 {
            // The first segments are there, by construction.
            let _ = archive.push(&branches, log, (1, number));
        }
        branches.get_mut(branch).next_segment = 5;
        let (primary, standby) = pair.build(now);
        let replicas = usize::from(rng.percent(30));
        let build = |name, built: pgha_testkit::pgo::PgoSite, at: Position, state| {
            let cluster = built.build();
            for object in [
                json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db-pguser-db", "namespace": NAMESPACE},
                    "data": {"password": "cGFzcw==", "verifier": "dmVy", "dbname": "ZGI="}}),
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system",
                    "uid": format!("00000000-0000-4000-8000-00000000000{}", at.at % 7)}}),
            ] {
                cluster.insert(object);
            }
            let member = |index: usize| {
                let state = if index == 0 { state } else { State::Standby };
                let uid = format!("{name}-{index}");
                Member::new((built.pod(index), uid), state, at)
            };
            if replicas == 0 {
                cluster.remove("pods", NAMESPACE, built.pod(1));
            }
            Site {
                name,
                cluster,
                patroni: pair.patroni,
                is_locked: true,
                turn_at: 0,
                is_woken: false,
                members: (0..=replicas).map(member).collect(),
                spec: Spec::default(),
                config: Value::Null,
                shown: Value::Null,
                shown_at: 0,
                action: None,
                dirty: false,
                at_work: None,
                resync_at: 4_000,
                renew_at: 0,
                down_until: 0,
                receiver: None,
                archive_at: 0,
                fetch_at: 0,
                failing: None,
            }
        };
        let replayed = Position {
            branch,
            at: 5 * SEGMENT,
        };
        let sites = [
            build("core1", primary, log, State::Primary),
            build("core2", standby, replayed, State::Standby),
        ];
        let mut world = Self {
            now: 0,
            rng,
            branches,
            archive,
            link_until: 0,
            sites,
            faults,
            rows: Vec::new(),
            trace: Vec::new(),
            violations: Vec::new(),
            writes_at: 0,
            seconds: now.as_second(),
        };
        for index in 0..2 {
            let site = &mut world.sites[index];
            site.take_over(0, 0);
            site.render();
            site.take_over(0, 0);
            site.shown = site.config["postgresql"]["parameters"].clone();
            site.dirty = false;
            world.publish(index);
        }
        if world.faults.orphan_history {
            let orphan = world.branches.fork(2, Some(replayed), 0);
            // A new repository refuses nothing.
            let _ = world.archive.push_history(2, orphan);
        }
        world
    }

    pub(crate) fn say(&mut self, text: &str) {
        self.trace.push(format!("{:>7} {text}", self.now));
    }

    pub(crate) fn violate(&mut self, text: &str) {
        if self.violations.len() < 8 {
            self.violations.push(format!("{:>7} {text}", self.now));
        }
    }

    pub(crate) fn publish(&self, site: usize) {
        let site = &self.sites[site];
        let timelines: Vec<_> = site
            .members
            .iter()
            .map(|member| self.branches.timeline(member.log))
            .collect();
        site.publish(&timelines, self.seconds);
    }

    /// Something was written through the API server of a site.
    pub(crate) fn written(&mut self, site: usize) {
        let delay = self.rng.between(20, 200);
        let now = self.now;
        self.sites[site].take_over(now, delay);
    }

    /// One moment.
    pub(crate) fn tick(&mut self, now: u64) {
        self.now = now;
        for index in 0..2 {
            self.operate(index);
            self.patroni(index);
            self.postgres(index);
            self.feed(index);
            self.archive(index);
        }
        self.write();
        self.audit();
    }

    /// The operator: one reconcile at a time, each from what it read at its beginning.
    fn operate(&mut self, index: usize) {
        let now = self.now;
        let (delay, again) = (self.rng.between(50, 600), self.rng.between(3_000, 9_000));
        let site = &mut self.sites[index];
        if now >= site.resync_at {
            (site.dirty, site.resync_at) = (true, now + again);
        }
        if site.at_work.is_none() && site.dirty {
            site.dirty = false;
            site.at_work = Some((now + delay, site.spec.clone()));
        }
        let Some((until, spec)) = &site.at_work else {
            return;
        };
        if now < *until {
            return;
        }
        let spec = spec.clone();
        site.at_work = None;
        let before = site.config.clone();
        site.acknowledge(spec.paused);
        if !spec.paused {
            site.store(&Site::rendered(&spec));
        }
        site.take_over(now, 50);
        if site.config != before {
            let text = format!("{}: the operator renders a {}", site.name, site.wanted());
            self.say(&text);
        }
    }

    /// What each server has come to.
    fn postgres(&mut self, index: usize) {
        for member in 0..self.sites[index].members.len() {
            let (now, name) = (self.now, self.sites[index].name);
            match self.sites[index].members[member].state {
                State::Stopping { until } if now >= until => self.shut_down(index, member),
                State::Down { until }
                    if now >= until && self.sites[index].may_start(member, now) =>
                {
                    let site = &mut self.sites[index];
                    let standby = !site.starts_as_primary(member);
                    let server = &mut site.members[member];
                    server.run += 1;
                    (server.state, server.control.state) = if standby {
                        (State::Standby, "in archive recovery")
                    } else {
                        (State::Primary, "in production")
                    };
                    site.is_woken = true;
                    self.say(&format!("{name}: up again, standby {standby}"));
                    self.publish(index);
                }
                State::Promoting { until } if now >= until => self.become_primary(index, member),
                State::Primary
                | State::Standby
                | State::Promoting { .. }
                | State::Stopping { .. }
                | State::Down { .. } => {}
            }
        }
    }

    /// The shutdown checkpoint is written, also while somebody is still sent to.
    fn shut_down(&mut self, index: usize, member: usize) {
        let until = self.now + self.rng.between(100, 1_200);
        let drain_until = self.drain_of(index, member);
        let name = self.sites[index].name;
        let server = &mut self.sites[index].members[member];
        let checkpoint = record_start(server.log.at);
        server.log.at = checkpoint + CHECKPOINT_RECORD;
        server.control = Control {
            state: "shut down",
            checkpoint,
            timeline: self.branches.timeline(server.log),
        };
        server.state = State::Down { until };
        server.drain_until = drain_until;
        let log = server.log;
        self.recycle(index, member, log);
        self.catch_up(index);
        self.say(&format!("{name}: shut down at {checkpoint:x}"));
        self.publish(index);
    }

    fn become_primary(&mut self, index: usize, member: usize) {
        let log = self.sites[index].members[member].log;
        let mut timeline = self.branches.timeline(log) + 1;
        while self.sites[index].asks_archive() && self.archive.has_history(timeline) {
            timeline += 1;
        }
        let branch = self.branches.fork(timeline, Some(log), index);
        let server = &mut self.sites[index].members[member];
        server.log = Position {
            branch,
            at: record_start(log.at) + CHECKPOINT_RECORD,
        };
        server.state = State::Primary;
        server.handed = None;
        server.control = Control {
            state: "in production",
            checkpoint: log.at,
            timeline,
        };
        let name = self.sites[index].name;
        self.say(&format!(
            "{name}: primary on timeline {timeline}, forked at {:x}",
            log.at
        ));
        self.publish(index);
    }

    /// Standbys: the leader from what was handed to it, from the archive and from the other side, the others from the leader.
    fn feed(&mut self, index: usize) {
        let now = self.now;
        let works = now >= self.archive.broken_until;
        let site = &mut self.sites[index];
        let is_due = now >= site.fetch_at;
        if is_due {
            site.fetch_at = now + site.retry_ms();
        }
        let state = site.leader().state;
        if let State::Standby | State::Promoting { .. } = state {
            let log = site.leader().log;
            if let Some(handed) = site.leader().handed
                && self.branches.holds(handed, log)
            {
                site.members[0].log = handed;
            }
        }
        // Whoever streams asks nobody else.
        if state == State::Standby && is_due && site.receiver.is_none() {
            if works && site.asks_archive() {
                site.members[0].log = self.archive.feed(&self.branches, site.leader().log);
            }
            self.connect(index);
        }
        self.receive(index);
        if let State::Primary | State::Standby = self.sites[index].leader().state {
            self.catch_up(index);
        }
    }

    /// The other members have all that their leader has, also when it stops or crashes: what a failover within a site may lose is
    /// Patroni's, and not looked at here.
    pub(crate) fn catch_up(&mut self, index: usize) {
        let site = &mut self.sites[index];
        let upstream = site.leader().log;
        for replica in site.members.iter_mut().skip(1) {
            if replica.state == State::Standby && self.branches.holds(upstream, replica.log) {
                replica.log = upstream;
            }
        }
    }

    /// The archiver of a primary.
    fn archive(&mut self, index: usize) {
        let (now, pause) = (self.now, self.rng.between(50, 300));
        let site = &mut self.sites[index];
        if now < site.archive_at || site.leader().state != State::Primary {
            return;
        }
        site.archive_at = now + pause;
        let log = site.leader().log;
        if now < self.archive.broken_until {
            let branch = self.branches.get(log.branch);
            site.failing = Some(crate::wal::segment_name(
                branch.timeline,
                branch.next_segment,
            ));
            return;
        }
        let timeline = self.branches.timeline(log);
        if !self.branches.get(log.branch).history_pushed {
            if self.archive.push_history(timeline, log.branch).is_err() {
                site.failing = Some(format!("{timeline:08X}.history"));
                return;
            }
            self.branches.get_mut(log.branch).history_pushed = true;
        }
        // What it had not pushed when it was stopped is still marked for its archiver when it is primary again.
        let own = self.branches.get(log.branch);
        let before = own
            .parent
            .filter(|at| self.branches.get(at.branch).site == index);
        let pushed = before
            .map_or(Ok(()), |at| self.push_segments(log, at))
            .and_then(|()| self.push_segments(log, log));
        self.sites[index].failing = pushed.err();
    }

    /// Pushes the whole segments before a position of its branch; the name of the one that is refused.
    fn push_segments(&mut self, log: Position, until: Position) -> Result<(), String> {
        let timeline = self.branches.timeline(until);
        while self.branches.get(until.branch).next_segment < until.at / SEGMENT {
            let number = self.branches.get(until.branch).next_segment;
            let name = crate::wal::segment_name(timeline, number);
            let pushed = self.archive.push(&self.branches, log, (timeline, number));
            if pushed.is_err() {
                return Err(name);
            }
            let branch = self.branches.get_mut(until.branch);
            (branch.next_segment, branch.last_archived) = (number + 1, name);
        }
        Ok(())
    }

    /// The writer commits wherever it is let.
    fn write(&mut self) {
        if self.now < self.writes_at {
            return;
        }
        self.writes_at = self.now + self.rng.between(20, 80);
        for index in 0..2 {
            if self.sites[index].leader().state == State::Primary {
                let bytes = self.rng.between(0x80, 400_000);
                let bytes = if self.faults.is_quiet { 0x80 } else { bytes };
                let at = self.append(index, bytes);
                self.rows.push(at);
            }
        }
    }

    /// A record of a primary; where it ends.
    pub(crate) fn append(&mut self, index: usize, bytes: u64) -> Position {
        let log = &mut self.sites[index].members[0].log;
        log.at = record_start(log.at) + bytes / 8 * 8 + 0x40;
        *log
    }

    fn audit(&mut self) {
        let primaries = |site: &Site| {
            site.members
                .iter()
                .filter(|member| member.state == State::Primary)
                .count()
        };
        let count: usize = self.sites.iter().map(primaries).sum();
        if count > 1 {
            self.violate(&format!("I1: {count} servers take writes"));
        }
    }
}

impl Site {
    /// "standby" or "primary", as the configuration says.
    pub(crate) fn wanted(&self) -> &'static str {
        if self.wants_standby() {
            "standby"
        } else {
            "primary"
        }
    }

    fn render(&mut self) {
        let config = Self::rendered(&self.spec);
        self.store(&config);
    }

    /// The operator's write: it rests on nothing.
    fn store(&self, config: &Value) {
        if *config == self.config {
            return;
        }
        self.cluster
            .change("endpoints", NAMESPACE, "db-ha-config", |store| {
                store["metadata"]["annotations"]["config"] = json!(config.to_string());
            });
    }

    fn acknowledge(&self, paused: bool) {
        let object = self
            .cluster
            .object("postgresclusters", NAMESPACE, CLUSTER)
            .unwrap_or_default();
        let conditions = object["status"]["conditions"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let is_said = conditions
            .iter()
            .any(|condition| condition["type"] == "Progressing");
        if is_said == paused {
            return;
        }
        self.cluster
            .change("postgresclusters", NAMESPACE, CLUSTER, |object| {
                let conditions = object["status"]["conditions"].as_array_mut();
                let Some(conditions) = conditions else { return };
                if paused {
                    conditions.push(
                        json!({"type": "Progressing", "status": "False", "reason": "Paused"}),
                    );
                } else {
                    conditions.retain(|condition| condition["type"] != "Progressing");
                }
            });
    }
}
