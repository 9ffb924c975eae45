//! What the plans of the commands of every day show alike.

use pgha_core::patch::ObjectPatch;

use crate::ui::{Page, Span, Style};

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

/// What could not be proved, a line each.
pub(super) fn add_unproved(page: &mut Page, unproved: &[String]) {
    for text in unproved {
        page.line([Span::new("warning: ", Style::Warning), Span::plain(text)]);
    }
}
