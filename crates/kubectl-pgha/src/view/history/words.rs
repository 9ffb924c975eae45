//! What a record says in words, for a terminal and for a browser alike.

use std::time::Duration;

use jiff::Timestamp;
use pgha_model::application::Count;
use pgha_model::event::Event;
use pgha_model::failover::{Failover, FenceProof};
use pgha_model::plan::{Demotion, Feed};
use pgha_model::record::{
    Fate, Journal, Known, MoveRecord, NoWrites, RecordedEvent, RecordedSide, Stretch, What, course,
};
use pgha_model::runbook::Answer;

use super::{HistoryView, MoveView, State, took, write_gap};
use crate::ui::{Style, age, instant, period};

/// A line of a record's events.
pub(super) struct Line {
    /// Which event of the record it is, counted from zero; `None` of what is none.
    pub(super) event: Option<usize>,
    pub(super) at: Timestamp,
    /// Since the claim: `+1.50 s`.
    pub(super) after: String,
    pub(super) name: &'static str,
    pub(super) took: Option<Duration>,
    pub(super) text: String,
    pub(super) style: Style,
}

impl HistoryView<'_> {
    /// What the report is of.
    pub(super) fn heading(&self) -> String {
        match self.moves.as_slice() {
            [one] if self.is_one => one.title(self.cluster),
            _ => format!("Moves of {}", self.cluster),
        }
    }

    /// By what, when, and from what it was made.
    pub(super) fn made(&self) -> String {
        let sites: Vec<String> = self
            .sites
            .iter()
            .map(|site| site.place.to_string())
            .collect();
        format!(
            "Made by kubectl pgha {} on {} from the records at {}. Times are UTC, by the clock of the machine from which \
             the move was made.",
            env!("CARGO_PKG_VERSION"),
            instant(self.seen_at),
            sites.join(" and ")
        )
    }

    /// What a person should know beside the records: what was not seen, and what each of them has against it.
    pub(super) fn remarks(&self) -> Vec<(&'static str, Style, String)> {
        let unseen = self.unseen.iter().map(|site| {
            let text = format!("{}: {}", site.context, site.because);
            ("UNSEEN", Style::Bad, text)
        });
        let lost = self.sites.iter().filter_map(|site| {
            let is_lost = !self.is_one && Some(site.epoch) > site.last_record && site.epoch.0 > 0;
            is_lost.then(|| {
                let text = format!(
                    "{}: move {} was claimed last, and no record of it is kept.",
                    site.place.context, site.epoch
                );
                ("WARN", Style::Warning, text)
            })
        });
        let against = self.moves.iter().flat_map(|one| {
            let disagreements = one.disagreements.iter();
            let texts = disagreements.cloned().chain(self.advice(one));
            texts.map(|text| ("WARN", Style::Warning, format!("move {}: {text}", one.id)))
        });
        unseen.chain(lost).chain(against).collect()
    }

    /// What to do about a move, when something is to be done.
    fn advice(&self, one: &MoveView<'_>) -> Option<String> {
        if one.state == State::Unreadable {
            return Some(format!(
                "Look at it with the version of pgha that wrote it; it is the key `{}` of the site's ConfigMap.",
                Journal::key(one.id)
            ));
        }
        if !one.wants_care() || self.newest != Some(one.id) {
            return None;
        }
        let [resume, abort] = ["resume", "abort"].map(|verb| self.command(verb, one));
        Some(format!(
            "It is not finished. Go on with it by `{resume}`, or take it back, where that is still possible, by `{abort}`."
        ))
    }

    /// A command line that takes a move over. It names sites only as they were named to this command: whoever wrote the
    /// record may call them otherwise.
    fn command(&self, verb: &str, one: &MoveView<'_>) -> String {
        let record = one.copy.record;
        let source = record.and_then(|record| record.source.as_ref());
        let target = record.and_then(|record| record.target.as_ref());
        let was_named =
            |side: &&RecordedSide| self.sites.iter().any(|site| *site.place == side.place);
        match (source.filter(was_named), target.filter(was_named)) {
            (Some(source), Some(target)) => source.place.command_toward(verb, &target.place),
            (_, _) => format!("kubectl pgha {verb}"),
        }
    }
}

