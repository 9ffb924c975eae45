//! What lies where in a YAML text.

use std::collections::BTreeSet;
use std::ops::Range;

use serde_saphyr::granit_parser::{Event, Options, Parser, ScalarStyle, StrInput, StructureStyle};

/// A value and its bytes.
#[derive(Debug)]
pub(crate) struct Node {
    /// From its first byte to behind its last; anchor and tag, which stand before, are not in it. A block ends behind its last
    /// value, and a block scalar that keeps its empty lines where the next line begins.
    pub(crate) range: Range<usize>,
    pub(crate) kind: Kind,
    pub(crate) is_anchored: bool,
    pub(crate) is_tagged: bool,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Scalar(Style, String),
    List(Vec<Node>),
    Mapping(Mapping),
    Alias,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// A plain scalar of no bytes.
    Empty,
    Plain,
    Single,
    Double,
    Block,
}

#[derive(Debug)]
pub(crate) struct Mapping {
    pub(crate) is_flow: bool,
    pub(crate) entries: Vec<(Node, Node)>,
}

impl Node {
    /// Itself and all that is in it, keys included.
    pub(crate) fn visit(&self, see: &mut impl FnMut(&Self)) {
        see(self);
        match &self.kind {
            Kind::Scalar(..) | Kind::Alias => {}
            Kind::List(items) => items.iter().for_each(|item| item.visit(see)),
            Kind::Mapping(mapping) => {
                for (key, value) in &mapping.entries {
                    key.visit(see);
                    value.visit(see);
                }
            }
        }
    }

    /// The value of a key that is there once.
    pub(crate) fn value_of(&self, key: &str) -> Option<&Self> {
        let Kind::Mapping(mapping) = &self.kind else {
            return None;
        };
        let mut found = mapping.entries.iter().filter(|(it, _)| it.is_text(key));
        match (found.next(), found.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    }

    /// What a scalar says.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar(_, text) => Some(text),
            Kind::List(_) | Kind::Mapping(_) | Kind::Alias => None,
        }
    }

    /// Whether its bytes are text in quotes or in a block.
    pub(crate) const fn is_quoted(&self) -> bool {
        matches!(
            self.kind,
            Kind::Scalar(Style::Single | Style::Double | Style::Block, _)
        )
    }

    pub(crate) fn is_text(&self, wanted: &str) -> bool {
        matches!(&self.kind, Kind::Scalar(_, text) if text == wanted)
    }
}

/// The root of each document that has one.
///
/// # Errors
/// What is wrong, and the byte where it is.
pub(crate) fn read(text: &str) -> Result<Vec<Node>, (usize, String)> {
    let mut options = Options::default();
    options.set_emit_comments(false);
    let mut reader = Reader {
        text,
        parser: Parser::new_from_str_with_options(text, options),
        last: 0,
    };
    let mut roots = Vec::new();
    while let Some((event, range)) = reader.next()? {
        let is_mark = matches!(
            event,
            Event::StreamStart | Event::StreamEnd | Event::DocumentStart(..) | Event::DocumentEnd
        );
        if !is_mark {
            roots.push(reader.node(&event, range)?);
        }
    }
    Ok(roots)
}

/// The first key that stands twice in its mapping, and where.
pub(crate) fn twice(root: &Node) -> Option<(usize, String)> {
    let mut found = None;
    root.visit(&mut |node| {
        let Kind::Mapping(mapping) = &node.kind else {
            return;
        };
        let mut keys = BTreeSet::new();
        for (key, _) in &mapping.entries {
            let text = key.text().filter(|text| !keys.insert(*text));
            if let Some(text) = text {
                found.get_or_insert((key.range.start, text.to_owned()));
            }
        }
    });
    found
}

struct Reader<'a> {
    text: &'a str,
    parser: Parser<'a, StrInput<'a>>,
    /// Where the event before ended.
    last: usize,
}

type Read<T> = Result<T, (usize, String)>;

impl<'a> Reader<'a> {
    fn next(&mut self) -> Read<Option<(Event<'a>, Range<usize>)>> {
        let Some(next) = self.parser.next() else {
            return Ok(None);
        };
        let (event, span) = next.map_err(|error| {
            let at = error.marker().byte_offset().unwrap_or(self.last);
            (at, error.info())
        })?;
        let range = span.byte_range().unwrap_or(self.last..self.last);
        if self.text.get(range.clone()).is_none() {
            return Err((self.last, "the parser lost its place".to_owned()));
        }
        Ok(Some((event, range)))
    }

