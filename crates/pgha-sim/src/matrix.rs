//! Every fault at every write of a move, one at a time: what it may end in, and what it ends in.
//!
//! What it may end in is the fault matrix of the design (reliability.md, D3): refused, taken back, waited out, carried
//! forward, or held with one command to run. Each schedule is judged besides as all are: one writer, no acknowledged row
//! missing, every member follows, nothing held, in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::fault::{Faults, Trouble};
use crate::schedule::{self, First, Verdict};

/// Drawn for nothing but the world's own delays.
const SEED: u64 = 1;

/// A fault, and what it may end in at each step.
struct Fault {
    /// Its number in the list of faults.
    number: &'static str,
    what: &'static str,
    trouble: Trouble,
    /// Whether whoever comes next takes the move back instead of going on.
    aborts: bool,
    /// Whether a Job at the source watches the move, and nobody else comes before it.
    has_job: bool,
    /// What it may end in: before the source is told to stop, until the decision, while the target is told, and after it.
    expected: [&'static [End]; 4],
}

/// How a move ended: by itself, and after whoever came next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    /// It came through.
    Through,
    /// It was taken back to the source by itself.
    Back,
    /// It said what was left behind and which command to run, which brought it to the target.
    HeldThenThrough,
    /// The same, and it was brought back to the source.
    HeldThenBack,
    /// The tool was dead, or had been taken over, and whoever came next brought it to the target.
    LeftThenThrough,
    /// The same, and it was brought back to the source.
    LeftThenBack,
}

impl End {
    const fn words(self) -> &'static str {
        match self {
            Self::Through => "carried forward",
            Self::Back => "taken back",
            Self::HeldThenThrough => "held, then carried forward",
            Self::HeldThenBack => "held, then taken back",
            Self::LeftThenThrough => "carried forward by the next command",
            Self::LeftThenBack => "taken back by the next command",
        }
    }

    fn of(verdict: &Verdict) -> Self {
        match (&verdict.first, verdict.moved) {
            (First::Done, _) => Self::Through,
            (First::Back, false) => Self::Back,
            (First::Back | First::Held, true) => Self::HeldThenThrough,
            (First::Held, false) => Self::HeldThenBack,
            (First::Left, true) => Self::LeftThenThrough,
            (First::Left, false) => Self::LeftThenBack,
        }
    }
}

/// Longer than any wait of a move.
const LONG: u64 = 15_000;

/// Shorter than any.
const SHORT: u64 = 2_000;

/// Waited out.
const GOES_ON: [&[End]; 4] = [THROUGH, THROUGH, THROUGH, THROUGH];

const THROUGH: &[End] = &[End::Through];
const LATE: &[End] = &[End::Through, End::HeldThenThrough];
const BACK: &[End] = &[End::Back];
const BACK_OR_THROUGH: &[End] = &[End::Back, End::Through];
const BACK_OR_HELD: &[End] = &[End::Back, End::HeldThenThrough];
const NEXT_BACK: &[End] = &[End::LeftThenBack];
const NEXT_THROUGH: &[End] = &[End::LeftThenThrough];
const NEXT_EITHER: &[End] = &[End::LeftThenThrough, End::LeftThenBack];

/// Killed, and whoever comes wants to go on, or back as long as that is open.
const RESUMED: [&[End]; 4] = [NEXT_THROUGH, NEXT_THROUGH, NEXT_THROUGH, NEXT_THROUGH];
const ABORTED: [&[End]; 4] = [NEXT_BACK, NEXT_BACK, NEXT_EITHER, NEXT_THROUGH];

