//! Text of a product's that a person will see.

/// More than this of what a product said helps nobody, in characters.
const MOST: usize = 600;

/// The text in one line, with every character that steers a terminal made visible, and cut where it is too long.
pub fn one_line(text: &str) -> String {
    let mut line = String::new();
    for character in text.trim().chars().take(MOST) {
        let turns_direction = matches!(character,
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        let breaks_lines = matches!(character, '\u{2028}' | '\u{2029}');
        match character {
            '\n' => line.push_str(" | "),
            '\r' | '\t' => line.push(' '),
            _ if character.is_control() || turns_direction || breaks_lines => {
                line.extend(character.escape_unicode());
            }
            _ => line.push(character),
        }
    }
    if text.trim().chars().count() > MOST {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_becomes_visible() {
        assert_eq!(
            one_line("no\u{1b}[2J\nsuch\tkey\n"),
            "no\\u{1b}[2J | such key"
        );
        assert_eq!(one_line("a\u{202e}b"), "a\\u{202e}b");
    }

    #[test]
    fn a_long_text_is_cut() {
        let line = one_line(&"x".repeat(MOST + 1));
        assert_eq!(line.chars().count(), MOST + 1);
        assert!(line.ends_with('…'));
    }
}
