//! YAML in every style that people mix, made from a seed, with an independent reader (libyaml's) to judge.

use std::fmt::Write as _;

use pgha_edit::yaml::{Edit, Target, edited};
use pgha_edit::{Pointer, Problem};
use serde_json::{Value, json};

use crate::random::Random;

const ROUNDS: u64 = 2000;

/// The longest scalar.
const TABBED: &str = r#""a\tb: \u00e9""#;

/// A text, and where its values are.
struct Written {
    random: Random,
    text: String,
    line_end: &'static str,
    scalars: Vec<Pointer>,
    keys: Vec<Pointer>,
    mappings: Vec<Pointer>,
}

impl Written {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let line_end = *random.one_of(&["\n", "\n", "\r\n"]);
        let mut written = Self {
            random,
            text: String::new(),
            line_end,
            scalars: Vec::new(),
            keys: Vec::new(),
            mappings: Vec::new(),
        };
        if written.random.below(3) == 0 {
            written.line("---");
        }
        written.mapping(&Pointer::new([""; 0]), 0, 0);
        if written.random.below(4) == 0 {
            written.text.truncate(written.text.trim_end().len());
        }
        written
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push_str(self.line_end);
    }

    fn aside(&mut self, indent: usize) {
        match self.random.below(6) {
            0 => self.line(&format!("{}# a: \"comment", " ".repeat(indent))),
            1 => self.line(""),
            _ => {}
        }
    }

    fn end(&mut self) {
        let comment = *self.random.one_of(&["", "", "", " # why: not", "  "]);
        self.line(comment);
    }

    /// Lines of a block.
    fn mapping(&mut self, at: &Pointer, indent: usize, depth: usize) {
        self.mappings.push(at.clone());
        let step = *self.random.one_of(&[2, 2, 4]);
        for number in 0..=self.random.below(4) {
            self.aside(indent);
            let at = at.below(&format!("k{number}"));
            self.keys.push(at.clone());
            let quote = *self.random.one_of(&["", "", "'", "\""]);
            let _ = write!(self.text, "{}{quote}k{number}{quote}:", " ".repeat(indent));
            match self.random.below(8) {
                0 | 1 if depth < 3 => {
                    self.end();
                    self.mapping(&at, indent + step, depth + 1);
                }
                2 => {
                    self.text.push(' ');
                    self.flow(&at, depth);
                    self.end();
                }
                3 => self.block(indent + step),
                4 => self.list(&at, indent),
                _ => {
                    self.text.push(' ');
                    self.scalar(&at);
                    self.end();
                }
            }
        }
    }

    fn list(&mut self, at: &Pointer, indent: usize) {
        self.end();
        for number in 0..=self.random.below(2) {
            let _ = write!(self.text, "{}- ", " ".repeat(indent));
            self.scalar(&at.below(&number.to_string()));
            self.end();
        }
    }

    fn block(&mut self, indent: usize) {
        let mark = *self.random.one_of(&[" |", " |-", " |+", " >"]);
        self.line(mark);
        let indent = " ".repeat(indent);
        self.line(&format!("{indent}k0: # text"));
        self.line(&format!("{indent}  x"));
    }

    fn flow(&mut self, at: &Pointer, depth: usize) {
        self.mappings.push(at.clone());
        self.text.push('{');
        for number in 0..self.random.below(4) {
            let at = at.below(&format!("f{number}"));
            self.keys.push(at.clone());
            let comma = if number == 0 { "" } else { ", " };
            let _ = write!(self.text, "{comma}f{number}: ");
            match self.random.below(4) {
                0 if depth < 3 => self.flow(&at, depth + 1),
                _ => self.scalar(&at),
            }
        }
        let close = *self.random.one_of(&["}", " }"]);
        self.text.push_str(close);
    }

    fn scalar(&mut self, at: &Pointer) {
        self.scalars.push(at.clone());
        let scalars = [
            "true",
            "false",
            "5432",
            "'it''s # one'",
            TABBED,
            "plain text é",
        ];
        let scalar = *self.random.one_of(&scalars);
        self.text.push_str(scalar);
    }

    fn edit(&mut self, said: &Value) -> Edit {
        match self.random.below(3) {
            0 if !self.scalars.is_empty() => {
                let at = self.random.one_of(&self.scalars).clone();
                let to = match said.pointer(&at.to_string()) {
                    Some(Value::Bool(old)) => json!(!old),
                    Some(Value::Number(_)) => json!(1),
                    _ => json!(
                        self.random
                            .one_of(&["core1", "o'clock", "a: b # c", "on", "é\\"])
                    ),
                };
                Edit::Set { at, to }
            }
            1 => {
                let at = self.random.one_of(&self.keys).clone();
                Edit::Remove { at }
            }
            _ => {
                let at = self.random.one_of(&self.mappings).below("new key");
                let block = json!({"a": {"b": "yes"}, "c": [1, "d"]});
                let to = self
                    .random
                    .one_of(&[json!(true), block, json!("x y")])
                    .clone();
                Edit::Set { at, to }
            }
        }
    }
}

