//! The ledger as a whole: every row that was tried, and what became of it.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{FORMAT, Lsn, Purpose, Record, TimelineId};

/// A row's name: the lane that wrote it and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RowId {
    /// The lane.
    pub lane: u32,
    /// The number in the lane, from 1.
    pub seq: u64,
}

impl fmt::Display for RowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.lane, self.seq)
    }
}

/// A connection path of the writer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    /// What it is for.
    pub purpose: Purpose,
    /// The site it leads to.
    pub site: String,
    /// Host and port it connects to.
    pub address: String,
}

/// The server at the other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Server {
    /// The site.
    pub site: String,
    /// The server's own address.
    pub address: String,
}

/// What the writer knows of a row's fate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The commit was acknowledged.
    Acknowledged {
        /// When the acknowledgement was read, monotonic microseconds.
        at_us: u64,
        /// Index into [`Ledger::servers`].
        server: usize,
        /// The timeline written.
        timeline: TimelineId,
        /// A position at or before the commit record.
        lsn: Lsn,
    },
    /// The server said no.
    Refused {
        /// The SQLSTATE.
        code: String,
    },
    /// Sent, and never answered: it may be there or not.
    Unknown,
}

/// A row that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its name.
    pub id: RowId,
    /// When it was sent, monotonic microseconds.
    pub sent_us: u64,
    /// What became of it.
    pub outcome: Outcome,
}

/// A read ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// The run's name.
    pub run: String,
    /// Wall time of the monotonic clock's zero, microseconds since 1970.
    pub wall_us: i64,
    /// The lanes by number.
    pub lanes: BTreeMap<u32, Lane>,
    /// Every server that was connected to, once.
    pub servers: Vec<Server>,
    /// The rows, in the order in which they were sent.
    pub rows: Vec<Row>,
    /// When the writer was seen running, monotonic and wall microseconds.
    pub beats: Vec<(u64, i64)>,
    /// When the writer ended by itself; a killed or running one has not.
    pub ended_us: Option<u64>,
    /// Whether the last line was cut short.
    pub is_torn: bool,
    /// Contradictions within the ledger, in words; an honest writer leaves none.
    pub faults: Vec<String>,
}

/// A ledger that cannot be read at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedgerError {
    /// It has no first line that names the run.
    NoStart,
    /// It is of a format that this judge does not know.
    Format(u32),
    /// A line that is no record, and not the last one.
    Line {
        /// The line's number from 1.
        number: usize,
        /// What is wrong with it.
        why: String,
    },
}

impl fmt::Display for LedgerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoStart => write!(f, "the ledger does not begin with a start record"),
            Self::Format(format) => write!(f, "the ledger is of format {format}, not {FORMAT}"),
            Self::Line { number, why } => {
                write!(f, "line {number} of the ledger is no record: {why}")
            }
        }
    }
}

impl std::error::Error for LedgerError {}

impl Ledger {
    /// Reads a ledger's text. A last line that was cut short is left out and remembered.
    ///
    /// # Errors
    /// See [`LedgerError`].
    pub fn parse(text: &str) -> Result<Self, LedgerError> {
        let mut reader = Reader::default();
        let last = text.lines().count();
        for (index, line) in text.lines().enumerate() {
            match serde_json::from_str::<Record>(line) {
                Ok(record) => reader.take(record)?,
                Err(_) if index + 1 == last && !text.ends_with('\n') => {
                    reader.ledger.is_torn = true;
                }
                Err(error) => {
                    return Err(LedgerError::Line {
                        number: index + 1,
                        why: error.to_string(),
                    });
                }
            }
        }
        if reader.is_started {
            Ok(reader.ledger)
        } else {
            Err(LedgerError::NoStart)
        }
    }

    /// The rows whose commit was acknowledged.
    pub fn acknowledged(&self) -> impl Iterator<Item = &Row> {
        self.rows
            .iter()
            .filter(|row| matches!(row.outcome, Outcome::Acknowledged { .. }))
    }

    /// What the row's lane is for; a row always has a lane.
    pub fn purpose(&self, id: RowId) -> Option<Purpose> {
        self.lanes.get(&id.lane).map(|lane| lane.purpose)
    }

