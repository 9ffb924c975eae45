//! The switch of `cargo xtask guards`: one guard taken away, so that a test has to miss it.
//!
//! The one place of this crate that reads the environment, and the reason why no release build has it.

use std::sync::OnceLock;

#[cfg(not(debug_assertions))]
compile_error!("the feature `mutation` takes guards away: no release build may have it");

/// Names the guard that is taken away.
const VARIABLE: &str = "PGHA_TEST_WITHOUT_GUARD";

pub(super) fn is_removed(id: &str) -> bool {
    static REMOVED: OnceLock<Option<String>> = OnceLock::new();
    #[expect(
        clippy::disallowed_methods,
        reason = "a switch for tests, which reaches every test binary by the environment alone"
    )]
    let removed = REMOVED.get_or_init(|| std::env::var(VARIABLE).ok());
    removed.as_deref() == Some(id)
}