    /// The next event inside of a collection, or none at its end.
    fn inside(&mut self) -> Read<Option<Node>> {
        let cut = || (self.text.len(), "the text ends within a value".to_owned());
        let (event, range) = self.next()?.ok_or_else(cut)?;
        if matches!(event, Event::SequenceEnd | Event::MappingEnd) {
            // A block's end has no bytes and lies where the next token begins.
            if !range.is_empty() {
                self.last = range.end;
            }
            return Ok(None);
        }
        self.node(&event, range).map(Some)
    }

    fn node(&mut self, event: &Event<'a>, range: Range<usize>) -> Read<Node> {
        let (before, start) = (self.last, range.start);
        if !range.is_empty() && event.scalar().is_none() {
            self.last = range.end;
        }
        if let Event::Scalar(text, style, ..) = event {
            let style = style_of(*style, &range);
            return Ok(self.scalar(event, (style, text), before, range));
        }
        let kind = if let Event::SequenceStart(..) = event {
            let mut items = Vec::new();
            while let Some(item) = self.inside()? {
                items.push(item);
            }
            Kind::List(items)
        } else if let Event::MappingStart(style, ..) = event {
            self.mapping(*style == StructureStyle::Flow)?
        } else {
            Kind::Alias
        };
        Ok(Node {
            range: start..self.last.max(range.end),
            kind,
            is_anchored: is_anchored(event),
            is_tagged: event.tag().is_some(),
        })
    }

    fn mapping(&mut self, is_flow: bool) -> Read<Kind> {
        let mut entries = Vec::new();
        while let Some(key) = self.inside()? {
            let cut = || (self.text.len(), "a key has no value".to_owned());
            let mut value = self.inside()?.ok_or_else(cut)?;
            if matches!(value.kind, Kind::Scalar(Style::Empty, _)) {
                let at = self.behind_colon(key.range.end).max(value.range.end);
                value.range = at..at;
                self.last = self.last.max(at);
            }
            entries.push((key, value));
        }
        Ok(Kind::Mapping(Mapping { is_flow, entries }))
    }

    /// The parser may have an empty value begin before the colon of its key.
    fn behind_colon(&self, key: usize) -> usize {
        let rest = &self.text[key..];
        let colon = rest.trim_start_matches([' ', '\t']).strip_prefix(':');
        colon.map_or(key, |behind| self.text.len() - behind.len())
    }

    fn scalar(
        &mut self,
        event: &Event<'a>,
        (style, text): (Style, &str),
        before: usize,
        range: Range<usize>,
    ) -> Node {
        let range = match style {
            Style::Block => self.block(before, range),
            Style::Empty | Style::Plain | Style::Single | Style::Double => range,
        };
        self.last = self.last.max(range.end);
        Node {
            range,
            kind: Kind::Scalar(style, text.to_owned()),
            is_anchored: is_anchored(event),
            is_tagged: event.tag().is_some(),
        }
    }

    /// The parser has a block scalar end where the next token begins.
    fn block(&self, before: usize, range: Range<usize>) -> Range<usize> {
        let said = &self.text[range.clone()];
        let header = self.text.get(before..range.start).unwrap_or_default();
        if header.contains('+') {
            let line = self.text[..range.end].rfind('\n').map_or(0, |at| at + 1);
            let is_next = self.text[line..range.end].trim().is_empty();
            let end = if is_next { line } else { range.end };
            return range.start..end.max(range.start);
        }
        range.start..range.start + said.trim_end().len()
    }
}

fn is_anchored(event: &Event<'_>) -> bool {
    event.anchor_id().is_some_and(|id| id != 0)
}

fn style_of(style: ScalarStyle, range: &Range<usize>) -> Style {
    match style {
        ScalarStyle::Plain if range.is_empty() => Style::Empty,
        ScalarStyle::Plain => Style::Plain,
        ScalarStyle::SingleQuoted => Style::Single,
        ScalarStyle::DoubleQuoted => Style::Double,
        ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
    }
}
