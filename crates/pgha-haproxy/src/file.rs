//! Where a file says which backend serves a host, found by structure, and changed byte by byte.
//!
//! HAProxy takes the first `use_backend` of a frontend that holds (configuration manual, 4.2), so a rule counts only when no
//! rule before it holds for the host too.

use std::ops::Range;

use serde::Deserialize;

use crate::condition::{Acls, By, Condition, Test, Truth};
use crate::line::{Line, Word, lines};

/// Where a route is written down.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Spot {
    /// A `use_backend` of a frontend in the configuration.
    Rule {
        /// The frontend's name.
        frontend: String,
        /// By what it tells hosts apart.
        by: By,
    },
    /// A line of a map file, whose key is the host.
    Map {
        /// The file's path in the repository.
        file: String,
    },
}

/// One value that decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its line, counted from 1.
    pub line: usize,
    /// An address that does not depend on other lines.
    pub at: String,
    /// Where the value's bytes are.
    pub range: Range<usize>,
    /// What it says.
    pub value: String,
}

/// What a file says about one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Located {
    /// One value decides; the doubts are rules before it that may hold too, each a full sentence.
    One(Found, Vec<String>),
    /// More than one line is about the host.
    Several(Vec<Found>),
    /// Nothing decides, or something else does; why, as a full sentence.
    Not(String),
}

/// Finds what the file says about a host.
pub fn locate(bytes: &[u8], file: &str, spot: &Spot, host: &str) -> Located {
    match spot {
        Spot::Map { .. } => key(bytes, file, host),
        Spot::Rule { frontend, by } => rule(bytes, file, frontend, *by, host),
    }
}

/// The file with other bytes in place of one value.
#[must_use]
pub fn replaced(bytes: &[u8], range: Range<usize>, value: &str) -> Vec<u8> {
    [&bytes[..range.start], value.as_bytes(), &bytes[range.end..]].concat()
}

/// Whether the configuration has a backend of this name.
pub fn has_backend(bytes: &[u8], name: &str) -> bool {
    let is_it = |line: &Line| ["backend", "listen"].contains(&line.word(0)) && line.word(1) == name;
    lines(bytes).iter().any(is_it)
}

fn one_or_several(mut found: Vec<Found>, file: &str, host: &str) -> Located {
    match found.len() {
        0 => Located::Not(format!("{file} has no line for {host} alone.")),
        1 => Located::One(found.remove(0), Vec::new()),
        _ => Located::Several(found),
    }
}

fn key(bytes: &[u8], file: &str, host: &str) -> Located {
    let (mut start, mut found) = (0, Vec::new());
    for (index, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let is_space = |byte: &u8| byte.is_ascii_whitespace();
        let indent = line.iter().take_while(|byte| is_space(byte)).count();
        let key = line[indent..]
            .iter()
            .take_while(|byte| !is_space(byte))
            .count();
        let gap = line[indent + key..]
            .iter()
            .take_while(|byte| is_space(byte))
            .count();
        let from = indent + key + gap;
        let value = line[from..].trim_ascii_end();
        let is_key = line[indent..indent + key] == *host.as_bytes() && !host.starts_with('#');
        // A key without a value has no place to write one.
        if is_key && !value.is_empty() {
            found.push(Found {
                line: index + 1,
                at: format!("{file}: {host}"),
                range: start + from..start + from + value.len(),
                value: String::from_utf8_lossy(value).into_owned(),
            });
        }
        start += line.len();
    }
    one_or_several(found, file, host)
}

/// The words that begin a section.
const SECTIONS: &[&str] = &[
    "global",
    "defaults",
    "frontend",
    "backend",
    "listen",
    "peers",
    "userlist",
    "resolvers",
    "mailers",
    "cache",
    "program",
    "http-errors",
    "ring",
    "fcgi-app",
    "log-forward",
    "crt-store",
    "traces",
    "log-profile",
];

struct Rule {
    line: usize,
    value: Word,
    keyword: String,
    words: Vec<String>,
    condition: Condition,
}

impl Rule {
    fn read(line: &Line) -> Option<Self> {
        let value = line.words.get(1)?.clone();
        let words = line.rest(3);
        Some(Self {
            line: line.number,
            value,
            keyword: line.word(2).to_owned(),
            condition: Condition::read(&words),
            words: words.into_iter().map(str::to_owned).collect(),
        })
    }

    fn truth(&self, acls: &Acls, by: By, host: &str) -> Truth {
        let truth = self.condition.truth(acls, by, host);
        match self.keyword.as_str() {
            "if" => truth,
            "unless" => truth.not(),
            "" => Truth::Yes,
            _ => Truth::Perhaps,
        }
    }

    fn found(&self, file: &str, frontend: &str) -> Found {
        Found {
            line: self.line,
            at: format!("{file}: frontend {frontend} if {}", self.words.join(" ")),
            range: self.value.range.clone(),
            value: self.value.text.clone(),
        }
    }
}

fn rule(bytes: &[u8], file: &str, frontend: &str, by: By, host: &str) -> Located {
    let (mut is_inside, mut sections) = (false, 0);
    let (mut acls, mut rules, mut doubts) = (Acls::new(), Vec::new(), Vec::new());
    for line in lines(bytes) {
        let first = line.word(0);
        if SECTIONS.contains(&first) {
            is_inside = ["frontend", "listen"].contains(&first) && line.word(1) == frontend;
            sections += usize::from(is_inside);
        } else if is_inside && line.is_conditional {
            doubts.push(format!(
                "Line {} of {file} decides whether lines around it count.",
                line.number
            ));
        } else if is_inside && first == "acl" {
            acls.push((line.word(1).to_owned(), Test::read(&line.rest(2))));
        } else if is_inside && first == "use_backend" {
            rules.extend(Rule::read(&line));
        }
    }
    if sections != 1 {
        return Located::Not(format!(
            "{file} has {sections} frontends {frontend}, not one."
        ));
    }
    let is_own = |rule: &&Rule| rule.keyword == "if" && rule.condition.is_only(&acls, by, host);
    let found: Vec<_> = rules
        .iter()
        .filter(is_own)
        .map(|rule| rule.found(file, frontend))
        .collect();
    let shared = rules
        .iter()
        .find(|rule| !is_own(rule) && rule.condition.names(&acls, by, host));
    match (one_or_several(found, file, host), shared) {
        (Located::One(found, _), _) => {
            for rule in rules.iter().take_while(|rule| rule.line < found.line) {
                match rule.truth(&acls, by, host) {
                    Truth::No => {}
                    Truth::Yes => return Located::Not(shadow(file, rule, host)),
                    Truth::Perhaps => doubts.push(format!(
                        "Line {} of {file} may send some of {host} to `{}` before the rule for it.",
                        rule.line, rule.value.text
                    )),
                }
            }
            Located::One(found, doubts)
        }
        (Located::Not(_), Some(shared)) => Located::Not(format!(
            "Line {} of {file} names {host} beside other hosts or under more conditions; it needs a rule of its own.",
            shared.line
        )),
        (located, _) => located,
    }
}

fn shadow(file: &str, rule: &Rule, host: &str) -> String {
    format!(
        "Line {} of {file} sends {host} to `{}` before the rule for it is reached.",
        rule.line, rule.value.text
    )
}

#[cfg(test)]
mod tests;
