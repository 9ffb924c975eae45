//! The verdict as text for people.

use std::fmt;

use crate::checks::ms;
use crate::{Account, Handover, HandoverKind, RowId, Ruling, State, Verdict};

/// Rows that are named in a list before the rest is only counted.
const NAMED: usize = 10;

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "run {}: {}", self.run, self.ruling)?;
        for (title, checks) in [
            ("assumptions", &self.assumptions),
            ("promises", &self.checks),
        ] {
            writeln!(f, "\n{title}")?;
            for check in checks {
                writeln!(
                    f,
                    "  {:<9}  {:<32} {}",
                    check.state, check.id, check.rests_on
                )?;
            }
        }
        writeln!(f, "\nsides")?;
        for side in &self.sides {
            let role = if side.in_recovery {
                "in recovery"
            } else {
                "primary"
            };
            writeln!(
                f,
                "  {:<8} {:<28} {role:<12} timeline {:<3} at {:<12} {} rows",
                side.site,
                side.member,
                side.timeline,
                side.lsn,
                side.rows.len()
            )?;
        }
        if let Some(account) = &self.account {
            write_account(f, account)?;
        }
        self.write_times(f)
    }
}

impl Verdict {
    fn write_times(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\ntimes")?;
        for handover in &self.handovers {
            writeln!(f, "  {handover}")?;
        }
        if let Some(silence) = self.longest_silence {
            writeln!(
                f,
                "  longest silence  {}",
                ms(silence.length_us().cast_signed())
            )?;
        }
        writeln!(
            f,
            "  longest stall    {} (of the writer itself)",
            ms(self.longest_stall_us.cast_signed())
        )
    }
}

fn write_account(f: &mut fmt::Formatter<'_>, account: &Account) -> fmt::Result {
    writeln!(f, "\nrows on the primary")?;
    for (name, count) in [
        ("attempted", account.attempted),
        ("acknowledged", account.acknowledged),
        ("refused", account.refused),
        ("unknown", account.unknown),
        ("present", account.present),
        ("unknown but present", account.unknown_present),
    ] {
        writeln!(f, "  {name:<20} {count:>9}")?;
    }
    if account.later > 0 {
        writeln!(f, "  {:<20} {:>9}", "sent since", account.later)?;
    }
    for (name, rows) in [
        ("missing", &account.missing),
        ("duplicate", &account.duplicates),
        ("refused but present", &account.refused_present),
        ("unheard of", &account.unheard_of),
    ] {
        writeln!(f, "  {name:<20} {:>9}{}", rows.len(), named(rows))?;
    }
    Ok(())
}

fn named(rows: &[RowId]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let first: Vec<String> = rows.iter().take(NAMED).map(ToString::to_string).collect();
    let more = if rows.len() > NAMED { ", …" } else { "" };
    format!("  {}{more}", first.join(", "))
}

impl fmt::Display for Handover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            HandoverKind::Move => "move",
            HandoverKind::WithinSite => "within site",
            HandoverKind::SameServer => "same server",
        };
        write!(
            f,
            "{kind:<11} {} timeline {} -> {} timeline {}: write gap {}, {} and {} rows of the probe, stall {}",
            self.source,
            self.source_timeline,
            self.target,
            self.target_timeline,
            ms(self.gap_us),
            self.rows_before,
            self.rows_after,
            ms(self.stall_us.cast_signed())
        )
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Holds => "holds",
            Self::Broken => "BROKEN",
            Self::Unjudged => "unjudged",
        })
    }
}

impl fmt::Display for Ruling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pass => "pass",
            Self::Fail => "FAIL",
            Self::Inconclusive => "inconclusive",
        })
    }
}
