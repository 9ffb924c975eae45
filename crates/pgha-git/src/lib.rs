//! Changes of a branch of a remote, by git's own program on the user's own clone: hooks, name, signature and credentials are
//! the user's.
//!
//! The branch of the remote is what counts. A change is one commit that touches the named files and nothing else, made in a
//! temporary checkout beside the clone, whose working tree, index and branches stay as they are. It is pushed with a lease on
//! the commit that it rests on, never by force alone: a branch that has moved is an answer of its own
//! ([`Problem::Moved`]), so that the caller looks again. Every run of git ends in a bounded time and asks nobody anything.

mod branch;
mod error;
mod message;
mod program;
mod push;
mod tree;

pub use branch::{BadBranch, Branch, is_path, is_word};
pub use error::{GitError, Problem};
pub use message::{Mark, Phase, with_trailers, with_trailers_of_undo};
pub use program::{Ended, run};
pub use push::Pushed;
pub use tree::{File, Tree};
