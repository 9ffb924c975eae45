//! A move that was left unfinished, and what becomes of it.

use pgha_model::record::Action;
use pgha_model::site::Place;
use pgha_model::unfinished::{Unfinished, Whereabouts};
use serde::Serialize;

use super::API_VERSION;
use super::application::UsersView;
use crate::ui::{Detail, Page, Span, View};

/// What was found, or what came of it, line by line.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UnfinishedView<'a> {
    api_version: &'static str,
    kind: &'static str,
    /// The epoch of the unfinished move.
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<u64>,
    /// Full sentences.
    said: Vec<String>,
    /// What the move of the application and of the users will change.
    #[serde(flatten)]
    users: UsersView<'a>,
}

impl<'a> UnfinishedView<'a> {
    /// There is none.
    pub(crate) fn none(place: &Place) -> Self {
        Self::said(format!("There is no unfinished move of {}.", place.cluster))
    }

    /// What came of it.
    pub(crate) fn said(text: String) -> Self {
        Self {
            api_version: API_VERSION,
            kind: "UnfinishedMove",
            epoch: None,
            said: vec![text],
            users: UsersView::default(),
        }
    }

    /// What was found, and what will be done.
    pub(crate) fn new(
        unfinished: &Unfinished,
        action: Action,
        place: Whereabouts,
        (source, target): &(Place, Place),
        users: UsersView<'a>,
    ) -> Self {
        let found = match place {
            Whereabouts::Source => format!("{source} is primary, {target} is a standby."),
            Whereabouts::Target => {
                format!("{target} is primary or becomes it, {source} is fenced.")
            }
            Whereabouts::Nowhere => "Both sides are standbys: nobody takes writes.".to_owned(),
            Whereabouts::Both => "Both sides are primary.".to_owned(),
        };
        let will = match (action, place) {
            (Action::Abort, Whereabouts::Source) | (_, Whereabouts::Target) => {
                "Settings and holds are put back.".to_owned()
            }
            (Action::Abort, _) => format!(
                "Settings and holds are put back; then {source} is promoted, if it is proved to hold everything."
            ),
            (_, Whereabouts::Source) => {
                "Settings and holds are put back; then the move is planned and carried out again."
                    .to_owned()
            }
            (_, _) => format!(
                "Settings and holds are put back; then {target} is promoted, if it is proved to hold everything."
            ),
        };
        let mut name = unfinished.name();
        if let Some(first) = name.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        let left = format!("{name} is not finished: {}.", unfinished.state());
        Self {
            epoch: Some(unfinished.epoch.0),
            said: vec![left, found, will],
            users,
            ..Self::said(String::new())
        }
    }

    /// What a person consents to.
    pub(crate) fn summary(&self) -> Page {
        let mut page = Page::default();
        for sentence in &self.said {
            page.line([Span::plain(sentence)]);
        }
        self.users.add_to(&mut page);
        page
    }
}

impl View for UnfinishedView<'_> {
    fn page(&self, _detail: Detail) -> Page {
        self.summary()
    }

    fn names(&self) -> Vec<String> {
        self.epoch.iter().map(ToString::to_string).collect()
    }
}
