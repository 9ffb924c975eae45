//! One Postgres instance with its Patroni, as Patroni describes it.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::lsn::Lsn;
use crate::timeline::Timeline;

/// What a member is, in Patroni's words.
///
/// Patroni before 4.0 says `master` where later ones say `primary` (Patroni release notes, 4.0.0).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// Takes writes.
    Primary,
    /// Holds the lock of a standby cluster; read-only.
    StandbyLeader,
    /// Follows the member that holds the lock.
    Replica,
    /// In between: `promoted`, `demoted`, `uninitialized`, or a word of a later Patroni.
    Other(String),
}

impl From<&str> for Role {
    fn from(word: &str) -> Self {
        match word {
            "primary" | "master" => Self::Primary,
            "standby_leader" => Self::StandbyLeader,
            "replica" => Self::Replica,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Primary => "primary",
            Self::StandbyLeader => "standby leader",
            Self::Replica => "replica",
            Self::Other(word) => word,
        })
    }
}

/// A version of Patroni, `4.1.5`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(into = "String")]
pub struct PatroniVersion {
    /// First number.
    pub major: u32,
    /// Second number.
    pub minor: u32,
    /// Third number; 0 when it is left out.
    pub patch: u32,
}

impl PatroniVersion {
    /// The first version that stops a primary cleanly when its cluster becomes a standby (Patroni release notes,
    /// 4.1.0). Earlier ones stop it at once, and what was not yet sent or archived stays behind.
    pub const FIRST_WITH_CLEAN_DEMOTION: Self = Self {
        major: 4,
        minor: 1,
        patch: 0,
    };
}

/// Text that is no version of Patroni.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a version of Patroni")]
pub struct InvalidPatroniVersion {
    text: String,
}

impl FromStr for PatroniVersion {
    type Err = InvalidPatroniVersion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut numbers = text.splitn(3, '.').map(|number| {
            let digits = number.len()
                - number
                    .trim_start_matches(|c: char| c.is_ascii_digit())
                    .len();
            number[..digits].parse::<u32>().ok()
        });
        let major = numbers.next().flatten();
        let minor = numbers.next().flatten();
        let patch = numbers.next().unwrap_or(Some(0));
        match (major, minor, patch) {
            (Some(major), Some(minor), Some(patch)) => Ok(Self {
                major,
                minor,
                patch,
            }),
            (..) => Err(InvalidPatroniVersion {
                text: text.escape_debug().to_string(),
            }),
        }
    }
}

impl fmt::Display for PatroniVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl From<PatroniVersion> for String {
    fn from(version: PatroniVersion) -> Self {
        version.to_string()
    }
}

/// What a member says of itself: in its pod's `status` annotation (a hint, rewritten each `loop_wait`), or live in the
/// answer of its REST API's `GET /patroni`.
///
/// Sources: Patroni `ha.py` (`touch_member`) and `docs/rest_api.rst`. Keys that Patroni leaves out are `None`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberStatus {
    /// Patroni's word for the process: `running`, `stopping`, `starting`, …
    pub state: String,
    /// What the member is.
    pub role: Role,
    /// Patroni's version; unreadable ones are `None`.
    pub patroni: Option<PatroniVersion>,
    /// The timeline. On a standby leader fed by the archive it comes from the last restart point and may lag.
    pub timeline: Option<Timeline>,
    /// Position written (a primary) or the larger of received and replayed (a standby).
    pub written: Option<Lsn>,
    /// Position replayed; `None` on a primary.
    pub replayed: Option<Lsn>,
    /// When the last commit that a standby replayed was made, by the primary's clock (REST only).
    pub replayed_at: Option<Timestamp>,
    /// `streaming` or `in archive recovery`.
    pub replication_state: Option<String>,
    /// Whether the member sees Patroni paused.
    pub paused: bool,
    /// Whether Postgres waits for a restart.
    pub pending_restart: bool,
    /// The database system identifier (REST only).
    pub system_identifier: Option<String>,
    /// Postgres' version as a number, `150018` (REST only).
    pub server_version: Option<u32>,
    /// Since when the postmaster runs, in Postgres' own text (REST only).
    pub postmaster_start_time: Option<String>,
    /// When Patroni last read its store, in seconds since the epoch (REST only).
    pub store_last_seen: Option<i64>,
    /// The connections that take the log from this member (REST only).
    pub receivers: Vec<Receiver>,
    /// What a standby's control file has on record. Patroni does not tell it: empty unless Postgres was asked.
    pub reached: Vec<Reached>,
}

