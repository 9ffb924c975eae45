//! The clients' process.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, timeout};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use super::{Config, Report};

/// How often each writes.
const PAUSE: Duration = Duration::from_millis(4);
/// How long the last answers may take.
const GRACE: Duration = Duration::from_mins(2);
/// Errors that are written down; the others are counted by what is missing.
const MOST_ERRORS: usize = 20;

const TABLE: &str = "create schema if not exists pgha_pooled; \
                     create table if not exists pgha_pooled.rows (run text not null, client bigint not null, seq bigint not null)";

/// What is known so far.
struct Shared {
    config: Config,
    run: String,
    report: Mutex<Report>,
}

/// Runs the clients until SIGTERM.
///
/// # Errors
/// The table cannot be made, or the report not be written.
pub async fn run(config: Config) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let run = format!("{}", std::process::id());
    let first = connect(&config).await?;
    first
        .client
        .simple_query(TABLE)
        .await
        .context("cannot make the table")?;
    let (stop, stopped) = watch::channel(false);
    let shared = Arc::new(Shared {
        config,
        run,
        report: Mutex::default(),
    });
    let mut clients = JoinSet::new();
    for number in 0..shared.config.clients {
        clients.spawn(write_rows(Arc::clone(&shared), number, stopped.clone()));
    }
    let mut ticks = interval(PAUSE);
    while shared.report.lock().await.acknowledged < u64::from(shared.config.clients) {
        ticks.tick().await;
    }
    shared.write().await?;
    terminate.recv().await;
    stop.send_replace(true);
    let ended = timeout(GRACE, async {
        while clients.join_next().await.is_some() {}
    })
    .await;
    if ended.is_err() {
        shared
            .note_error("a client was still waiting at the end".to_owned())
            .await;
    }
    shared.report.lock().await.present = present(&shared).await?;
    shared.write().await
}

/// A connection, and what drives it.
struct Link {
    client: Client,
    /// Dropped with it, which closes the socket.
    _driver: JoinSet<()>,
}

async fn connect(config: &Config) -> Result<Link> {
    let (host, port) = config
        .address
        .rsplit_once(':')
        .context("the address has no port")?;
    let mut login = tokio_postgres::Config::new();
    login
        .host(host)
        .port(port.parse()?)
        .dbname(&config.database);
    login.user(&config.user).password(&config.password);
    let (client, connection) = login.connect(NoTls).await?;
    let mut driver = JoinSet::new();
    driver.spawn(async move {
        // How it ended is told by the statement that it ended under.
        drop(connection.await);
    });
    Ok(Link {
        client,
        _driver: driver,
    })
}

async fn write_rows(shared: Arc<Shared>, number: u32, stopped: watch::Receiver<bool>) {
    let mut link = None;
    let mut ticks = interval(PAUSE);
    for seq in 0_u64.. {
        ticks.tick().await;
        if *stopped.borrow() {
            return;
        }
        let begun = Instant::now();
        let written = write_row(&shared, &mut link, number, seq).await;
        let waited = begun.elapsed().as_secs_f64() * 1000.0;
        if let Err(error) = written {
            link = None;
            shared.note_error(format!("{error:#}")).await;
            continue;
        }
        let mut report = shared.report.lock().await;
        report.acknowledged += 1;
        report.longest_wait_ms = report.longest_wait_ms.max(waited);
    }
}

async fn write_row(shared: &Shared, link: &mut Option<Link>, number: u32, seq: u64) -> Result<()> {
    if link.is_none() {
        *link = Some(connect(&shared.config).await?);
    }
    let run = &shared.run;
    let insert = format!("insert into pgha_pooled.rows values ('{run}', {number}, {seq})");
    let link = link.as_ref().context("no connection")?;
    link.client.simple_query(&insert).await?;
    Ok(())
}

async fn present(shared: &Shared) -> Result<u64> {
    let link = connect(&shared.config).await?;
    let run = &shared.run;
    let count = format!("select count(*) from pgha_pooled.rows where run = '{run}'");
    let rows = link.client.simple_query(&count).await?;
    let count = rows.iter().find_map(|message| {
        let SimpleQueryMessage::Row(row) = message else {
            return None;
        };
        row.get(0)?.parse().ok()
    });
    count.context("no count")
}

impl Shared {
    async fn note_error(&self, error: String) {
        let mut report = self.report.lock().await;
        if report.errors.len() < MOST_ERRORS {
            report.errors.push(error);
        }
    }

    /// Replaces the report as a whole.
    async fn write(&self) -> Result<()> {
        let text = serde_json::to_vec(&*self.report.lock().await)?;
        let part = self.config.report.with_extension("part");
        std::fs::write(&part, text)?;
        Ok(std::fs::rename(&part, &self.config.report)?)
    }
}
