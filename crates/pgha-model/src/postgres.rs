//! What a Postgres server says of itself.

use serde::{Deserialize, Serialize};

use crate::lsn::Lsn;

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
