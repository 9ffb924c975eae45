//! The past moves of a cluster, as their records tell them.

mod html;
mod markdown;
mod markup;
mod page;
mod picture;
mod words;

use std::time::Duration;

use jiff::Timestamp;
use pgha_model::event::Standing;
use pgha_model::record::{
    Action, Entry, Epoch, Journal, KeptCopy, MoveRecord, NoWrites, PastMove, no_writes,
};
use pgha_model::runbook::{Row, Story, is_of, runbook};
use pgha_model::site::Place;
use serde::Serialize;

use super::API_VERSION;
use crate::ui::{Detail, Page, View};

/// What a view is made from.
pub(crate) struct Seen<'a> {
    pub(crate) cluster: &'a str,
    pub(crate) journals: &'a [(Place, Journal)],
    pub(crate) unread: &'a [UnreadSite],
    pub(crate) moves: &'a [PastMove],
    /// Every move that is recorded.
    pub(crate) all: &'a [PastMove],
    /// Whether one move was asked for.
    pub(crate) is_one: bool,
    pub(crate) at: Timestamp,
}

/// A site that was asked and not read.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UnreadSite {
    pub(crate) context: String,
    pub(crate) because: String,
}

/// The answer of `history`; of one move, it is the only one in `moves`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HistoryView<'a> {
    api_version: &'static str,
    kind: &'static str,
    cluster: &'a str,
    seen_at: Timestamp,
    sites: Vec<SiteView<'a>>,
    unseen: &'a [UnreadSite],
    /// Oldest first.
    moves: Vec<MoveView<'a>>,
    #[serde(skip)]
    is_one: bool,
    /// The only move that can be resumed or aborted.
    #[serde(skip)]
    newest: Option<Epoch>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SiteView<'a> {
    #[serde(flatten)]
    place: &'a Place,
    /// The epoch that was claimed last there.
    epoch: Epoch,
    records: usize,
    #[serde(skip)]
    last_record: Option<Epoch>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct MoveView<'a> {
    id: Epoch,
    state: State,
    /// From the claim to the end, of a move that has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    took_seconds: Option<f64>,
    /// As the tool measured it.
    #[serde(skip_serializing_if = "Option::is_none")]
    write_gap_seconds: Option<f64>,
    /// The later move that took it over.
    #[serde(skip_serializing_if = "Option::is_none")]
    continued_by: Option<Epoch>,
    #[serde(flatten)]
    copy: CopyView<'a>,
    /// The copies of other sites that are not the same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    other_copies: Vec<CopyView<'a>>,
    kept_at: Vec<&'a str>,
    disagreements: Vec<String>,
    /// What it has done of the procedure by hand, and what proved it; empty of an action that moves no primary.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    runbook: Vec<Row>,
    #[serde(skip)]
    no_writes: Option<NoWrites>,
}

/// A record as it is kept, or why it cannot be read.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct CopyView<'a> {
    context: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<&'a MoveRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unreadable: Option<&'a str>,
}

/// What became of a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum State {
    /// Everything went as planned.
    Done,
    /// Its writer may still be at work.
    UnderWay,
    /// Its writer has fallen silent.
    Unfinished,
    /// It was not finished, and a later move has taken it over.
    TakenOver,
    /// No copy of its record can be read.
    Unreadable,
    /// It has ended otherwise.
    #[serde(untagged)]
    Left(Standing),
}

impl<'a> HistoryView<'a> {
    pub(crate) fn new(seen: &Seen<'a>) -> Self {
        let journals = seen.journals.iter();
        let newest = journals.filter_map(|(_, journal)| Some(journal.last()?.0));
        let newest = newest.max();
        let moves = seen.moves.iter();
        Self {
            api_version: API_VERSION,
            kind: "History",
            cluster: seen.cluster,
            seen_at: seen.at,
            sites: seen.journals.iter().map(SiteView::new).collect(),
            unseen: seen.unread,
            moves: moves
                .map(|past| MoveView::new(past, seen.all, seen.at))
                .collect(),
            is_one: seen.is_one,
            newest,
        }
    }
}

