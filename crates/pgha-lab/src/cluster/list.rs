//! Lists the clusters of both sites.

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::sql::{leader, members, patroni_status, pod_name, query};
use super::{Pair, create};
use crate::kubectl::Kubectl;
use crate::progress::Progress;
use crate::site::Site;

/// One cluster in one site.
#[derive(Clone, Debug)]
pub struct Row {
    /// Where it is.
    pub site: Site,
    /// The name of the `PostgresCluster`.
    pub name: String,
    /// Each member's pod with the role and state that its Patroni reports.
    pub members: Vec<String>,
}

/// What is there now.
///
/// # Errors
/// A site does not answer.
pub fn list() -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for site in Site::ALL {
        let kubectl = Kubectl::new(site);
        let list = kubectl.get(&["postgresclusters"])?;
        for object in list["items"].as_array().context("a list without items")? {
            let name = pod_name(object).to_owned();
            let members = members(kubectl, &name)?.iter().map(describe).collect();
            rows.push(Row {
                site,
                name,
                members,
            });
        }
    }
    Ok(rows)
}

/// Makes a pair unless a cluster of its name is there already, whatever that one is like.
///
/// # Errors
/// As [`list`] and [`create`].
pub fn ensure(pair: &Pair, progress: &Progress) -> Result<()> {
    if list()?.iter().any(|row| row.name == pair.name) {
        return Ok(());
    }
    create(pair, progress)
}

/// The site whose leader takes writes, by its Postgres' own word.
///
/// # Errors
/// No site's leader does, or both do.
pub fn primary_site(name: &str) -> Result<Site> {
    let takes_writes = |site: &Site| {
        let row = query_leader(*site, name, "select pg_is_in_recovery()");
        row.is_ok_and(|row| row.trim() == "f")
    };
    let primaries: Vec<_> = Site::ALL.into_iter().filter(takes_writes).collect();
    match primaries[..] {
        [site] => Ok(site),
        [] => bail!("no site's leader of {name} takes writes"),
        _ => bail!("both sites' leaders of {name} take writes"),
    }
}

/// Runs SQL on the member of a site that holds Patroni's lock.
pub fn query_leader(site: Site, name: &str, sql: &str) -> Result<String> {
    let kubectl = Kubectl::new(site);
    query(kubectl, &leader(kubectl, name)?, sql)
}

fn describe(pod: &Value) -> String {
    let status = patroni_status(pod);
    let field = |key: &str| status[key].as_str().unwrap_or("?").to_owned();
    format!(
        "{} {} {} (Patroni {})",
        pod_name(pod),
        field("role"),
        field("state"),
        field("version")
    )
}