/// In the order of the list.
const FAULTS: &[Fault] = &[
    Fault {
        number: "F1",
        what: "killed before a write, then `resume`",
        trouble: Trouble::KillBefore,
        aborts: false,
        has_job: false,
        expected: [NEXT_EITHER, NEXT_THROUGH, NEXT_THROUGH, NEXT_THROUGH],
    },
    Fault {
        number: "F1",
        what: "killed before a write, then `abort`",
        trouble: Trouble::KillBefore,
        aborts: true,
        has_job: false,
        expected: ABORTED,
    },
    Fault {
        number: "F1",
        what: "killed before a write, and nobody comes but the Job at the source",
        trouble: Trouble::KillBefore,
        aborts: true,
        has_job: true,
        expected: ABORTED,
    },
    Fault {
        number: "F2",
        what: "killed after a write, then `resume`",
        trouble: Trouble::KillAfter,
        aborts: false,
        has_job: false,
        expected: RESUMED,
    },
    Fault {
        number: "F2",
        what: "killed, and the write takes hold 2 s later, beside `abort`",
        trouble: Trouble::KillLate(SHORT),
        aborts: true,
        has_job: false,
        expected: ABORTED,
    },
    Fault {
        number: "F3",
        what: "stands still for 15 s, and another operator runs `resume`",
        trouble: Trouble::Freeze(LONG),
        aborts: false,
        has_job: false,
        expected: [
            &[End::LeftThenThrough, End::Through],
            NEXT_THROUGH,
            &[End::LeftThenThrough, End::HeldThenThrough],
            &[End::LeftThenThrough, End::HeldThenThrough, End::Through],
        ],
    },
    Fault {
        number: "F4",
        what: "the source's API server is away for 15 s",
        trouble: Trouble::Down(0, LONG),
        aborts: false,
        has_job: false,
        expected: [BACK, BACK_OR_HELD, LATE, LATE],
    },
    Fault {
        number: "F5",
        what: "the target's API server is away for 15 s",
        trouble: Trouble::Down(1, LONG),
        aborts: false,
        has_job: false,
        expected: [
            BACK,
            BACK,
            &[End::Back, End::Through, End::HeldThenThrough],
            LATE,
        ],
    },
    Fault {
        number: "F6",
        what: "a write takes hold, and its answer is lost",
        trouble: Trouble::LoseAfter,
        aborts: false,
        has_job: false,
        expected: [BACK_OR_THROUGH, BACK_OR_THROUGH, THROUGH, LATE],
    },
    Fault {
        number: "F7",
        what: "a write is lost with its answer",
        trouble: Trouble::LoseBefore,
        aborts: false,
        has_job: false,
        expected: [BACK_OR_THROUGH, BACK_OR_THROUGH, LATE, LATE],
    },
    Fault {
        number: "F13",
        what: "somebody else writes the object first",
        trouble: Trouble::Conflict,
        aborts: false,
        has_job: false,
        expected: GOES_ON,
    },
    Fault {
        number: "F14",
        what: "the source's leader is replaced by a pod of the same name",
        trouble: Trouble::Replace(0),
        aborts: false,
        has_job: false,
        expected: [BACK, BACK_OR_THROUGH, LATE, LATE],
    },
    Fault {
        number: "F15",
        what: "the target's leader is replaced by a pod of the same name",
        trouble: Trouble::Replace(1),
        aborts: false,
        has_job: false,
        expected: [
            BACK,
            &[End::Back, End::Through, End::HeldThenThrough],
            LATE,
            LATE,
        ],
    },
    Fault {
        number: "F18",
        what: "the repository takes and gives nothing for 8 s",
        trouble: Trouble::Archive(8_000),
        aborts: false,
        has_job: false,
        expected: [THROUGH, THROUGH, THROUGH, LATE],
    },
    Fault {
        number: "F20",
        what: "the source's leader crashes",
        trouble: Trouble::Crash(0),
        aborts: false,
        has_job: false,
        expected: [BACK_OR_THROUGH, BACK_OR_THROUGH, LATE, LATE],
    },
    Fault {
        number: "F13",
        what: "somebody wipes the conditions of the source's object",
        trouble: Trouble::WipeConditions(0),
        aborts: false,
        has_job: false,
        expected: GOES_ON,
    },
    Fault {
        number: "F13",
        what: "somebody wipes the conditions of the target's object",
        trouble: Trouble::WipeConditions(1),
        aborts: false,
        has_job: false,
        expected: GOES_ON,
    },
    Fault {
        number: "F20",
        what: "the source's leader does not start again once it is down",
        trouble: Trouble::NeverUp(0),
        aborts: false,
        has_job: false,
        expected: [
            &[End::HeldThenThrough],
            &[End::HeldThenThrough],
            &[End::HeldThenThrough],
            LATE,
        ],
    },
];

