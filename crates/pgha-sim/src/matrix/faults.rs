//! The faults of the matrix, and what each may end in.

use crate::fault::{Faults, Trouble};
use crate::schedule::{First, Verdict};

/// A fault, and what it may end in at each step.
pub(super) struct Fault {
    /// Its number in the list of faults.
    pub(super) number: &'static str,
    pub(super) what: &'static str,
    pub(super) trouble: Trouble,
    /// Whether whoever comes next takes the move back instead of going on.
    pub(super) aborts: bool,
    /// Whether a Job at the source watches the move, and nobody else comes before it.
    pub(super) has_job: bool,
    /// Whether only a pair that streams can meet it.
    pub(super) needs_stream: bool,
    /// What it may end in: before the source is told to stop, until the decision, while the target is told, and after it.
    pub(super) expected: [&'static [End]; 4],
}

/// How a move ended: by itself, and after whoever came next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
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
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Through => "carried forward",
            Self::Back => "taken back",
            Self::HeldThenThrough => "held, then carried forward",
            Self::HeldThenBack => "held, then taken back",
            Self::LeftThenThrough => "carried forward by the next command",
            Self::LeftThenBack => "taken back by the next command",
        }
    }

    pub(super) fn of(verdict: &Verdict) -> Self {
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
pub(super) const FAULTS: &[Fault] = &[
    Fault {
        number: "F1",
        what: "killed before a write, then `resume`",
        trouble: Trouble::KillBefore,
        aborts: false,
        has_job: false,
        needs_stream: false,
        expected: [NEXT_EITHER, NEXT_THROUGH, NEXT_THROUGH, NEXT_THROUGH],
    },
    Fault {
        number: "F1",
        what: "killed before a write, then `abort`",
        trouble: Trouble::KillBefore,
        aborts: true,
        has_job: false,
        needs_stream: false,
        expected: ABORTED,
    },
    Fault {
        number: "F1",
        what: "killed before a write, and nobody comes but the Job at the source",
        trouble: Trouble::KillBefore,
        aborts: true,
        has_job: true,
        needs_stream: false,
        expected: ABORTED,
    },
    Fault {
        number: "F2",
        what: "killed after a write, then `resume`",
        trouble: Trouble::KillAfter,
        aborts: false,
        has_job: false,
        needs_stream: false,
        expected: RESUMED,
    },
    Fault {
        number: "F2",
        what: "killed, and the write takes hold 2 s later, beside `abort`",
        trouble: Trouble::KillLate(SHORT),
        aborts: true,
        has_job: false,
        needs_stream: false,
        expected: ABORTED,
    },
    Fault {
        number: "F3",
        what: "stands still for 15 s, and another operator runs `resume`",
        trouble: Trouble::Freeze(LONG),
        aborts: false,
        has_job: false,
        needs_stream: false,
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
        needs_stream: false,
        expected: [BACK, BACK_OR_HELD, LATE, LATE],
    },
    Fault {
        number: "F5",
        what: "the target's API server is away for 15 s",
        trouble: Trouble::Down(1, LONG),
        aborts: false,
        has_job: false,
        needs_stream: false,
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
        needs_stream: false,
        expected: [BACK_OR_THROUGH, BACK_OR_THROUGH, THROUGH, LATE],
    },
    Fault {
        number: "F7",
        what: "a write is lost with its answer",
        trouble: Trouble::LoseBefore,
        aborts: false,
        has_job: false,
        needs_stream: false,
        expected: [BACK_OR_THROUGH, BACK_OR_THROUGH, LATE, LATE],
    },
    Fault {
        number: "F9",
        what: "nothing passes between the databases of both sites for 15 s",
        trouble: Trouble::Link(LONG),
        aborts: false,
        has_job: false,
        needs_stream: true,
        expected: [BACK_OR_THROUGH, THROUGH, THROUGH, LATE],
    },
    Fault {
        number: "F9",
        what: "the connections between the databases of both sites break",
        trouble: Trouble::LoseReceiver,
        aborts: false,
        has_job: false,
        needs_stream: true,
        expected: [BACK_OR_THROUGH, THROUGH, THROUGH, LATE],
    },
    Fault {
        number: "F13",
        what: "somebody else writes the object first",
        trouble: Trouble::Conflict,
        aborts: false,
        has_job: false,
        needs_stream: false,
        expected: GOES_ON,
    },
    Fault {
        number: "F14",
        what: "the source's leader is replaced by a pod of the same name",
        trouble: Trouble::Replace(0),
        aborts: false,
        has_job: false,
        needs_stream: false,
        expected: [BACK, BACK_OR_THROUGH, LATE, LATE],
    },
    Fault {
        number: "F15",
        what: "the target's leader is replaced by a pod of the same name",
        trouble: Trouble::Replace(1),
        aborts: false,
        has_job: false,
        needs_stream: false,
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
        needs_stream: false,
        expected: [THROUGH, THROUGH, THROUGH, LATE],
    },
    Fault {
        number: "F20",
        what: "the source's leader crashes",
        trouble: Trouble::Crash(0),
        aborts: false,
        has_job: false,
        needs_stream: false,
        expected: [BACK_OR_THROUGH, BACK_OR_THROUGH, LATE, LATE],
    },
    Fault {
        number: "F13",
        what: "somebody wipes the conditions of the source's object",
        trouble: Trouble::WipeConditions(0),
        aborts: false,
        has_job: false,
        needs_stream: false,
        expected: GOES_ON,
    },
    Fault {
        number: "F13",
        what: "somebody wipes the conditions of the target's object",
        trouble: Trouble::WipeConditions(1),
        aborts: false,
        has_job: false,
        needs_stream: false,
        expected: GOES_ON,
    },
    Fault {
        number: "F20",
        what: "the source's leader does not start again once it is down",
        trouble: Trouble::NeverUp(0),
        aborts: false,
        has_job: false,
        needs_stream: false,
        expected: [
            &[End::HeldThenThrough],
            &[End::HeldThenThrough],
            // By then it may have started again already.
            LATE,
            LATE,
        ],
    },
];

impl Fault {
    /// The schedule in which it meets this write.
    pub(super) fn at(&self, write: u64) -> Faults {
        Faults {
            at: vec![(write, self.trouble)],
            aborts: self.aborts,
            job_after: self.has_job.then_some(LONG),
            ..Faults::default()
        }
    }
}
