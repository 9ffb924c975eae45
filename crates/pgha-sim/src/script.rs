//! What shells and scripts say.

use std::fmt::Write as _;

use serde_json::json;

use crate::exec::{Inside, Streams};
use crate::site::SYSTEM;
use crate::sql::between;
use crate::time::pass;
use crate::wal::{Position, SEGMENT, read_segment_name};
use crate::world::World;

/// pgBackRest's code for a file that is there with another content (its source, `build/error/error.yaml`).
const EXISTS: i32 = 45;

/// Any other failure of it.
const FAILED: i32 = 39;

/// How long `pg_ctl` waits for a stop (PostgreSQL documentation, `pg_ctl`, `PGCTLTIMEOUT`).
const PGCTLTIMEOUT_MS: u64 = 60_000;

/// What a script says in a shell, and its exit code; `None` when the connection is lost.
pub(crate) async fn answer(inside: &Inside, script: &str) -> Option<(String, i32)> {
    if script == "true" {
        return Some((String::new(), 0));
    }
    if script.contains("pg_ctl stop") {
        let is_stopped = stop(inside).await?;
        if script.contains("|| exit 3") && !is_stopped {
            return Some((String::new(), 3));
        }
    }
    if script.contains("pgha-stopping-us") {
        return watch(inside).await;
    }
    let takes = inside.shared.world().rng.between(5, 60);
    pass(takes).await;
    let (now, mut world) = (inside.shared.now(), inside.shared.world());
    let member = world.sites[inside.site].member(&inside.pod)?;
    let server = world.sites[inside.site].members[member].clone();
    let works = now >= world.archive.broken_until;
    Some(match script {
        text if text.contains("pgha-branch repo") => (world.branches_line(member, inside.site), 0),
        text if text.contains("pgha-clock") && server.is_up() => {
            (world.look(inside.site, member), 0)
        }
        text if text.contains("pgha-clock") => ("pgha-failed psql: error: no server".to_owned(), 1),
        text if text.contains("pg_controldata") => {
            (world.sites[inside.site].control_data(member), 0)
        }
        text if text.contains("pgrep -f") || text.contains("pg_ctl stop") => (String::new(), 0),
        text if text.contains("repo-put") => (String::new(), if works { 0 } else { FAILED }),
        text if text.contains("archive-get") => {
            let wanted = between(text, "archive-get ", ".history")?;
            let wanted = u32::from_str_radix(wanted, 16).ok()?;
            let code = i32::from(!world.archive.has_history(wanted));
            (String::new(), if works { code } else { FAILED })
        }
        text if text.contains("archive-push") => {
            let name = text
                .rsplit("pg_wal/")
                .next()?
                .trim_end_matches('"')
                .to_owned();
            let code = if works {
                world.push(inside.site, member, &name, text.contains("*.ready"))
            } else {
                FAILED
            };
            (String::new(), code)
        }
        text => {
            world.violate(&format!("unknown script {text}"));
            return None;
        }
    })
}

/// Says the control data once it says `shut down`, as long as anybody waits for it.
async fn watch(inside: &Inside) -> Option<(String, i32)> {
    loop {
        {
            let world = inside.shared.world();
            let site = &world.sites[inside.site];
            let member = site.member(&inside.pod)?;
            if site.members[member].control.state == "shut down" {
                return Some((
                    format!("pgha-stopping-us: 1000\n{}", site.control_data(member)),
                    0,
                ));
            }
        }
        pass(10).await;
        if inside.is_cut() {
            return None;
        }
    }
}

/// A fast stop by hand, to the end of the server and of what it still sends; whether that was seen. It goes on when the
/// connection is lost.
async fn stop(inside: &Inside) -> Option<bool> {
    let (run, until) = {
        let mut world = inside.shared.world();
        let member = world.sites[inside.site].member(&inside.pod)?;
        if !world.stop(inside.site, member) {
            return Some(false);
        }
        let until = inside.shared.now() + PGCTLTIMEOUT_MS;
        (world.sites[inside.site].members[member].run, until)
    };
    loop {
        pass(10).await;
        let now = inside.shared.now();
        let world = inside.shared.world();
        let site = &world.sites[inside.site];
        let server = &site.members[site.member(&inside.pod)?];
        let is_gone = server.is_down() && now >= server.drain_until;
        if is_gone || server.run != run {
            return Some(true);
        }
        if now >= until {
            return Some(false);
        }
    }
}

/// A script that runs by itself, with its streams.
pub(crate) async fn run_alone(inside: &Inside, text: &str, streams: &mut Streams) -> Option<i32> {
    if text.contains("log_bytes()") {
        return send(inside, streams).await;
    }
    if text.contains("echo arrived") {
        return receive(inside, streams).await;
    }
    if text.contains("pgha-login") {
        let counts = streams.line().await?;
        let count: u32 = counts.split(' ').nth(1)?.parse().ok()?;
        for number in 0..count {
            streams.line().await?;
            streams.say(&format!("pgha-login {number} ok\n")).await?;
        }
        return Some(0);
    }
    let (said, code) = answer(inside, text).await?;
    streams.say(&said).await?;
    Some(code)
}

