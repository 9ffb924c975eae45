//! What a commit says of the move that it belongs to.

/// Which part of a move a commit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The source becomes a standby. Goes first.
    Source,
    /// The target becomes the primary. Goes once the source is proved fenced.
    Target,
    /// A commit of the move is taken back.
    Undo,
}

impl Phase {
    /// As the trailer says it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Target => "target",
            Self::Undo => "undo",
        }
    }

    /// The phase that a trailer says.
    pub(crate) fn of(word: &str) -> Option<Self> {
        let all = [Self::Source, Self::Target, Self::Undo];
        all.into_iter().find(|phase| phase.word() == word)
    }
}

/// What a commit says of the move that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The commit.
    pub commit: String,
    /// Its part in the move.
    pub phase: Phase,
    /// The commit that it takes back.
    pub undoes: Option<String>,
}

/// The trailer that names the move.
pub(crate) const OPERATION: &str = "Pgha-Operation";

/// The trailer that names the commit's part in it.
pub(crate) const PHASE: &str = "Pgha-Phase";

/// The trailer that names the commit that is taken back.
pub(crate) const UNDOES: &str = "Pgha-Undoes";

/// A message with the two trailers by which a commit of a move is found again. An id is one word; what cannot be in one is
/// left out of it.
pub fn with_trailers(message: &str, operation: &str, phase: Phase) -> String {
    let (message, id) = (message.trim_end(), word(operation));
    format!(
        "{message}\n\n{OPERATION}: {id}\n{PHASE}: {}\n",
        phase.word()
    )
}

/// The same for a commit that takes another one back, which a third trailer names.
pub fn with_trailers_of_undo(message: &str, operation: &str, undoes: &str) -> String {
    let message = with_trailers(message, operation, Phase::Undo);
    format!("{message}{UNDOES}: {}\n", word(undoes))
}

/// An id as its trailer says it.
pub(crate) fn word(operation: &str) -> String {
    operation.chars().filter(char::is_ascii_graphic).collect()
}
