//! How a call of a backend fails.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use pgha_model::effect::Effect;

use crate::state::Fence;
use crate::text::one_line;

/// A call that failed: what was tried, where, what it changed, and what to do next.
///
/// Its message says the first two and why; [`effect`](Self::effect) and [`next`](Self::next) are shown beside it. The source
/// is never part of the message, and no secret is part of any of them.
#[derive(Debug, thiserror::Error)]
#[error("cannot {tried} at {at}: {problem}")]
pub struct CutoverError {
    /// What was tried: `push the change`.
    pub tried: &'static str,
    /// The product: an address, a path, a name.
    pub at: Box<str>,
    /// What went wrong.
    pub problem: Problem,
    /// What the failed call left behind.
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
    /// The product is not as it was when the plan was made; nothing was overwritten.
    Conflict {
        /// The fence that the plan rests on.
        expected: Fence,
        /// The fence that was seen.
        seen: Fence,
    },
    /// The product was not reached.
    Unreachable,
    /// The product answered, and said no.
    Denied {
        /// In its words.
        said: String,
    },
    /// The product did not answer in the time that the call had.
    NoAnswer {
        /// That time.
        within: Duration,
    },
    /// What the product said, or how it is set up, does not allow the call.
    Unfit {
        /// What was seen.
        seen: String,
    },
}

impl CutoverError {
    /// A failure that changed nothing.
    pub fn new(
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

    /// The same failure, with what it left behind.
    #[must_use]
    pub fn leaving(mut self, effect: Effect) -> Self {
        self.effect = effect;
        self
    }

    /// The same failure, with what lies below it.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Whether the product is not as it was when the plan was made.
    pub const fn is_conflict(&self) -> bool {
        matches!(self.problem, Problem::Conflict { .. })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict { expected, seen } => write!(
                f,
                "it is not as it was when the plan was made (planned on {expected}, now {seen})"
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_says_what_where_and_why_and_not_its_source() {
        let error = CutoverError::new(
            "set a key",
            "/run/haproxy.sock",
            Problem::Denied {
                said: "Permission denied\n".to_owned(),
            },
            "Give the socket the level admin.",
        )
        .caused_by("below");
        assert_eq!(
            error.to_string(),
            "cannot set a key at /run/haproxy.sock: it refuses: Permission denied"
        );
        assert_eq!(error.effect, Effect::None);
        assert_eq!(error.source().unwrap().to_string(), "below");
    }

    #[test]
    fn a_conflict_names_both_fences() {
        let problem = Problem::Conflict {
            expected: Fence::from("a1"),
            seen: Fence::from("b2"),
        };
        assert!(problem.to_string().ends_with("(planned on a1, now b2)"));
    }
}
