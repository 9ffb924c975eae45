//! What `pg_controldata` says.

use serde::Serialize;

use crate::lsn::{Lsn, SegmentSize};
use crate::timeline::Timeline;

/// The facts of a server's control file that a move rests on, all from one reading.
///
/// Source: PostgreSQL documentation, `pg_controldata`; texts as printed with `LC_ALL=C`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ControlData {
    /// `Database system identifier`.
    pub system_identifier: String,
    /// `Database cluster state`.
    pub state: ClusterState,
    /// `Latest checkpoint location`: where the checkpoint record begins.
    pub checkpoint: Lsn,
    /// `Latest checkpoint's REDO location`.
    pub redo: Lsn,
    /// `Latest checkpoint's REDO WAL file`.
    pub redo_wal_file: String,
    /// `Latest checkpoint's TimeLineID`.
    pub timeline: Timeline,
    /// `Bytes per WAL segment`.
    #[serde(skip)]
    pub segment_size: SegmentSize,
}

/// The state that a control file names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ClusterState {
    /// `shut down`: a primary ended cleanly; its last record is the shutdown checkpoint.
    ShutDown,
    /// `shut down in recovery`: a standby ended cleanly.
    ShutDownInRecovery,
    /// `in production`.
    InProduction,
    /// `in archive recovery`: a standby runs, or was running when it died.
    InArchiveRecovery,
    /// Any other text: `starting up`, `shutting down`, `in crash recovery`.
    Other(String),
}

/// A control file whose text lacks something or says something unreadable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("pg_controldata says nothing usable for `{field}`")]
pub struct InvalidControlData {
    field: &'static str,
}

impl ControlData {
    /// Reads the program's output.
    pub fn from_text(text: &str) -> Result<Self, InvalidControlData> {
        let field = |name: &'static str| {
            text.lines()
                .find_map(|line| line.split_once(':').filter(|(key, _)| key.trim() == name))
                .map(|(_, value)| value.trim())
                .filter(|value| !value.is_empty())
                .ok_or(InvalidControlData { field: name })
        };
        let lsn = |name| field(name).and_then(|text| parsed(name, text));
        let segment_size = "Bytes per WAL segment";
        Ok(Self {
            system_identifier: field("Database system identifier")?.to_owned(),
            state: match field("Database cluster state")? {
                "shut down" => ClusterState::ShutDown,
                "shut down in recovery" => ClusterState::ShutDownInRecovery,
                "in production" => ClusterState::InProduction,
                "in archive recovery" => ClusterState::InArchiveRecovery,
                other => ClusterState::Other(other.to_owned()),
            },
            checkpoint: lsn("Latest checkpoint location")?,
            redo: lsn("Latest checkpoint's REDO location")?,
            redo_wal_file: field("Latest checkpoint's REDO WAL file")?.to_owned(),
            timeline: field("Latest checkpoint's TimeLineID")
                .and_then(|text| parsed("Latest checkpoint's TimeLineID", text))
                .map(Timeline)?,
            segment_size: field(segment_size)
                .and_then(|text| parsed(segment_size, text))
                .and_then(|bytes| {
                    SegmentSize::from_bytes(bytes).ok_or(InvalidControlData {
                        field: segment_size,
                    })
                })?,
        })
    }
}

fn parsed<T: std::str::FromStr>(name: &'static str, text: &str) -> Result<T, InvalidControlData> {
    text.parse().map_err(|_| InvalidControlData { field: name })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
pg_control version number:            1300
Database system identifier:           7710549851658973354
Database cluster state:               shut down
pg_control last modified:             Sat Nov 21 09:14:00 2026
Latest checkpoint location:           0/5000028
Latest checkpoint's REDO location:    0/5000028
Latest checkpoint's REDO WAL file:    000000010000000000000005
Latest checkpoint's TimeLineID:       1
Latest checkpoint's PrevTimeLineID:   1
Bytes per WAL segment:                16777216
";

    #[test]
    fn the_programs_text_is_read() {
        let control = ControlData::from_text(TEXT).unwrap();
        assert_eq!(control.state, ClusterState::ShutDown);
        assert_eq!(control.checkpoint, "0/5000028".parse().unwrap());
        assert_eq!(control.timeline, Timeline(1));
        assert_eq!(control.redo_wal_file, "000000010000000000000005");
    }

    #[test]
    fn a_state_in_recovery_is_not_shut_down() {
        let text = TEXT.replace("shut down", "shut down in recovery");
        assert_eq!(
            ControlData::from_text(&text).unwrap().state,
            ClusterState::ShutDownInRecovery
        );
    }

    #[test]
    fn a_missing_or_broken_line_is_named() {
        let missing = TEXT.replace("Latest checkpoint location", "Erster");
        let error = ControlData::from_text(&missing).unwrap_err();
        assert_eq!(
            error.to_string(),
            "pg_controldata says nothing usable for `Latest checkpoint location`"
        );
        assert!(ControlData::from_text(&TEXT.replace("16777216", "12345")).is_err());
        assert!(ControlData::from_text("").is_err());
    }
}
