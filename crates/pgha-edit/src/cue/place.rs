//! The fields of a file of CUE and where their values begin.

use super::lex::{Kind, Token, Wrong};

/// Deeper than this nothing is read, in braces.
const DEEPEST: usize = 100;

/// A field whose value is no struct of its own.
#[derive(Debug)]
pub(crate) struct Field {
    /// Its labels, from the file's top.
    pub(crate) path: Vec<String>,
    /// The token with which its value begins.
    pub(crate) value: usize,
    /// Whether the value is one token and holds without a condition.
    pub(crate) is_alone: bool,
}

/// A pattern or a computed label: no path leads through it.
const NO_LABEL: &str = "\0";

/// All fields, in the file's order.
pub(crate) fn fields(tokens: &[Token]) -> Result<Vec<Field>, Wrong> {
    let mut reader = Reader {
        tokens,
        at: 0,
        depth: 0,
        fields: Vec::new(),
    };
    reader.declarations(&[], false)?;
    match tokens.get(reader.at) {
        None => Ok(reader.fields),
        Some(token) => Err((token.range.start, "a bracket closes nothing")),
    }
}

struct Reader<'t> {
    tokens: &'t [Token],
    at: usize,
    depth: usize,
    fields: Vec<Field>,
}

impl Reader<'_> {
    fn kind(&self, at: usize) -> Option<&Kind> {
        self.tokens.get(at).map(|token| &token.kind)
    }

    fn is_mark(&self, at: usize, mark: char) -> bool {
        self.kind(at) == Some(&Kind::Mark(mark))
    }

    fn end(&self, said: &'static str) -> Wrong {
        (self.tokens.last().map_or(0, |token| token.range.end), said)
    }

    /// Declarations up to a closing brace or the end of the file.
    fn declarations(&mut self, path: &[String], is_bound: bool) -> Result<(), Wrong> {
        loop {
            match self.kind(self.at) {
                None | Some(Kind::Mark('}' | ')' | ']')) => return Ok(()),
                Some(Kind::Line | Kind::Mark(',') | Kind::Attribute) => self.at += 1,
                Some(_) => self.declaration(path, is_bound)?,
            }
        }
    }

    fn declaration(&mut self, path: &[String], is_bound: bool) -> Result<(), Wrong> {
        let mut path = path.to_vec();
        let mut has_label = false;
        while let Some((label, behind)) = self.label()? {
            path.push(label);
            self.at = behind;
            has_label = true;
            while self.kind(self.at) == Some(&Kind::Line) {
                self.at += 1;
            }
        }
        if has_label {
            return self.value(&path, is_bound);
        }
        let word = match self.kind(self.at) {
            Some(Kind::Name(word)) => word.as_str(),
            _ => "",
        };
        let (is_clause, is_let) = (matches!(word, "if" | "for"), word == "let");
        if word == "for" {
            self.behind_in();
        }
        let first = self.fields.len();
        self.expression(&path, is_bound || is_clause)?;
        if is_let {
            // What a `let` names is at no path.
            self.fields.truncate(first);
        }
        Ok(())
    }

    /// The names of a `for` have a comma between them, which ends nothing.
    fn behind_in(&mut self) {
        let is_in = |token: &Token| matches!(&token.kind, Kind::Name(word) if word == "in");
        let rest = self.tokens.get(self.at..).unwrap_or_default();
        self.at += rest.iter().take(6).position(is_in).unwrap_or(0);
    }

    /// A label with its colon: what it is, and the token behind the colon.
    fn label(&mut self) -> Result<Option<(String, usize)>, Wrong> {
        let mut at = self.at;
        // `X=label: …` names the field X too.
        let is_alias = matches!(self.kind(at), Some(Kind::Name(_)))
            && self.is_mark(at + 1, '=')
            && !self.is_mark(at + 2, '=');
        if is_alias {
            at += 2;
        }
        let label = match self.kind(at) {
            Some(Kind::Name(name)) => name.clone(),
            Some(Kind::Text(Some(text))) => text.clone(),
            Some(Kind::Text(None)) => NO_LABEL.to_owned(),
            Some(Kind::Mark('[' | '(')) => {
                let before = self.at;
                self.at = at;
                let skipped = self.bracket();
                at = std::mem::replace(&mut self.at, before) - 1;
                skipped?;
                NO_LABEL.to_owned()
            }
            Some(Kind::Number | Kind::Attribute | Kind::Mark(_) | Kind::Line) | None => {
                return Ok(None);
            }
        };
        at += 1;
        if self.is_mark(at, '?') || self.is_mark(at, '!') {
            at += 1;
        }
        let is_field = self.is_mark(at, ':');
        Ok(is_field.then_some((label, at + 1)))
    }

    fn value(&mut self, path: &[String], is_bound: bool) -> Result<(), Wrong> {
        let value = self.at;
        let first = self.fields.len();
        let is_struct = self.expression(path, is_bound)?;
        if !is_struct {
            let is_alone = self.at == value + 1 && !is_bound;
            let path = path.to_vec();
            self.fields.insert(
                first,
                Field {
                    path,
                    value,
                    is_alone,
                },
            );
        }
        Ok(())
    }

    /// An expression up to where its declaration ends; whether it is structs alone. Fields in braces are at the path.
    fn expression(&mut self, path: &[String], is_bound: bool) -> Result<bool, Wrong> {
        let first = self.fields.len();
        let (mut is_structs, mut is_bound_here) = (true, is_bound);
        let mut may_end = false;
        loop {
            match self.kind(self.at) {
                None | Some(Kind::Mark(',' | '}' | ')' | ']')) => break,
                Some(Kind::Line) if may_end => break,
                Some(Kind::Line | Kind::Mark('&')) => {
                    may_end = false;
                    self.at += 1;
                }
                Some(Kind::Mark('{')) => {
                    self.braces(path, is_bound_here)?;
                    may_end = true;
                }
                Some(Kind::Mark('(' | '[')) => {
                    is_structs = false;
                    self.bracket()?;
                    may_end = true;
                }
                Some(Kind::Mark(mark)) => {
                    is_structs = false;
                    is_bound_here |= *mark == '|' || *mark == '*';
                    may_end = matches!(mark, '?' | '!');
                    self.at += 1;
                }
                Some(Kind::Name(_) | Kind::Text(_) | Kind::Number | Kind::Attribute) => {
                    is_structs = false;
                    may_end = true;
                    self.at += 1;
                }
            }
        }
        if is_bound_here {
            self.fields[first..]
                .iter_mut()
                .for_each(|field| field.is_alone = false);
        }
        Ok(is_structs)
    }

    fn braces(&mut self, path: &[String], is_bound: bool) -> Result<(), Wrong> {
        let open = self.tokens[self.at].range.start;
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err((open, "braces are too deep"));
        }
        self.at += 1;
        self.declarations(path, is_bound)?;
        if !self.is_mark(self.at, '}') {
            return Err((open, "a brace has no end"));
        }
        self.at += 1;
        self.depth -= 1;
        Ok(())
    }

    /// Goes behind a bracket; nothing in it is at a path.
    fn bracket(&mut self) -> Result<(), Wrong> {
        let mut open = Vec::new();
        loop {
            match self.kind(self.at) {
                Some(Kind::Mark('(')) => open.push(')'),
                Some(Kind::Mark('[')) => open.push(']'),
                Some(Kind::Mark('{')) => open.push('}'),
                Some(Kind::Mark(mark @ (')' | ']' | '}'))) => {
                    if open.pop() != Some(*mark) {
                        return Err((self.tokens[self.at].range.start, "a bracket closes nothing"));
                    }
                }
                Some(
                    Kind::Name(_)
                    | Kind::Text(_)
                    | Kind::Number
                    | Kind::Attribute
                    | Kind::Mark(_)
                    | Kind::Line,
                ) => {}
                None => return Err(self.end("a bracket has no end")),
            }
            self.at += 1;
            if open.is_empty() {
                return Ok(());
            }
        }
    }
}
