//! Edits of desired state as text: bytes outside of the edited value never change.
//!
//! Pure: texts in, texts out; nothing here reads or writes a file. A file is not parsed into a tree and written back: a
//! parser says where a value lies, its bytes are replaced, and a reader compares what the text says before and after. Where
//! the difference is not exactly the intended one there is an error and no text.

pub mod cue;
pub mod diff;
mod error;
pub mod glob;
pub mod kustomize;
mod object;
mod pointer;
pub mod yaml;

pub use error::{EditError, Place, Problem};
pub use object::ObjectId;
pub use pointer::{BadPointer, Pointer};
