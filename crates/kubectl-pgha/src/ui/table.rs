//! Tables as kubectl prints them: columns apart by spaces, no lines.

use tabled::builder::Builder;
use tabled::grid::util::string::get_line_width;
use tabled::settings::{Color, Padding, Style as Lines};

use super::{Span, Style};

/// Columns between which there is room.
const GAP: usize = 3;

/// A table with a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    header: Vec<&'static str>,
    rows: Vec<Vec<Span>>,
    /// How wide the columns of the table before this one are.
    before: Option<Vec<usize>>,
}

impl Table {
    pub(crate) const fn new(header: Vec<&'static str>) -> Self {
        Self {
            header,
            rows: Vec::new(),
            before: None,
        }
    }

    /// Adds a row with one cell for each column. A cell without text shows a dash.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Span>) {
        let dashed = |cell: Span| {
            if cell.text().is_empty() {
                Span::dim("-")
            } else {
                cell
            }
        };
        self.rows.push(cells.into_iter().map(dashed).collect());
    }

    /// Makes this table the continuation of one that was printed: no header, and columns at least as wide.
    pub(crate) fn continue_from(&mut self, widths: &[usize]) {
        self.before = Some(widths.to_vec());
    }

    /// How wide each column is.
    pub(crate) fn widths(&self) -> Vec<usize> {
        let width_of = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| get_line_width(cell.text())).max()
        };
        let before = self.before.as_deref().unwrap_or_default();
        let columns = self.header.iter().enumerate();
        columns
            .map(|(column, name)| {
                let before = before.get(column).copied();
                [Some(name.len()), before, width_of(column)]
            })
            .map(|widths| widths.into_iter().flatten().max().unwrap_or_default())
            .collect()
    }

    /// The lines; plain text without a single escape unless `colored`.
    pub(super) fn render(&self, colored: bool) -> String {
        let before = self.before.as_deref().unwrap_or_default();
        let header = self.header.iter().enumerate().map(|(column, name)| {
            let width = before.get(column).copied().unwrap_or_default();
            format!("{name:width$}")
        });
        let mut builder = Builder::with_capacity(self.rows.len() + 1, self.header.len());
        builder.push_record(header);
        for row in &self.rows {
            builder.push_record(row.iter().map(Span::text));
        }
        let mut table = builder.build();
        table.with(Lines::empty()).with(Padding::new(0, GAP, 0, 0));
        if colored {
            self.paint(&mut table);
        }
        // A continuation is laid out with its header too, which is then left away.
        let lines = table.to_string();
        let lines = lines.lines().skip(usize::from(self.before.is_some()));
        lines.flat_map(|line| [line.trim_end(), "\n"]).collect()
    }

    fn paint(&self, table: &mut tabled::Table) {
        for (column, name) in self.header.iter().enumerate() {
            if !name.is_empty() {
                table.modify((0, column), color_of(Style::Strong));
            }
        }
        for (row, cells) in self.rows.iter().enumerate() {
            for (column, cell) in cells.iter().enumerate() {
                table.modify((row + 1, column), color_of(cell.style()));
            }
        }
    }
}

fn color_of(style: Style) -> Color {
    let Some(code) = style.code() else {
        return Color::empty();
    };
    Color::new(format!("\x1b[{code}m"), "\x1b[0m")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::Page;

    fn rendered(table: &Table) -> String {
        let mut page = Page::default();
        page.table(table.clone());
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
    fn colours_take_no_room() {
        let mut table = Table::new(vec!["CHECK", "SEEN"]);
        table.row([Span::new("FAIL", Style::Bad), Span::plain("東\x1b[2J\n")]);
        table.row([Span::new("OK", Style::Good), Span::dim("")]);
        let mut page = Page::default();
        page.table(table.clone());
        let colored = page.render(true);
        let plain = page.render(false);
        assert_eq!(
            plain,
            "CHECK   SEEN\nFAIL    東\\u{1b}[2J\\u{a}\nOK      -\n"
        );
        assert_eq!(
            colored,
            "\x1b[1mCHECK\x1b[0m   \x1b[1mSEEN\x1b[0m\n\
             \x1b[31mFAIL\x1b[0m    東\\u{1b}[2J\\u{a}\n\
             \x1b[32mOK\x1b[0m      \x1b[2m-\x1b[0m\n"
        );
    }

    #[test]
    fn a_continued_table_keeps_its_columns() {
        let mut first = Table::new(vec!["POD", "LSN"]);
        first.row(["long-name", "0/1"].map(Span::plain));
        let mut next = Table::new(vec!["POD", "LSN"]);
        next.row(["a", "0/2"].map(Span::plain));
        next.continue_from(&first.widths());
        assert_eq!(rendered(&next), "a           0/2\n");
    }
}