/// A position of the log that a standby has replayed, and the timeline of the record there.
///
/// Unlike the timeline that a member reports, which may be that of its last restart point while its position has moved
/// on, the two belong together: Postgres writes them at once (PostgreSQL `xlog.c`, `UpdateMinRecoveryPoint`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reached {
    /// The timeline of the record.
    pub timeline: Timeline,
    /// A position within the record or at its end.
    pub at: Lsn,
}

/// A connection that takes the log from a member, one row of `pg_stat_replication`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receiver {
    /// What the receiver calls itself: a member of Patroni uses its name.
    #[serde(default)]
    pub application_name: String,
    /// `streaming`, `catchup`, `backup`, …
    #[serde(default)]
    pub state: String,
    /// `sync`, `async`, `quorum`, `potential`.
    #[serde(default)]
    pub sync_state: String,
}

#[derive(Deserialize)]
struct Wire {
    #[serde(default)]
    state: String,
    role: String,
    version: Option<String>,
    patroni: Option<WirePatroni>,
    timeline: Option<u32>,
    xlog_location: Option<u64>,
    replay_lsn: Option<u64>,
    xlog: Option<WireXlog>,
    replication_state: Option<String>,
    #[serde(default)]
    pause: bool,
    #[serde(default)]
    pending_restart: bool,
    database_system_identifier: Option<String>,
    server_version: Option<u32>,
    postmaster_start_time: Option<String>,
    dcs_last_seen: Option<i64>,
    #[serde(default)]
    replication: Vec<Receiver>,
}

#[derive(Deserialize)]
struct WirePatroni {
    version: Option<String>,
}

#[derive(Default, Deserialize)]
struct WireXlog {
    location: Option<u64>,
    received_location: Option<u64>,
    replayed_location: Option<u64>,
    replayed_timestamp: Option<String>,
}

/// JSON that is not Patroni's description of a member.
#[derive(Debug, thiserror::Error)]
#[error("not Patroni's description of a member")]
pub struct InvalidMemberStatus {
    #[source]
    source: serde_json::Error,
}

impl MemberStatus {
    /// Reads either form: the `status` annotation or the REST answer.
    pub fn from_json(json: &str) -> Result<Self, InvalidMemberStatus> {
        let wire: Wire =
            serde_json::from_str(json).map_err(|source| InvalidMemberStatus { source })?;
        let version = wire
            .patroni
            .and_then(|patroni| patroni.version)
            .or(wire.version);
        let xlog = wire.xlog.unwrap_or_default();
        let received = xlog.received_location.max(xlog.replayed_location);
        let written = wire.xlog_location.or(xlog.location).or(received);
        Ok(Self {
            state: wire.state,
            role: Role::from(wire.role.as_str()),
            patroni: version.and_then(|text| text.parse().ok()),
            timeline: wire.timeline.map(Timeline),
            written: written.map(Lsn::from_bytes),
            replayed: wire
                .replay_lsn
                .or(xlog.replayed_location)
                .map(Lsn::from_bytes),
            replayed_at: xlog.replayed_timestamp.and_then(|time| time.parse().ok()),
            replication_state: wire.replication_state,
            paused: wire.pause,
            pending_restart: wire.pending_restart,
            system_identifier: wire.database_system_identifier,
            server_version: wire.server_version,
            postmaster_start_time: wire.postmaster_start_time,
            store_last_seen: wire.dcs_last_seen,
            receivers: wire.replication,
            reached: Vec::new(),
        })
    }

