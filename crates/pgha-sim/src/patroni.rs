//! Patroni, as far as a move meets it: when it stops, starts and promotes Postgres, and who holds its lock.

use serde_json::json;

use crate::pair::Patroni;
use crate::site::{Action, LOOP_MS, NAMESPACE, Site, State};
use crate::world::World;

impl World {
    pub(crate) fn patroni(&mut self, index: usize) {
        let now = self.now;
        let reaction = self.rng.between(20, 400);
        let site = &mut self.sites[index];
        site.renew_lock(now);
        if now >= site.shown_at {
            site.shown = site.config["postgresql"]["parameters"].clone();
            site.shown_at = u64::MAX;
        }
        if site.patroni == Patroni::V3_3 {
            self.look_after_lock(index, reaction);
        }
        let site = &mut self.sites[index];
        let wanted = match (site.leader().state, site.wants_standby()) {
            _ if site.is_patroni_paused() || !site.is_locked => None,
            (State::Primary, true) => Some(Action::Demote),
            (State::Standby, false) => Some(Action::Promote),
            (_, _) => None,
        };
        match (site.action, wanted) {
            (Some((due, action)), Some(wanted)) if action == wanted => {
                if now < due {
                    return;
                }
                site.action = None;
                match action {
                    Action::Demote => self.demote(index),
                    Action::Promote => {
                        let until = now + self.rng.between(40, 500);
                        self.sites[index].members[0].state = State::Promoting { until };
                    }
                }
                self.publish(index);
            }
            (_, wanted) => site.action = wanted.map(|action| (now + reaction, action)),
        }
    }

    /// Since 4.1 cleanly; before, at once, without a checkpoint and without the lock (Patroni source, `ha.py`, `follow`:
    /// `demote('immediate-nolock')`).
    fn demote(&mut self, index: usize) {
        if self.sites[index].patroni == Patroni::V4_1 {
            self.stop(index, 0);
            return;
        }
        let until = self.now + self.rng.between(100, 1_200);
        let leader = &mut self.sites[index].members[0];
        leader.state = State::Down { until };
        leader.life += 1;
        self.lock(index, false);
    }

    /// A fast stop of a server that runs; whether it did.
    pub(crate) fn stop(&mut self, index: usize, member: usize) -> bool {
        let until = self.now + self.rng.between(40, 500);
        let server = &mut self.sites[index].members[member];
        match server.state {
            State::Primary => {
                server.state = State::Stopping { until };
                server.control.state = "shutting down";
            }
            State::Standby | State::Promoting { .. } => {
                server.state = State::Down { until };
                server.control.state = "shut down in recovery";
            }
            State::Stopping { .. } => return true,
            State::Down { .. } => return false,
        }
        server.life += 1;
        self.publish(index);
        true
    }

    /// One turn of the loop, when it is due: a change of the configuration wakes it.
    fn look_after_lock(&mut self, index: usize, reaction: u64) {
        let now = self.now;
        let site = &mut self.sites[index];
        if site.is_woken {
            site.is_woken = false;
            site.turn_at = site.turn_at.min(now + reaction);
        }
        if now < site.turn_at {
            return;
        }
        site.turn_at = now + LOOP_MS;
        let (is_up, is_locked) = (site.leader().is_up(), site.is_locked);
        let is_gone = site.leader().is_down() && now >= site.leader().drain_until;
        match (site.is_patroni_paused(), is_locked) {
            // "removed leader lock because postgres is not running" (`ha.py`, `_run_cycle`); what still stops is running.
            (true, true) if is_gone => self.lock(index, false),
            (true, false) if site.leader().state == State::Primary => self.lock(index, true),
            (false, false) => {
                let others = site.members.iter().skip(1);
                let other = others
                    .clone()
                    .position(|member| member.state == State::Standby);
                // Whoever is there first, and not always the one that had it (pgo.md 10.8).
                let takes = other.filter(|_| !is_up || self.rng.percent(50));
                if let Some(other) = takes {
                    self.change_leader(index, other + 1);
                } else if is_up {
                    self.lock(index, true);
                }
            }
            (_, _) => {}
        }
        self.publish(index);
    }

    fn change_leader(&mut self, index: usize, member: usize) {
        self.detach(index);
        let site = &mut self.sites[index];
        site.members.swap(0, member);
        let text = format!("{}: {} becomes leader", site.name, site.leader().pod);
        self.say(&text);
        self.lock(index, true);
    }

    /// The leader takes the lock, or lets it go.
    fn lock(&mut self, index: usize, takes: bool) {
        let site = &mut self.sites[index];
        site.is_locked = takes;
        let pod = site.leader().pod.clone();
        site.cluster
            .change("endpoints", NAMESPACE, "db-ha", |lock| {
                if takes {
                    lock["metadata"]["annotations"]["leader"] = json!(pod);
                } else if let Some(annotations) = lock["metadata"]["annotations"].as_object_mut() {
                    annotations.remove("leader");
                }
            });
        let text = format!(
            "{}: the lock is {}",
            site.name,
            if takes { "taken" } else { "let go" }
        );
        self.say(&text);
        self.publish(index);
    }
}

impl Site {
    /// Whether Patroni starts a server that is down: paused, it does not.
    pub(crate) fn may_start(&self, member: usize, now: u64) -> bool {
        let server = &self.members[member];
        !server.never_up && !self.is_patroni_paused() && now >= server.drain_until
    }

    /// Whether a server that is started now takes writes.
    ///
    /// Patroni 4.1 starts what it has stopped as a standby; what crashed it starts as what it was, and what was a standby is
    /// promoted when it is back. An older one starts whoever still holds the lock and was primary as that, also where the
    /// configuration says standby (Patroni source, `ha.py`, `recover`; patroni issue 1660).
    pub(crate) fn starts_as_primary(&self, member: usize) -> bool {
        let state = self.members[member].control.state;
        let was_primary = match self.patroni {
            Patroni::V4_1 => state == "in production" && !self.wants_standby(),
            Patroni::V3_3 => matches!(state, "in production" | "shut down") && self.is_locked,
        };
        member == 0 && was_primary
    }
}
