//! Tables as kubectl prints them: columns apart by spaces, no lines.

use unicode_width::UnicodeWidthStr as _;

use super::{Span, Style};

/// Columns between which there is room.
const GAP: usize = 3;

/// A table with a header.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    header: Vec<&'static str>,
    rows: Vec<Vec<Span>>,
    widths: Vec<usize>,
    has_header: bool,
}

impl Table {
    pub(crate) fn new(header: Vec<&'static str>) -> Self {
        Self {
            widths: header.iter().map(|name| name.width()).collect(),
            header,
            rows: Vec::new(),
            has_header: true,
        }
    }

    /// Adds a row with one cell for each column. A cell without text shows a dash.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Span>) {
        let cells: Vec<Span> = cells
            .into_iter()
            .map(|cell| {
                if cell.text().is_empty() {
                    Span::dim("-")
                } else {
                    cell
                }
            })
            .collect();
        for (width, cell) in self.widths.iter_mut().zip(&cells) {
            *width = (*width).max(cell.text().width());
        }
        self.rows.push(cells);
    }

    /// Makes this table the continuation of one that was printed: no header, and columns at least as wide.
    pub(crate) fn continue_from(&mut self, widths: &[usize]) {
        self.has_header = false;
        for (width, before) in self.widths.iter_mut().zip(widths) {
            *width = (*width).max(*before);
        }
    }

    /// How wide each column is.
    pub(crate) fn widths(&self) -> &[usize] {
        &self.widths
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = Vec<Span>> {
        let header: Vec<Span> = self
            .header
            .iter()
            .map(|name| Span::new(name, Style::Strong))
            .collect();
        let header = self.has_header.then_some(header);
        header
            .into_iter()
            .chain(self.rows.iter().cloned())
            .map(|cells| self.laid_out(cells))
    }

    /// Puts room between the cells; none after the last one.
    fn laid_out(&self, cells: Vec<Span>) -> Vec<Span> {
        let last = cells.len().saturating_sub(1);
        let mut line = Vec::new();
        for (index, (cell, width)) in cells.into_iter().zip(&self.widths).enumerate() {
            let room = width.saturating_sub(cell.text().width()) + GAP;
            line.push(cell);
            if index < last {
                line.push(Span::plain(" ".repeat(room)));
            }
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::Page;

    fn rendered(table: &Table) -> String {
        let mut page = Page::default();
        page.table(table);
        page.render(false)
    }

    #[test]
    fn columns_align_by_what_a_terminal_shows() {
        let mut table = Table::new(vec!["POD", "NODE", "LSN"]);
        table.row(["東京-0", "", "0/1"].map(Span::plain));
        table.row(["a", "node", "0/22"].map(Span::plain));
        assert_eq!(
            rendered(&table),
            "POD      NODE   LSN\n東京-0   -      0/1\na        node   0/22\n"
        );
    }

    #[test]
    fn a_continued_table_keeps_its_columns() {
        let mut first = Table::new(vec!["POD", "LSN"]);
        first.row(["long-name", "0/1"].map(Span::plain));
        let mut next = Table::new(vec!["POD", "LSN"]);
        next.row(["a", "0/2"].map(Span::plain));
        next.continue_from(first.widths());
        assert_eq!(rendered(&next), "a           0/2\n");
    }
}
