//! HTML and SVG in which nobody else's text can become markup.

use std::fmt::Write as _;

use pgha_core::diagnose::sanitised;

/// Markup under way. What is markup is written in this program; everything else comes in as text.
#[derive(Clone, Debug, Default)]
pub(super) struct Markup(String);

impl Markup {
    /// Adds markup that stands in the source.
    pub(super) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Adds text, for the inside of an element or of a quoted attribute.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        for character in sanitised(text).chars() {
            match character {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                other => self.0.push(other),
            }
        }
        self
    }

    /// Adds an attribute whose value is a length or a position in a picture.
    pub(super) fn at(&mut self, name: &'static str, value: f64) -> &mut Self {
        // Writing into a String cannot fail.
        let _ = write!(self.0, " {name}=\"{value:.1}\"");
        self
    }

    /// Adds what was made before.
    pub(super) fn add(&mut self, other: &Self) -> &mut Self {
        self.0.push_str(&other.0);
        self
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_never_becomes_markup() {
        let mut markup = Markup::default();
        markup
            .raw("<p title=\"")
            .text("\"><script>alert('x')</script>&amp;\u{1b}[2J\u{202e}\0")
            .raw("\">");
        assert_eq!(
            markup.into_string(),
            "<p title=\"&quot;&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;amp;\\u{1b}[2J\\u{202e}\\u{0}\">"
        );
    }
}
