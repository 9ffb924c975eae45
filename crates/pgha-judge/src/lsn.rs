//! Positions in the write-ahead log and the names of its segments.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A timeline of a Postgres cluster; each promotion starts the next one.
pub type TimelineId = u32;

/// Size of a WAL segment in bytes: initdb's default, which neither PGO nor Patroni changes.
pub const SEGMENT_BYTES: u64 = 16 * 1024 * 1024;

/// A byte position in the write-ahead log, written as two hexadecimal halves, `0/70000A0`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

/// A text that is no log position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LsnError(String);

impl fmt::Display for LsnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no log position", self.0)
    }
}

impl std::error::Error for LsnError {}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

impl FromStr for Lsn {
    type Err = LsnError;

    fn from_str(text: &str) -> Result<Self, LsnError> {
        let wrong = || LsnError(text.to_owned());
        let (high, low) = text.trim().split_once('/').ok_or_else(wrong)?;
        let high = u32::from_str_radix(high, 16).map_err(|_| wrong())?;
        let low = u32::from_str_radix(low, 16).map_err(|_| wrong())?;
        Ok(Self((u64::from(high) << 32) | u64::from(low)))
    }
}

impl Serialize for Lsn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Lsn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A WAL segment file: its timeline and its number since the beginning of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SegmentName {
    /// The timeline on which the segment was written.
    pub timeline: TimelineId,
    /// The segment's first byte divided by [`SEGMENT_BYTES`].
    pub number: u64,
}

impl SegmentName {
    /// The segment of `timeline` that holds the byte at `lsn`.
    pub fn holding(timeline: TimelineId, lsn: Lsn) -> Self {
        Self {
            timeline,
            number: lsn.0 / SEGMENT_BYTES,
        }
    }

    /// The position of the segment's first byte.
    pub fn start(self) -> Lsn {
        Lsn(self.number * SEGMENT_BYTES)
    }
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per_half = (1_u64 << 32) / SEGMENT_BYTES;
        write!(
            f,
            "{:08X}{:08X}{:08X}",
            self.timeline,
            self.number / per_half,
            self.number % per_half
        )
    }
}

impl FromStr for SegmentName {
    type Err = LsnError;

    fn from_str(text: &str) -> Result<Self, LsnError> {
        let wrong = || LsnError(text.to_owned());
        if text.len() != 24 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        let part = |at: usize| u32::from_str_radix(&text[at..at + 8], 16).map_err(|_| wrong());
        let start = (u64::from(part(8)?) << 32) + u64::from(part(16)?) * SEGMENT_BYTES;
        Ok(Self {
            timeline: part(0)?,
            number: start / SEGMENT_BYTES,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_and_written_as_postgres_does() {
        let lsn: Lsn = "1/70000A0".parse().unwrap();
        assert_eq!(lsn, Lsn(0x1_0700_00A0));
        assert_eq!(lsn.to_string(), "1/70000A0");
        assert_eq!(
            "0/0154F6A8".parse::<Lsn>().unwrap().to_string(),
            "0/154F6A8"
        );
    }

    #[test]
    fn what_is_no_position_is_refused() {
        for text in ["", "0", "0/", "/0", "0/G", "0/100000000", "0/1/2"] {
            assert!(text.parse::<Lsn>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_segment_has_the_name_that_postgres_gives_it() {
        let name = SegmentName::holding(3, "2/FF000028".parse().unwrap());
        assert_eq!(name.to_string(), "0000000300000002000000FF");
        assert_eq!(
            "0000000300000002000000FF".parse::<SegmentName>().unwrap(),
            name
        );
        assert_eq!(name.start().to_string(), "2/FF000000");
    }

    #[test]
    fn what_is_no_segment_is_refused() {
        for text in [
            "00000003.history",
            "0000000300000002000000FF.partial",
            "archive_status",
            "",
        ] {
            assert!(text.parse::<SegmentName>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_position_in_json_is_its_text() {
        let json = serde_json::to_string(&Lsn(0x700_00A0)).unwrap();
        assert_eq!(json, "\"0/70000A0\"");
        assert_eq!(serde_json::from_str::<Lsn>(&json).unwrap(), Lsn(0x700_00A0));
    }
}
