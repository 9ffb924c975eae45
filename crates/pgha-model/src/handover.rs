//! Segments that go directly from the source's log to the target's.

use crate::lsn::{Lsn, SegmentSize, segment_file_name};
use crate::proof::Closure;

/// The names of the segments from a position to the source's end, oldest first; `None` when there are more than allowed,
/// or the position is not before the end.
pub fn segments_between(
    closure: &Closure,
    replayed: Lsn,
    size: SegmentSize,
    most: usize,
) -> Option<Vec<String>> {
    let first = replayed.segment_number(size);
    let last = closure.checkpoint.segment_number(size);
    let count = usize::try_from(last.checked_sub(first)?).ok()? + 1;
    let name = |number: u64| {
        let at = Lsn::from_bytes(number * size.as_bytes());
        segment_file_name(closure.timeline.0, at, size)
    };
    (count <= most).then(|| (first..=last).map(name).collect())
}

/// What the target says of a segment that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    sum: String,
    name: String,
    size: u64,
    timeline: u32,
    at: u64,
    system_identifier: String,
}

impl Arrival {
    /// Reads one arrival a line: sum, name, size, and the page header's timeline, position and system identifier. A line
    /// that is none is left out, and missed by [`judge_arrivals`].
    pub fn from_text(text: &str) -> Vec<Self> {
        let line = |line: &str| {
            let mut words = line.split_whitespace();
            let arrival = Self {
                sum: words.next()?.to_owned(),
                name: words.next()?.to_owned(),
                size: words.next()?.parse().ok()?,
                timeline: words.next()?.parse().ok()?,
                at: words.next()?.parse().ok()?,
                system_identifier: words.next()?.to_owned(),
            };
            words.next().is_none().then_some(arrival)
        };
        text.lines().filter_map(line).collect()
    }
}

/// Whether every segment arrived whole, and is what its name says, of the source's own database. `sums` is what the source
/// printed, as `sha256sum` does.
pub fn judge_arrivals(
    closure: &Closure,
    names: &[String],
    size: SegmentSize,
    sums: &str,
    arrivals: &[Arrival],
) -> Result<(), String> {
    for name in names {
        let arrival = arrivals.iter().find(|arrival| arrival.name == *name);
        let arrival = arrival.ok_or_else(|| format!("{name} did not arrive"))?;
        let sum = sums.lines().find_map(|line| {
            let (sum, of) = line.split_once("  ")?;
            (of == name).then_some(sum)
        });
        if sum != Some(&arrival.sum) {
            return Err(format!("{name} arrived with another sum"));
        }
        if arrival.size != size.as_bytes() {
            return Err(format!("{name} arrived with {} bytes", arrival.size));
        }
        if arrival.system_identifier != closure.system_identifier {
            return Err(format!("{name} is of system {}", arrival.system_identifier));
        }
        let says = segment_file_name(arrival.timeline, Lsn::from_bytes(arrival.at), size);
        if says != *name {
            return Err(format!("{name} says that it is {says}"));
        }
    }
    if arrivals.len() == names.len() {
        return Ok(());
    }
    Err("something arrived that was not asked for".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::Timeline;

    const NAMES: [&str; 2] = ["000000020000000000000004", "000000020000000000000005"];
    const SUMS: &str = "aa  000000020000000000000004\nbb  000000020000000000000005\n";

    fn closure() -> Closure {
        Closure {
            system_identifier: "77".to_owned(),
            timeline: Timeline(2),
            checkpoint: "0/5000028".parse().unwrap(),
            segment: NAMES[1].to_owned(),
        }
    }

    fn between(replayed: &str, most: usize) -> Option<Vec<String>> {
        segments_between(
            &closure(),
            replayed.parse().unwrap(),
            SegmentSize::DEFAULT,
            most,
        )
    }

    fn judge(text: &str) -> Result<(), String> {
        let names = NAMES.map(str::to_owned);
        judge_arrivals(
            &closure(),
            &names,
            SegmentSize::DEFAULT,
            SUMS,
            &Arrival::from_text(text),
        )
    }

    fn arrived() -> String {
        "aa 000000020000000000000004 16777216 2 67108864 77\nbb 000000020000000000000005 16777216 2 83886080 77\n"
            .to_owned()
    }

    #[test]
    fn the_segments_from_the_position_to_the_end_are_named() {
        assert_eq!(between("0/4000148", 2).unwrap(), NAMES);
        assert_eq!(between("0/5000000", 2).unwrap(), NAMES[1..]);
    }

    #[test]
    fn too_many_segments_or_a_position_past_the_end_are_refused() {
        assert_eq!(between("0/2000000", 3), None);
        assert_eq!(between("0/6000000", 3), None);
    }

    #[test]
    fn whole_segments_of_the_source_are_accepted() {
        assert_eq!(judge(&arrived()), Ok(()));
    }

    #[test]
    fn anything_else_is_refused_by_name() {
        for (from, to, says) in [
            ("aa 0", "ab 0", "arrived with another sum"),
            (
                "16777216 2 67108864",
                "16777215 2 67108864",
                "arrived with 16777215 bytes",
            ),
            ("67108864 77", "67108864 78", "is of system 78"),
            (
                "2 67108864",
                "1 67108864",
                "says that it is 000000010000000000000004",
            ),
            (
                "2 67108864",
                "2 83886080",
                "says that it is 000000020000000000000005",
            ),
        ] {
            let error = judge(&arrived().replace(from, to)).unwrap_err();
            assert!(error.starts_with("000000020000000000000004"), "{error}");
            assert!(error.ends_with(says), "{error}");
        }
        assert!(judge(arrived().lines().next().unwrap()).is_err());
        assert!(judge("").is_err());
        let more = arrived() + "cc 000000020000000000000006 16777216 2 100663296 77\n";
        assert!(judge(&more).is_err());
    }
}
