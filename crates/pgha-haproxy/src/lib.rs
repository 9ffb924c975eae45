//! HAProxy's configuration and map files: where they say which backend serves a host.
//!
//! Pure: bytes in, places in them out. Nothing is parsed into a tree and written back; a change replaces the bytes of one
//! value and leaves every other byte as it is, in templates too.

mod condition;
mod file;
mod line;

pub use condition::By;
pub use file::{Found, Located, Spot, has_backend, locate, replaced};
