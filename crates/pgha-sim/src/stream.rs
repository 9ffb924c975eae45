//! Streaming replication between the sites: what the leader of a standby takes from the other side's leader.

use crate::site::{Member, State};
use crate::wal::{Position, SEGMENT};
use crate::world::World;

/// The connection of a standby's leader to a server: a later start of that server is another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Receiver {
    /// The server's pod. A receiver stays with it when another member becomes leader.
    pub(crate) pod: String,
    /// The server's start.
    pub(crate) run: u32,
}

impl Receiver {
    fn is_of(&self, server: &Member) -> bool {
        self.pod == server.pod && self.run == server.run
    }
}

/// How long a server that stops waits for a receiver that does not answer, where nothing else is set (PostgreSQL documentation,
/// 20.6.1 "`wal_sender_timeout`").
const DRAIN_MS: u64 = 60_000;

impl World {
    /// Connects the leader of a standby to the other side's, when its turn has come to look for log.
    pub(crate) fn connect(&mut self, index: usize) {
        let (site, peer) = (&self.sites[index], &self.sites[1 - index]);
        let upstream = peer.leader();
        let is_reached = self.now >= self.link_until && peer.is_locked && upstream.is_up();
        if !site.names_server() || !is_reached || !self.can_feed(index) {
            return;
        }
        let receiver = Receiver {
            pod: upstream.pod.clone(),
            run: upstream.run,
        };
        self.sites[index].receiver = Some(receiver);
        self.publish(index);
    }

    /// Whether the other side's leader has the log that this one asks for. A receiver asks from the beginning of a segment
    /// (PostgreSQL source, `walreceiverfuncs.c`, `RequestXLogStreaming`); a server refuses what it has not, and what it has
    /// removed (`walsender.c`, `StartReplication`).
    fn can_feed(&self, index: usize) -> bool {
        let (own, upstream) = (
            self.sites[index].leader().log,
            self.sites[1 - index].leader(),
        );
        let asked = own.at / SEGMENT * SEGMENT;
        let is_behind = self.branches.holds(upstream.log, own);
        let is_ahead = self.branches.holds(own, upstream.log) && asked <= upstream.log.at;
        (is_behind || is_ahead) && asked >= upstream.kept_from
    }

    /// What has come to the leader of a standby. Nothing passes a link that is cut, also no word that the server is gone.
    pub(crate) fn receive(&mut self, index: usize) {
        let Some(receiver) = &self.sites[index].receiver else {
            return;
        };
        if self.sites[index].leader().state != State::Standby {
            self.detach(index);
            return;
        }
        // A change of `primary_conninfo` ends the receiver, also one that hears nothing (PostgreSQL source, `xlogrecovery.c`,
        // `StartupRequestWalReceiverRestart`).
        let site = &self.sites[index];
        if !site.names_server() && site.shown_at == u64::MAX {
            self.lose_receiver(index);
            return;
        }
        if self.now < self.link_until {
            return;
        }
        let own = self.sites[index].leader().log;
        let mut servers = self.sites[1 - index].members.iter();
        let server = servers.find(|server| receiver.is_of(server));
        // What one that stops had not sent is sent before it is gone; nothing of one that has crashed.
        let sends = |server: &&Member| !server.is_down() || self.now < server.drain_until;
        let Some(server) = server.filter(sends) else {
            self.lose_receiver(index);
            return;
        };
        let (sent, is_last) = (server.log, server.is_down());
        let is_new = self.branches.holds(sent, own);
        if is_new {
            self.sites[index].members[0].log = sent;
        }
        if is_last || !(is_new || self.branches.holds(own, sent)) {
            self.lose_receiver(index);
        }
    }

    /// The connection is gone; the archive is asked at once, and the server again after the interval.
    pub(crate) fn lose_receiver(&mut self, index: usize) {
        self.detach(index);
        self.sites[index].fetch_at = self.now;
        self.publish(index);
    }

    /// A server that waits for this receiver learns that it is gone once the link lets that pass.
    pub(crate) fn detach(&mut self, index: usize) {
        let Some(receiver) = self.sites[index].receiver.take() else {
            return;
        };
        let learns_at = self.link_until.max(self.now);
        for server in &mut self.sites[1 - index].members {
            if receiver.is_of(server) {
                server.drain_until = server.drain_until.min(learns_at);
            }
        }
    }

    /// The members of either side that take the log from this one.
    pub(crate) fn receivers_of(&self, index: usize, member: usize) -> Vec<&str> {
        let (site, peer) = (&self.sites[index], &self.sites[1 - index]);
        let server = &site.members[member];
        let own = site.members.iter().skip(1);
        let own = own.filter(|replica| member == 0 && replica.is_up());
        let others = peer.receiver.iter();
        let others = others.filter(|receiver| receiver.is_of(server));
        own.map(|replica| replica.pod.as_str())
            .chain(others.map(|_| peer.leader().pod.as_str()))
            .collect()
    }

    /// How long a server that has written its shutdown checkpoint stays for the receiver that it still serves.
    pub(crate) fn drain_of(&self, index: usize, member: usize) -> u64 {
        let server = &self.sites[index].members[member];
        let receiver = self.sites[1 - index].receiver.as_ref();
        let is_served = receiver.is_some_and(|receiver| receiver.is_of(server));
        let set = self.sites[index].parameter("wal_sender_timeout");
        let set = set
            .strip_suffix('s')
            .and_then(|seconds| seconds.parse().ok());
        let drain_ms = set.map_or(DRAIN_MS, |seconds: u64| seconds * 1_000);
        if is_served { self.now + drain_ms } else { 0 }
    }

    /// A checkpoint removes the segments before it that are archived, but for what `wal_keep_size` names (PostgreSQL
    /// documentation, 30.5 "WAL Configuration").
    pub(crate) fn recycle(&mut self, index: usize, member: usize, checkpoint: Position) {
        let kept = self.sites[index].parameter("wal_keep_size");
        let kept: Option<u64> = kept.strip_suffix("MB").and_then(|text| text.parse().ok());
        let branch = self.branches.get(checkpoint.branch);
        let needed = if self.sites[index].members[member].state == State::Standby {
            checkpoint.at
        } else {
            checkpoint.at.min(branch.next_segment * SEGMENT)
        };
        let from = (needed / SEGMENT * SEGMENT).saturating_sub(kept.unwrap_or(0) << 20);
        let server = &mut self.sites[index].members[member];
        server.kept_from = server.kept_from.max(from);
    }
}
