//! The suite that every backend passes against its real peer, before anybody trusts it.
//!
//! A backend crate implements [`Peer`] for its product and asserts that [`broken`] returns nothing. Each law gets a peer of
//! its own, so that they cannot help each other.

mod law;
pub mod stub;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;

use crate::cutover::Cutover;
use crate::error::CutoverError;
use crate::name::SiteName;
use crate::receipt::Receipt;

/// The time that each call of a backend gets in the suite.
pub const WITHIN: Duration = Duration::from_secs(20);

/// The root file system with the products that backends are tested against, which `cargo xtask test` makes and names; says
/// what a test is skipped for where there is none.
#[expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "where `cargo xtask test` put the peers, and a skipped test says so"
)]
pub fn peers(product: &str) -> Option<PathBuf> {
    let peers = std::env::var_os("PGHA_PEERS").map(PathBuf::from);
    if peers.is_none() {
        println!("skipped: no {product} (cargo xtask test has one)");
    }
    peers
}

/// A move to a site, as `traffic move` does it; each call gets the time.
///
/// # Errors
/// The backend's own.
///
/// # Panics
/// The plan is refused.
#[expect(clippy::unwrap_used, reason = "it fails the test that calls it")]
pub async fn moved(
    backend: &dyn Cutover,
    to: &str,
    within: Duration,
) -> Result<Receipt, CutoverError> {
    let seen = backend.observe(within).await?;
    let plan = backend.plan(&seen, &SiteName::from(to)).unwrap();
    backend.apply(&plan, within).await
}

/// A product with every route at [`home`](Peer::home), and what a test can do to it behind the backend's back.
#[async_trait]
pub trait Peer: Send + Sync {
    /// The backend for it.
    fn backend(&self) -> &dyn Cutover;

    /// The site where the users are.
    fn home(&self) -> SiteName;

    /// The site where they are to go.
    fn away(&self) -> SiteName;

    /// All that the backend may change, as the product itself tells it.
    async fn bytes(&self) -> Vec<u8>;

    /// How often the product was changed, where it counts that.
    async fn writes(&self) -> Option<u64> {
        None
    }

    /// Another writer changes the product, and leaves the routes where they are.
    async fn disturb(&self);

    /// A route leads to both sites.
    async fn split(&self);

    /// A route leads to no site that the backend knows.
    async fn blind(&self);

    /// Waits a moment between two looks whether a change has taken effect.
    async fn wait(&self) {}

    /// What must never be in a plan, a receipt, a message or a log.
    fn secrets(&self) -> Vec<String>;
}

/// A law that a backend does not keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The law, as the function in this crate is called.
    pub law: &'static str,
    /// What the backend did instead.
    pub because: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.law, self.because)
    }
}

/// Tries every law on a peer of its own, and returns those that are broken, in the order of the suite.
pub async fn broken<P: Peer>(make: impl AsyncFn() -> P) -> Vec<Broken> {
    let mut found = Vec::new();
    macro_rules! each {
        ($($law:ident),+ $(,)?) => {
            $(
                let peer = make().await;
                if let Err(because) = law::$law(&peer).await {
                    let law = stringify!($law);
                    found.push(Broken { law, because });
                }
            )+
        };
    }
    each!(
        looking_changes_nothing,
        an_apply_moves_every_route_and_settles,
        a_plan_after_an_apply_is_empty,
        an_empty_plan_changes_nothing,
        a_rollback_restores_the_bytes,
        a_rollback_from_the_journal_works,
        an_apply_that_is_repeated_changes_once,
        a_stale_fence_is_a_conflict,
        a_stale_receipt_is_a_conflict,
        what_is_split_is_refused,
        what_is_unknown_is_refused,
        a_site_without_a_value_is_refused,
        a_preparation_moves_nobody,
        no_secret_is_told,
    );
    found
}
