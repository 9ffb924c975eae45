//! Records of a move in, verdict out: no I/O, no clock, no pgha.
//!
//! The writer leaves a [`Ledger`]; the auditor adds what each [`Side`] holds and what its WAL says; [`judge`] decides.
//! The same evidence always gives the same verdict, so a stored one can be judged again after a repair of the judge.
//! It deliberately does not read a ledger from disk, ask a server anything, or know how a move is made.

pub mod bench;
mod checks;
mod control;
mod gap;
mod ledger;
mod lsn;
mod record;
mod report;
mod rows;
mod side;
mod tenure;
mod verdict;
mod wal;

pub use control::{ControlData, ControlDataError};
pub use gap::{Handover, HandoverKind, Silence, handovers, longest_silence, longest_stall_us};
pub use ledger::{Lane, Ledger, LedgerError, Outcome, Row, RowId, Server};
pub use lsn::{Lsn, LsnError, SEGMENT_BYTES, SegmentName, TimelineId};
pub use record::{FORMAT, Purpose, Record};
pub use rows::{Account, account};
pub use side::{Side, SideRows, Unread};
pub use tenure::{Overlap, Tenure, overlaps, tenures};
pub use verdict::{Check, Evidence, Question, Ruling, State, Verdict, WalReading, judge};
pub use wal::{
    Fork, HistoryError, Scan, Stray, TimelineHistory, WalEvidence, WalFinding, WalKind, WalRecord,
    judge_wal,
};
