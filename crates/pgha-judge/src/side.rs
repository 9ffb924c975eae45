//! What the members of each side hold, as the auditor read them.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Lsn, RowId, TimelineId};

/// How often each row of the run is in a member's table.
pub type SideRows = BTreeMap<RowId, u32>;

/// One member's database as the auditor read it, after the move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    /// The site.
    pub site: String,
    /// The member.
    pub member: String,
    /// The cluster's system identifier: the same on both sides of one service.
    pub system_identifier: String,
    /// `pg_is_in_recovery()`.
    pub in_recovery: bool,
    /// The timeline it writes, or the one it replays.
    pub timeline: TimelineId,
    /// Its insert position, or where its replay stands.
    pub lsn: Lsn,
    /// The run's rows. Not part of a printed verdict.
    #[serde(skip)]
    pub rows: SideRows,
}

/// A member that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unread {
    /// The site.
    pub site: String,
    /// The member; empty where the site's members could not even be listed.
    pub member: String,
    /// Why.
    pub why: String,
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} could not be read: {}",
            self.site, self.member, self.why
        )
    }
}

impl Side {
    /// Reads rows as `lane,seq` lines (`COPY … TO STDOUT CSV`), a line a row.
    ///
    /// # Errors
    /// The first line that is not two numbers.
    pub fn parse_rows(text: &str) -> Result<SideRows, String> {
        let mut rows = SideRows::new();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let parsed = line.split_once(',').and_then(|(lane, seq)| {
                Some(RowId {
                    lane: lane.trim().parse().ok()?,
                    seq: seq.trim().parse().ok()?,
                })
            });
            let id = parsed.ok_or_else(|| format!("`{line}` is no row"))?;
            *rows.entry(id).or_default() += 1;
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_counted_and_a_duplicate_is_seen() {
        let rows = Side::parse_rows("1,1\n1,2\n1,2\n\n").unwrap();
        assert_eq!(rows[&RowId { lane: 1, seq: 1 }], 1);
        assert_eq!(rows[&RowId { lane: 1, seq: 2 }], 2);
    }

    #[test]
    fn a_line_that_is_no_row_is_named() {
        assert_eq!(
            Side::parse_rows("1,1\nERROR: no").unwrap_err(),
            "`ERROR: no` is no row"
        );
    }
}
