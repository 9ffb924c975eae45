//! What an error means to a person: what it changed, what to do next, and how its chain reads.

use std::error::Error;
use std::fmt::Write as _;

use pgha_model::effect::Effect;
use pgha_model::guard::Guard;

/// Facts about an error that its message cannot carry to a program.
pub trait Diagnose: Error {
    /// What the failed operation left behind.
    fn effect(&self) -> Effect;

    /// The one next thing to do, as a full sentence.
    fn hint(&self) -> Option<String> {
        None
    }
}

/// The causes of an error, outermost first, each fit for a terminal.
///
/// A link whose text the link before it already ends with is left out: many errors embed their source in their own text.
pub fn causes(error: &dyn Error) -> Vec<String> {
    let mut previous = error.to_string();
    let mut shown = Vec::new();
    for cause in std::iter::successors(error.source(), |&cause| cause.source()) {
        let text = cause.to_string();
        if !previous.ends_with(&text) {
            shown.push(sanitised(&text));
        }
        previous = text;
    }
    shown
}

/// An error with its causes in one line.
pub fn chain_of(error: &dyn Error) -> String {
    let mut text = error.to_string();
    for cause in causes(error) {
        text.push_str(": ");
        text.push_str(&cause);
    }
    text
}

/// The text with every control character made visible: the one function through which text of a cluster's goes before
/// a person sees it.
///
/// Control characters steer terminals (CVE-2021-25743); the marks that turn the direction of writing hide what a line
/// says (CVE-2021-42574). Line ends are escaped too: what comes from a cluster is shown inside one line.
pub fn sanitised(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for character in text.chars() {
        if Guard::HarmlessText.holds(is_harmless(character)) {
            clean.push(character);
        } else {
            // Writing into a String cannot fail.
            let _ = write!(clean, "\\u{{{:x}}}", u32::from(character));
        }
    }
    clean
}

fn is_harmless(character: char) -> bool {
    let turns_direction = matches!(character,
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let breaks_lines = matches!(character, '\u{2028}' | '\u{2029}');
    !character.is_control() && !turns_direction && !breaks_lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Link {
        text: &'static str,
        #[source]
        source: Option<Box<Link>>,
    }

    fn chain(texts: &[&'static str]) -> Link {
        let mut link = None;
        for text in texts.iter().rev().copied() {
            link = Some(Box::new(Link { text, source: link }));
        }
        *link.unwrap()
    }

    #[test]
    fn a_cause_that_was_already_said_is_not_said_again() {
        let error = chain(&["cannot read: refused", "refused", "os error 111"]);
        assert_eq!(causes(&error), ["os error 111"]);
    }

    #[test]
    fn causes_come_outermost_first_and_clean() {
        let error = chain(&["cannot read", "first\u{1b}[2J", "second"]);
        assert_eq!(causes(&error), ["first\\u{1b}[2J", "second"]);
    }

    #[test]
    fn what_steers_a_terminal_becomes_visible() {
        assert_eq!(
            sanitised("a\u{1b}]0;x\u{7}\r\nb"),
            "a\\u{1b}]0;x\\u{7}\\u{d}\\u{a}b"
        );
        assert_eq!(
            sanitised("\u{9b}31m\u{7f}\u{202e}"),
            "\\u{9b}31m\\u{7f}\\u{202e}"
        );
        assert_eq!(sanitised("Zürich, 東京"), "Zürich, 東京");
    }
}
