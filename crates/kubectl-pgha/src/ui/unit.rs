//! Numbers with their units.

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
    fn an_instant_has_no_fraction() {
        let time: Timestamp = "2026-11-21T14:02:11.9Z".parse().unwrap();
        assert_eq!(instant(time), "2026-11-21T14:02:11Z");
    }
}
