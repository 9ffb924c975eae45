//! `history` as Markdown: the same report for a ticket or a repository.

use pgha_core::diagnose::sanitised;

use super::words::answered;
use super::{HistoryView, MoveView};
use crate::ui::{instant, period};

impl HistoryView<'_> {
    pub(super) fn text_report(&self) -> String {
        let mut page = Markdown::default();
        page.line(&["# ", &escaped(&self.heading())]);
        if !self.is_one {
            self.add_list(&mut page);
        }
        self.add_remarks(&mut page);
        for one in &self.moves {
            if !self.is_one {
                page.line(&["## ", &escaped(&one.title(self.cluster))]);
            }
            one.add_to(&mut page);
        }
        page.line(&[&escaped(&self.made())]);
        page.0
    }

    fn add_list(&self, page: &mut Markdown) {
        if self.moves.is_empty() {
            page.line(&["No move is recorded."]);
            return;
        }
        page.header(&["move", "what", "began", "write gap", "outcome"]);
        for one in &self.moves {
            let began = one.copy.record.map(|record| instant(record.claimed_at));
            page.row(&[
                one.id.to_string(),
                one.title(self.cluster),
                began.unwrap_or_default(),
                one.gap_text().unwrap_or_default(),
                one.ended(instant).0,
            ]);
        }
        page.end();
    }

    fn add_remarks(&self, page: &mut Markdown) {
        for (word, _, text) in self.remarks() {
            page.line(&["**", word, "** ", &escaped(&text)]);
        }
    }
}

impl MoveView<'_> {
    fn add_to(&self, page: &mut Markdown) {
        page.header(&["fact", "value"]);
        for (name, text) in self.facts(None) {
            page.row(&[name.to_owned(), text]);
        }
        page.end();
        if !self.runbook.is_empty() {
            page.header(&["task", "run book", "answer", "what was seen"]);
            for row in &self.runbook {
                let proofs = row.proofs.iter().map(|proof| {
                    let took = proof
                        .took
                        .map_or_else(String::new, |took| format!(", {}", period(took)));
                    format!("{} ({}{took}): {}", proof.by, instant(proof.at), proof.said)
                });
                let seen: Vec<String> = proofs.chain(row.because.clone()).collect();
                page.row(&[
                    row.task.what.to_owned(),
                    row.task.section.unwrap_or("beyond it").to_owned(),
                    answered(row.answer).0.to_owned(),
                    seen.join(" "),
                ]);
            }
            page.end();
        }
        let rows = self.rows();
        if rows.is_empty() {
            return;
        }
        page.header(&["time", "after", "step", "took", "what was seen"]);
        for row in rows {
            page.row(&[
                row.at.strftime("%H:%M:%S%.3f").to_string(),
                row.after,
                row.name.to_owned(),
                row.took.map(period).unwrap_or_default(),
                row.text,
            ]);
        }
        page.end();
    }
}

/// Markdown under way, in which nobody else's text can become markup.
#[derive(Default)]
struct Markdown(String);

impl Markdown {
    /// A paragraph or a heading of parts that are markup, or escaped.
    fn line(&mut self, parts: &[&str]) {
        self.0.extend(parts.iter().copied());
        self.end();
        self.end();
    }

    fn header(&mut self, names: &[&str]) {
        self.row(names);
        let rule: String = names.iter().map(|_| "---|").collect();
        self.0.extend(["|", &rule, "\n"]);
    }

    fn row<T: AsRef<str>>(&mut self, cells: &[T]) {
        for cell in cells {
            self.0.extend(["| ", &escaped(cell.as_ref()), " "]);
        }
        self.0.push_str("|\n");
    }

    fn end(&mut self) {
        self.0.push('\n');
    }
}

/// Text that is only text: what Markdown or HTML in it could mean anything by is escaped, and an address becomes no link.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in sanitised(text).chars() {
        match character {
            '<' => escaped.push_str("&lt;"),
            '&' => escaped.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '>' | '#' | '|' | '!' | '~' | '$' => {
                escaped.extend(['\\', character]);
            }
            other => escaped.push(other),
        }
    }
    escaped.replace("://", ":\\//").replace("www.", "www\\.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_never_becomes_markup() {
        assert_eq!(
            escaped("<b>|[x](https://e.example)`*_\n# \u{1b}[2J&amp;"),
            "&lt;b\\>\\|\\[x\\](https:\\//e.example)\\`\\*\\_\\\\u\\{a\\}\\# \\\\u\\{1b\\}\\[2J&amp;amp;"
        );
    }
}