impl MoveView<'_> {
    /// What became of it.
    pub(super) fn ended(&self, since: impl FnOnce(Timestamp) -> String) -> (String, Style) {
        match (self.state, self.copy.record) {
            (State::Done, _) => ("done".to_owned(), Style::Good),
            (State::Left(standing), _) => {
                let style = if self.wants_care() {
                    Style::Bad
                } else {
                    Style::Warning
                };
                (standing.words().to_owned(), style)
            }
            (State::UnderWay, Some(record)) => {
                let stage = record.stage.name();
                (format!("under way, {stage}"), Style::Plain)
            }
            (State::Unfinished, Some(record)) => {
                let (since, stage) = (since(last_word(record)), record.stage.name());
                (format!("unfinished since {since}, {stage}"), Style::Bad)
            }
            (State::TakenOver, _) => {
                let by = self.continued_by.unwrap_or_default();
                (format!("unfinished, move {by} took over"), Style::Warning)
            }
            (State::Unreadable | State::UnderWay | State::Unfinished, _) => {
                let reason = self.copy.unreadable.unwrap_or_default();
                (format!("cannot be read: {reason}"), Style::Bad)
            }
        }
    }

    /// Its heading: `Switchover of zitadel`, with the sides where they are known.
    pub(super) fn title(&self, cluster: &str) -> String {
        let Some(record) = self.copy.record else {
            return format!("Record of {cluster}");
        };
        let name = record.action.name();
        let name = name[..1].to_uppercase() + &name[1..];
        let from = context_of(record.source.as_ref());
        let to = context_of(record.target.as_ref());
        match (from, to) {
            (Some(from), Some(to)) => format!("{name} of {cluster} from {from} to {to}"),
            (Some(from), None) => format!("{name} of {cluster}, source {from}"),
            (None, Some(to)) => format!("{name} of {cluster}, target {to}"),
            (None, None) => format!("{name} of {cluster}"),
        }
    }

    /// Names and values; with `now`, the age as well.
    pub(super) fn facts(&self, now: Option<Timestamp>) -> Vec<(&'static str, String)> {
        let kept = ("record kept at", self.kept_at.join(", "));
        let Some(record) = self.copy.record else {
            return vec![("record", self.ended(instant).0), kept];
        };
        let ago = now.map(|now| format!(", {} ago", age(record.claimed_at, now)));
        let mut facts = vec![
            ("from", side(record.source.as_ref())),
            ("to", side(record.target.as_ref())),
            ("by", record.operator.clone()),
            (
                "began",
                instant(record.claimed_at) + &ago.unwrap_or_default(),
            ),
            ("outcome", self.outcome(record)),
        ];
        facts.extend(took(record).map(|took| ("took", period(took))));
        facts.extend(self.gap_text().map(|text| ("write gap", text)));
        facts.extend(record.continues.map(|earlier| {
            let text = format!("move {earlier}, which was not finished");
            ("took over", text)
        }));
        facts.extend(result_facts(record));
        facts.extend(record.failover.iter().flat_map(failover_facts));
        facts.extend(stopped(&record.application).map(|text| ("application", text)));
        facts.extend(way(record));
        facts.push(("system identifier", record.system_identifier.clone()));
        facts.push(kept);
        facts
    }

    /// What became of it, when, and why.
    fn outcome(&self, record: &MoveRecord) -> String {
        let (words, _) = self.ended(instant);
        let Some(ending) = &record.ending else {
            return words;
        };
        let text = format!("{words}, at {}", instant(ending.at));
        match &ending.because {
            Some(because) => format!("{text}: {because}"),
            None => text,
        }
    }

    /// How long nobody took writes.
    pub(super) fn gap_text(&self) -> Option<String> {
        if let Some(gap) = self.copy.record.and_then(write_gap) {
            return Some(format!("{}, as the tool saw it", period(gap)));
        }
        let NoWrites {
            began,
            ended,
            known,
        } = self.no_writes?;
        let Some(ended) = ended else {
            let perhaps = if known == Known::Perhaps {
                "perhaps "
            } else {
                ""
            };
            let began = instant(began);
            return Some(format!("{perhaps}from {began} on; its end is not recorded"));
        };
        let gap = Duration::try_from(ended.duration_since(began)).unwrap_or_default();
        Some(format!("at most {}, from the fence on", period(gap)))
    }

    /// What happened, in order, and how it ended.
    pub(super) fn rows(&self) -> Vec<Line> {
        let Some(record) = self.copy.record else {
            return Vec::new();
        };
        let parts = course(record).into_iter();
        let unsettled: Vec<Stretch> = parts.filter(|part| part.fate != Fate::Settled).collect();
        let before = record.backup.iter().map(|backup| Line {
            took: Some(backup.took),
            ..row(
                record,
                backup.at,
                "backup",
                backup.evidence.clone(),
                Style::Good,
            )
        });
        let events = record.events.iter().enumerate();
        let events = events.filter_map(|(index, event)| {
            let line = event_row(record, event, &unsettled)?;
            let event = Some(index);
            Some(Line { event, ..line })
        });
        let mut rows: Vec<Line> = before.chain(events).collect();
        rows.extend(record.ending.as_ref().map(|ending| {
            let (words, style) = self.ended(instant);
            let because = ending.because.as_deref().unwrap_or_default();
            let text = if because.is_empty() {
                format!("{words}.")
            } else {
                format!("{words}: {because}")
            };
            row(record, ending.at, "end", text, style)
        }));
        rows
    }
}

