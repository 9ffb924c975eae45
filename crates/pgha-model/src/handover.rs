//! Segments that go directly from the source's log to the target's.

use crate::guard::Guard;
use crate::lsn::{Lsn, SegmentSize, segment_file_name};
use crate::proof::Closure;

/// The last segment is sent up to a multiple of this after the shutdown checkpoint's record, which is far shorter: more
/// than the largest page that Postgres can be built with (PostgreSQL documentation, 17.4, `--with-wal-blocksize`).
const TAIL_GRAIN: u64 = 64 << 10;

/// What goes from one log to the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shipment {
    /// The segments, oldest first; the last one holds the end.
    pub names: Vec<String>,
    /// How many bytes of the last one are sent. What follows the source's last record is no log, only what the file held
    /// in an earlier life, and arrives as zeros.
    pub tail_bytes: u64,
}

impl Shipment {
    /// Everything from a position to the source's end; `None` when that is more segments than allowed, or the position is
    /// not before the end.
    pub fn plan(closure: &Closure, replayed: Lsn, size: SegmentSize, most: usize) -> Option<Self> {
        let first = replayed.segment_number(size);
        let last = closure.end.to_exceed().segment_number(size);
        let count = usize::try_from(last.checked_sub(first)?).ok()? + 1;
        let name = |number: u64| {
            let at = Lsn::from_bytes(number * size.as_bytes());
            segment_file_name(closure.timeline.0, at, size)
        };
        let offset = closure.end.to_exceed().as_bytes() % size.as_bytes();
        let tail_bytes = (offset / TAIL_GRAIN + 2) * TAIL_GRAIN;
        // A record that may go on in the next segment would arrive without its end.
        let is_whole = tail_bytes <= size.as_bytes();
        (count <= most && is_whole).then(|| Self {
            names: (first..=last).map(name).collect(),
            tail_bytes,
        })
    }

    /// Reads what the source sent: a line with how many bytes of each segment, and the packed bytes.
    pub fn read_cargo<'a>(&self, sent: &'a [u8], size: SegmentSize) -> Result<Cargo<'a>, String> {
        let line_end = sent.iter().position(|byte| *byte == b'\n');
        let (line, packed) = sent.split_at(line_end.unwrap_or_default());
        let lengths = std::str::from_utf8(line).unwrap_or_default();
        let is_length = |length: &str| {
            let bytes = length.parse::<u64>().unwrap_or_default();
            bytes > 0 && bytes <= size.as_bytes() && bytes.is_multiple_of(TAIL_GRAIN)
        };
        let is_whole = lengths.split(',').count() == self.names.len();
        if is_whole && lengths.split(',').all(is_length) {
            let packed = packed.strip_prefix(b"\n").unwrap_or_default();
            return Ok(Cargo { lengths, packed });
        }
        Err("the source did not say how much it sent".to_owned())
    }

    /// Whether every segment arrived, and is what its name says, of the source's own database.
    pub fn judge(
        &self,
        closure: &Closure,
        size: SegmentSize,
        arrivals: &[Arrival],
    ) -> Result<(), String> {
        let judged = self.compare(closure, size, arrivals);
        if Guard::WholeSegments.holds(judged.is_ok()) {
            return Ok(());
        }
        judged
    }

    fn compare(
        &self,
        closure: &Closure,
        size: SegmentSize,
        arrivals: &[Arrival],
    ) -> Result<(), String> {
        for name in &self.names {
            let arrival = arrivals.iter().find(|arrival| arrival.name == *name);
            let arrival = arrival.ok_or_else(|| format!("{name} did not arrive"))?;
            if arrival.size != size.as_bytes() {
                return Err(format!("{name} arrived with {} bytes", arrival.size));
            }
            if arrival.system_identifier.to_string() != closure.system_identifier {
                return Err(format!("{name} is of system {}", arrival.system_identifier));
            }
            let says = segment_file_name(arrival.timeline, Lsn::from_bytes(arrival.at), size);
            if says != *name {
                return Err(format!("{name} says that it is {says}"));
            }
        }
        if arrivals.len() == self.names.len() {
            return Ok(());
        }
        Err("something arrived that was not asked for".to_owned())
    }
}

/// What the source has sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cargo<'a> {
    /// How many bytes of each segment, separated by commas; zeros follow them.
    pub lengths: &'a str,
    /// The segments, each packed by itself.
    pub packed: &'a [u8],
}

/// What the target says of a segment that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    name: String,
    size: u64,
    timeline: u32,
    at: u64,
    system_identifier: u64,
}

