//! Text for people: lines of spans, each with a meaning that may get a colour.

use std::fmt::Write as _;

use pgha_core::diagnose::sanitised;

use super::Table;

/// What a piece of text means. Everything is understandable without colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Strong,
    Dim,
    Good,
    Warning,
    Bad,
}

impl Style {
    /// The parameter of the terminal's "select graphic rendition" (ECMA-48, 8.3.117).
    pub(super) const fn code(self) -> Option<u8> {
        match self {
            Self::Plain => None,
            Self::Strong => Some(1),
            Self::Dim => Some(2),
            Self::Good => Some(32),
            Self::Warning => Some(33),
            Self::Bad => Some(31),
        }
    }
}

/// Characters of one piece that are shown. A site may say more than a terminal holds; programs get it whole.
const LONGEST: usize = 4096;

/// A piece of text. Nothing in it can steer a terminal, or flood it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    text: String,
    style: Style,
}

impl Span {
    pub(crate) fn new(text: impl AsRef<str>, style: Style) -> Self {
        let text = text.as_ref();
        let text = match text.char_indices().nth(LONGEST) {
            Some((end, _)) => {
                let left = text[end..].chars().count();
                format!("{}… ({left} characters more)", sanitised(&text[..end]))
            }
            None => sanitised(text),
        };
        Self { text, style }
    }

    pub(crate) fn plain(text: impl AsRef<str>) -> Self {
        Self::new(text, Style::Plain)
    }

    pub(crate) fn dim(text: impl AsRef<str>) -> Self {
        Self::new(text, Style::Dim)
    }

    /// The text, clean.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(super) const fn style(&self) -> Style {
        self.style
    }

    fn write(&self, colored: bool, out: &mut String) {
        match self
            .style
            .code()
            .filter(|_| colored && !self.text.is_empty())
        {
            // Writing into a String cannot fail.
            Some(code) => drop(write!(out, "\x1b[{code}m{}\x1b[0m", self.text)),
            None => out.push_str(&self.text),
        }
    }
}

/// Lines of text, and tables between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Page {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Line(Vec<Span>),
    Table(Table),
}

impl Page {
    pub(crate) fn of_line(spans: impl IntoIterator<Item = Span>) -> Self {
        let mut page = Self::default();
        page.line(spans);
        page
    }

    pub(crate) fn of_lines<L: IntoIterator<Item = Span>>(
        lines: impl IntoIterator<Item = L>,
    ) -> Self {
        let mut page = Self::default();
        for line in lines {
            page.line(line);
        }
        page
    }

    pub(crate) fn line(&mut self, spans: impl IntoIterator<Item = Span>) {
        self.parts.push(Part::Line(spans.into_iter().collect()));
    }

    pub(crate) fn blank(&mut self) {
        self.line([]);
    }

    pub(crate) fn table(&mut self, table: Table) {
        self.parts.push(Part::Table(table));
    }

    pub(crate) fn append(&mut self, other: Self) {
        self.parts.extend(other.parts);
    }

    /// The text; plain text without a single escape unless `colored`.
    pub(crate) fn render(&self, colored: bool) -> String {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Line(spans) => {
                    for span in spans {
                        span.write(colored, &mut out);
                    }
                    out.push('\n');
                }
                Part::Table(table) => out.push_str(&table.render(colored)),
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_only_where_it_is_wanted() {
        let page = Page::of_line([Span::new("FAIL", Style::Bad), Span::plain(" core1")]);
        assert_eq!(page.render(false), "FAIL core1\n");
        assert_eq!(page.render(true), "\x1b[31mFAIL\x1b[0m core1\n");
    }

    #[test]
    fn a_flood_is_cut_and_told() {
        let flood = "é".repeat(LONGEST + 7);
        let shown = Span::plain(flood).text().to_owned();
        let expected = format!("{}… (7 characters more)", "é".repeat(LONGEST));
        assert_eq!(shown, expected);
        let whole = "é".repeat(LONGEST);
        assert_eq!(Span::plain(&whole).text(), whole);
    }

    #[test]
    fn text_cannot_steer_the_terminal() {
        let page = Page::of_line([Span::plain("a\x1b[2J\nb")]);
        assert_eq!(page.render(true), "a\\u{1b}[2J\\u{a}b\n");
    }
}
