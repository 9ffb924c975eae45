//! Two commits of a move, with git's own program, a bare repository as the server and the user's clone of it.

#[expect(clippy::unwrap_used, reason = "what is not refused fails the test")]
mod gated;
#[expect(
    clippy::unwrap_used,
    reason = "a place for tests that cannot be made fails the test"
)]
#[path = "../../../pgha-git/tests/suite/git.rs"]
mod git;
#[expect(
    clippy::unwrap_used,
    reason = "a place for tests that cannot be made fails the test"
)]
mod house;
mod pushed;
mod request;
#[expect(clippy::unwrap_used, reason = "what makes sense fails the test")]
mod settings;
