//! What makes a later move of users take effect sooner.

use std::time::Duration;

use pgha_core::diagnose::chain_of;
use pgha_nlb::{Change, CutoverError, Did, Preparation, Receipt};
use serde::Serialize;

use super::{API_VERSION, diff_lines};
use crate::service::Service;
use crate::ui::{Detail, Page, Span, Style, Table, View, period};

/// What is shown before consent is asked for.
pub(crate) fn summary(preparations: &[Preparation]) -> Page {
    let mut page = Page::default();
    for preparation in preparations.iter().filter(|it| !it.is_empty()) {
        let title = format!("Backend {}, no route leads elsewhere:", preparation.backend);
        page.line([Span::new(title, Style::Strong)]);
        diff_lines(&mut page, &preparation.diff);
    }
    page
}

/// The answer of `traffic prepare`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PreparedView<'a> {
    api_version: &'static str,
    kind: &'static str,
    service: &'a str,
    changed: bool,
    /// Until nobody remembers what was before the changes.
    ready_in_seconds: u64,
    backends: Vec<PartView<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PartView<'a> {
    backend: &'a str,
    changed: bool,
    changes: &'a [Change],
    ready_in_seconds: u64,
    evidence: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<String>,
}

impl<'a> PreparedView<'a> {
    /// Shows what became of preparations, one result for each.
    pub(crate) fn new(
        service: &'a Service,
        preparations: &'a [Preparation],
        done: &'a [Result<Receipt, CutoverError>],
    ) -> Self {
        let parts = preparations.iter().zip(done);
        let backends: Vec<_> = parts.map(|(it, done)| PartView::of(it, done)).collect();
        let ready = backends.iter().map(|part| part.ready_in_seconds).max();
        Self {
            api_version: API_VERSION,
            kind: "TrafficPreparation",
            service: &service.name,
            changed: backends.iter().any(|part| part.changed),
            ready_in_seconds: ready.unwrap_or_default(),
            backends,
        }
    }
}

impl<'a> PartView<'a> {
    fn of(preparation: &'a Preparation, done: &'a Result<Receipt, CutoverError>) -> Self {
        let receipt = done.as_ref().ok();
        let changed = receipt.is_some_and(|receipt| receipt.did == Did::Change);
        Self {
            backend: preparation.backend.as_str(),
            changed,
            changes: receipt.map_or(&[], |receipt| &receipt.changes),
            ready_in_seconds: if changed {
                preparation.remembers_for.as_secs()
            } else {
                0
            },
            evidence: receipt.map_or(&[], |receipt| &receipt.evidence),
            failed: done.as_ref().err().map(|error| chain_of(error)),
        }
    }

    fn cells(&self) -> [Span; 4] {
        let ready = Duration::from_secs(self.ready_in_seconds);
        let (did, ready) = if self.changed {
            (Span::plain("yes"), period(ready))
        } else if self.failed.is_some() {
            (Span::new("NOT PREPARED", Style::Bad), String::new())
        } else {
            (Span::plain("no"), String::new())
        };
        let evidence = self.evidence.join(" ");
        let seen = self.failed.as_ref().unwrap_or(&evidence);
        [
            Span::plain(self.backend),
            did,
            Span::plain(ready),
            Span::plain(seen),
        ]
    }
}

impl View for PreparedView<'_> {
    fn page(&self, _detail: Detail) -> Page {
        let service = self.service;
        let text = if self.changed {
            let ready = period(Duration::from_secs(self.ready_in_seconds));
            format!(
                "A move of the users of {service} is prepared; what was before is remembered for up to {ready}: move them after that."
            )
        } else {
            format!("Nothing was to be prepared for a move of the users of {service}.")
        };
        let failed = self.backends.iter().any(|part| part.failed.is_some());
        let mut page = Page::default();
        if self.changed || !failed {
            page.line([Span::new(text, Style::Good)]);
            page.blank();
        }
        let mut table = Table::new(vec!["BACKEND", "CHANGED", "REMEMBERED FOR", "SEEN"]);
        for part in &self.backends {
            table.row(part.cells());
        }
        page.table(table);
        page
    }

    fn names(&self) -> Vec<String> {
        let changed = self.backends.iter().filter(|part| part.changed);
        changed.map(|part| part.backend.to_owned()).collect()
    }
}
