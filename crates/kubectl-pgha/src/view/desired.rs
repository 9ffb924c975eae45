//! What a move changes in a repository of desired state.

use pgha_desired::{Planned, PlannedCommit};
use serde::Serialize;

use super::traffic::diff_lines;
use crate::ui::{Detail, Page, Span, Style};

/// Both commits, in the order in which they are made.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct DesiredView<'a>(&'a Planned);

impl<'a> DesiredView<'a> {
    pub(crate) const fn new(planned: &'a Planned) -> Self {
        Self(planned)
    }

    /// Adds it to a page, with every line that changes where more was asked for.
    pub(crate) fn add_to(self, detail: Detail, page: &mut Page) {
        let planned = self.0;
        let text = format!("In {}, which is at {}:", planned.at, planned.base);
        page.line([Span::plain(text)]);
        let what = if planned.by_merge_request {
            "merge request"
        } else {
            "commit"
        };
        for (commit, role) in [
            (&planned.source, "a standby"),
            (&planned.target, "the primary"),
        ] {
            let site = &commit.site;
            if commit.files.is_empty() {
                let text = format!("  {site} is {role} there already, without a {what}.");
                page.line([Span::plain(text)]);
                continue;
            }
            let files = commit.files.join(", ");
            let text = format!("  A {what} makes {site} {role}, in {files}:");
            page.line([Span::plain(text)]);
            add_changes(commit, detail, page);
        }
    }
}

fn add_changes(commit: &PlannedCommit, detail: Detail, page: &mut Page) {
    if detail == Detail::Wide {
        for diff in &commit.diff {
            diff_lines(page, diff);
        }
        return;
    }
    for change in &commit.changes {
        page.line([Span::new(format!("    {change}"), Style::Dim)]);
    }
}