fn libyaml(text: &str) -> Value {
    serde_yaml_ng::from_str(text).unwrap()
}

fn meant(said: &Value, edit: &Edit) -> Value {
    let mut meant = said.clone();
    let (last, way) = edit.at().tokens().split_last().unwrap();
    let parent = meant.pointer_mut(&Pointer::new(way.iter().cloned()).to_string());
    match (edit, parent.unwrap()) {
        (Edit::Set { to, .. }, Value::Array(items)) => {
            items[last.parse::<usize>().unwrap()] = to.clone();
        }
        (Edit::Set { to, .. }, parent) => drop(
            parent
                .as_object_mut()
                .unwrap()
                .insert(last.clone(), to.clone()),
        ),
        (Edit::Remove { .. }, parent) => drop(parent.as_object_mut().unwrap().remove(last)),
    }
    meant
}

fn prefix(one: &str, other: &str) -> usize {
    one.bytes()
        .zip(other.bytes())
        .take_while(|(a, b)| a == b)
        .count()
}

fn suffix(one: &str, other: &str) -> usize {
    one.bytes()
        .rev()
        .zip(other.bytes().rev())
        .take_while(|(a, b)| a == b)
        .count()
}

#[test]
fn only_the_value_changes_in_every_style() {
    let mut refused = 0;
    for seed in 0..ROUNDS {
        let mut written = Written::new(seed);
        let text = written.text.clone();
        let value = libyaml(&text);
        let edit = written.edit(&value);
        let after = match edited(&text, &Target::Sole, std::slice::from_ref(&edit)) {
            Ok(after) => after,
            Err(error) => {
                // A block that keeps its empty lines takes those that stood behind the removed key.
                let is_odd = matches!(error.problem, Problem::Unsupported { .. })
                    || matches!(error.problem, Problem::Unequal { .. } if text.contains("|+"));
                assert!(is_odd, "seed {seed}: {error}: {edit:?} {text}");
                refused += 1;
                continue;
            }
        };
        let shown = format!("seed {seed}: {edit:?}\n{text}\n=>\n{after}");
        assert_eq!(libyaml(&after), meant(&value, &edit), "{shown}");
        let same = prefix(&text, &after) + suffix(&text, &after);
        match &edit {
            // The new text stands in the place of a scalar, or between what was there.
            Edit::Set { at, .. } if written.scalars.contains(at) => {
                assert!(same + TABBED.len() >= text.len(), "{shown}");
            }
            Edit::Set { .. } => assert!(same >= text.len(), "{shown}"),
            // All that is left was there, but for an indented `{}` in the place of an only key.
            Edit::Remove { .. } => {
                let kept = same + "{}\r\n".len() + 12 >= after.len();
                assert!(kept, "{shown}");
            }
        }
    }
    assert!(refused * 20 < ROUNDS, "{refused} of {ROUNDS} were refused");
}
