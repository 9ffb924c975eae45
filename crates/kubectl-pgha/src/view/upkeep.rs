//! What the plans of the commands of every day show alike.

use pgha_core::patch::ObjectPatch;
use pgha_model::lsn::Lsn;
use pgha_model::site::Place;
use pgha_model::startup::Replay;
use serde::Serialize;

use super::{API_VERSION, PlaceView};
use crate::ui::{Page, Span, Style};

/// A plan as it would be carried out now.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Planned<'a, P> {
    api_version: &'static str,
    kind: &'static str,
    #[serde(flatten)]
    pub(super) plan: &'a P,
    /// In the order in which they are sent.
    pub(super) patches: &'a [ObjectPatch],
}

impl<'a, P> Planned<'a, P> {
    pub(super) const fn of(kind: &'static str, plan: &'a P, patches: &'a [ObjectPatch]) -> Self {
        Self {
            api_version: API_VERSION,
            kind,
            plan,
            patches,
        }
    }
}

/// How it ended.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Ended<'a, O> {
    api_version: &'static str,
    kind: &'static str,
    #[serde(skip)]
    pub(super) at: &'a Place,
    /// The side, where no outcome names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<PlaceView>,
    /// Whether anything was changed or waited for.
    changed: bool,
    #[serde(flatten)]
    pub(super) outcome: Option<&'a O>,
}

impl<'a, O> Ended<'a, O> {
    /// `outcome` is `None` where it was so before, and nothing was done.
    pub(super) fn at(kind: &'static str, at: &'a Place, outcome: Option<&'a O>) -> Self {
        Self {
            api_version: API_VERSION,
            kind,
            at,
            place: outcome.is_none().then(|| at.into()),
            changed: outcome.is_some(),
            outcome,
        }
    }
}

/// A plan that is only shown: what it does, and its patches, an operation a line.
pub(super) fn plan_page(summary: Page, patches: &[ObjectPatch]) -> Page {
    let mut page = summary;
    for patch in patches {
        page.blank();
        page.line([
            Span::new("patch", Style::Strong),
            Span::plain(format!(" {} {}", patch.kind, patch.name)),
        ]);
        for operation in patch.operations.iter() {
            let text = serde_json::to_string(operation).unwrap_or_default();
            page.line([Span::plain("  "), Span::plain(text)]);
        }
    }
    page.blank();
    page.line([Span::dim("Nothing was changed.")]);
    page
}

/// What Postgres proves of a side that runs, a row each.
pub(super) fn proofs(
    committed: Option<Lsn>,
    replay: Option<Replay>,
) -> impl Iterator<Item = (&'static str, String)> {
    let committed = committed.map(|at| format!("a transaction was committed at {at}"));
    let replay = replay.map(|replay| replay.to_string());
    [committed, replay]
        .into_iter()
        .flatten()
        .map(|proof| ("proof", proof))
}

/// What could not be proved, a line each.
pub(super) fn add_unproved(page: &mut Page, unproved: &[String]) {
    for text in unproved {
        page.line([Span::new("warning: ", Style::Warning), Span::plain(text)]);
    }
}
