//! One line of the writer's ledger.

use serde::{Deserialize, Serialize};

use crate::{Lsn, TimelineId};

/// The version of the ledger's format; a reader refuses another one.
pub const FORMAT: u32 = 1;

/// What a lane is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// Measures the write gap, through the site's `<c>-ha` service.
    Probe,
    /// Load beside the probe, through the site's `<c>-ha` service.
    Load,
    /// Tries one member directly, so that a write taken outside the service is seen too.
    Member,
}

/// One line of the ledger, a JSON object a line, in the order in which the writer knew it.
///
/// A lane is one kept connection path (site and purpose) with its own row numbers. Times are microseconds of the
/// writer's monotonic clock since its start, taken when the line is written; wall time stands in [`Record::Start`] and
/// [`Record::Beat`] only. `Try` is written before the row is sent, so a writer that was killed leaves rows whose fate
/// is unknown and never rows that nobody knows of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "k", rename_all = "kebab-case")]
pub enum Record {
    /// The first line.
    Start {
        /// The ledger's format, [`FORMAT`].
        format: u32,
        /// The run, which every row carries too.
        run: String,
        /// Wall time at the monotonic clock's zero, in microseconds since 1970.
        wall_us: i64,
    },
    /// A lane, before its first use.
    Lane {
        /// The lane's number, unique in the run; rows carry it.
        lane: u32,
        /// What it is for.
        purpose: Purpose,
        /// The site it leads to.
        site: String,
        /// Host and port it connects to.
        address: String,
    },
    /// The writer was running at this time. Written at a fixed rate by a task of its own.
    Beat {
        /// Monotonic time.
        at_us: u64,
        /// Wall time, microseconds since 1970.
        wall_us: i64,
    },
    /// A lane connected.
    Up {
        /// Monotonic time.
        at_us: u64,
        /// The lane.
        lane: u32,
        /// The server's own address (`inet_server_addr()`), which tells the member behind a service.
        server: String,
        /// When that server's postmaster started, as it says.
        started: String,
        /// Whether it was in recovery when asked.
        in_recovery: bool,
    },
    /// A lane lost its connection, or failed to get one in a new way.
    Down {
        /// Monotonic time.
        at_us: u64,
        /// The lane.
        lane: u32,
        /// What was said.
        why: String,
    },
    /// A row is about to be sent.
    Try {
        /// Monotonic time.
        at_us: u64,
        /// The lane.
        lane: u32,
        /// The row's number in its lane, never used twice.
        seq: u64,
    },
    /// The server acknowledged the row's commit.
    Ack {
        /// Monotonic time.
        at_us: u64,
        /// The lane.
        lane: u32,
        /// The row's number.
        seq: u64,
        /// The timeline on which the server wrote it.
        tli: TimelineId,
        /// The server's insert position while it wrote the row, so at or before the row's commit record.
        lsn: Lsn,
    },
    /// The server said no: the row was not written.
    No {
        /// Monotonic time.
        at_us: u64,
        /// The lane.
        lane: u32,
        /// The row's number.
        seq: u64,
        /// The SQLSTATE (25006: read-only transaction).
        code: String,
    },
    /// The connection was lost, or no answer came in time: the row may be there or not.
    Lost {
        /// Monotonic time.
        at_us: u64,
        /// The lane.
        lane: u32,
        /// The row's number.
        seq: u64,
        /// What happened.
        why: String,
    },
    /// The last line of a writer that ended by itself.
    End {
        /// Monotonic time.
        at_us: u64,
    },
}

impl Record {
    /// The line's monotonic time in microseconds, where it has one.
    pub fn at_us(&self) -> Option<u64> {
        match self {
            Self::Start { .. } | Self::Lane { .. } => None,
            Self::Beat { at_us, .. }
            | Self::Up { at_us, .. }
            | Self::Down { at_us, .. }
            | Self::Try { at_us, .. }
            | Self::Ack { at_us, .. }
            | Self::No { at_us, .. }
            | Self::Lost { at_us, .. }
            | Self::End { at_us } => Some(*at_us),
        }
    }
}
