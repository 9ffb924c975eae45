//! How a call of git fails.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use pgha_model::effect::Effect;
use pgha_model::text::one_line;

/// A call that failed: what was tried, where, what it changed at the remote, and what to do next.
///
/// Its message says the first two and why. No password is part of it: addresses are shown without.
#[derive(Debug, thiserror::Error)]
#[error("cannot {tried} at {at}: {problem}")]
pub struct GitError {
    /// What was tried: `push the change`.
    pub tried: &'static str,
    /// The remote's name and the branch.
    pub at: Box<str>,
    /// What went wrong.
    pub problem: Problem,
    /// What the failed call left behind at the remote. The clone is never changed but for objects that nothing names.
    pub effect: Effect,
    /// The one next thing to do, as a full sentence.
    pub next: Box<str>,
    /// What lies below it.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The branch is not at the commit that the change rests on; nothing was overwritten. Fetch, look and try again.
    Moved {
        /// The commit that the change rests on.
        expected: String,
        /// The one that the branch is at.
        seen: String,
    },
    /// The remote was not reached.
    Unreachable,
    /// Git, a hook, a program or the remote said no.
    Denied {
        /// In its words, without passwords.
        said: String,
    },
    /// There was no answer in the time that the call had.
    NoAnswer {
        /// That time.
        within: Duration,
    },
    /// What is there does not allow the call.
    Unfit {
        /// What was seen.
        seen: String,
    },
}

impl GitError {
    /// A failure that changed nothing.
    pub(crate) fn new(
        tried: &'static str,
        at: impl Into<Box<str>>,
        problem: Problem,
        next: impl Into<Box<str>>,
    ) -> Self {
        Self {
            tried,
            at: at.into(),
            problem,
            effect: Effect::None,
            next: next.into(),
            source: None,
        }
    }

    pub(crate) fn leaving(mut self, effect: Effect) -> Self {
        self.effect = effect;
        self
    }

    pub(crate) fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Whether somebody else came first: the caller fetches, looks again, and may try again.
    pub const fn is_moved(&self) -> bool {
        matches!(self.problem, Problem::Moved { .. })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Moved { expected, seen } => write!(
                f,
                "the branch has moved (the change rests on {expected}, it is at {seen})"
            ),
            Self::Unreachable => f.write_str("it cannot be reached"),
            Self::Denied { said } => write!(f, "it refuses: {}", one_line(said)),
            Self::NoAnswer { within } => {
                write!(f, "no answer within {:.1} s", within.as_secs_f64())
            }
            Self::Unfit { seen } => f.write_str(&one_line(seen)),
        }
    }
}
