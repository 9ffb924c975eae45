//! What Postgres answers. The engine's own statements are known by what is in them; any other is a violation.

use serde_json::{Value, json};

use crate::exec::Inside;
use crate::site::{SYSTEM, Site, State};
use crate::time::pass;
use crate::wal::{SEGMENT, lsn, read_segment_name, segment_name};
use crate::world::World;

/// Rows, or a state and a message.
type Said = Result<String, String>;

/// What a server says of a statement; `None` when the connection to it is lost.
pub(crate) async fn answer(
    inside: &Inside,
    statement: &str,
    life: &mut Option<u32>,
) -> Option<Said> {
    if statement.starts_with("do $$") {
        return wait(inside, statement, *life).await;
    }
    if statement.starts_with("select pg_sleep") {
        pass(200).await;
    }
    let mut world = inside.shared.world();
    let member = world.sites[inside.site].member(&inside.pod)?;
    let server = &world.sites[inside.site].members[member];
    if !server.is_up() || life.is_some_and(|seen| seen != server.life) {
        return None;
    }
    *life = Some(server.life);
    let said = world.query(inside.site, member, statement);
    if said.is_none() {
        world.violate(&format!("unknown statement {statement}"));
    }
    said
}

/// A statement that looks until something holds or its time is over.
async fn wait(inside: &Inside, statement: &str, life: Option<u32>) -> Option<Said> {
    let seconds: f64 = between(statement, "interval '", " seconds'")?
        .parse()
        .ok()?;
    let past = between(statement, "pg_last_wal_replay_lsn() > '", "'").and_then(read_lsn);
    let milliseconds = std::time::Duration::try_from_secs_f64(seconds)
        .ok()?
        .as_millis();
    let until = inside.shared.now() + u64::try_from(milliseconds).ok()?;
    loop {
        {
            let world = inside.shared.world();
            let member = world.sites[inside.site].member(&inside.pod)?;
            let server = &world.sites[inside.site].members[member];
            if !server.is_up() || life != Some(server.life) {
                return None;
            }
            let holds = past.is_some_and(|past| server.log.at > past);
            if holds || server.state == State::Primary || world.now >= until {
                return Some(Ok(String::new()));
            }
        }
        pass(10).await;
    }
}

pub(crate) fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    text.split_once(before)?
        .1
        .split_once(after)
        .map(|(inside, _)| inside)
}

pub(crate) fn read_lsn(text: &str) -> Option<u64> {
    let (high, low) = text.split_once('/')?;
    Some((u64::from_str_radix(high, 16).ok()? << 32) + u64::from_str_radix(low, 16).ok()?)
}

impl World {
    fn query(&mut self, index: usize, member: usize, statement: &str) -> Option<Said> {
        let server = self.sites[index].members[member].clone();
        let standby = server.state != State::Primary;
        let timeline = self.branches.timeline(server.log);
        let at = lsn(server.log.at);
        let rows = match statement {
            "select 1" => "1".to_owned(),
            "select pg_is_in_recovery()" => if standby { "t" } else { "f" }.to_owned(),
            "select pg_last_wal_replay_lsn()" => at,
            "select pg_reload_conf()" => "t".to_owned(),
            "select pg_sleep(0.2)" => String::new(),
            "checkpoint" => {
                let name = &mut self.sites[index].members[member];
                name.control.timeline = timeline;
                name.control.checkpoint = server.log.at.saturating_sub(0x28);
                self.recycle(index, member, server.log);
                String::new()
            }
            "show wal_segment_size" => "16MB".to_owned(),
            "select coalesce(last_archived_wal, '') from pg_stat_archiver" => {
                self.branches.get(server.log.branch).last_archived.clone()
            }
            text if text.starts_with("show ") => self.sites[index].parameter(&text[5..]),
            text if text.contains("'archiveCommand'") => self.facts(index, member).to_string(),
            text if text.contains("'waitsFor'") => {
                let waits = if self.streams(index, member) {
                    "RecoveryWalStream"
                } else {
                    "RecoveryRetrieveRetryInterval"
                };
                json!({"inRecovery": standby, "replayed": standby.then_some(&at),
                "recorded": at, "timeline": timeline, "waitsFor": waits})
                .to_string()
            }
            text if text
                .starts_with("select system_identifier, timeline_id, pg_last_wal_replay_lsn()") =>
            {
                let row = format!("{SYSTEM}|{}|{at}", server.control.timeline);
                if standby { row } else { String::new() }
            }
            text if text.starts_with("select pg_last_wal_replay_lsn() where") => {
                let past = read_lsn(between(text, "pg_last_wal_replay_lsn() > '", "'")?)?;
                if standby && server.log.at > past {
                    at
                } else {
                    String::new()
                }
            }
            text if text.contains("::bit(32)::int") => timeline.to_string(),
            text if text.starts_with("select pg_read_file('pg_wal/") => {
                let wanted = u32::from_str_radix(between(text, "pg_wal/", ".history")?, 16).ok()?;
                if wanted != timeline {
                    return Some(Err("58P01 could not open file".to_owned()));
                }
                self.branches.history(server.log)
            }
            text if text.starts_with("select encode(sha256(") => self.digest(index, member, text),
            _ if standby => return Self::refuse_in_recovery(statement),
            "select pg_walfile_name(pg_current_wal_insert_lsn())" => {
                segment_name(timeline, server.log.at / SEGMENT)
            }
            "select pg_switch_wal()" => {
                let log = &mut self.sites[index].members[0].log;
                log.at = log.at.div_ceil(SEGMENT) * SEGMENT;
                lsn(log.at)
            }
            text if text.starts_with("select pg_logical_emit_message(") => {
                lsn(self.append(index, 0x40).at)
            }
            _ => return None,
        };
        Some(Ok(rows))
    }

