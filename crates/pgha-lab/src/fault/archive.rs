//! Breaks the archive for one site: the S3 store is there, but the site cannot use it.

use anyhow::Result;

use super::{add_rule, remove_rule};
use crate::site::{Place, S3_PORT, Site};

pub(super) const CHAIN: &str = "PGHA-ARCHIVE";

/// How the archive fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Break {
    /// Nothing answers: clients wait for their timeout.
    Silent,
    /// Connections are refused at once.
    Refused,
}

/// Breaks the archive for a site.
pub fn cut(site: Site, how: Break) -> Result<()> {
    heal(site)?;
    with_rule(site, how, add_rule)
}

/// Lets a site use the archive again.
pub fn heal(site: Site) -> Result<()> {
    with_rule(site, Break::Silent, remove_rule)?;
    with_rule(site, Break::Refused, remove_rule)
}

fn with_rule(site: Site, how: Break, act: impl Fn(&str, &[&str]) -> Result<()>) -> Result<()> {
    let (from, to) = (site.place().range(), Place::Edge.range());
    let port = S3_PORT.to_string();
    let mut rule = vec!["-s", &from, "-d", &to, "-p", "tcp", "--dport", &port, "-j"];
    rule.extend(match how {
        Break::Silent => &["DROP"][..],
        Break::Refused => &["REJECT", "--reject-with", "tcp-reset"],
    });
    act(CHAIN, &rule)
}
