//! A side that follows again, or why it does not yet.

use pgha_model::rejoin::{KeptTail, RejoinOutcome};
use pgha_model::site::Place;
use serde::Serialize;

use super::switchover::add_results;
use super::{API_VERSION, PlaceView};
use crate::ui::{Detail, Page, Span, Style, View};

/// How a rejoin ended.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RejoinView<'a> {
    api_version: &'static str,
    kind: &'static str,
    #[serde(skip)]
    place: &'a Place,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<PlaceView>,
    /// Whether the side follows.
    follows: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    tail: Option<&'a KeptTail>,
    #[serde(flatten)]
    outcome: Option<&'a RejoinOutcome>,
}

impl<'a> RejoinView<'a> {
    pub(crate) fn of(outcome: &'a RejoinOutcome) -> Self {
        Self {
            source: None,
            outcome: Some(outcome),
            ..Self::already(&outcome.source)
        }
    }

    /// It follows, and nothing was done.
    pub(crate) fn already(place: &'a Place) -> Self {
        Self {
            api_version: API_VERSION,
            kind: "RejoinOutcome",
            place,
            source: Some(PlaceView::from(place)),
            follows: true,
            tail: None,
            outcome: None,
        }
    }

    /// What only it holds is kept, and it needs a new copy.
    pub(crate) fn kept(place: &'a Place, tail: &'a KeptTail) -> Self {
        Self {
            follows: false,
            tail: Some(tail),
            ..Self::already(place)
        }
    }
}

impl View for RejoinView<'_> {
    fn page(&self, _detail: Detail) -> Page {
        let mut page = Page::default();
        let Some(outcome) = self.outcome else {
            match self.tail {
                None => page.line([Span::plain(format!(
                    "{} follows already. Nothing was changed.",
                    self.place
                ))]),
                Some(tail) => {
                    page.line([Span::new("It has left the service's history.", Style::Bad)]);
                    page.blank();
                    let mut rows = vec![("stays down", self.place.to_string())];
                    rows.extend(tail_rows(tail));
                    add_results(&mut page, rows);
                }
            }
            return page;
        };
        let mut rows = vec![
            ("primary", outcome.target.to_string()),
            ("standby", outcome.source.to_string()),
            ("following", format!("{} members", outcome.following)),
        ];
        if let Some(tail) = &outcome.tail {
            rows.extend(tail_rows(tail));
        }
        for (pod, old) in &outcome.rebuilt {
            rows.push(("old data", format!("{pod}:{old}, to be removed by hand")));
        }
        page.blank();
        add_results(&mut page, rows);
        page
    }

    fn names(&self) -> Vec<String> {
        vec![self.place.to_string()]
    }
}

fn tail_rows(tail: &KeptTail) -> Vec<(&'static str, String)> {
    let mut rows: Vec<_> = tail
        .tail
        .strays
        .iter()
        .map(|stray| {
            let text = format!(
                "of {} after {} on timeline {}",
                tail.tail.member, stray.from, stray.timeline
            );
            ("own log", text)
        })
        .collect();
    rows.push((
        "transactions",
        format!("{} committed there only", tail.tail.committed),
    ));
    let kept = match &tail.folder {
        Some(folder) => format!("{} files in {folder}", tail.kept.len()),
        None => "nothing was there to keep".to_owned(),
    };
    rows.push(("kept", kept));
    rows
}
