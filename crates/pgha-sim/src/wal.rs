//! Logs as positions on branches: enough to say who holds what, whose history is whose, and what the archive has.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Bytes of a segment.
pub(crate) const SEGMENT: u64 = 16 << 20;

/// What a shutdown checkpoint's record takes.
pub(crate) const CHECKPOINT_RECORD: u64 = 0x78;

/// A stretch of history that one server has written. Two branches may have the same timeline number; then one of them is
/// dead, and whoever follows it is lost.
#[derive(Clone, Debug)]
pub(crate) struct Branch {
    pub(crate) timeline: u32,
    /// Where it forks off.
    pub(crate) parent: Option<Position>,
    /// The site whose server writes it.
    pub(crate) site: usize,
    /// The first segment that its archiver has not pushed.
    pub(crate) next_segment: u64,
    pub(crate) history_pushed: bool,
    /// The last segment that its archiver has pushed.
    pub(crate) last_archived: String,
}

/// Up to where a log goes: the end of its last record, on a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) branch: usize,
    pub(crate) at: u64,
}

/// Every branch there ever was.
#[derive(Default)]
pub(crate) struct Branches(Vec<Branch>);

/// The repository that both sites use: what each file name holds.
#[derive(Default)]
pub(crate) struct Archive {
    segments: BTreeMap<(u32, u64), Position>,
    histories: BTreeMap<u32, usize>,
    /// Until when it takes and gives nothing, in milliseconds.
    pub(crate) broken_until: u64,
}

/// The file of a segment.
pub(crate) fn segment_name(timeline: u32, number: u64) -> String {
    let per_log = (1_u64 << 32) / SEGMENT;
    format!(
        "{timeline:08X}{:08X}{:08X}",
        number / per_log,
        number % per_log
    )
}

/// The reverse of [`segment_name`].
pub(crate) fn read_segment_name(name: &str) -> Option<(u32, u64)> {
    let part = |from: usize| u64::from_str_radix(name.get(from..from + 8)?, 16).ok();
    let per_log = (1_u64 << 32) / SEGMENT;
    Some((
        u32::try_from(part(0)?).ok()?,
        part(8)? * per_log + part(16)?,
    ))
}

/// A position as Postgres writes it.
pub(crate) fn lsn(at: u64) -> String {
    format!("{:X}/{:X}", at >> 32, at & 0xffff_ffff)
}

/// Where the next record begins: a segment begins with a header.
pub(crate) const fn record_start(at: u64) -> u64 {
    if at.is_multiple_of(SEGMENT) {
        at + 0x28
    } else {
        at
    }
}

impl Branches {
    pub(crate) fn get(&self, branch: usize) -> &Branch {
        &self.0[branch]
    }

    pub(crate) fn get_mut(&mut self, branch: usize) -> &mut Branch {
        &mut self.0[branch]
    }

    pub(crate) fn timeline(&self, of: Position) -> u32 {
        self.0[of.branch].timeline
    }

    /// A new branch; its archiver begins with the segment that holds the fork.
    pub(crate) fn fork(&mut self, timeline: u32, parent: Option<Position>, site: usize) -> usize {
        self.0.push(Branch {
            timeline,
            parent,
            site,
            next_segment: parent.map_or(0, |at| at.at / SEGMENT),
            history_pushed: parent.is_none(),
            last_archived: String::new(),
        });
        self.0.len() - 1
    }

    /// The pieces of a log, the newest first: each branch with up to where it is part of the log.
    pub(crate) fn pieces(&self, of: Position) -> impl Iterator<Item = Position> + '_ {
        std::iter::successors(Some(of), move |piece| self.0[piece.branch].parent)
    }

    /// Whether a log has everything of another one.
    pub(crate) fn holds(&self, log: Position, other: Position) -> bool {
        self.pieces(log)
            .any(|piece| piece.branch == other.branch && piece.at >= other.at)
    }

    /// The history file of a log, as Postgres writes it.
    pub(crate) fn history(&self, of: Position) -> String {
        let mut lines: Vec<_> = self
            .pieces(of)
            .skip(1)
            .map(|piece| {
                let timeline = self.timeline(piece);
                format!(
                    "{timeline}\t{}\tno recovery target specified\n",
                    lsn(piece.at)
                )
            })
            .collect();
        lines.reverse();
        lines.concat()
    }

    /// What a log has in a stretch of bytes, in words that are the same for the same bytes only.
    pub(crate) fn content(&self, of: Position, from: u64, to: u64) -> String {
        let mut words = String::new();
        let mut top = to.min(of.at);
        for piece in self.pieces(of) {
            let begin = self.0[piece.branch].parent.map_or(0, |parent| parent.at);
            let (low, high) = (begin.max(from), piece.at.min(top));
            if low < high {
                let _ = write!(words, "{:04x}{low:016x}{high:016x}", piece.branch);
            }
            top = top.min(begin);
        }
        words
    }
}

impl Archive {
    /// Pushes a segment of a log; `Err` when another content has that name.
    pub(crate) fn push(
        &mut self,
        branches: &Branches,
        log: Position,
        (timeline, number): (u32, u64),
    ) -> Result<(), ()> {
        let mut pieces = branches.pieces(log);
        let piece = pieces.find(|piece| branches.timeline(*piece) == timeline);
        let Some(piece) = piece else { return Err(()) };
        let end = piece.at.min((number + 1) * SEGMENT);
        let file = Position { at: end, ..piece };
        let kept = *self.segments.entry((timeline, number)).or_insert(file);
        if kept == file { Ok(()) } else { Err(()) }
    }

    pub(crate) fn push_history(&mut self, timeline: u32, branch: usize) -> Result<(), ()> {
        let kept = *self.histories.entry(timeline).or_insert(branch);
        if kept == branch { Ok(()) } else { Err(()) }
    }

    pub(crate) fn newest_history(&self) -> Option<(u32, usize)> {
        self.histories
            .last_key_value()
            .map(|(timeline, branch)| (*timeline, *branch))
    }

    pub(crate) fn has_history(&self, timeline: u32) -> bool {
        self.histories.contains_key(&timeline)
    }

    /// Up to where a standby comes that asks for everything there is, on the newest timeline that has its log.
    pub(crate) fn feed(&self, branches: &Branches, from: Position) -> Position {
        let mut goal = from.branch;
        let mut timeline = branches.timeline(from) + 1;
        while let Some(&branch) = self.histories.get(&timeline) {
            let fork = Position {
                branch,
                at: u64::MAX,
            };
            if branches.holds(fork, from) {
                goal = branch;
            }
            timeline += 1;
        }
        let mut at = from;
        while let Some(next) = self.next(branches, at, goal) {
            at = next;
        }
        at
    }

    /// One segment further on the way to the end of `goal`.
    fn next(&self, branches: &Branches, from: Position, goal: usize) -> Option<Position> {
        let goal = Position {
            branch: goal,
            at: u64::MAX,
        };
        let number = from.at / SEGMENT;
        let names = branches.pieces(goal).map(|piece| branches.timeline(piece));
        names
            .filter_map(|timeline| self.segments.get(&(timeline, number)))
            .filter(|file| branches.holds(goal, **file) && branches.holds(**file, from))
            .find(|file| file.at > from.at || file.branch != from.branch)
            .copied()
    }
}
