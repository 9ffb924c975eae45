//! The ledger on disk, and the counts that are made from it on the way.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::{Context as _, Result};
use pgha_judge::{FORMAT, Purpose, Record};
use serde::Serialize;

/// What the ledger says so far.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Counts {
    /// Rows that were sent.
    pub(super) attempted: u64,
    /// Rows that were acknowledged.
    pub(super) acknowledged: u64,
    /// Rows that a server refused.
    pub(super) refused: u64,
    /// Rows whose answer was lost.
    pub(super) unknown: u64,
    /// When the last row was acknowledged, microseconds since the start.
    pub(super) last_acknowledged_us: u64,
    /// The longest time between two acknowledged rows, microseconds.
    pub(super) longest_silence_us: u64,
}

/// The ledger, open for writing.
pub(super) struct Journal {
    run: String,
    started: Instant,
    inner: Mutex<Inner>,
}

struct Inner {
    file: File,
    line: Vec<u8>,
    lanes: u32,
    counts: Counts,
}

impl Journal {
    /// Begins a ledger; the run is named after the wall time.
    ///
    /// # Errors
    /// The file cannot be made.
    pub(super) fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).with_context(|| format!("cannot make {}", path.display()))?;
        let (started, wall_us) = (Instant::now(), wall_us());
        let run = format!("{wall_us:x}");
        let inner = Inner {
            file,
            line: Vec::new(),
            lanes: 0,
            counts: Counts::default(),
        };
        let journal = Self {
            run: run.clone(),
            started,
            inner: Mutex::new(inner),
        };
        journal.lock().append(&Record::Start {
            format: FORMAT,
            run,
            wall_us,
        })?;
        Ok(journal)
    }

    /// The run's name, which every row carries.
    pub(super) fn run(&self) -> &str {
        &self.run
    }

    /// Names a new lane and returns its number.
    pub(super) fn open_lane(&self, purpose: Purpose, site: &str, address: &str) -> Result<u32> {
        let mut inner = self.lock();
        inner.lanes += 1;
        let (site, address) = (site.to_owned(), address.to_owned());
        let lane = inner.lanes;
        inner.append(&Record::Lane {
            lane,
            purpose,
            site,
            address,
        })?;
        Ok(lane)
    }

    /// Writes one line, with the time at which it is written: the clock is asked under the lock, so
    /// that the lines' times never go back.
    pub(super) fn note(&self, record: impl FnOnce(u64) -> Record) -> Result<()> {
        let mut inner = self.lock();
        let record = record(self.now_us());
        inner.count(&record);
        inner.append(&record)
    }

    /// Writes that the writer runs.
    pub(super) fn beat(&self) -> Result<()> {
        self.note(|at_us| Record::Beat {
            at_us,
            wall_us: wall_us(),
        })
    }

    /// Writes the last line and waits until the disk has everything.
    pub(super) fn finish(&self) -> Result<()> {
        self.note(|at_us| Record::End { at_us })?;
        self.lock()
            .file
            .sync_all()
            .context("cannot flush the ledger")
    }

    /// What the ledger says so far.
    pub(super) fn counts(&self) -> Counts {
        self.lock().counts
    }

    /// Microseconds since the start.
    pub(super) fn now_us(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic while a line was written leaves a line cut short, which the judge finds.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// One write a line, so that a killed writer has cut short one line at most.
    fn append(&mut self, record: &Record) -> Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, record).context("cannot write a record")?;
        self.line.push(b'\n');
        self.file
            .write_all(&self.line)
            .context("cannot write the ledger")
    }

    fn count(&mut self, record: &Record) {
        let counts = &mut self.counts;
        match record {
            Record::Try { .. } => counts.attempted += 1,
            Record::No { .. } => counts.refused += 1,
            Record::Lost { .. } => counts.unknown += 1,
            Record::Ack { at_us, .. } => {
                if counts.acknowledged > 0 {
                    let silence = at_us - counts.last_acknowledged_us;
                    counts.longest_silence_us = counts.longest_silence_us.max(silence);
                }
                counts.acknowledged += 1;
                counts.last_acknowledged_us = *at_us;
            }
            Record::Start { .. }
            | Record::Lane { .. }
            | Record::Beat { .. }
            | Record::Up { .. }
            | Record::Down { .. }
            | Record::End { .. } => {}
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the ledger sets wall time beside its own clock; no decision rests on it"
)]
fn wall_us() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}

#[cfg(test)]
mod tests {
    use pgha_judge::{Ledger, Lsn, Outcome, RowId};

    use super::*;

    #[test]
    fn what_the_journal_writes_the_judge_reads() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.jsonl");
        let journal = Journal::create(&path).unwrap();
        let lane = journal
            .open_lane(Purpose::Probe, "core1", "10.101.96.5:5432")
            .unwrap();
        let (server, started) = ("10.101.128.5".to_owned(), "then".to_owned());
        journal
            .note(|at_us| Record::Up {
                at_us,
                lane,
                server,
                started,
                in_recovery: false,
            })
            .unwrap();
        for seq in 1..=3 {
            journal
                .note(|at_us| Record::Try { at_us, lane, seq })
                .unwrap();
        }
        let (tli, lsn) = (2, Lsn(0x0700_00A0));
        journal
            .note(|at_us| Record::Ack {
                at_us,
                lane,
                seq: 1,
                tli,
                lsn,
            })
            .unwrap();
        let code = "25006".to_owned();
        journal
            .note(|at_us| Record::No {
                at_us,
                lane,
                seq: 2,
                code,
            })
            .unwrap();
        journal.beat().unwrap();
        journal.finish().unwrap();

        let ledger = Ledger::parse(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(ledger.run, journal.run());
        assert!(
            ledger.faults.is_empty() && ledger.ended_us.is_some(),
            "{ledger:?}"
        );
        assert_eq!(ledger.beats.len(), 1);
        let fates: Vec<_> = ledger
            .rows
            .iter()
            .map(|row| (row.id, row.outcome.clone()))
            .collect();
        assert_eq!(fates.len(), 3);
        assert_eq!(fates[0].0, RowId { lane, seq: 1 });
        assert!(matches!(
            fates[0].1,
            Outcome::Acknowledged { timeline: 2, .. }
        ));
        assert!(matches!(fates[1].1, Outcome::Refused { .. }));
        assert_eq!(fates[2].1, Outcome::Unknown);
        let counts = journal.counts();
        assert_eq!(
            (counts.attempted, counts.acknowledged, counts.refused),
            (3, 1, 1)
        );
    }

    #[test]
    fn lines_of_many_threads_never_go_back_in_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.jsonl");
        let journal = Journal::create(&path).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..500).for_each(|_| journal.beat().unwrap()));
            }
        });
        journal.finish().unwrap();
        let ledger = Ledger::parse(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!((ledger.beats.len(), ledger.faults), (4000, Vec::new()));
    }
}
