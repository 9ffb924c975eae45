//! Every fault at every write of a move, one at a time: what it may end in, and what it ends in.
//!
//! What it may end in is the fault matrix of the design (reliability.md, D3): refused, taken back, waited out, carried
//! forward, or held with one command to run. Each schedule is judged besides as all are: one writer, no acknowledged row
//! missing, every member follows, nothing held, in the end.

mod faults;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use pgha_model::plan::Step;

use self::faults::{End, FAULTS, Fault};
use crate::fault::Faults;
use crate::pair::{Feed, Pair};
use crate::schedule::{self, Verdict};

/// Drawn for nothing but the world's own delays.
const SEED: u64 = 1;

/// The steps of a move, each with the numbers of the writes that are sent while it is under way.
fn writes_by_step(pair: Pair) -> Vec<(String, Vec<u64>)> {
    let quiet = schedule::run_with(pair, SEED, Faults::default());
    let mut steps: Vec<(String, Vec<u64>)> = Vec::new();
    for line in &quiet.trace {
        if let Some((_, rest)) = line.split_once("first tool: Started { step: ") {
            let name = rest.trim_end_matches(" }").to_lowercase();
            steps.push((name, Vec::new()));
        } else if let Some(number) = schedule::write_in(line) {
            match steps.last_mut() {
                Some((_, writes)) => writes.push(number),
                // The claim's record is written before anything is told.
                None => steps.push(("claim".to_owned(), vec![number])),
            }
        }
    }
    steps.retain(|(_, writes)| !writes.is_empty());
    steps
}

/// Which of a fault's expectations a step has.
fn phase(step: &str) -> usize {
    match step {
        "claim" | "hold" | "prepare" | "rehearse" | "drain" | "detach" => 0,
        "fence" | "prove" => 1,
        "promote" => 2,
        _ => 3,
    }
}

/// A row of the table: steps that follow each other and end alike, of pairs that do.
pub(crate) struct Row {
    /// Of the fault, from 1.
    place: usize,
    fault: &'static Fault,
    steps: Vec<String>,
    pairs: Vec<Pair>,
    seen: BTreeMap<End, u64>,
    /// What went wrong, with how it is run again.
    wrong: Vec<String>,
}

/// The steps of a move of every kind of pair.
pub(crate) fn steps() -> Vec<Steps> {
    let steps = Pair::ALL.map(|pair| (pair, writes_by_step(pair)));
    steps.into_iter().collect()
}

/// Every fault at every write of every kind of pair.
pub(crate) fn rows(steps: &[Steps]) -> Vec<Row> {
    let work: Vec<_> = FAULTS.iter().enumerate().collect();
    let (next, done) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some((index, fault)) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let rows = rows_of((index + 1, fault), steps);
                    let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                    done.insert(*index, rows);
                }
            });
        }
    });
    let done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.into_values().flatten().collect()
}

/// The steps of a pair, each with its writes.
pub(crate) type Steps = (Pair, Vec<(String, Vec<u64>)>);

fn rows_of(fault: (usize, &'static Fault), steps: &[Steps]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for (pair, steps) in steps {
        if fault.1.needs_stream && pair.feed != Feed::Streaming {
            continue;
        }
        for row in rows_of_pair(fault, *pair, steps) {
            match rows.iter_mut().find(|other| other.is_like(&row)) {
                Some(other) => other.add(row),
                None => rows.push(row),
            }
        }
    }
    rows.sort_by_key(|row| row.steps.first().map(|step| order(step)));
    rows
}

fn rows_of_pair(
    fault: (usize, &'static Fault),
    pair: Pair,
    steps: &[(String, Vec<u64>)],
) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for (step, writes) in steps {
        let row = row(fault, pair, step, writes);
        match rows.last_mut() {
            Some(last) if last.ends() == row.ends() && last.phase() == row.phase() => {
                last.steps.extend(row.steps);
                last.count(row.seen, row.wrong);
            }
            _ => rows.push(row),
        }
    }
    rows
}

