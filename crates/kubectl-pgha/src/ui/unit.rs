//! Numbers with their units.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;

/// A number of bytes, in the largest unit that leaves at least 1: `72 B`, `1.5 MiB`.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut scaled = None;
    let mut scale: u64 = 1;
    for unit in UNITS {
        scale <<= 10;
        if count >= scale {
            scaled = Some((unit, scale));
        }
    }
    let Some((unit, scale)) = scaled else {
        return format!("{count} B");
    };
    let tenths = u128::from(count) * 10 / u128::from(scale);
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

/// A point in time to the second, in UTC: `2026-11-21T14:02:11Z`.
pub(crate) fn instant(time: Timestamp) -> String {
    DateTimePrinter::new()
        .precision(Some(0))
        .timestamp_to_string(&time)
}

/// How long something took: `0.64 s`, `2 min 5 s`, `1 h 10 min`.
pub(crate) fn period(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..100 => format!("{:.2} s", duration.as_secs_f64()),
        100..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// How long ago something was, as kubectl tells ages: `12s`, `5m`, `3h`, `2d`.
pub(crate) fn age(since: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(since).as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_read_well() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1024), "1.0 KiB");
        assert_eq!(bytes(16 << 20), "16.0 MiB");
        assert_eq!(bytes(1_610_612_736), "1.5 GiB");
        assert_eq!(bytes(u64::MAX), "15.9 EiB");
    }

    #[test]
    fn times_read_well() {
        assert_eq!(period(Duration::from_millis(640)), "0.64 s");
        assert_eq!(period(Duration::from_millis(99_900)), "99.90 s");
        assert_eq!(period(Duration::from_secs(125)), "2 min 5 s");
        assert_eq!(period(Duration::from_mins(70)), "1 h 10 min");
        let now = Timestamp::from_second(1_000_000).unwrap();
        let before = |seconds: i64| Timestamp::from_second(1_000_000 - seconds).unwrap();
        let ages = [-5, 0, 119, 120, 7200, 172_800].map(|seconds| age(before(seconds), now));
        assert_eq!(ages, ["0s", "0s", "119s", "2m", "2h", "2d"]);
    }

    #[test]
    fn an_instant_has_no_fraction() {
        let time: Timestamp = "2026-11-21T14:02:11.9Z".parse().unwrap();
        assert_eq!(instant(time), "2026-11-21T14:02:11Z");
    }
}
