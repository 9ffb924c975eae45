//! What goes wrong in a schedule, drawn from its seed.

use pgha_model::site::Part;

use crate::pair::{Feed, Pair};
use crate::rng::Rng;

/// What becomes of one request of a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The tool is killed, and the request was not sent.
    KillBefore,
    /// The tool is killed after the request has taken hold.
    KillAfter,
    /// The tool is killed, and the request takes hold so many milliseconds later.
    KillLate(u64),
    /// The tool stands still for so many milliseconds before the request takes hold, as one that was stopped.
    Freeze(u64),
    /// The connection breaks, and nothing was applied.
    LoseBefore,
    /// The request takes hold, and the connection breaks.
    LoseAfter,
    /// 409: somebody else was faster.
    Conflict,
    /// The API server of the request's site is not reached for so many milliseconds.
    Outage(u64),
    /// The API server of this site is not reached for so many milliseconds.
    Down(usize, u64),
    /// The leader of a site crashes.
    Crash(usize),
    /// The leader's pod of a site is replaced by one of the same name.
    Replace(usize),
    /// Somebody wipes the conditions of a site's object.
    WipeConditions(usize),
    /// The leader of a site stops now or does not start again.
    NeverUp(usize),
    /// The repository takes and gives nothing for so many milliseconds.
    Archive(u64),
    /// Nothing passes between the databases of both sites for so many milliseconds, and no connection is seen to break.
    Link(u64),
    /// The connections between the databases of both sites break.
    LoseReceiver,
}

/// What becomes of a commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Git {
    /// Of which side Git takes none.
    pub(crate) refuses: Option<Part>,
    /// Whether nobody applies it to the operator's object.
    pub(crate) is_ignored: bool,
}

/// The faults of one schedule: at which write of the first tool, what.
#[derive(Clone, Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts of a schedule, each with its own name"
)]
pub(crate) struct Faults {
    pub(crate) at: Vec<(u64, Trouble)>,
    /// Whether whoever looks after it runs `abort`.
    pub(crate) aborts: bool,
    /// For how many milliseconds the record of the move may stay as it is before a Job at the source goes back to it;
    /// `None` without a Job. Often less than a living tool needs: whom it takes the move from must not matter.
    pub(crate) job_after: Option<u64>,
    /// Git says first what each side is to be; `None` where only the clusters are changed.
    pub(crate) git: Option<Git>,
    /// The repository holds the history of a timeline that nobody is on.
    pub(crate) orphan_history: bool,
    /// So little is written that no segment of the log is ever full: one ends only where somebody ends it.
    pub(crate) is_quiet: bool,
    /// The fence of epochs is taken out of the world: a control that shows that the search finds something.
    pub(crate) ignores_tests: bool,
}

impl Faults {
    /// Among the writes of a move of such a pair, which has so many.
    pub(crate) fn draw(rng: &mut Rng, pair: Pair, writes: u64) -> Self {
        let count = rng.between(0, 3);
        let at = (0..count)
            .map(|_| (rng.between(1, writes), trouble(rng, pair)))
            .collect();
        Self {
            at,
            aborts: rng.percent(40),
            job_after: None,
            git: None,
            orphan_history: false,
            is_quiet: rng.percent(25),
            ignores_tests: false,
        }
    }

    /// What becomes of the nth write.
    pub(crate) fn strike(&self, write: u64) -> Option<Trouble> {
        self.at
            .iter()
            .find(|(at, _)| *at == write)
            .map(|(_, trouble)| *trouble)
    }
}

fn trouble(rng: &mut Rng, pair: Pair) -> Trouble {
    let last = match pair.feed {
        Feed::Archive => 13,
        Feed::Streaming => 15,
    };
    match rng.between(0, last) {
        0 | 1 => Trouble::KillBefore,
        2 | 3 => Trouble::KillAfter,
        4 => Trouble::KillLate(rng.between(5, 4_000)),
        5 => Trouble::Freeze(rng.between(500, 20_000)),
        6 => Trouble::LoseBefore,
        7 => Trouble::LoseAfter,
        8 => Trouble::Conflict,
        9 | 10 => Trouble::Outage(rng.between(200, 15_000)),
        11 => Trouble::Crash(usize::from(rng.percent(50))),
        12 => Trouble::Replace(usize::from(rng.percent(50))),
        13 => Trouble::Archive(rng.between(500, 10_000)),
        14 => Trouble::Link(rng.between(500, 20_000)),
        _ => Trouble::LoseReceiver,
    }
}
