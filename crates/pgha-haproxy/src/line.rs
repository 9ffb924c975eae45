//! The words of one line, each with where it is. Nothing is lost: what is not a word is left where it stands.

use std::ops::Range;

/// One word of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    /// Where its bytes are in the file, quotes and escapes included.
    pub(crate) range: Range<usize>,
    /// What HAProxy reads, without quotes and escapes.
    pub(crate) text: String,
}

/// One line of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Line {
    /// Counted from 1.
    pub(crate) number: usize,
    /// Its words, up to a comment.
    pub(crate) words: Vec<Word>,
    /// Whether what a program makes of the file depends on more than the line: a tag of a template, a `.if`.
    pub(crate) is_conditional: bool,
}

impl Line {
    /// The text of a word; empty where there is none.
    pub(crate) fn word(&self, index: usize) -> &str {
        self.words.get(index).map_or("", |word| &word.text)
    }

    /// The texts from a word on.
    pub(crate) fn rest(&self, from: usize) -> Vec<&str> {
        let words = self.words.iter().skip(from);
        words.map(|word| word.text.as_str()).collect()
    }
}

/// Every line of a file.
pub(crate) fn lines(bytes: &[u8]) -> Vec<Line> {
    let mut start = 0;
    let mut lines = Vec::new();
    for (index, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        lines.push(read(bytes, start..start + line.len(), index + 1));
        start += line.len();
    }
    lines
}

fn read(bytes: &[u8], range: Range<usize>, number: usize) -> Line {
    let mut line = Line {
        number,
        ..Line::default()
    };
    let mut at = range.start;
    while at < range.end {
        match bytes[at] {
            b' ' | b'\t' | b'\r' | b'\n' => at += 1,
            b'#' => break,
            _ => {
                let (word, is_tag) = read_word(bytes, at, range.end);
                line.is_conditional |= is_tag || (line.words.is_empty() && bytes[at] == b'.');
                at = word.range.end;
                line.words.push(word);
            }
        }
    }
    line
}

/// A word, and whether it has a tag of a template that makes text come and go. A tag that only prints, `<%= … %>`, is text.
fn read_word(bytes: &[u8], start: usize, end: usize) -> (Word, bool) {
    let (mut text, mut at, mut quote, mut has_tag) = (Vec::new(), start, None, false);
    while at < end {
        let byte = bytes[at];
        if bytes[at..end].starts_with(b"<%") {
            let after = bytes[at..end].windows(2).position(|pair| pair == b"%>");
            let close = after.map_or(end, |length| at + length + 2);
            has_tag |= bytes.get(at + 2) != Some(&b'=') || after.is_none();
            text.extend_from_slice(&bytes[at..close]);
            at = close;
            continue;
        }
        match (quote, byte) {
            (None, b' ' | b'\t' | b'\r' | b'\n' | b'#') => break,
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), _) if open == byte => quote = None,
            (None | Some(b'"'), b'\\') if at + 1 < end => {
                at += 1;
                text.push(bytes[at]);
            }
            _ => text.push(byte),
        }
        at += 1;
    }
    let word = Word {
        range: start..at,
        text: String::from_utf8_lossy(&text).into_owned(),
    };
    (word, has_tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let lines = lines(text.as_bytes());
        let words = lines.into_iter().flat_map(|line| line.words);
        words.map(|word| word.text).collect()
    }

    #[test]
    fn quotes_escapes_and_comments_are_haproxys() {
        assert_eq!(
            words("  a 'b c'\t\"d # e\" f\\ g # h\r\n"),
            ["a", "b c", "d # e", "f g"]
        );
        assert_eq!(words("a#b c\n# only\n\n"), ["a"]);
    }

    #[test]
    fn a_tag_that_prints_is_text_and_another_is_a_condition() {
        let lines = lines(b"use_backend <%= $be %>-https\n<% if $x { -%>\n.if defined(X)\n<%");
        assert_eq!(lines[0].word(1), "<%= $be %>-https");
        let conditional: Vec<_> = lines.iter().map(|line| line.is_conditional).collect();
        assert_eq!(conditional, [false, true, true, true]);
    }

    #[test]
    fn a_word_knows_its_bytes() {
        let text = b"x\n  use_backend 'a b' if\r\n";
        let word = &lines(text)[1].words[1];
        assert_eq!(&text[word.range.clone()], b"'a b'");
    }
}