impl View for HistoryView<'_> {
    fn page(&self, detail: Detail) -> Page {
        self.whole_page(detail)
    }

    fn names(&self) -> Vec<String> {
        let moves = self.moves.iter();
        moves.map(|one| one.id.to_string()).collect()
    }

    fn html(&self) -> Option<String> {
        Some(self.report())
    }

    fn markdown(&self) -> Option<String> {
        Some(self.text_report())
    }
}

impl<'a> SiteView<'a> {
    fn new((place, journal): &'a (Place, Journal)) -> Self {
        Self {
            place,
            epoch: journal.epoch,
            records: journal.moves.len(),
            last_record: journal.last().map(|(epoch, _)| epoch),
        }
    }
}

impl<'a> MoveView<'a> {
    fn new(past: &'a PastMove, all: &[PastMove], now: Timestamp) -> Self {
        let record = past.record();
        let runbook = runbook(&story_of(past, all));
        let no_writes = record.and_then(no_writes);
        let is_other = |copy: &&KeptCopy| copy.entry != past.best.entry;
        Self {
            id: past.epoch,
            state: State::of(past, now),
            took_seconds: record.and_then(took).map(seconds),
            write_gap_seconds: record.and_then(write_gap).map(seconds),
            continued_by: past.continued_by,
            copy: CopyView::new(&past.best),
            other_copies: past
                .others
                .iter()
                .filter(is_other)
                .map(CopyView::new)
                .collect(),
            kept_at: past.places().map(|place| place.context.as_str()).collect(),
            disagreements: past.disagreements(),
            runbook,
            no_writes,
        }
    }

    fn took_over(&self) -> bool {
        let record = self.copy.record;
        record.is_some_and(|record| record.continues.is_some())
    }

    /// Whether somebody has to see to it now.
    fn wants_care(&self) -> bool {
        match self.state {
            State::Done | State::UnderWay | State::TakenOver | State::Unreadable => false,
            State::Unfinished => true,
            State::Left(standing) => standing.leaves_work(self.took_over()),
        }
    }
}

impl<'a> CopyView<'a> {
    fn new(copy: &'a KeptCopy) -> Self {
        let (record, unreadable) = match &copy.entry {
            Entry::Readable(record) => (Some(&**record), None),
            Entry::Unreadable(reason) => (None, Some(reason.as_str())),
        };
        Self {
            context: &copy.place.context,
            record,
            unreadable,
        }
    }
}

impl State {
    fn of(past: &PastMove, now: Timestamp) -> Self {
        let Some(record) = past.record() else {
            return Self::Unreadable;
        };
        if record.is_open() && past.continued_by.is_some() {
            return Self::TakenOver;
        }
        match &record.ending {
            Some(ending) => ending.standing.map_or(Self::Done, Self::Left),
            None if record.may_be_alive(now) => Self::UnderWay,
            None => Self::Unfinished,
        }
    }
}

/// A move with those that it goes on with, and the releases between it and the next one.
fn story_of<'a>(past: &'a PastMove, all: &'a [PastMove]) -> Story<'a> {
    let mut chain: Vec<&MoveRecord> = past.record().into_iter().collect();
    let earlier = all.iter().rev().filter_map(PastMove::record);
    for record in earlier {
        let goes_on = chain.last().and_then(|last| last.continues);
        if goes_on == Some(record.epoch) {
            chain.push(record);
        }
    }
    chain.reverse();
    let later = all.iter().filter(|later| later.epoch > past.epoch);
    let releases = later
        .filter_map(PastMove::record)
        .take_while(|record| !is_of(record.action))
        .filter(|record| record.action == Action::Release);
    Story {
        chain,
        releases: releases.collect(),
    }
}

/// From the claim to the end.
fn took(record: &MoveRecord) -> Option<Duration> {
    let ending = record.ending.as_ref()?;
    Duration::try_from(ending.at.duration_since(record.claimed_at)).ok()
}

/// As the tool measured it.
fn write_gap(record: &MoveRecord) -> Option<Duration> {
    record.ending.as_ref()?.result.as_ref()?.write_gap
}

/// To the millisecond, as records tell durations.
fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}
