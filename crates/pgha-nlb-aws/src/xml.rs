//! An XML document as a tree that borrows it, so that a part of it can be sent back as it came.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::escape::unescape;
use quick_xml::events::Event;

/// No answer of AWS' is as deep.
const DEEPEST: usize = 32;

/// An element.
#[derive(Debug, Default)]
pub(crate) struct Node<'a> {
    pub(crate) name: String,
    /// It as it is written, tags included.
    pub(crate) whole: &'a str,
    inner: &'a str,
    pub(crate) nodes: Vec<Self>,
}

impl<'a> Node<'a> {
    /// Reads a document; its elements are the children of the node.
    pub(crate) fn read(text: &'a str) -> Result<Self, String> {
        let mut reader = Reader::from_str(text);
        let mut open = vec![(Self::default(), 0, 0)];
        loop {
            let start = position(&reader);
            let event = reader.read_event().map_err(|error| error.to_string())?;
            let end = position(&reader);
            let closed = if let Event::Start(tag) = &event {
                if open.len() > DEEPEST {
                    return Err("it is nested too deeply".to_owned());
                }
                open.push((Self::named(tag.name().as_ref()), start, end));
                None
            } else if let Event::Empty(tag) = &event {
                Some((Self::named(tag.name().as_ref()), start, start))
            } else if let Event::End(_) = &event {
                open.pop()
            } else if let Event::Eof = &event {
                let root = open.pop().filter(|_| open.is_empty());
                return root.map(|(root, ..)| root).ok_or("it ends too soon".into());
            } else {
                None
            };
            if let (Some((mut node, from, inner)), Some((parent, ..))) = (closed, open.last_mut()) {
                node.whole = text.get(from..end).unwrap_or_default();
                node.inner = text.get(inner..start).unwrap_or_default();
                parent.nodes.push(node);
            }
        }
    }

    fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..Self::default()
        }
    }

    /// The first element of this name, at any depth.
    pub(crate) fn find(&self, name: &str) -> Option<&Self> {
        let is_it = |node: &&'_ Self| node.name == name;
        let mut nodes = self.nodes.iter();
        nodes.find_map(|node| Some(node).filter(is_it).or_else(|| node.find(name)))
    }

    /// What is in the first element of this name; nothing where there is none.
    pub(crate) fn nodes_of(&self, name: &str) -> &[Self] {
        self.find(name).map_or(&[], |node| &node.nodes)
    }

    /// What the child of this name holds.
    pub(crate) fn text_of(&self, name: &str) -> Option<Cow<'a, str>> {
        self.nodes.iter().find(|node| node.name == name)?.text()
    }

    /// The text in it; `None` where it holds elements or what XML does not know.
    pub(crate) fn text(&self) -> Option<Cow<'a, str>> {
        self.nodes.is_empty().then(|| unescape(self.inner).ok())?
    }
}

fn position(reader: &Reader<&[u8]>) -> usize {
    usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX)
}
