//! `history` for people at a terminal.

use jiff::Timestamp;

use super::words::{Line, context_of};
use super::{HistoryView, MoveView, took, write_gap};
use crate::ui::{Detail, Page, Span, Style, Table, age, instant, period};

impl HistoryView<'_> {
    pub(super) fn whole_page(&self, detail: Detail) -> Page {
        let mut page = Page::default();
        match self.moves.as_slice() {
            [one] if self.is_one => page.append(one.page(self.cluster, self.seen_at, detail)),
            [] => {}
            moves => page.table(table(moves, self.seen_at, detail)),
        }
        let remarks = self.remarks();
        if !remarks.is_empty() && !self.moves.is_empty() {
            page.blank();
        }
        for (word, style, text) in remarks {
            page.line([Span::new(word, style), Span::plain(" "), Span::plain(text)]);
        }
        page
    }
}

impl MoveView<'_> {
    fn page(&self, cluster: &str, now: Timestamp, detail: Detail) -> Page {
        let mut page = Page::default();
        page.line([
            Span::new(self.title(cluster), Style::Strong),
            Span::plain(format!(", move {}", self.id)),
        ]);
        page.blank();
        let mut facts = Table::new(vec!["RECORD", ""]);
        for (name, text) in self.facts(Some(now)) {
            facts.row([Span::new(name, Style::Strong), Span::plain(text)]);
        }
        page.table(facts);
        let rows = self.rows();
        if !rows.is_empty() {
            page.blank();
            page.table(events(&rows, detail));
        }
        page
    }

    fn cells(&self, now: Timestamp, detail: Detail) -> Vec<Span> {
        let since = |time| match detail {
            Detail::Usual => format!("{} ago", age(time, now)),
            Detail::Wide => instant(time),
        };
        let record = self.copy.record;
        let text = |text: Option<String>| Span::plain(text.unwrap_or_default());
        let context = |side| Span::plain(context_of(side).unwrap_or_default());
        let mut cells = vec![
            Span::new(self.id.to_string(), Style::Strong),
            Span::plain(record.map_or("", |record| record.action.name())),
            context(record.and_then(|record| record.source.as_ref())),
            context(record.and_then(|record| record.target.as_ref())),
            text(record.map(|record| since(record.claimed_at))),
            text(record.and_then(took).map(period)),
            text(record.and_then(write_gap).map(period)),
        ];
        if detail == Detail::Wide {
            cells.push(text(record.map(|record| record.operator.clone())));
            cells.push(Span::plain(self.kept_at.join(",")));
        }
        let (ended, style) = self.ended(since);
        cells.push(Span::new(ended, style));
        cells
    }
}

fn table(moves: &[MoveView<'_>], now: Timestamp, detail: Detail) -> Table {
    let mut header = vec!["ID", "ACTION", "FROM", "TO", "BEGAN", "TOOK", "WRITE GAP"];
    if detail == Detail::Wide {
        header.extend(["BY", "KEPT AT"]);
    }
    header.push("ENDED");
    let mut table = Table::new(header);
    for one in moves {
        table.row(one.cells(now, detail));
    }
    table
}

fn events(rows: &[Line], detail: Detail) -> Table {
    let time = (detail == Detail::Wide).then_some("TIME");
    let header = time.into_iter().chain(["AFTER", "STEP", "TOOK", "WHAT"]);
    let mut table = Table::new(header.collect());
    for row in rows {
        let time = time.map(|_| Span::dim(row.at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()));
        table.row(time.into_iter().chain([
            Span::plain(&row.after),
            Span::new(row.name, row.style),
            Span::plain(row.took.map(period).unwrap_or_default()),
            Span::plain(&row.text),
        ]));
    }
    table
}
