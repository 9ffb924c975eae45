//! What a Postgres server says of itself.

use serde::{Deserialize, Serialize};

use crate::lsn::Lsn;
use crate::member::{MemberStatus, Role};
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
    /// `pg_current_wal_flush_lsn()` on a primary.
    pub flushed: Option<Lsn>,
    /// `pg_last_wal_replay_lsn()` on a standby.
    pub replayed: Option<Lsn>,
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
}

impl PostgresFacts {
    /// The same facts as the description of the member that holds Patroni's lock, where Patroni itself could not be
    /// asked: in recovery such a member is a standby leader, else a primary.
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
            // In recovery the control file has the timeline of the last restart point, which may be an old one.
            timeline: (!self.in_recovery).then_some(Timeline(self.checkpoint_timeline)),
            written: self.flushed.or(self.replayed),
            replayed: self.replayed,
            replayed_at: None,
            replication_state: replication_state.map(str::to_owned),
            paused: false,
            pending_restart: false,
            system_identifier: Some(self.system_identifier.clone()),
            server_version: Some(self.server_version),
            postmaster_start_time: None,
            store_last_seen: None,
            receivers: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(json: &str) -> PostgresFacts {
        let mut facts = serde_json::json!({
            "inRecovery": false, "systemIdentifier": "7", "checkpointTimeline": 2, "flushed": "0/5000028",
            "replayed": null, "replayPaused": null, "serverVersion": 150_018, "archiveMode": "on",
            "archiveCommand": "x", "restoreCommand": "y", "applyDelayMs": 0, "recoveryTargets": [],
            "synchronousStandbyNames": "", "segmentSizeBytes": 16_777_216, "lastArchived": null,
            "failingArchive": null, "receiverStatus": null
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
    }

    #[test]
    fn a_lock_holder_in_recovery_is_a_standby_leader_with_a_feed() {
        let standby = r#"{"inRecovery": true, "flushed": null, "replayed": "0/4000000"}"#;
        let status = facts(standby).as_lock_holder();
        assert_eq!(status.role, Role::StandbyLeader);
        assert_eq!(status.written, status.replayed);
        assert_eq!(status.timeline, None);
        assert_eq!(
            status.replication_state.as_deref(),
            Some("in archive recovery")
        );
        let streaming = standby.replace('}', r#", "receiverStatus": "streaming"}"#);
        let status = facts(&streaming).as_lock_holder();
        assert_eq!(status.replication_state.as_deref(), Some("streaming"));
    }
}
