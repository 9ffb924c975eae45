//! YAML with three kinds of lines: what is live, examples, and remarks.

use std::fmt::Write as _;

use pgha_core::diagnose::sanitised;

/// Columns of a remark, as of the documents.
const WIDTH: usize = 120;

/// Characters of one remark. A cluster may say more than a person reads.
const LONGEST: usize = 800;

/// A file as it is written, line by line.
#[derive(Debug, Default)]
pub(super) struct Text(String);

impl Text {
    pub(super) fn into_string(self) -> String {
        self.0
    }

    pub(super) fn blank(&mut self) {
        self.0.push('\n');
    }

    /// A line that counts. What is a cluster's in it has gone through [`scalar`].
    pub(super) fn live(&mut self, indent: usize, line: &str) {
        self.line(indent, "", line);
    }

    /// A line that would count without its `#`, which stands where the line begins.
    pub(super) fn example(&mut self, indent: usize, line: &str) {
        self.line(indent, "#", line);
    }

    /// Sentences for a person, on as many lines as they take.
    pub(super) fn remark(&mut self, indent: usize, sentences: &str) {
        let sentences = shortened(&sanitised(sentences)).replace(is_none_of_yaml, "\u{fffd}");
        let room = WIDTH.saturating_sub(indent + 2);
        let mut line = String::new();
        for word in sentences.split_whitespace() {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > room {
                self.line(indent, "# ", &line);
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        if !line.is_empty() {
            self.line(indent, "# ", &line);
        }
    }

    fn line(&mut self, indent: usize, mark: &str, line: &str) {
        // Writing into a String cannot fail.
        let _ = writeln!(self.0, "{:indent$}{mark}{line}", "");
    }
}

/// What no comment may hold and [`sanitised`] leaves (YAML 1.2.2, 5.1 Character Set, `nb-char`).
const fn is_none_of_yaml(character: char) -> bool {
    matches!(character, '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// A text as one YAML scalar, within a flow or not: as it is where nothing can be meant but a text, and quoted otherwise (YAML
/// 1.2.2, 5.7 Escaped Characters, 7.3.1 Double-Quoted Style).
pub(super) fn scalar(text: &str) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            ' '..='~' => quoted.push(character),
            _ if character.is_alphanumeric() => quoted.push(character),
            // Writing into a String cannot fail.
            _ => drop(write!(quoted, "\\U{:08X}", u32::from(character))),
        }
    }
    quoted.push('"');
    quoted
}

/// Words that a reader of YAML 1.1 or 1.2 may take for something else.
const WORDS: [&str; 11] = [
    "y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf",
];

fn is_plain(text: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    let begins = |c: char| c.is_ascii_alphabetic();
    text.starts_with(begins)
        && text.chars().all(is_allowed)
        && !WORDS.contains(&text.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scalar_is_read_back_as_it_was() {
        for text in [
            "core1",
            "prod-iam-zitadel",
            "admin@core1",
            "arn:aws:eks:eu-central-1:1:cluster/x",
            "",
            " ",
            "a: b",
            "a #b",
            "- a",
            "{a: [b]}, c",
            "'",
            "\"",
            "\\",
            "&a *b !c |d >e %f @g `h",
            "line\nforged: true\r\n",
            "tab\tnul\u{0}esc\u{1b}[2J\u{7f}\u{85}\u{9b}\u{2028}\u{feff}\u{202e}",
            "Zürich, 東京 😀",
            "true",
            "No",
            "null",
            "~",
            "7",
            "0x1f",
            "1e3",
            "1_000",
            "2026-11-30",
            "12:30:45",
            ".inf",
            "...",
            "---",
        ] {
            let written = scalar(text);
            assert!(!written.contains(char::is_control), "{written:?}");
            assert!(!written.contains('\u{202e}'), "{written:?}");
            for document in [
                format!("a: {written}\n"),
                format!("{{ a: {written}, {written}: b }}\n"),
            ] {
                let read: std::collections::BTreeMap<String, String> =
                    serde_saphyr::from_str(&document)
                        .unwrap_or_else(|error| panic!("{document}: {error}"));
                let expected = if text == "a" { "b" } else { text };
                assert_eq!(read["a"], expected, "{document}");
            }
        }
    }

    #[test]
    fn what_is_plainly_a_text_is_not_quoted() {
        assert_eq!(scalar("deployment/zitadel-1.2"), "deployment/zitadel-1.2");
        assert_eq!(scalar("on"), "\"on\"");
        assert_eq!(scalar("a\u{1b}b"), "\"a\\U0000001Bb\"");
    }

    #[test]
    fn a_remark_is_wrapped_and_no_line_of_it_counts() {
        let mut text = Text::default();
        text.remark(2, &format!("{} end.\nforged: true", "word ".repeat(40)));
        text.remark(2, "");
        let text = text.into_string();
        assert!(text.lines().count() > 1);
        assert!(
            text.lines()
                .all(|line| line.starts_with("  # ") && line.chars().count() <= WIDTH),
            "{text}"
        );
        assert!(text.contains("end.\\u{a}forged: true"), "{text}");
        let mut flood = Text::default();
        flood.remark(0, &"x".repeat(1 << 20));
        assert!(flood.into_string().len() < LONGEST + 10);
    }

    #[test]
    fn an_example_is_what_stands_there_without_its_mark() {
        let mut text = Text::default();
        text.example(2, "app:");
        text.example(4, "- scale: { object: deployment/x }");
        assert_eq!(
            text.into_string(),
            "  #app:\n    #- scale: { object: deployment/x }\n"
        );
    }
}
