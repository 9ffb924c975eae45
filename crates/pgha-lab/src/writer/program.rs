//! The writer's process: lanes that write by themselves, a beat, a status, and an orderly end.
//!
//! A lane is one path (a site's service or one member) with a connection and row numbers of its
//! own, so a path that hangs holds up nothing else. Nothing is ever written twice: a row whose
//! answer was lost stays unknown, and the next one has the next number.

mod connect;
mod journal;
mod lane;
mod members;
mod setup;
mod shared;
mod status;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use pgha_judge::Purpose;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, timeout_at};

use self::connect::Connector;
use self::journal::Journal;
use self::lane::Lane;
use self::shared::Shared;
use super::Config;

/// How often the probe writes a row.
const PROBE: Duration = Duration::from_millis(5);
/// How often each member is tried.
const MEMBER: Duration = Duration::from_millis(20);
/// How often the writer notes that it runs. Ten times the probe's interval: what it misses is
/// noise beside the gaps that are measured.
const BEAT: Duration = Duration::from_millis(50);
/// How long the lanes may take to end, a little more than a statement may.
const GRACE: Duration = Duration::from_secs(3);

/// Runs the writer until SIGTERM or SIGINT.
///
/// # Errors
/// The table cannot be made on either site, or the ledger cannot be written.
pub async fn run(config: Config) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let connector = Connector::new(&config)?;
    setup::ensure_table(&config, &connector).await?;
    let journal = Journal::create(&config.ledger())?;
    let (stop, stopped) = watch::channel(false);
    let shared = Arc::new(Shared::new(config, connector, journal, stopped));
    let mut tasks = JoinSet::new();
    start_service_lanes(&shared, &mut tasks);
    tasks.spawn(members::follow(Arc::clone(&shared)));
    tasks.spawn(beat(Arc::clone(&shared)));
    tasks.spawn(status::report(Arc::clone(&shared)));
    let ended = tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        failed = first_failure(&mut tasks) => failed,
    };
    stop.send_replace(true);
    drain(tasks).await;
    shared.journal.finish()?;
    ended
}

fn start_service_lanes(shared: &Arc<Shared>, tasks: &mut JoinSet<Result<()>>) {
    let sites = 0..shared.config.sites.len();
    for site in sites.clone() {
        let address = shared.config.sites[site].service.clone();
        tasks.spawn(Lane::new(shared, Purpose::Probe, site, address, PROBE).run());
    }
    let Some(interval) = load_interval(&shared.config) else {
        return;
    };
    for _ in 0..shared.config.connections {
        for site in sites.clone() {
            let address = shared.config.sites[site].service.clone();
            tasks.spawn(Lane::new(shared, Purpose::Load, site, address, interval).run());
        }
    }
}

/// How often each load connection writes, so that all together write at the rate.
fn load_interval(config: &Config) -> Option<Duration> {
    let seconds = f64::from(config.connections) / f64::from(config.rate);
    (config.connections > 0 && config.rate > 0).then(|| Duration::from_secs_f64(seconds))
}

/// Notes that the writer runs, so that a silence of the servers can be told from one of its own.
async fn beat(shared: Arc<Shared>) -> Result<()> {
    let mut ticks = interval(BEAT);
    let mut stopped = shared.stopped.clone();
    loop {
        tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => return Ok(()),
            _ = ticks.tick() => shared.journal.beat()?,
        }
    }
}

/// Waits for the first task that ends badly; tasks that end well are forgotten.
async fn first_failure(tasks: &mut JoinSet<Result<()>>) -> Result<()> {
    while let Some(ended) = tasks.join_next().await {
        ended.context("a task of the writer panicked")??;
    }
    anyhow::bail!("every task of the writer ended by itself")
}

/// Lets every lane finish the row that it has sent; one that does not come back leaves it unknown.
async fn drain(mut tasks: JoinSet<Result<()>>) {
    let deadline = Instant::now() + GRACE;
    while let Ok(Some(_)) = timeout_at(deadline, tasks.join_next()).await {}
    tasks.shutdown().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(connections: u32, rate: u32) -> Config {
        let (user, password, database) = Default::default();
        let (folder, sites) = Default::default();
        Config {
            folder,
            user,
            password,
            database,
            connections,
            rate,
            sites,
        }
    }

    #[test]
    fn all_load_connections_together_write_at_the_rate() {
        let four = load_interval(&config(4, 200));
        assert_eq!(four, Some(Duration::from_millis(20)));
        assert_eq!(
            load_interval(&config(1, 200)),
            Some(Duration::from_millis(5))
        );
    }

    #[test]
    fn without_connections_or_rate_there_is_no_load() {
        assert_eq!(load_interval(&config(0, 200)), None);
        assert_eq!(load_interval(&config(4, 0)), None);
    }
}