fn row((place, fault): (usize, &'static Fault), pair: Pair, step: &str, writes: &[u64]) -> Row {
    let allowed: BTreeSet<End> = fault.expected[phase(step)].iter().copied().collect();
    let (mut seen, mut wrong) = (BTreeMap::new(), Vec::new());
    for write in writes {
        let verdict = schedule::run_with(pair, SEED, fault.at(*write));
        let end = End::of(&verdict);
        *seen.entry(end).or_insert(0) += 1;
        let again = format!("{}-{place}-{write}", pair.name());
        if !allowed.contains(&end) {
            wrong.push(format!("{again}: {}", end.words()));
        }
        let violations = verdict.violations.iter();
        wrong.extend(violations.map(|text| format!("{again}: {text}")));
    }
    Row {
        place,
        fault,
        steps: vec![step.to_owned()],
        pairs: vec![pair],
        seen,
        wrong,
    }
}

/// The place of a step in a move.
fn order(step: &str) -> usize {
    let names = Step::ALL.iter().map(|step| step.name());
    names.take_while(|name| *name != step).count()
}

impl Row {
    fn ends(&self) -> Vec<End> {
        self.seen.keys().copied().collect()
    }

    fn phase(&self) -> usize {
        self.steps.first().map_or(0, |step| phase(step))
    }

    /// Whether the same steps end in the same.
    fn is_like(&self, other: &Self) -> bool {
        let place = |row: &Self| (row.steps.first().cloned(), row.steps.last().cloned());
        place(self) == place(other) && self.ends() == other.ends()
    }

    fn add(&mut self, other: Self) {
        self.pairs.extend(other.pairs);
        self.count(other.seen, other.wrong);
    }

    fn count(&mut self, seen: BTreeMap<End, u64>, wrong: Vec<String>) {
        for (end, count) in seen {
            *self.seen.entry(end).or_insert(0) += count;
        }
        self.wrong.extend(wrong);
    }

    /// The row in Markdown; pair, place and write are what `--strike` takes.
    fn text(&self) -> String {
        let expected = self.fault.expected[self.phase()].iter();
        let expected: Vec<_> = expected.map(|end| end.words()).collect();
        let seen = self.seen.iter().map(|(end, count)| match count {
            1 => end.words().to_owned(),
            _ => format!("{} ({count} writes)", end.words()),
        });
        let pairs = if self.pairs.len() == Pair::ALL.len() {
            "all".to_owned()
        } else {
            let names = self.pairs.iter().map(|pair| pair.name());
            names.collect::<Vec<_>>().join(", ")
        };
        let ends = self.steps.first().zip(self.steps.last());
        format!(
            "| {} | {} | {} | {} | {} | {} | {} |\n",
            self.place,
            self.fault.number,
            self.fault.what,
            ends.map_or_else(String::new, |(first, last)| span(first, last)),
            pairs,
            expected.join(", or "),
            seen.collect::<Vec<_>>().join("; "),
        )
    }

    /// What is wrong with it, a line each.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let wrong = self.wrong.iter();
        wrong
            .map(|text| format!("{}: {text}", self.fault.what))
            .collect()
    }
}

/// The schedule of a fault of the table, by its place from 1, at a write of a move of such a pair.
pub(crate) fn again(pair: Pair, place: usize, write: u64) -> Option<Verdict> {
    let fault = FAULTS.get(place.checked_sub(1)?)?;
    Some(schedule::run_with(pair, SEED, fault.at(write)))
}

/// A word or number, or two and what is between them.
fn span(first: &str, last: &str) -> String {
    if first == last {
        first.to_owned()
    } else {
        format!("{first} to {last}")
    }
}

/// Which writes are sent in which step, a line a pair.
fn writes_table(steps: &[Steps]) -> String {
    // No schedule has an application, and so none has the step at which it leaves.
    let names = Step::ALL.iter().map(|step| step.name()).filter(|name| {
        let mut all = steps.iter().flat_map(|(_, steps)| steps);
        all.any(|(step, _)| step == name)
    });
    let names: Vec<_> = names.collect();
    let mut text = format!("| pair | {} |\n", names.join(" | "));
    let _ = writeln!(text, "|---{}|", "|---".repeat(names.len()));
    for (pair, steps) in steps {
        let of = |name: &str| {
            let writes = steps.iter().find(|(step, _)| step == name);
            let (first, last) = writes.and_then(|(_, writes)| writes.first().zip(writes.last()))?;
            Some(span(&first.to_string(), &last.to_string()))
        };
        let cells: Vec<_> = names
            .iter()
            .map(|name| of(name).unwrap_or_default())
            .collect();
        let _ = writeln!(text, "| {} | {} |", pair.name(), cells.join(" | "));
    }
    text
}

/// The tables in Markdown.
pub(crate) fn tables(steps: &[Steps], rows: &[Row]) -> String {
    let mut text = writes_table(steps);
    text.push_str(
        "\n| place | fault | what | at step | pairs | may end in | ended in |\n|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let _ = write!(text, "{}", row.text());
    }
    text
}