    /// Whether Patroni says that Postgres failed: `start failed`, `restart failed`, `stop failed`, `crashed`, …
    pub fn has_failed(&self) -> bool {
        self.state.ends_with(" failed") || self.state == "crashed"
    }

    /// Whether Patroni says that the process runs.
    pub fn is_running(&self) -> bool {
        self.state == "running"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_annotation_of_a_standby_leader_is_read() {
        let status = MemberStatus::from_json(
            r#"{"conn_url":"x","api_url":"y","state":"running","role":"standby_leader","version":"4.1.4",
               "xlog_location":117440512,"replay_lsn":117440512,"replication_state":"in archive recovery","timeline":2}"#,
        )
        .unwrap();
        assert_eq!(status.role, Role::StandbyLeader);
        assert_eq!(
            status.patroni,
            Some(PatroniVersion {
                major: 4,
                minor: 1,
                patch: 4
            })
        );
        assert_eq!(status.replayed, Some("0/7000000".parse().unwrap()));
        assert_eq!(status.timeline, Some(Timeline(2)));
    }

    #[test]
    fn the_rest_answer_of_a_primary_is_read() {
        let status = MemberStatus::from_json(
            r#"{"state":"running","postmaster_start_time":"2026-11-21 09:11:25.635245+00:00","role":"primary",
               "server_version":150018,"xlog":{"location":24398424},"timeline":1,
               "replication":[{"usename":"replicator","application_name":"a0","client_addr":"127.0.0.1",
                 "state":"streaming","sync_state":"async","sync_priority":0}],
               "dcs_last_seen":1795252285,"tags":{},"database_system_identifier":"7710549851658973354",
               "patroni":{"version":"4.1.4","scope":"ca","name":"a0"}}"#,
        )
        .unwrap();
        assert_eq!(status.written, Some(Lsn::from_bytes(24_398_424)));
        assert_eq!(status.replayed, None);
        assert_eq!(status.receivers.len(), 1);
        assert_eq!(
            status.system_identifier.as_deref(),
            Some("7710549851658973354")
        );
    }

    #[test]
    fn the_rest_answer_of_a_standby_says_what_it_replayed_last() {
        let status = MemberStatus::from_json(
            r#"{"state":"running","role":"standby_leader","xlog":{"received_location":7,"replayed_location":9,
               "replayed_timestamp":"2026-11-21 09:13:51.696960+00:00","paused":false}}"#,
        )
        .unwrap();
        assert_eq!(status.written, Some(Lsn::from_bytes(9)));
        assert_eq!(
            status.replayed_at,
            Some("2026-11-21T09:13:51.69696Z".parse().unwrap())
        );
    }

    #[test]
    fn an_old_patronis_master_is_a_primary() {
        let status = MemberStatus::from_json(r#"{"state":"running","role":"master"}"#).unwrap();
        assert_eq!(status.role, Role::Primary);
        assert_eq!(status.patroni, None);
    }

    #[test]
    fn versions_compare_by_number() {
        let version = |text: &str| text.parse::<PatroniVersion>().unwrap();
        assert!(version("4.0.10") < PatroniVersion::FIRST_WITH_CLEAN_DEMOTION);
        assert!(version("4.10.0") > version("4.9.9"));
        assert!(version("4.1") >= PatroniVersion::FIRST_WITH_CLEAN_DEMOTION);
        assert_eq!(
            version("4.1.0rc1"),
            PatroniVersion::FIRST_WITH_CLEAN_DEMOTION
        );
        for text in ["", "4", "x.y", "4.", "-1.2.3"] {
            assert!(text.parse::<PatroniVersion>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_member_is_refused() {
        for json in ["", "null", "[]", "{}", r#"{"role":7}"#] {
            assert!(MemberStatus::from_json(json).is_err(), "{json:?}");
        }
    }
}
