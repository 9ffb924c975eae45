//! What a Postgres server says of itself.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::lsn::Lsn;
use crate::member::{MemberStatus, Reached, Receiver, Role};
use crate::timeline::Timeline;

/// Facts of one server, from one query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PostgresFacts {
    /// `pg_is_in_recovery()`.
    pub in_recovery: bool,
    /// `pg_control_system().system_identifier`.
    pub system_identifier: String,
    /// `pg_control_checkpoint().timeline_id`: the timeline of the last checkpoint or restart point.
    pub checkpoint_timeline: u32,
    /// `pg_control_checkpoint().checkpoint_lsn`: where the record of that checkpoint begins.
    pub checkpoint_at: Lsn,
    /// `pg_control_recovery().min_recovery_end_timeline` on a standby: the timeline of the last replayed record when the
    /// control file was last written.
    pub recovery_timeline: Option<u32>,
    /// `pg_control_recovery().min_recovery_end_lsn` on a standby: where that record ends.
    pub recovery_end: Option<Lsn>,
    /// The timeline of `pg_walfile_name(pg_current_wal_lsn())` on a primary: the control file has it only with the first
    /// checkpoint after a promotion.
    pub written_timeline: Option<u32>,
    /// `pg_current_wal_flush_lsn()` on a primary.
    pub flushed: Option<Lsn>,
    /// `pg_last_wal_receive_lsn()` on a standby that streams, or did since it started.
    pub received: Option<Lsn>,
    /// `pg_last_wal_replay_lsn()` on a standby.
    pub replayed: Option<Lsn>,
    /// `pg_last_xact_replay_timestamp()` on a standby: when the last commit it replayed was made, by the primary's clock.
    pub replayed_at: Option<Timestamp>,
    /// `pg_is_wal_replay_paused()` on a standby.
    pub replay_paused: Option<bool>,
    /// `server_version_num`.
    pub server_version: u32,
    /// `archive_mode`.
    pub archive_mode: String,
    /// `archive_command`.
    pub archive_command: String,
    /// `restore_command`.
    pub restore_command: String,
    /// `recovery_min_apply_delay` in milliseconds.
    pub apply_delay_ms: i64,
    /// The recovery targets that are set, `recovery_target_time`.
    pub recovery_targets: Vec<String>,
    /// `synchronous_standby_names`.
    pub synchronous_standby_names: String,
    /// `wal_segment_size` in bytes.
    pub segment_size_bytes: u64,
    /// `pg_stat_archiver.last_archived_wal`.
    pub last_archived: Option<String>,
    /// `pg_stat_archiver.last_failed_wal`, when the last failure is later than the last success.
    pub failing_archive: Option<String>,
    /// `pg_stat_wal_receiver.status` on a standby that streams.
    pub receiver_status: Option<String>,
    /// `pg_stat_wal_receiver.received_tli` on a standby that streams, once it has received something: before that it is
    /// the timeline that was asked for.
    pub received_timeline: Option<u32>,
    /// `pg_stat_replication`.
    pub receivers: Vec<Receiver>,
}

impl PostgresFacts {
    /// The positions that the control file of a standby has on record, each with its timeline.
    pub fn reached(&self) -> Vec<Reached> {
        if !self.in_recovery {
            return Vec::new();
        }
        // Where the record begins is no part of it yet: one byte on is.
        let checkpoint = Reached {
            timeline: Timeline(self.checkpoint_timeline),
            at: Lsn::from_bytes(self.checkpoint_at.as_bytes() + 1),
        };
        let recovery = self
            .recovery_timeline
            .zip(self.recovery_end)
            .map(|(timeline, at)| Reached {
                timeline: Timeline(timeline),
                at,
            });
        recovery.into_iter().chain([checkpoint]).collect()
    }

    /// The timeline that is written or received, else what the control file has, which may be old.
    fn timeline(&self) -> Timeline {
        let on_record = self.recovery_timeline.unwrap_or_default();
        let on_record = on_record.max(self.checkpoint_timeline);
        let in_use = self.written_timeline.or(self.received_timeline);
        Timeline(in_use.unwrap_or(on_record))
    }