/// The steps of a move, each with the numbers of the writes that are sent while it is under way.
fn writes_by_step() -> Vec<(String, Vec<u64>)> {
    let quiet = schedule::run_with(SEED, Faults::default());
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
        "claim" | "hold" | "prepare" | "rehearse" | "detach" => 0,
        "fence" | "prove" => 1,
        "promote" => 2,
        _ => 3,
    }
}

/// A row of the table.
pub(crate) struct Row {
    /// Of the fault, from 1.
    place: usize,
    fault: &'static Fault,
    step: String,
    writes: Vec<u64>,
    seen: BTreeMap<End, u64>,
    /// What went wrong, with the number of the write.
    wrong: Vec<String>,
}

/// Every fault at every write.
pub(crate) fn rows() -> Vec<Row> {
    let steps = writes_by_step();
    let mut rows = Vec::new();
    for (index, fault) in FAULTS.iter().enumerate() {
        for (step, writes) in &steps {
            rows.push(row((index + 1, fault), step, writes));
        }
    }
    rows
}

fn row((place, fault): (usize, &'static Fault), step: &str, writes: &[u64]) -> Row {
    let allowed: BTreeSet<End> = fault.expected[phase(step)].iter().copied().collect();
    let (mut seen, mut wrong) = (BTreeMap::new(), Vec::new());
    for write in writes {
        let verdict = schedule::run_with(SEED, fault.at(*write));
        let end = End::of(&verdict);
        *seen.entry(end).or_insert(0) += 1;
        if !allowed.contains(&end) {
            wrong.push(format!("write {write}: {}", end.words()));
        }
        wrong.extend(
            verdict
                .violations
                .iter()
                .map(|text| format!("write {write}: {text}")),
        );
    }
    Row {
        place,
        fault,
        step: step.to_owned(),
        writes: writes.to_vec(),
        seen,
        wrong,
    }
}

impl Fault {
    fn at(&self, write: u64) -> Faults {
        Faults {
            at: vec![(write, self.trouble)],
            aborts: self.aborts,
            job_after: self.has_job.then_some(LONG),
            ..Faults::default()
        }
    }
}

impl Row {
    /// The row in Markdown; the writes are what `--trace --strike` takes.
    fn text(&self) -> String {
        let expected = self.fault.expected[phase(&self.step)]
            .iter()
            .map(|end| end.words());
        let seen = self.seen.iter().map(|(end, count)| match count {
            1 => end.words().to_owned(),
            _ => format!("{} ({count} writes)", end.words()),
        });
        let (first, last) = (self.writes.first(), self.writes.last());
        let writes = match (first, last) {
            (Some(first), Some(last)) if first != last => format!("{first} to {last}"),
            (Some(first), _) => first.to_string(),
            (None, _) => String::new(),
        };
        format!(
            "| {} | {} | {} | {} | {writes} | {} | {} |\n",
            self.place,
            self.fault.number,
            self.fault.what,
            self.step,
            expected.collect::<Vec<_>>().join(", or "),
            seen.collect::<Vec<_>>().join("; "),
        )
    }
}

impl Row {
    /// What is wrong with it, a line each.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let wrong = self.wrong.iter();
        let of = |text: &String| format!("{} at {}, {text}", self.fault.what, self.step);
        wrong.map(of).collect()
    }
}

/// The schedule of a fault of the table, by its place from 1, at a write.
pub(crate) fn again(place: usize, write: u64) -> Option<Verdict> {
    let fault = FAULTS.get(place.checked_sub(1)?)?;
    Some(schedule::run_with(SEED, fault.at(write)))
}

/// The table in Markdown.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| place | fault | what | at step | writes | may end in | ended in |\n|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let _ = write!(text, "{}", row.text());
    }
    text
}
