//! Timelines and where they fork.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::lsn::Lsn;

/// A timeline of a Postgres database system: 1 at `initdb`, one more at each promotion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timeline(pub u32);

impl Timeline {
    /// The name of the file that tells this timeline's ancestors, `00000002.history`.
    pub fn history_file_name(self) -> String {
        format!("{:08X}.history", self.0)
    }
}

impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One line of a history: a timeline and the position at which its child forked off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fork {
    /// The parent.
    pub timeline: Timeline,
    /// The first position that is no longer the parent's.
    pub at: Lsn,
    /// When the child was promoted, by its server's clock; only Patroni notes it, and only of its own promotions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promoted_at: Option<Timestamp>,
}

/// The ancestors of a timeline, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct History(pub Vec<Fork>);

/// A history that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the timeline history is not `timeline, LSN, reason`")]
pub struct InvalidHistory {
    line: usize,
}

impl History {
    /// Reads a history file: one ancestor a line, `timeline TAB LSN TAB reason`; `#` begins a comment
    /// (PostgreSQL source, `timeline.c`, `readTimeLineHistory`).
    pub fn from_file(text: &str) -> Result<Self, InvalidHistory> {
        let lines = text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line.trim()));
        lines
            .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
            .map(|(line, text)| {
                let mut words = text.split_whitespace();
                let timeline = words.next().and_then(|word| word.parse().ok());
                let at = words.next().and_then(|word| word.parse().ok());
                let (Some(timeline), Some(at)) = (timeline, at) else {
                    return Err(InvalidHistory { line });
                };
                Ok(Fork {
                    timeline: Timeline(timeline),
                    at,
                    promoted_at: None,
                })
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Reads Patroni's `history` annotation: a JSON list of `[timeline, LSN in bytes, reason, …]`
    /// (Patroni `docs/kubernetes.rst`, and `GET /history`).
    pub fn from_patroni(json: &str) -> Result<Self, InvalidHistory> {
        let rows: Vec<Value> =
            serde_json::from_str(json).map_err(|_| InvalidHistory { line: 0 })?;
        rows.iter()
            .enumerate()
            .map(|(index, row)| {
                let timeline = row
                    .get(0)
                    .and_then(Value::as_u64)
                    .and_then(|n| u32::try_from(n).ok());
                let at = row.get(1).and_then(Value::as_u64);
                let (Some(timeline), Some(at)) = (timeline, at) else {
                    return Err(InvalidHistory { line: index + 1 });
                };
                Ok(Fork {
                    timeline: Timeline(timeline),
                    at: Lsn::from_bytes(at),
                    promoted_at: row
                        .get(3)
                        .and_then(Value::as_str)
                        .and_then(|time| time.parse().ok()),
                })
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Where the child of this timeline forked off, when the timeline is an ancestor.
    pub fn fork_of(&self, timeline: Timeline) -> Option<Lsn> {
        self.line_of(timeline).map(|fork| fork.at)
    }

    /// The line of this timeline, when it is an ancestor.
    pub fn line_of(&self, timeline: Timeline) -> Option<&Fork> {
        self.0.iter().find(|fork| fork.timeline == timeline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_file_gives_each_fork() {
        let text = "1\t0/70000A0\tno recovery target specified\n\n2\t0/9000148\tno recovery target specified\n";
        let history = History::from_file(text).unwrap();
        assert_eq!(
            history.fork_of(Timeline(1)),
            Some("0/70000A0".parse().unwrap())
        );
        assert_eq!(
            history.fork_of(Timeline(2)),
            Some("0/9000148".parse().unwrap())
        );
        assert_eq!(history.fork_of(Timeline(3)), None);
    }

    #[test]
    fn patronis_history_gives_the_same() {
        let json =
            r#"[[1,83886240,"no recovery target specified","2026-08-20T08:00:00.1+00:00","a-0"]]"#;
        let history = History::from_patroni(json).unwrap();
        assert_eq!(
            history.fork_of(Timeline(1)),
            Some("0/50000A0".parse().unwrap())
        );
        assert_eq!(
            history.line_of(Timeline(1)).unwrap().promoted_at,
            Some("2026-08-20T08:00:00.1Z".parse().unwrap())
        );
        assert_eq!(History::from_patroni("[]").unwrap(), History::default());
    }

    #[test]
    fn a_line_that_is_none_is_named() {
        assert_eq!(
            History::from_file("1\tx\ty"),
            Err(InvalidHistory { line: 1 })
        );
        assert!(History::from_patroni("{").is_err());
        assert!(History::from_patroni(r#"[["1",2]]"#).is_err());
    }
}
