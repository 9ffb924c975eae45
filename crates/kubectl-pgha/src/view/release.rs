//! The owners that a move has held, and what has become of them.

use pgha_model::site::Place;
use serde::Serialize;
use serde_json::Value;

use super::{API_VERSION, PlaceView};
use crate::ui::{Detail, Page, Span, Table, View};

/// The held owners of each side.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReleaseView {
    api_version: &'static str,
    kind: &'static str,
    sides: Vec<HeldSide>,
}

/// The held owners of one side.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HeldSide {
    #[serde(flatten)]
    place: PlaceView,
    #[serde(skip)]
    name: String,
    /// Who was held.
    owners: Vec<String>,
    /// What their source must say of the object, as a merge patch.
    #[serde(skip_serializing_if = "Option::is_none")]
    to_commit: Option<Value>,
    /// What has become of them.
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum State {
    /// Nobody was held.
    NoneHeld,
    /// They are held.
    Held,
    /// They work again.
    LetGo,
}

impl HeldSide {
    /// What was found at a side.
    pub(crate) fn found(place: &Place, owners: Vec<String>, to_commit: Value) -> Self {
        let is_held = !owners.is_empty();
        Self {
            place: PlaceView::from(place),
            name: place.to_string(),
            owners,
            to_commit: is_held.then_some(to_commit),
            state: if is_held {
                State::Held
            } else {
                State::NoneHeld
            },
        }
    }

    /// They work again.
    pub(crate) fn let_go(&mut self) {
        if self.state == State::Held {
            self.state = State::LetGo;
        }
        self.to_commit = None;
    }
}

impl ReleaseView {
    pub(crate) fn new(sides: Vec<HeldSide>) -> Self {
        Self {
            api_version: API_VERSION,
            kind: "Release",
            sides,
        }
    }

    /// Who is held and what is to be committed.
    pub(crate) fn summary(&self) -> Page {
        let mut page = Page::default();
        if self.sides.iter().all(|side| side.state == State::NoneHeld) {
            page.line([Span::plain("No owner is held by a move of this cluster.")]);
            return page;
        }
        let mut table = Table::new(vec!["CLUSTER", "OWNER", "STATE"]);
        for side in &self.sides {
            let state = match side.state {
                State::NoneHeld => "no owner is held",
                State::Held => "held",
                State::LetGo => "let go",
            };
            let nobody = String::new();
            let owners = side.owners.iter();
            let owners = owners.chain(side.owners.is_empty().then_some(&nobody));
            for owner in owners {
                let cells = [side.name.as_str(), owner, state];
                table.row(cells.map(Span::plain));
            }
        }
        page.table(table);
        for side in &self.sides {
            if let Some(patch) = &side.to_commit {
                page.line([Span::plain(format!("To commit for {}: {patch}", side.name))]);
            }
        }
        page
    }
}

impl View for ReleaseView {
    fn page(&self, _detail: Detail) -> Page {
        self.summary()
    }

    fn names(&self) -> Vec<String> {
        let held = self.sides.iter().filter(|side| side.state == State::Held);
        held.flat_map(|side| side.owners.clone()).collect()
    }
}