impl Arrival {
    /// Reads one arrival a line: name, size, and the first 32 bytes of the file as four numbers of a little-endian machine.
    /// In a segment's page header these are magic, info and timeline, the position, a length, and the system identifier
    /// (PostgreSQL source, `xlog_internal.h`, `XLogLongPageHeaderData`). A line that is none is left out, and missed by
    /// [`Shipment::judge`].
    pub fn from_text(text: &str) -> Vec<Self> {
        let line = |line: &str| {
            let mut words = line.split_whitespace();
            let name = words.next()?.to_owned();
            let numbers: Option<Vec<u64>> = words.map(|word| word.parse().ok()).collect();
            let [size, kind, at, _length, system_identifier] = numbers?[..] else {
                return None;
            };
            Some(Self {
                name,
                size,
                timeline: u32::try_from(kind >> 32).ok()?,
                at,
                system_identifier,
            })
        };
        text.lines().filter_map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proof::LogEnd;
    use crate::timeline::Timeline;

    const NAMES: [&str; 2] = ["000000020000000000000004", "000000020000000000000005"];

    fn closure(checkpoint: &str) -> Closure {
        Closure {
            system_identifier: "77".to_owned(),
            timeline: Timeline(2),
            end: LogEnd::Checkpoint(checkpoint.parse().unwrap()),
            segment: NAMES[1].to_owned(),
        }
    }

    fn plan(checkpoint: &str, replayed: &str, most: usize) -> Option<Shipment> {
        Shipment::plan(
            &closure(checkpoint),
            replayed.parse().unwrap(),
            SegmentSize::DEFAULT,
            most,
        )
    }

    fn judge(text: &str) -> Result<(), String> {
        let shipment = plan("0/5000028", "0/4000148", 2).unwrap();
        shipment.judge(
            &closure("0/5000028"),
            SegmentSize::DEFAULT,
            &Arrival::from_text(text),
        )
    }

    // Timeline 2 in the upper half, XLP_LONG_HEADER and the magic of PostgreSQL 15 in the lower.
    const KIND: u64 = (2 << 32) | (2 << 16) | 0xD110;

    fn arrived() -> String {
        format!(
            "{} 16777216 {KIND} 67108864 0 77\n{} 16777216 {KIND} 83886080 0 77\n",
            NAMES[0], NAMES[1]
        )
    }

    #[test]
    fn the_segments_from_the_position_to_the_end_are_named() {
        assert_eq!(plan("0/5000028", "0/4000148", 2).unwrap().names, NAMES);
        assert_eq!(plan("0/5000028", "0/5000000", 2).unwrap().names, NAMES[1..]);
    }

    #[test]
    fn the_last_segment_is_cut_after_the_checkpoints_record() {
        let tail = |checkpoint| plan(checkpoint, "0/5000000", 1).map(|it| it.tail_bytes);
        assert_eq!(tail("0/5000028"), Some(128 << 10));
        assert_eq!(tail("0/500FFF8"), Some(128 << 10));
        assert_eq!(tail("0/5EEFFF8"), Some(0xF0_0000));
        assert_eq!(tail("0/5FFFFF8"), None);
    }

    #[test]
    fn the_source_says_how_much_of_each_it_sent() {
        let shipment = plan("0/5000028", "0/4000148", 2).unwrap();
        let read = |sent| shipment.read_cargo(sent, SegmentSize::DEFAULT);
        let cargo = read(b"65536,131072\n\x1f\n\x8b").unwrap();
        assert_eq!(cargo.lengths, "65536,131072");
        assert_eq!(cargo.packed, b"\x1f\n\x8b");
        for bad in [
            "",
            "65536,131072",
            "65536\n",
            "65536,131072,65536\n",
            "65536,0\n",
            "65536,1000\n",
            "65536,16842752\n",
            "65536,-65536\n",
            "65536,$(id)\n",
        ] {
            assert!(read(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn too_many_segments_or_a_position_past_the_end_are_refused() {
        assert_eq!(plan("0/5000028", "0/2000000", 3), None);
        assert_eq!(plan("0/5000028", "0/6000000", 3), None);
    }

    #[test]
    fn whole_segments_of_the_source_are_accepted() {
        assert_eq!(judge(&arrived()), Ok(()));
    }

    #[test]
    fn anything_else_is_refused_by_name() {
        let other_timeline = KIND.to_string();
        let other_timeline = (
            other_timeline.as_str(),
            &*((1 << 32) | (2 << 16) | 0xD110_u64).to_string(),
            "says that it is 000000010000000000000004",
        );
        for (from, to, says) in [
            ("16777216", "16777215", "arrived with 16777215 bytes"),
            ("0 77", "0 78", "is of system 78"),
            other_timeline,
            (
                " 67108864",
                " 83886080",
                "says that it is 000000020000000000000005",
            ),
        ] {
            let error = judge(&arrived().replace(from, to)).unwrap_err();
            assert!(error.starts_with("000000020000000000000004"), "{error}");
            assert!(error.ends_with(says), "{error}");
        }
        assert!(judge(arrived().lines().next().unwrap()).is_err());
        assert!(judge("").is_err());
        let more =
            arrived() + &format!("000000020000000000000006 16777216 {KIND} 100663296 0 77\n");
        assert!(judge(&more).is_err());
    }
}
