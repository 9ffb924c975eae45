//! What all lanes share.

use tokio::sync::watch;

use super::connect::Connector;
use super::journal::Journal;
use crate::writer::Config;

/// What all lanes share.
pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) connector: Connector,
    pub(super) journal: Journal,
    /// Turns true when the writer shall end.
    pub(super) stopped: watch::Receiver<bool>,
    /// For each site, the address of the server that took a row last.
    writable: Vec<watch::Sender<Option<String>>>,
}

impl Shared {
    pub(super) fn new(
        config: Config,
        connector: Connector,
        journal: Journal,
        stopped: watch::Receiver<bool>,
    ) -> Self {
        let writable = config
            .sites
            .iter()
            .map(|_| watch::Sender::new(None))
            .collect();
        Self {
            config,
            connector,
            journal,
            stopped,
            writable,
        }
    }

    /// Tells that a server of the site took a row.
    pub(super) fn tell_writable(&self, site: usize, server: &str) {
        self.writable[site].send_if_modified(|known| {
            let is_new = known.as_deref() != Some(server);
            if is_new {
                *known = Some(server.to_owned());
            }
            is_new
        });
    }

    /// Tells that a server of the site takes no rows any more.
    pub(super) fn tell_not_writable(&self, site: usize, server: &str) {
        self.writable[site].send_if_modified(|known| {
            let was_it = known.as_deref() == Some(server);
            if was_it {
                *known = None;
            }
            was_it
        });
    }

    /// Whether another server of the site than this one takes rows.
    pub(super) fn is_writable_elsewhere(&self, site: usize, server: &str) -> bool {
        self.writable[site]
            .borrow()
            .as_deref()
            .is_some_and(|known| known != server)
    }
}