fn event_row(
    record: &MoveRecord,
    RecordedEvent { at, event }: &RecordedEvent,
    unsettled: &[Stretch],
) -> Option<Line> {
    let row = |name, text: &str, style| row(record, *at, name, text.to_owned(), style);
    Some(match event {
        Event::Started { step } => {
            let what = What::Step(*step);
            let is_this = |part: &&Stretch| part.what == what && part.began == *at;
            let part = unsettled.iter().find(is_this)?;
            if part.fate == Fate::Untold {
                return Some(row(
                    step.name(),
                    "It began. Nothing is recorded after this.",
                    Style::Bad,
                ));
            }
            Line {
                took: Some(part.took()),
                ..row(step.name(), "It did not settle.", Style::Bad)
            }
        }
        Event::Noted {
            step,
            text,
            followed,
        } => match followed {
            None => row(step.name(), text, Style::Warning),
            Some(followed) => Line {
                took: Some(followed.took),
                ..row(followed.who.name(), text, style_of(followed.arrived))
            },
        },
        Event::Settled {
            step,
            took,
            evidence,
        } => Line {
            took: Some(*took),
            ..row(step.name(), evidence, Style::Good)
        },
        Event::Undoing { because } => row("undo", because, Style::Warning),
        Event::Undone { evidence } => row("undone", evidence, Style::Good),
    })
}

const fn style_of(is_good: bool) -> Style {
    if is_good { Style::Good } else { Style::Bad }
}

fn row(record: &MoveRecord, at: Timestamp, name: &'static str, text: String, style: Style) -> Line {
    let after = Duration::try_from(at.duration_since(record.claimed_at));
    Line {
        event: None,
        at,
        after: after.map_or_else(|_| String::new(), |after| format!("+{}", period(after))),
        name,
        took: None,
        text,
        style,
    }
}

/// What has become of a task, in a word or two.
pub(super) const fn answered(answer: Answer) -> (&'static str, Style) {
    match answer {
        Answer::Proved => ("proved", Style::Good),
        Answer::NotPart => ("not part of it", Style::Dim),
        Answer::Untold => ("not recorded", Style::Dim),
        Answer::TakenBack => ("taken back", Style::Warning),
        Answer::NotReached => ("not reached", Style::Warning),
        Answer::NotProved => ("not proved", Style::Bad),
    }
}

/// How the target was fed, and how the source was stopped.
fn way(record: &MoveRecord) -> impl Iterator<Item = (&'static str, String)> {
    let fed = record.feed.map(|feed| match feed {
        Feed::Archive => "from the repository",
        Feed::Streaming => "by streaming",
    });
    let stopped = record.demotion.map(|demotion| match demotion {
        Demotion::InPlace => "by Patroni, in place",
        Demotion::WhilePaused => "while Patroni was paused",
    });
    let facts = [("target fed", fed), ("source stopped", stopped)].into_iter();
    facts.filter_map(|(name, text)| Some((name, text?.to_owned())))
}

/// Where the source ended and the new timeline begins.
fn result_facts(record: &MoveRecord) -> Vec<(&'static str, String)> {
    let Some(result) = record
        .ending
        .as_ref()
        .and_then(|ending| ending.result.as_ref())
    else {
        return Vec::new();
    };
    let closure = result.closure.iter().map(|closure| {
        let text = format!("{}, on timeline {}", closure.end, closure.timeline);
        ("source ended", text)
    });
    let fork = format!("timeline {} begins at {}", result.timeline, result.fork);
    closure.chain([("fork", fork)]).collect()
}

/// What of an application was to stop at the source.
fn stopped(application: &[Count]) -> Option<String> {
    let counts = application.iter();
    let counts: Vec<_> = counts
        .map(|count| format!("{} had {} pods", count.at, count.replicas))
        .collect();
    (!counts.is_empty()).then(|| format!("{} at the source", counts.join(", ")))
}

/// What a failover was decided by.
fn failover_facts(failover: &Failover) -> Vec<(&'static str, String)> {
    let fence = match &failover.fence {
        FenceProof::Source => "no member of the source was able to write".to_owned(),
        FenceProof::Word { reason } => format!("the word of who ran it: {reason}"),
    };
    let accepted = failover
        .accepted
        .map_or("nothing".to_owned(), |loss| loss.to_string());
    vec![
        ("in place of", failover.source.to_string()),
        ("fenced by", fence),
        ("accepted to lose", accepted),
        ("at risk", failover.risk.sentences().join(" ")),
    ]
}

/// When the writer of a record that has no ending was heard last.
fn last_word(record: &MoveRecord) -> Timestamp {
    let last = record.events.last();
    last.map_or(record.claimed_at, |event| event.at)
}

pub(super) fn context_of(side: Option<&RecordedSide>) -> Option<&str> {
    side.map(|side| side.place.context.as_str())
}

fn side(side: Option<&RecordedSide>) -> String {
    let Some(side) = side else {
        return "not seen".to_owned();
    };
    match &side.leader {
        Some(leader) => format!("{}, led by {}", side.place, leader.pod),
        None => side.place.to_string(),
    }
}
