//! How a pooler stands, as its admin console says.

use std::time::Duration;

/// How a pooler stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// Its version, as it says it.
    pub version: String,
    /// The databases of its settings.
    pub databases: Vec<Database>,
    /// How long a client waits before it gets an error; `None` where it waits for ever (`query_wait_timeout`).
    pub patience: Option<Duration>,
}

/// A database of a pooler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    /// As the pooler calls it.
    pub name: String,
    /// Where it leads.
    pub host: String,
    /// When a server is given to another client: `transaction`, `statement` or `session`.
    pub mode: String,
    /// Whether its clients wait.
    pub is_paused: bool,
    /// How many clients wait for a server at this moment.
    pub waiting: u64,
}

impl Database {
    /// Whether a pause can end: in session pooling it waits until each client has gone (PgBouncer documentation, Usage, PAUSE).
    pub fn can_pause(&self) -> bool {
        self.mode != "session"
    }
}
