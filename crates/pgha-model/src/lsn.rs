//! Positions in the write-ahead log.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A position in the write-ahead log, in bytes since its beginning.
///
/// Written as Postgres writes it: two hexadecimal halves, `16/B374D848` (PostgreSQL documentation, 8.20 `pg_lsn`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(u64);

impl Lsn {
    /// The position this many bytes from the beginning, as Patroni's JSON gives it.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// Bytes since the beginning.
    pub const fn as_bytes(self) -> u64 {
        self.0
    }

    /// How many bytes this position is ahead of another; 0 when it is not.
    pub const fn bytes_ahead_of(self, other: Self) -> u64 {
        self.0.saturating_sub(other.0)
    }

    /// The number of the segment that holds this position, counted from the beginning of the log.
    pub const fn segment_number(self, segment_size: SegmentSize) -> u64 {
        self.0 / segment_size.0
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

/// Text that is no position in the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an LSN")]
pub struct InvalidLsn {
    text: String,
}

impl FromStr for Lsn {
    type Err = InvalidLsn;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let half = |digits: &str| {
            let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
            if plain {
                u32::from_str_radix(digits, 16).ok()
            } else {
                None
            }
        };
        text.split_once('/')
            .and_then(|(high, low)| Some((half(high)?, half(low)?)))
            .map(|(high, low)| Self(u64::from(high) << 32 | u64::from(low)))
            .ok_or_else(|| InvalidLsn {
                text: text.escape_debug().to_string(),
            })
    }
}

impl Serialize for Lsn {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Lsn {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Size of one log segment in bytes: a power of two from 1 MiB to 1 GiB, 16 MiB unless chosen at `initdb`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentSize(u64);

impl SegmentSize {
    /// What `initdb` chooses by itself.
    pub const DEFAULT: Self = Self(16 << 20);

    /// A size in bytes, when Postgres could have it.
    pub const fn from_bytes(bytes: u64) -> Option<Self> {
        if bytes.is_power_of_two() && bytes >= 1 << 20 && bytes <= 1 << 30 {
            Some(Self(bytes))
        } else {
            None
        }
    }

    /// The size in bytes.
    pub const fn as_bytes(self) -> u64 {
        self.0
    }
}

/// The name of the file that holds a segment: timeline and number, 24 hexadecimal digits.
///
/// Format: PostgreSQL documentation, 30.6 "WAL Internals"; the second and third groups of eight digits are the
/// position's upper half and the segment within it.
pub fn segment_file_name(timeline: u32, at: Lsn, size: SegmentSize) -> String {
    let number = at.segment_number(size);
    let per_half = 0x1_0000_0000 / size.0;
    format!(
        "{timeline:08X}{:08X}{:08X}",
        number / per_half,
        number % per_half
    )
}

/// Whether a text could be the name of a segment's file.
pub fn is_segment_file_name(name: &str) -> bool {
    name.len() == 24
        && name
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bytes_agree() {
        let lsn: Lsn = "16/B374D848".parse().unwrap();
        assert_eq!(lsn.as_bytes(), 0x16_B374_D848);
        assert_eq!(lsn.to_string(), "16/B374D848");
        assert_eq!(Lsn::from_bytes(83_886_240).to_string(), "0/50000A0");
    }

    #[test]
    fn what_postgres_would_not_write_is_refused() {
        for text in [
            "",
            "/",
            "0/",
            "/0",
            "0/+1",
            "1/2/3",
            "g/0",
            "100000000/0",
            "0/-1",
            " 0/0",
        ] {
            assert!(text.parse::<Lsn>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_position_names_its_segment() {
        let name = |lsn: &str| segment_file_name(1, lsn.parse().unwrap(), SegmentSize::DEFAULT);
        assert_eq!(name("0/5000028"), "000000010000000000000005");
        assert_eq!(name("1/FF000028"), "0000000100000001000000FF");
        let small = SegmentSize::from_bytes(1 << 20).unwrap();
        assert_eq!(
            segment_file_name(3, "1/FFF00000".parse().unwrap(), small),
            "000000030000000100000FFF"
        );
    }

    #[test]
    fn segment_names_are_told_from_other_files() {
        assert!(is_segment_file_name("0000000100000001000000FF"));
        assert!(!is_segment_file_name("00000002.history"));
        assert!(!is_segment_file_name("0000000100000001000000ff"));
    }
}
