//! `history` as one page for a browser: an incident report that needs no network.

use jiff::Timestamp;
use pgha_model::record::Epoch;
use pgha_model::runbook::Proof;

use super::markup::Markup;
use super::picture;
use super::words::answered;
use super::{HistoryView, MoveView};
use crate::ui::{Style, instant, period};

/// Nothing may be loaded from anywhere, and nothing runs.
const HEAD: &str = "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
    <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
    <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
    <meta name=\"color-scheme\" content=\"light dark\">\n<title>";

const STYLE: &str = concat!(
    "</title>\n<style>\n",
    include_str!("report.css"),
    "</style>\n</head>\n<body>\n"
);

impl HistoryView<'_> {
    pub(super) fn report(&self) -> String {
        let mut page = Markup::default();
        page.raw(HEAD).text(&self.heading()).raw(STYLE);
        if !self.is_one {
            self.list(&mut page);
            self.tell_remarks(&mut page);
        }
        for one in &self.moves {
            one.section(self, &mut page);
        }
        self.foot(&mut page);
        page.into_string()
    }

    fn list(&self, page: &mut Markup) {
        page.raw("<h1>").text(&self.heading()).raw("</h1>\n");
        if self.moves.is_empty() {
            page.raw("<p>No move is recorded.</p>\n");
            return;
        }
        page.raw("<table class=\"list\"><thead><tr><th>move</th><th>what</th><th>began</th><th>write gap</th><th>outcome</th></tr></thead>\n<tbody>\n");
        for one in &self.moves {
            let began = one.copy.record.map(|record| instant(record.claimed_at));
            let id = one.id.to_string();
            page.raw("<tr><td><a href=\"#move-").text(&id).raw("\">");
            page.text(&id).raw("</a></td><td>");
            page.text(&one.title(self.cluster));
            page.raw("</td><td class=\"time\">");
            page.text(&began.unwrap_or_default()).raw("</td><td>");
            page.text(&one.gap_text().unwrap_or_default());
            page.raw("</td><td>");
            one.badge(page);
            page.raw("</td></tr>\n");
        }
        page.raw("</tbody></table>\n");
    }

    fn tell_remarks(&self, page: &mut Markup) {
        for (word, style, text) in self.remarks() {
            page.raw("<p class=\"remark ").raw(class(style));
            page.raw("\"><strong>").text(word).raw("</strong> ");
            page.text(&text).raw("</p>\n");
        }
    }

    /// What was seen, with a link to when where that is in the page.
    fn tell_proof(&self, proof: &Proof, page: &mut Markup) {
        page.raw("<p>");
        if self.moves.iter().any(|one| one.id == proof.epoch) {
            page.raw("<a href=\"#");
            page.text(&anchor(proof.epoch, proof.event, proof.by));
            page.raw("\">").text(proof.by).raw("</a>");
        } else {
            page.text(&format!("{} of move {}", proof.by, proof.epoch));
        }
        page.raw(" <span class=\"time\">").text(&time(proof.at));
        if let Some(took) = proof.took {
            page.text(&format!(" · {}", period(took)));
        }
        page.raw("</span> ").text(&proof.said).raw("</p>");
    }

    fn foot(&self, page: &mut Markup) {
        page.raw("<footer>")
            .text(&self.made())
            .raw("</footer>\n</body>\n</html>\n");
    }
}

