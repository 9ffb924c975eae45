//! Why there is no edited text.

use std::fmt;

use pgha_model::text::one_line;

use crate::pointer::Pointer;

/// More of a value than this helps nobody, in characters.
const MOST: usize = 60;

/// An edit that was refused. Nothing was changed: an edit gives a whole text or none.
///
/// Its message says what was tried, where and why; [`advice`](Self::advice) what to do next. It holds text of the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot {tried}{}: {problem}", shown_place(self.file.as_deref(), self.place))]
pub struct EditError {
    /// What was tried: `set /spec/standby/enabled`.
    pub tried: String,
    /// The file, where it is known; what would steer a terminal is made visible in it.
    pub file: Option<String>,
    /// Where in the text.
    pub place: Option<Place>,
    /// What stands against it.
    pub problem: Problem,
}

/// A place in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Its line, from 1.
    pub line: usize,
    /// Its column, from 1, in characters.
    pub column: usize,
}

/// What stands against an edit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The text cannot be read.
    Unreadable {
        /// The reader's words.
        said: String,
    },
    /// It is a template, which only its own program can read.
    Template,
    /// No document or no place is the wanted one.
    Nothing {
        /// What was looked for.
        wanted: String,
    },
    /// More than one document or place is the wanted one.
    Several {
        /// What was looked for.
        wanted: String,
        /// How many there are.
        count: usize,
    },
    /// A key stands twice in one mapping.
    Duplicate {
        /// The key.
        key: String,
    },
    /// The value is shared by an anchor, an alias or a merge key: another place would change too.
    Shared,
    /// What is there is of another kind than what is to be.
    Kind {
        /// `true or false`.
        wanted: &'static str,
        /// What is there.
        found: String,
    },
    /// What is there is not what it was expected to be.
    Other {
        /// The value that was expected.
        expected: String,
        /// The one that is there.
        found: String,
    },
    /// It is written in a way that is not edited here.
    Unsupported {
        /// In which way.
        seen: &'static str,
    },
    /// The new value has characters that would need a block of lines or an escape.
    Unwritable,
    /// The edited text would say something else than what was meant: its lines hang together in a way that is not known here.
    Unequal {
        /// Where it says something else.
        at: Vec<Pointer>,
    },
}

impl Place {
    /// The place of a byte in a text.
    pub(crate) fn of(text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line = before.rsplit('\n').next().unwrap_or_default();
        Self {
            line: before.matches('\n').count() + 1,
            column: line.chars().count() + 1,
        }
    }
}

impl EditError {
    pub(crate) fn new(tried: impl Into<String>, problem: Problem) -> Self {
        Self {
            tried: one_line(&tried.into()),
            file: None,
            place: None,
            problem,
        }
    }

    pub(crate) fn at(mut self, text: &str, offset: usize) -> Self {
        self.place = Some(Place::of(text, offset));
        self
    }

    /// The same error, with the file's name.
    #[must_use]
    pub fn in_file(mut self, file: &str) -> Self {
        self.file = Some(one_line(file));
        self
    }

    /// What to do next, as a full sentence.
    pub const fn advice(&self) -> &'static str {
        match self.problem {
            Problem::Unreadable { .. } | Problem::Duplicate { .. } => {
                "Nothing was changed; correct the file."
            }
            Problem::Template => {
                "Nothing was changed; name the file that gives the template its values."
            }
            Problem::Nothing { .. } | Problem::Several { .. } => {
                "Nothing was changed; name the file and the value so that they mean one place."
            }
            Problem::Shared | Problem::Unsupported { .. } => {
                "Nothing was changed; write the value out where it is, or edit it by hand."
            }
            Problem::Kind { .. } | Problem::Other { .. } | Problem::Unwritable => {
                "Nothing was changed; look at the value in the file and at the one that is to be."
            }
            Problem::Unequal { .. } => {
                "Nothing was changed; make this edit by hand, and report the file's form."
            }
        }
    }
}

fn shown_place(file: Option<&str>, place: Option<Place>) -> String {
    let place = place.map(|Place { line, column }| (line, column));
    match (file, place) {
        (Some(file), Some((line, column))) => format!(" in {file}:{line}:{column}"),
        (Some(file), None) => format!(" in {file}"),
        (None, Some((line, column))) => format!(" at line {line}, column {column}"),
        (None, None) => String::new(),
    }
}

/// Text of a file in a message: in one line, and not too much of it.
pub(crate) fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(MOST).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    one_line(&shown)
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { said } => write!(f, "it cannot be read: {said}"),
            Self::Template => f.write_str("it is a template (`{{ }}`)"),
            Self::Nothing { wanted } => write!(f, "there is no {wanted}"),
            Self::Several { wanted, count } => write!(f, "there are {count} of {wanted}"),
            Self::Duplicate { key } => write!(f, "the key `{}` stands twice", shown(key)),
            Self::Shared => {
                f.write_str("an anchor, an alias or a merge key shares it with other places")
            }
            Self::Kind { wanted, found } => write!(f, "it should be {wanted} and is {found}"),
            Self::Other { expected, found } => {
                let (expected, found) = (shown(expected), shown(found));
                write!(f, "it should say `{expected}` and says `{found}`")
            }
            Self::Unsupported { seen } => write!(f, "{seen} is not edited here"),
            Self::Unwritable => f.write_str("the new value is not one line of plain characters"),
            Self::Unequal { at } => {
                let at: Vec<_> = at.iter().map(ToString::to_string).collect();
                write!(f, "the edit would also change {}", shown(&at.join(", ")))
            }
        }
    }
}
