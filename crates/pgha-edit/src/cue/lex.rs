//! The tokens of CUE (its specification, "Lexical elements"), as far as a place needs them.

use std::ops::Range;

/// Deeper than this nothing is read, in brackets of an interpolation.
const DEEPEST: usize = 50;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) range: Range<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An identifier or a keyword, with its `#` or `_`.
    Name(String),
    /// A text or bytes; what it says, where that is one line in double quotes without escapes.
    Text(Option<String>),
    Number,
    /// `@name(…)`.
    Attribute,
    /// One character of an operator or a bracket.
    Mark(char),
    /// The end of a line.
    Line,
}

/// What is wrong, and the byte where.
pub(crate) type Wrong = (usize, &'static str);

/// The tokens of a text; comments are none.
pub(crate) fn tokens(text: &str) -> Result<Vec<Token>, Wrong> {
    let mut lexer = Lexer { text, at: 0 };
    let mut tokens = Vec::new();
    while let Some(kind) = lexer.next(0)? {
        tokens.push(kind);
    }
    Ok(tokens)
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || "_$#".contains(c)
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn next(&mut self, depth: usize) -> Result<Option<Token>, Wrong> {
        self.skip();
        let start = self.at;
        let Some(first) = self.rest().chars().next() else {
            return Ok(None);
        };
        let hashes = self.rest().len() - self.rest().trim_start_matches('#').len();
        let kind = if first == '\n' {
            self.at += 1;
            Kind::Line
        } else if self.rest()[hashes..].starts_with(['"', '\'']) {
            self.text(hashes, depth)?
        } else if first == '@' {
            self.attribute()?
        } else if first.is_ascii_digit() {
            self.at += self.length(|c| is_name(c) || c == '.');
            Kind::Number
        } else if is_name(first) {
            let length = self.length(is_name);
            self.at += length;
            Kind::Name(self.text[start..self.at].to_owned())
        } else {
            self.at += first.len_utf8();
            Kind::Mark(first)
        };
        let range = start..self.at;
        Ok(Some(Token { kind, range }))
    }

    fn length(&self, is_in: impl Fn(char) -> bool) -> usize {
        let rest = self.rest();
        rest.len() - rest.trim_start_matches(is_in).len()
    }

    fn skip(&mut self) {
        loop {
            self.at += self.length(|c| c == ' ' || c == '\t' || c == '\r' || c == '\u{feff}');
            if !self.rest().starts_with("//") {
                return;
            }
            self.at += self.rest().find('\n').unwrap_or(self.rest().len());
        }
    }

    /// A text in single or double quotes, of one line or of several, with as many `#` before and behind.
    fn text(&mut self, hashes: usize, depth: usize) -> Result<Kind, Wrong> {
        let start = self.at;
        let fence = "#".repeat(hashes);
        self.at += hashes;
        let quote = if self.rest().starts_with('"') {
            "\""
        } else {
            "'"
        };
        let long = quote.repeat(3);
        let is_long = self.rest().starts_with(&long);
        let quotes = if is_long { long.as_str() } else { quote };
        let close = format!("{quotes}{fence}");
        let escape = format!("\\{fence}");
        self.at += quotes.len();
        let inside = self.at;
        let mut is_plain = hashes == 0 && !is_long && quote == "\"";
        loop {
            let rest = self.rest();
            if rest.starts_with(&close) {
                break;
            }
            let Some(next) = rest.chars().next() else {
                return Err((start, "a text has no end"));
            };
            if next == '\n' && !is_long {
                return Err((start, "a text has no end in its line"));
            }
            if !rest.starts_with(&escape) {
                self.at += next.len_utf8();
                continue;
            }
            is_plain = false;
            self.at += escape.len();
            if self.rest().starts_with('(') {
                self.interpolation(depth + 1)?;
            } else {
                self.at += self.rest().chars().next().map_or(0, char::len_utf8);
            }
        }
        let said = is_plain.then(|| self.text[inside..self.at].to_owned());
        self.at += close.len();
        Ok(Kind::Text(said))
    }

    fn interpolation(&mut self, depth: usize) -> Result<(), Wrong> {
        let start = self.at;
        if depth > DEEPEST {
            return Err((start, "texts in texts are too deep"));
        }
        let mut open = 0_usize;
        loop {
            let end = (start, "a bracket in a text has no end");
            match self.next(depth)?.ok_or(end)?.kind {
                Kind::Mark('(') => open += 1,
                Kind::Mark(')') if open == 1 => return Ok(()),
                Kind::Mark(')') => open -= 1,
                Kind::Name(_)
                | Kind::Text(_)
                | Kind::Number
                | Kind::Attribute
                | Kind::Mark(_)
                | Kind::Line => {}
            }
        }
    }

    /// An attribute's brackets hold anything in which brackets and quotes are in pairs.
    fn attribute(&mut self) -> Result<Kind, Wrong> {
        let start = self.at;
        self.at += 1;
        self.at += self.length(is_name);
        if !self.rest().starts_with('(') {
            return Ok(Kind::Attribute);
        }
        self.interpolation(0)
            .map_err(|_| (start, "an attribute has no end"))?;
        Ok(Kind::Attribute)
    }
}