    fn refuse_in_recovery(statement: &str) -> Option<Said> {
        let is_known = statement.contains("pg_walfile_name")
            || statement.contains("pg_switch_wal")
            || statement.contains("pg_logical_emit_message");
        is_known.then(|| Err("55000 recovery is in progress".to_owned()))
    }

    /// Whether a member has a receiver that is connected.
    pub(crate) fn streams(&self, index: usize, member: usize) -> bool {
        let site = &self.sites[index];
        site.members[member].state == State::Standby && (member > 0 || site.receiver.is_some())
    }

    fn facts(&self, index: usize, member: usize) -> Value {
        let site = &self.sites[index];
        let server = &site.members[member];
        let standby = server.state != State::Primary;
        let (at, timeline) = (lsn(server.log.at), self.branches.timeline(server.log));
        let streams = self.streams(index, member);
        let receivers = self.receivers_of(index, member).into_iter();
        let receivers: Vec<_> = receivers
            .map(
                |pod| json!({"application_name": pod, "state": "streaming", "sync_state": "async"}),
            )
            .collect();
        json!({"inRecovery": standby, "systemIdentifier": SYSTEM, "checkpointTimeline": server.control.timeline,
            "checkpointAt": lsn(server.control.checkpoint), "recoveryTimeline": standby.then_some(timeline),
            "recoveryEnd": standby.then_some(&at), "writtenTimeline": (!standby).then_some(timeline),
            "flushed": (!standby).then_some(&at), "received": streams.then_some(&at), "replayed": standby.then_some(&at),
            "replayedAt": null, "replayPaused": standby.then_some(false), "serverVersion": 150_018,
            "archiveMode": "on", "archiveCommand": site.parameter("archive_command"),
            "restoreCommand": site.parameter("restore_command"), "applyDelayMs": 0, "recoveryTargets": [],
            "synchronousStandbyNames": "", "segmentSizeBytes": SEGMENT, "lastArchived": null,
            "failingArchive": site.failing, "receiverStatus": streams.then_some("streaming"),
            "receivedTimeline": streams.then_some(timeline), "receivers": receivers})
    }

    /// A word that is the same for the same bytes of a segment only; nothing when the segment is not in the log.
    fn digest(&self, index: usize, member: usize, statement: &str) -> String {
        let log = self.sites[index].members[member].log;
        let mut files = statement.split("pg_read_binary_file('pg_wal/").skip(1);
        let found = files.find_map(|file| {
            let (name, rest) = file.split_once("', 0, ")?;
            let bytes: u64 = rest.split_once(',')?.0.parse().ok()?;
            let (timeline, number) = read_segment_name(name)?;
            let mut pieces = self.branches.pieces(log);
            pieces.find(|piece| {
                self.branches.timeline(*piece) == timeline && piece.at > number * SEGMENT
            })?;
            Some(
                self.branches
                    .content(log, number * SEGMENT, number * SEGMENT + bytes),
            )
        });
        found.unwrap_or_default()
    }
}

impl Site {
    /// What `pg_controldata` prints.
    pub(crate) fn control_data(&self, member: usize) -> String {
        let server = &self.members[member];
        let control = &server.control;
        let (at, timeline) = (lsn(control.checkpoint), control.timeline);
        let file = segment_name(timeline, control.checkpoint / SEGMENT);
        format!(
            "Database system identifier: {SYSTEM}\nDatabase cluster state: {}\nLatest checkpoint location: {at}\n\
             Latest checkpoint's REDO location: {at}\nLatest checkpoint's REDO WAL file: {file}\n\
             Latest checkpoint's TimeLineID: {timeline}\nBytes per WAL segment: {SEGMENT}\n",
            control.state
        )
    }
}