    /// The same facts as the description of the member that holds Patroni's lock, where Patroni itself could not be
    /// asked: in recovery such a member is a standby leader, else a primary. Patroni's own version is not among them.
    pub fn as_lock_holder(&self) -> MemberStatus {
        let role = if self.in_recovery {
            Role::StandbyLeader
        } else {
            Role::Primary
        };
        let replication_state = match self.receiver_status.as_deref() {
            Some("streaming") => Some("streaming"),
            Some(_) | None if self.in_recovery && !self.restore_command.is_empty() => {
                Some("in archive recovery")
            }
            Some(_) | None => None,
        };
        MemberStatus {
            state: "running".to_owned(),
            role,
            patroni: None,
            timeline: Some(self.timeline()),
            written: self.flushed.or(self.received.max(self.replayed)),
            replayed: self.replayed,
            replayed_at: self.replayed_at,
            reached: self.reached(),
            replication_state: replication_state.map(str::to_owned),
            paused: false,
            pending_restart: false,
            system_identifier: Some(self.system_identifier.clone()),
            server_version: Some(self.server_version),
            postmaster_start_time: None,
            store_last_seen: None,
            receivers: self.receivers.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(json: &str) -> PostgresFacts {
        let mut facts = serde_json::json!({
            "inRecovery": false, "systemIdentifier": "7", "checkpointTimeline": 2, "checkpointAt": "0/4000028",
            "recoveryTimeline": null, "recoveryEnd": null, "writtenTimeline": 3, "flushed": "0/5000028",
            "received": null, "replayed": null, "replayedAt": null, "replayPaused": null, "serverVersion": 150_018, "archiveMode": "on",
            "archiveCommand": "x", "restoreCommand": "y", "applyDelayMs": 0, "recoveryTargets": [],
            "synchronousStandbyNames": "", "segmentSizeBytes": 16_777_216, "lastArchived": null,
            "failingArchive": null, "receiverStatus": null, "receivedTimeline": null,
            "receivers": [{"application_name": "b-0", "state": "streaming", "sync_state": "async"}]
        });
        let others: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(json).unwrap();
        facts.as_object_mut().unwrap().extend(others);
        serde_json::from_value(facts).unwrap()
    }

    #[test]
    fn a_lock_holder_that_takes_writes_is_a_primary() {
        let status = facts("{}").as_lock_holder();
        assert_eq!(status.role, Role::Primary);
        assert_eq!(status.written, Some("0/5000028".parse().unwrap()));
        assert_eq!(status.replication_state, None);
        assert_eq!(status.timeline, Some(Timeline(3)));
        assert_eq!(status.receivers[0].application_name, "b-0");
        assert_eq!(status.reached, []);
    }

    #[test]
    fn a_lock_holder_in_recovery_is_a_standby_leader_with_a_feed() {
        let standby = r#"{"inRecovery": true, "writtenTimeline": null, "flushed": null, "replayed": "0/4000000",
            "replayedAt": "2026-11-21T09:13:51.69696+00:00"}"#;
        let status = facts(standby).as_lock_holder();
        assert_eq!(status.role, Role::StandbyLeader);
        assert_eq!(status.written, status.replayed);
        assert_eq!(status.timeline, Some(Timeline(2)));
        assert!(status.replayed_at.is_some());
        assert_eq!(
            status.replication_state.as_deref(),
            Some("in archive recovery")
        );
        let more =
            r#", "receiverStatus": "streaming", "receivedTimeline": 3, "received": "0/4000100"}"#;
        let streaming = standby.replace('}', more);
        let status = facts(&streaming).as_lock_holder();
        assert_eq!(status.replication_state.as_deref(), Some("streaming"));
        assert_eq!(status.timeline, Some(Timeline(3)));
        assert_eq!(status.written, Some("0/4000100".parse().unwrap()));
        assert_eq!(status.replayed, Some("0/4000000".parse().unwrap()));
    }

    #[test]
    fn a_standbys_control_file_says_what_it_reached_and_on_which_timeline() {
        let fed_by_files = r#"{"inRecovery": true, "writtenTimeline": null, "replayed": "0/6000000",
            "recoveryTimeline": 3, "recoveryEnd": "0/5FFFFF0"}"#;
        let status = facts(fed_by_files).as_lock_holder();
        assert_eq!(status.timeline, Some(Timeline(3)));
        let reached: Vec<String> = status
            .reached
            .iter()
            .map(|reached| format!("{} {}", reached.timeline, reached.at))
            .collect();
        assert_eq!(reached, ["3 0/5FFFFF0", "2 0/4000029"]);
    }
}
