//! The writer's own table, made on whichever site is the primary.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::{Instant, interval};

use super::connect::{Connector, Refusal};
use crate::writer::Config;

/// How long to look for a primary.
const DEADLINE: Duration = Duration::from_secs(30);
/// How long to let a site be that did not take it.
const PAUSE: Duration = Duration::from_millis(200);

/// The pair of lane and number is unique by construction. There is no constraint that says so: a
/// duplicate that a broken move leaves behind must be seen, and not be kept out.
pub(super) const TABLE: &str = "create schema if not exists pgha_writer; \
    create table if not exists pgha_writer.rows \
    (run text not null, lane bigint not null, seq bigint not null)";

/// Makes the table on the first site that accepts it.
///
/// # Errors
/// No site accepted it in 30 s; the error holds what each said last.
pub(super) async fn ensure_table(config: &Config, connector: &Connector) -> Result<()> {
    let deadline = Instant::now() + DEADLINE;
    let mut ticks = interval(PAUSE);
    loop {
        ticks.tick().await;
        let mut complaints = Vec::new();
        for endpoint in &config.sites {
            match ensure_at(connector, &endpoint.service).await {
                Ok(()) => return Ok(()),
                Err(why) => complaints.push(format!("{}: {why}", endpoint.site)),
            }
        }
        if Instant::now() >= deadline {
            bail!("no site takes writes: {}", complaints.join("; "));
        }
    }
}

async fn ensure_at(connector: &Connector, address: &str) -> Result<(), String> {
    let link = connector.connect(address).await?;
    if link.is_in_recovery {
        return Err("it is in recovery".to_owned());
    }
    match link.run(TABLE).await {
        Ok(()) => Ok(()),
        Err(Refusal::Said(code)) => Err(format!("it refused to make the table, SQLSTATE {code}")),
        Err(Refusal::Lost(why)) => Err(why),
    }
}