    /// The last moment at which the writer was known to run, monotonic microseconds.
    pub fn until_us(&self) -> u64 {
        self.ended_us
            .or(self.beats.last().map(|(at_us, _)| *at_us))
            .unwrap_or(0)
    }
}

/// Builds a ledger from its records.
#[derive(Default)]
struct Reader {
    ledger: Ledger,
    is_started: bool,
    latest_us: u64,
    /// The server at the other end of each lane now.
    connected: HashMap<u32, usize>,
    /// Where each row stands in `ledger.rows`.
    index: HashMap<RowId, usize>,
}

impl Reader {
    fn take(&mut self, record: Record) -> Result<(), LedgerError> {
        if let Some(at_us) = record.at_us() {
            if at_us < self.latest_us {
                self.ledger.faults.push(format!(
                    "the clock went back from {} to {at_us} µs",
                    self.latest_us
                ));
            }
            self.latest_us = self.latest_us.max(at_us);
        }
        match record {
            Record::Start {
                format,
                run,
                wall_us,
            } => return self.start(format, run, wall_us),
            _ if !self.is_started => return Err(LedgerError::NoStart),
            Record::Lane {
                lane,
                purpose,
                site,
                address,
            } => {
                self.ledger.lanes.insert(
                    lane,
                    Lane {
                        purpose,
                        site,
                        address,
                    },
                );
            }
            Record::Beat { at_us, wall_us } => self.ledger.beats.push((at_us, wall_us)),
            Record::Up { lane, server, .. } => self.connect(lane, server),
            Record::Down { lane, .. } => {
                self.connected.remove(&lane);
            }
            Record::Try { at_us, lane, seq } => self.tried(RowId { lane, seq }, at_us),
            Record::Ack {
                at_us,
                lane,
                seq,
                tli,
                lsn,
            } => self.acknowledge(RowId { lane, seq }, at_us, tli, lsn),
            Record::No {
                lane, seq, code, ..
            } => self.settle(RowId { lane, seq }, Outcome::Refused { code }),
            Record::Lost { lane, seq, .. } => self.settle(RowId { lane, seq }, Outcome::Unknown),
            Record::End { at_us } => self.ledger.ended_us = Some(at_us),
        }
        Ok(())
    }

    fn start(&mut self, format: u32, run: String, wall_us: i64) -> Result<(), LedgerError> {
        if format != FORMAT {
            return Err(LedgerError::Format(format));
        }
        if self.is_started {
            self.ledger.faults.push("two runs in one ledger".to_owned());
        }
        self.is_started = true;
        self.ledger.run = run;
        self.ledger.wall_us = wall_us;
        Ok(())
    }

    fn connect(&mut self, lane: u32, address: String) {
        let Some(site) = self.ledger.lanes.get(&lane).map(|lane| lane.site.clone()) else {
            self.ledger
                .faults
                .push(format!("lane {lane} connected before it was named"));
            return;
        };
        let server = Server { site, address };
        let known = self
            .ledger
            .servers
            .iter()
            .position(|known| *known == server);
        let index = known.unwrap_or_else(|| {
            self.ledger.servers.push(server);
            self.ledger.servers.len() - 1
        });
        self.connected.insert(lane, index);
    }

    fn tried(&mut self, id: RowId, sent_us: u64) {
        if self.index.insert(id, self.ledger.rows.len()).is_some() {
            self.ledger.faults.push(format!("row {id} was tried twice"));
        }
        self.ledger.rows.push(Row {
            id,
            sent_us,
            outcome: Outcome::Unknown,
        });
    }

    fn acknowledge(&mut self, id: RowId, at_us: u64, timeline: TimelineId, lsn: Lsn) {
        match self.connected.get(&id.lane) {
            Some(&server) => self.settle(
                id,
                Outcome::Acknowledged {
                    at_us,
                    server,
                    timeline,
                    lsn,
                },
            ),
            None => self.ledger.faults.push(format!(
                "row {id} was acknowledged on a lane that was not connected"
            )),
        }
    }

    fn settle(&mut self, id: RowId, outcome: Outcome) {
        match self.index.get(&id) {
            Some(&index) => self.ledger.rows[index].outcome = outcome,
            None => self
                .ledger
                .faults
                .push(format!("row {id} was answered but never tried")),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