/// The source's end of the hand-over: of each segment where its log ends in it.
async fn send(inside: &Inside, streams: &mut Streams) -> Option<i32> {
    let wanted = streams.line().await?;
    pass(20).await;
    let said = {
        let world = inside.shared.world();
        let member = world.sites[inside.site].member(&inside.pod)?;
        let server = &world.sites[inside.site].members[member];
        let (log, kept_from) = (server.log, server.kept_from);
        let mut words = wanted.split(' ');
        let tail = words.next()?;
        let names: Vec<_> = words.collect();
        let first = names.first().and_then(|name| read_segment_name(name));
        if first.is_none_or(|(_, number)| number * SEGMENT < kept_from) {
            return Some(1);
        }
        let lengths = names.iter().map(|_| SEGMENT.to_string());
        let mut lengths: Vec<_> = lengths.collect();
        tail.clone_into(lengths.last_mut()?);
        format!("{}\n{} {}", lengths.join(","), log.branch, log.at)
    };
    streams.say(&said).await?;
    Some(0)
}

/// The target's end: what was handed over is in its log once it is accepted.
async fn receive(inside: &Inside, streams: &mut Streams) -> Option<i32> {
    let head = streams.line().await?;
    let mut words = head.split(' ');
    let size = words.next()?;
    let count = words.next()?.parse().ok()?;
    let names: Vec<_> = words.skip(1).collect();
    let cargo = streams.bytes(count).await?;
    let (branch, at) = cargo.split_once(' ')?;
    let handed = Position {
        branch: branch.parse().ok()?,
        at: at.parse().ok()?,
    };
    let mut said = String::new();
    for name in names {
        let (timeline, number) = read_segment_name(name)?;
        let kind = u64::from(timeline) << 32;
        let at = number * SEGMENT;
        let _ = writeln!(said, "{name} {size} {kind} {at} {SEGMENT} {SYSTEM}");
    }
    streams.say(&format!("{said}arrived\n")).await?;
    if streams.line().await? != "accept" {
        return Some(1);
    }
    let mut world = inside.shared.world();
    let member = world.sites[inside.site].member(&inside.pod)?;
    world.sites[inside.site].members[member].handed = Some(handed);
    Some(0)
}

impl World {
    /// What a look into a member finds: nothing that is in the way.
    fn look(&self, index: usize, member: usize) -> String {
        let walsenders = self.receivers_of(index, member).into_iter();
        let walsenders: Vec<_> = walsenders
            .map(|pod| json!({"applicationName": pod, "state": "streaming"}))
            .collect();
        let server = json!({"version": 150_018, "preloadLibraries": "", "limits": {}, "canRewind": true,
            "synchronousStandbyNames": "", "replayPaused": null, "applyDelayMs": 0, "recoveryTargets": [],
            "receiverStatus": self.streams(index, member).then_some("streaming"), "slots": [],
            "walsenders": walsenders, "segmentsToArchive": 0, "segmentSizeBytes": SEGMENT,
            "oldestTransactionS": 0, "preparedTransactions": 0, "backupsRunning": 0, "extensionsOffered": []});
        let database =
            json!({"name": "db", "collations": [], "extensions": [], "unloggedTables": []});
        let seconds = crate::time::wall_clock().as_second();
        let free = (self.sites[index].members.len() as u64) << 30;
        let peer = if self.now >= self.link_until {
            "yes"
        } else {
            "no"
        };
        format!(
            "pgha-server {server}\npgha-database {database}\npgha-async yes\npgha-free {free}\npgha-peer {peer}\n\
             pgha-clock {seconds}\n"
        )
    }

    fn branches_line(&self, member: usize, site: usize) -> String {
        let log = self.sites[site].members[member].log;
        let newest = self.archive.newest_history();
        let Some((timeline, branch)) = newest else {
            return "pgha-branch repo1 - -\n".to_owned();
        };
        let mut own = self.branches.pieces(log);
        let own = own.find(|piece| self.branches.timeline(*piece) == timeline);
        let same = own.map_or(
            "-",
            |piece| if piece.branch == branch { "yes" } else { "no" },
        );
        format!("pgha-branch repo1 {timeline:08X}.history {same}\n")
    }

    /// Pushes a segment of a member's log, and before it what its archiver had not pushed; pgBackRest's code.
    fn push(&mut self, site: usize, member: usize, name: &str, with_ready: bool) -> i32 {
        let log = self.sites[site].members[member].log;
        let Some((timeline, number)) = read_segment_name(name) else {
            return FAILED;
        };
        let first = self.branches.get(log.branch).next_segment;
        let from = if with_ready {
            first.min(number)
        } else {
            number
        };
        for number in from..=number {
            if self
                .archive
                .push(&self.branches, log, (timeline, number))
                .is_err()
            {
                self.say(&format!("push of {name}: another content is there"));
                return EXISTS;
            }
        }
        0
    }
}
