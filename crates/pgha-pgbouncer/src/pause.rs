//! Having clients wait, and go on, without an error.
//!
//! `PAUSE` closes a connection to Postgres that is being opened at that moment, and `PgBouncer` takes it for one that failed: the pool
//! then opens none for `server_login_retry` (15 s), and who connects to it meanwhile gets an error (pgbouncer/pgbouncer, pull request
//! 420; seen with 1.18.0). So a pause that met one is taken back until it has come about, and tried again. The same goes for a first
//! connection after the pause, which a service that has just moved may refuse.

use std::time::Duration;

use tokio_postgres::SimpleQueryRow;

use crate::admin::{Admin, Wrong, text};
use crate::{Pooler, PoolerError};

/// How often a pause is tried.
const TRIES: usize = 3;

/// A connection that takes longer is none that was only met at a bad moment.
const LOGIN: Duration = Duration::from_secs(2);

/// How often it is looked after.
const LOOK: Duration = Duration::from_millis(10);

/// For the console to answer beside that, so that what was set is put back.
const CONSOLE: Duration = Duration::from_secs(2);

/// How long a pool waits after a failed login meanwhile, in seconds: what a killed tool leaves behind until the pooler reads its
/// configuration again must not flood a Postgres that is down.
const RETRY: &str = "0.05";

const RETRY_SETTING: &str = "server_login_retry";

/// Which of a database's pools have to be let in by Postgres.
#[derive(Clone, Copy)]
enum Wanted {
    /// Each in which a client waits.
    Every,
    /// One, if a client waits at all: what is shared out among many users may not reach each of them at once.
    One,
}

impl Pooler {
    /// Has new transactions of its databases wait, and waits until those under way have ended. Whatever comes of it, somebody has to
    /// [`resume`](Self::resume) afterwards.
    ///
    /// # Errors
    /// Transactions were still under way after that time, connections to Postgres were being opened again and again, or it was not
    /// seen to pause: its clients may wait.
    pub async fn pause(&self, within: Duration) -> Result<(), PoolerError> {
        for _ in 0..TRIES {
            let is_clean = self.bounded("pause", within, self.try_pause()).await?;
            if is_clean {
                return Ok(());
            }
            self.bounded("pause", LOGIN + CONSOLE, self.let_log_in())
                .await?;
        }
        let busy = async {
            Err(Wrong::new(format!(
                "each of {TRIES} pauses met a connection to Postgres that was being opened"
            )))
        };
        self.bounded("pause", within, busy).await
    }

    /// Whether no connection to Postgres was being opened when it came.
    async fn try_pause(&self) -> Result<bool, Wrong> {
        let mut admin = self.enter().await?;
        for database in &self.settings.databases {
            let pools = admin.pools_at("PAUSE", database).await?;
            if of(&pools, database).any(|pool| count(pool, "sv_login") > 0) {
                return Ok(false);
            }
        }
        self.check_paused(&mut admin, true).await?;
        Ok(true)
    }

    /// Takes a pause back until the connections that it met have come about.
    async fn let_log_in(&self) -> Result<(), Wrong> {
        let mut admin = self.enter().await?;
        let paused = self.names(&mut admin, true).await?;
        self.resume_and_wait(&mut admin, &paused, Wanted::Every)
            .await
    }

    /// Lets its clients go on where they wait, and waits until a first connection to Postgres has come about for each database: one
    /// that is refused is tried again at once.
    ///
    /// # Errors
    /// It was not seen to resume, or it did and Postgres has not let it in within seconds: its clients may wait still.
    pub async fn resume(&self, within: Duration) -> Result<(), PoolerError> {
        let within = within.max(LOGIN + CONSOLE);
        self.bounded("resume", within, async {
            let mut admin = self.enter().await?;
            let paused = self.names(&mut admin, true).await?;
            if paused.is_empty() {
                return Ok(());
            }
            self.resume_and_wait(&mut admin, &paused, Wanted::One)
                .await?;
            self.check_paused(&mut admin, false).await
        })
        .await
    }

    async fn resume_and_wait(
        &self,
        admin: &mut Admin,
        paused: &[String],
        wanted: Wanted,
    ) -> Result<(), Wrong> {
        let [before] = admin.settings([RETRY_SETTING]).await?;
        admin.run(&set_retry(RETRY)).await?;
        let mut looks = tokio::time::interval(LOOK);
        let resumed = async {
            for database in paused {
                admin.command("RESUME", database).await?;
            }
            while !self.is_let_in(admin, wanted).await? {
                looks.tick().await;
            }
            Ok(())
        };
        let resumed = tokio::time::timeout(LOGIN, resumed).await;
        admin.run(&put_back(&before)).await?;
        resumed.unwrap_or_else(|_elapsed| {
            let text = format!(
                "it has resumed, and no connection to Postgres came about within {} s",
                LOGIN.as_secs()
            );
            Err(Wrong::new(text))
        })
    }

    async fn is_let_in(&self, admin: &mut Admin, wanted: Wanted) -> Result<bool, Wrong> {
        let pools = admin.rows("SHOW POOLS").await?;
        let mut own = self.settings.databases.iter();
        Ok(own.all(|name| match wanted {
            Wanted::Every => of(&pools, name).all(is_open),
            Wanted::One => {
                let is_wanted = of(&pools, name).any(|pool| count(pool, "cl_waiting") > 0);
                !is_wanted || of(&pools, name).any(has_one)
            }
        }))
    }
}

fn set_retry(seconds: &str) -> String {
    format!("SET {RETRY_SETTING} = '{seconds}'")
}

/// Where a tool was killed, or another one is at it, the setting is ours already: only the pooler's configuration has what it was.
fn put_back(before: &str) -> String {
    if before.parse::<f64>() == RETRY.parse() {
        "RELOAD".to_owned()
    } else {
        set_retry(before)
    }
}

fn of<'a>(pools: &'a [SimpleQueryRow], database: &str) -> impl Iterator<Item = &'a SimpleQueryRow> {
    pools
        .iter()
        .filter(move |pool| text(pool, "database") == database)
}

/// Whether nobody waits for a first connection.
fn is_open(pool: &SimpleQueryRow) -> bool {
    count(pool, "sv_login") == 0 && (has_one(pool) || count(pool, "cl_waiting") == 0)
}

/// Whether it has a connection to Postgres.
fn has_one(pool: &SimpleQueryRow) -> bool {
    let servers = ["sv_active", "sv_idle", "sv_used", "sv_tested"];
    servers.iter().any(|state| count(pool, state) > 0)
}

fn count(pool: &SimpleQueryRow, column: &str) -> u64 {
    text(pool, column).parse().unwrap_or_default()
}
