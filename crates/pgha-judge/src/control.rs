//! What `pg_controldata` prints.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Lsn, TimelineId};

/// The lines of `pg_controldata` that a verdict rests on (with `LC_ALL=C`; PostgreSQL
/// documentation, server applications).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlData {
    /// `Database system identifier`.
    pub system_identifier: String,
    /// `Database cluster state`, for instance `in production`, `in archive recovery`, `shut down`.
    pub state: String,
    /// `Latest checkpoint location`.
    pub checkpoint: Lsn,
    /// `Latest checkpoint's TimeLineID`.
    pub timeline: TimelineId,
}

/// A line of `pg_controldata` that is not there, or not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlDataError(&'static str);

impl fmt::Display for ControlDataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pg_controldata printed no usable `{}`", self.0)
    }
}

impl std::error::Error for ControlDataError {}

impl ControlData {
    /// Reads the program's whole output.
    ///
    /// # Errors
    /// The first line that is missing or unreadable.
    pub fn parse(text: &str) -> Result<Self, ControlDataError> {
        let line = |name: &'static str| {
            let value = text
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            value
                .map(str::trim)
                .filter(|value| !value.is_empty())
                .ok_or(ControlDataError(name))
        };
        let (checkpoint, timeline) = (
            "Latest checkpoint location",
            "Latest checkpoint's TimeLineID",
        );
        Ok(Self {
            system_identifier: line("Database system identifier")?.to_owned(),
            state: line("Database cluster state")?.to_owned(),
            checkpoint: line(checkpoint)?
                .parse()
                .map_err(|_| ControlDataError(checkpoint))?,
            timeline: line(timeline)?
                .parse()
                .map_err(|_| ControlDataError(timeline))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
pg_control version number:            1300
Database system identifier:           7442911180101570000
Database cluster state:               in archive recovery
Latest checkpoint location:           0/70000A0
Latest checkpoint's REDO location:    0/7000068
Latest checkpoint's TimeLineID:       3
Latest checkpoint's PrevTimeLineID:   2
";

    #[test]
    fn the_four_lines_are_read() {
        let control = ControlData::parse(TEXT).unwrap();
        assert_eq!(control.system_identifier, "7442911180101570000");
        assert_eq!(control.state, "in archive recovery");
        assert_eq!(
            (control.checkpoint.to_string().as_str(), control.timeline),
            ("0/70000A0", 3)
        );
    }

    #[test]
    fn a_missing_or_spoilt_line_is_named() {
        let error = ControlData::parse(&TEXT.replace("0/70000A0", "?")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "pg_controldata printed no usable `Latest checkpoint location`"
        );
        assert!(ControlData::parse("").is_err());
    }
}