impl MoveView<'_> {
    fn section(&self, history: &HistoryView<'_>, page: &mut Markup) {
        let title = self.title(history.cluster);
        page.raw("<section id=\"move-").text(&self.id.to_string());
        page.raw("\">\n");
        if history.is_one {
            page.raw("<h1>").text(&title).raw("</h1>\n");
        } else {
            page.raw("<h2>").text(&title).raw("</h2>\n");
        }
        self.summary(page);
        if history.is_one {
            history.tell_remarks(page);
        }
        page.raw("<dl>\n");
        for (name, text) in self.facts(None) {
            page.raw("<dt>").text(name).raw("</dt><dd>");
            page.text(&text).raw("</dd>\n");
        }
        page.raw("</dl>\n");
        self.tell_runbook(history, page);
        if let Some(record) = self.copy.record {
            page.add(&picture::timeline(record, self.no_writes.as_ref()));
        }
        self.tell_events(page);
        page.raw("</section>\n");
    }

    /// What a hurried reader wants: how it ended, and for how long nobody could write.
    fn summary(&self, page: &mut Markup) {
        let record = self.copy.record;
        let began = record.map(|record| format!(" · {}", instant(record.claimed_at)));
        page.raw("<p class=\"summary\">");
        self.badge(page);
        page.text(&format!(" move {}", self.id));
        page.text(&began.unwrap_or_default());
        if let Some(gap) = self.gap_text() {
            page.raw(" · write gap <strong>")
                .text(&gap)
                .raw("</strong>");
        }
        page.raw("</p>\n");
    }

    fn badge(&self, page: &mut Markup) {
        let (ended, style) = self.ended(instant);
        page.raw("<span class=\"badge ").raw(class(style));
        page.raw("\">").text(&ended).raw("</span>");
    }

    /// What was done for each task of the procedure by hand, and what proved it.
    fn tell_runbook(&self, history: &HistoryView<'_>, page: &mut Markup) {
        if self.runbook.is_empty() {
            return;
        }
        page.raw("<table class=\"runbook\"><caption>The run book, and what took the place of it</caption><thead><tr><th>task</th><th>run book</th><th>answer</th><th>what was seen</th></tr></thead>\n<tbody>\n");
        for row in &self.runbook {
            let (answer, style) = answered(row.answer);
            page.raw("<tr><td>").text(row.task.what).raw("</td><td>");
            page.text(row.task.section.unwrap_or("beyond it"));
            page.raw("</td><td class=\"name ").raw(class(style));
            page.raw("\">").text(answer).raw("</td><td>");
            for proof in &row.proofs {
                history.tell_proof(proof, page);
            }
            if let Some(because) = &row.because {
                page.raw("<p class=\"faint\">").text(because).raw("</p>");
            }
            page.raw("</td></tr>\n");
        }
        page.raw("</tbody></table>\n");
    }

    fn tell_events(&self, page: &mut Markup) {
        let rows = self.rows();
        if rows.is_empty() {
            return;
        }
        page.raw("<table class=\"events\"><caption>What happened</caption><thead><tr><th>time</th><th>after</th><th>step</th><th>took</th><th>what was seen</th></tr></thead>\n<tbody>\n");
        for row in rows {
            page.raw("<tr id=\"")
                .text(&anchor(self.id, row.event, row.name));
            page.raw("\"><td class=\"time\">").text(&time(row.at));
            page.raw("</td><td class=\"time\">").text(&row.after);
            page.raw("</td><td class=\"name ").raw(class(row.style));
            page.raw("\">").text(row.name);
            page.raw("</td><td class=\"time\">");
            page.text(&row.took.map(period).unwrap_or_default());
            page.raw("</td><td>").text(&row.text).raw("</td></tr>\n");
        }
        page.raw("</tbody></table>\n");
    }
}

/// Where a line of a move's events is in the page.
fn anchor(epoch: Epoch, event: Option<usize>, name: &str) -> String {
    match event {
        Some(event) => format!("move-{epoch}-{event}"),
        None => format!("move-{epoch}-{name}"),
    }
}

fn time(at: Timestamp) -> String {
    at.strftime("%H:%M:%S%.3f").to_string()
}

const fn class(style: Style) -> &'static str {
    match style {
        Style::Plain | Style::Strong | Style::Dim => "plain",
        Style::Good => "good",
        Style::Warning => "warning",
        Style::Bad => "bad",
    }
}
