//! Why desired state was not changed.

use std::fmt;

use pgha_edit::EditError;
use pgha_git::GitError;
use pgha_model::effect::Effect;
use pgha_model::text::one_line;

/// More places than these are only counted.
const MOST: usize = 8;

/// A change that failed: what was tried, where, what it changed in the remote's branch, and what to do next.
#[derive(Debug, thiserror::Error)]
#[error("cannot {tried} at {at}: {problem}")]
pub struct DesiredError {
    /// What was tried.
    pub tried: &'static str,
    /// The remote's name and the branch, or a file of it.
    pub at: Box<str>,
    /// What went wrong.
    pub problem: Problem,
    /// What the failed call left behind at the remote. The clone is never changed but for objects that nothing names.
    pub effect: Effect,
    /// The one next thing to do, as a full sentence.
    pub next: Box<str>,
    /// What lies below it.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What went wrong.
#[derive(Debug)]
pub enum Problem {
    /// Git, a hook, the remote or the render command said no, or did not answer.
    Git(Box<pgha_git::Problem>),
    /// A file cannot be edited, or read.
    Edit(Box<EditError>),
    /// There is no clone.
    NoClone,
    /// Somebody is at work on the very files in the clone.
    Unsaved {
        /// The files.
        paths: Vec<String>,
    },
    /// A value is not there, or says neither that its site is primary nor that it is a standby.
    Other {
        /// Where: `/spec/standby/enabled`.
        place: String,
    },
    /// More would change than was expected.
    Unexpected {
        /// Each place, by file or object.
        places: Vec<String>,
    },
    /// The files would not say what they are to say.
    NotAsMeant {
        /// What they say.
        seen: String,
    },
    /// A recovery target is left in the cluster's object: a new copy of the data would stop there.
    RecoveryTarget {
        /// The object.
        object: Box<str>,
        /// The option.
        option: Box<str>,
    },
    /// The source's commit is not in the branch.
    NoSource {
        /// What is there of it.
        seen: &'static str,
    },
    /// The commit was taken back before.
    TakenBack {
        /// By this commit.
        commit: String,
    },
}

impl DesiredError {
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

    pub(crate) fn of_edit(tried: &'static str, file: &str, error: EditError) -> Self {
        let next = error.advice();
        Self::new(tried, one_line(file), Problem::Edit(Box::new(error)), next)
    }

    /// Whether somebody else came first: it may be tried again.
    pub fn is_moved(&self) -> bool {
        let is_moved =
            |problem: &pgha_git::Problem| matches!(problem, pgha_git::Problem::Moved { .. });
        matches!(&self.problem, Problem::Git(problem) if is_moved(problem))
    }
}

impl From<GitError> for DesiredError {
    fn from(error: GitError) -> Self {
        let GitError {
            tried,
            at,
            problem,
            effect,
            next,
            source,
        } = error;
        Self {
            tried,
            at,
            problem: Problem::Git(Box::new(problem)),
            effect,
            next,
            source,
        }
    }
}

/// Names in one line, the first ones of many.
fn listed(names: &[String]) -> String {
    let mut shown: Vec<String> = names.iter().take(MOST).map(|name| one_line(name)).collect();
    if names.len() > MOST {
        shown.push(format!("{} more", names.len() - MOST));
    }
    shown.join(", ")
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Git(problem) => problem.fmt(f),
            Self::Edit(error) => error.fmt(f),
            Self::NoClone => f.write_str("there is no clone of a repository"),
            Self::Unsaved { paths } => {
                write!(
                    f,
                    "somebody has changed, and not committed, {}",
                    listed(paths)
                )
            }
            Self::Other { place } => write!(
                f,
                "{} is not there, or says neither that the site is primary nor that it is a standby",
                one_line(place)
            ),
            Self::Unexpected { places } => {
                write!(f, "it would also change {}", listed(places))
            }
            Self::NotAsMeant { seen } => f.write_str(&one_line(seen)),
            Self::RecoveryTarget { object, option } => write!(
                f,
                "{} has the recovery target `{}` in spec.dataSource: a new copy of its data would stop there",
                one_line(object),
                one_line(option)
            ),
            Self::NoSource { seen } => f.write_str(seen),
            Self::TakenBack { commit } => {
                write!(
                    f,
                    "the move's commit was taken back by {}",
                    one_line(commit)
                )
            }
        }
    }
}
