//! What becomes of the clients of poolers.

use pgha_nlb::SiteName;
use pgha_pgbouncer::Pooler;
use serde::Serialize;

use crate::ui::{Page, Span};

/// A pooler in a move.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PoolerView {
    name: String,
    address: String,
    databases: Vec<String>,
    site: SiteName,
    /// How long its clients may wait, in seconds; `None` where they do not.
    #[serde(skip_serializing_if = "Option::is_none")]
    longest_pause_seconds: Option<u64>,
    /// The host that it leads to afterwards; `None` where that is not its business.
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
}

impl PoolerView {
    /// Of a pooler whose clients go to a site, and wait before where it `pauses`.
    pub(crate) fn new(pooler: &Pooler, site: &SiteName, pauses: bool) -> Self {
        Self {
            name: pooler.name().to_owned(),
            address: pooler.settings().address.clone(),
            databases: pooler.settings().databases.clone(),
            site: site.clone(),
            longest_pause_seconds: pauses.then(|| pooler.longest_pause().as_secs()),
            host: pooler.host_of(site.as_str()).map(str::to_owned),
        }
    }

    /// Adds it to the page of the move.
    pub(crate) fn add_to(&self, page: &mut Page) {
        let of = format!("{} ({})", self.name, self.databases.join(", "));
        let site = &self.site;
        let text = match (self.longest_pause_seconds, &self.host) {
            (Some(longest), Some(host)) => format!(
                "The clients of pooler {of} wait from the fence until {site} is primary, {longest} s at most; then it leads to {host}."
            ),
            (Some(longest), None) => format!(
                "The clients of pooler {of} wait from the fence until {site} is primary, {longest} s at most."
            ),
            (None, Some(host)) => {
                format!("Pooler {of} leads to {host} once {site} is primary, and no client waits.")
            }
            (None, None) => format!("No client of pooler {of} waits once {site} is primary."),
        };
        page.line([Span::plain(text)]);
    }
}
