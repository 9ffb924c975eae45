//! The admin console of a pooler.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{Fuse, FutureExt as _};
use pgha_nlb::text::one_line;
use pgha_wire::{read_key, tls};
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage, SimpleQueryRow, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::{Database, Look, Pooler};

/// The database that is no database.
const CONSOLE: &str = "pgbouncer";

/// Why a pooler did not do what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot {tried} pooler {pooler} at {address}: {because}")]
pub struct PoolerError {
    /// What was tried, as a verb.
    pub tried: &'static str,
    /// Which pooler.
    pub pooler: String,
    /// Where it is.
    pub address: String,
    /// What went wrong, as a clause.
    pub because: String,
}

/// What went wrong, as a clause.
pub(crate) struct Wrong(String);

/// A connection to the admin console.
pub(crate) struct Admin {
    client: Client,
    /// Is driven while something is asked, and by nobody else: what is asked at once leaves at once.
    connection: Fuse<Pin<Box<Driver>>>,
}

type Driver = dyn Future<Output = Result<(), tokio_postgres::Error>> + Send;

impl Wrong {
    pub(crate) fn new(because: String) -> Self {
        Self(because)
    }
}

impl From<tokio_postgres::Error> for Wrong {
    fn from(error: tokio_postgres::Error) -> Self {
        Self(said(&error))
    }
}

/// What the pooler says, else the innermost cause; neither holds a password.
fn said(error: &tokio_postgres::Error) -> String {
    if let Some(said) = error.as_db_error() {
        return one_line(said.message());
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    one_line(&cause.to_string())
}

impl Pooler {
    /// Does it within the time; an error says what was tried of whom.
    pub(crate) async fn bounded<T>(
        &self,
        tried: &'static str,
        within: Duration,
        work: impl Future<Output = Result<T, Wrong>>,
    ) -> Result<T, PoolerError> {
        let done = tokio::time::timeout(within, work).await;
        let done = done.unwrap_or_else(|_elapsed| {
            let within = within.as_secs_f64();
            Err(Wrong(format!("that was not done within {within:.1} s")))
        });
        done.map_err(|Wrong(because)| PoolerError {
            tried,
            pooler: self.name().to_owned(),
            address: self.settings.address.clone(),
            because,
        })
    }

    pub(crate) async fn enter(&self) -> Result<Admin, Wrong> {
        let Some((host, port)) = self.host_and_port() else {
            return Err(Wrong("its address is no HOST:PORT".to_owned()));
        };
        let mut config = Config::new();
        config.host(host).port(port).dbname(CONSOLE);
        config.user(&self.settings.user).application_name("pgha");
        if let Some(file) = &self.settings.password_file {
            let password = read_key(file).map_err(Wrong)?;
            config.password(password.trim_end_matches(['\r', '\n']));
        }
        let Some(wanted) = &self.settings.tls else {
            config.ssl_mode(tokio_postgres::config::SslMode::Disable);
            return connect(&config, NoTls).await;
        };
        config.ssl_mode(tokio_postgres::config::SslMode::Require);
        let shared = tls(wanted.ca_file.as_deref()).map_err(Wrong)?;
        let mut of_postgres = Arc::unwrap_or_clone(shared);
        // What is spoken here is not HTTP.
        of_postgres.alpn_protocols.clear();
        connect(&config, MakeRustlsConnect::new(of_postgres)).await
    }

    pub(crate) async fn look_by(&self, admin: &mut Admin) -> Result<Look, Wrong> {
        let version = admin.rows("SHOW VERSION").await?;
        let version = version.first().map(|row| text(row, "version"));
        let [mode, patience] = admin.settings(["pool_mode", "query_wait_timeout"]).await?;
        let patience = patience.parse::<f64>().ok();
        let pools = admin.rows("SHOW POOLS").await?;
        let own = self.own_rows(admin).await?;
        Ok(Look {
            version: version.unwrap_or_default(),
            databases: own.iter().map(|row| database(row, &pools, &mode)).collect(),
            patience: patience
                .filter(|seconds| *seconds > 0.0)
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
        })
    }

    /// What the console says of each database of the settings. Clients may be waiting for it: nothing else is asked.
    async fn own_rows(&self, admin: &mut Admin) -> Result<Vec<SimpleQueryRow>, Wrong> {
        let mut databases = admin.rows("SHOW DATABASES").await?;
        let own = self.settings.databases.iter().map(|name| {
            let place = databases.iter().position(|row| text(row, "name") == *name);
            let place = place.ok_or_else(|| Wrong(format!("it has no database {name}")))?;
            Ok(databases.swap_remove(place))
        });
        own.collect()
    }

    /// The first database that does not lead to this host, with the one where it does.
    pub(crate) async fn elsewhere(
        &self,
        admin: &mut Admin,
        host: &str,
    ) -> Result<Option<(String, String)>, Wrong> {
        let rows = self.own_rows(admin).await?;
        let mut hosts = rows
            .iter()
            .map(|row| (text(row, "name"), text(row, "host")));
        Ok(hosts.find(|(_, own)| own != host))
    }

    /// The names of the databases that are paused, or of those that are not.
    pub(crate) async fn names(
        &self,
        admin: &mut Admin,
        paused: bool,
    ) -> Result<Vec<String>, Wrong> {
        let rows = self.own_rows(admin).await?;
        let those = rows.iter().filter(|row| is_paused(row) == paused);
        Ok(those.map(|row| text(row, "name")).collect())
    }

    /// Refuses to believe a command whose effect does not show.
    pub(crate) async fn check_paused(&self, admin: &mut Admin, wanted: bool) -> Result<(), Wrong> {
        match self.names(admin, !wanted).await?.first() {
            None => Ok(()),
            Some(other) => {
                let not = if wanted { "not paused" } else { "paused still" };
                Err(Wrong(format!("its database {other} is {not}")))
            }
        }
    }
}

async fn connect<T>(config: &Config, tls: T) -> Result<Admin, Wrong>
where
    T: MakeTlsConnect<Socket>,
    T::Stream: Send + 'static,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    let (client, connection) = config.connect(tls).await?;
    let connection: Pin<Box<Driver>> = Box::pin(connection);
    Ok(Admin {
        client,
        connection: connection.fuse(),
    })
}

/// What is asked by the connection, which has to be driven for it.
async fn drive<T>(
    connection: &mut Fuse<Pin<Box<Driver>>>,
    asked: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, Wrong> {
    tokio::select! {
        biased;
        answer = asked => Ok(answer?),
        ended = connection => {
            ended?;
            Err(Wrong::new("it has closed the connection".to_owned()))
        }
    }
}

impl Admin {
    /// A command about a database.
    pub(crate) async fn command(&mut self, verb: &str, database: &str) -> Result<(), Wrong> {
        self.run(&about(verb, database)).await
    }

    pub(crate) async fn run(&mut self, command: &str) -> Result<(), Wrong> {
        drive(&mut self.connection, self.client.simple_query(command)).await?;
        Ok(())
    }

    /// How the pools stand at the moment in which this command about a database begins: both leave in one write, and `PgBouncer`
    /// handles what it has read before it turns to anything else.
    pub(crate) async fn pools_at(
        &mut self,
        verb: &str,
        database: &str,
    ) -> Result<Vec<SimpleQueryRow>, Wrong> {
        let command = about(verb, database);
        let pools = self.client.simple_query("SHOW POOLS");
        let both = futures::future::try_join(pools, self.client.simple_query(&command));
        let (pools, _) = drive(&mut self.connection, both).await?;
        Ok(rows(pools))
    }

    pub(crate) async fn rows(&mut self, query: &str) -> Result<Vec<SimpleQueryRow>, Wrong> {
        let answer = drive(&mut self.connection, self.client.simple_query(query)).await?;
        Ok(rows(answer))
    }

    /// The values of settings; empty where this version has none of the name.
    pub(crate) async fn settings<const N: usize>(
        &mut self,
        keys: [&str; N],
    ) -> Result<[String; N], Wrong> {
        let config = self.rows("SHOW CONFIG").await?;
        Ok(keys.map(|key| {
            let row = config.iter().find(|row| text(row, "key") == key);
            row.map(|row| text(row, "value")).unwrap_or_default()
        }))
    }
}

fn about(verb: &str, database: &str) -> String {
    format!("{verb} \"{}\"", database.replace('"', "\"\""))
}

fn rows(answer: Vec<SimpleQueryMessage>) -> Vec<SimpleQueryRow> {
    let mut rows = Vec::new();
    for message in answer {
        if let SimpleQueryMessage::Row(row) = message {
            rows.push(row);
        }
    }
    rows
}

pub(crate) fn text(row: &SimpleQueryRow, column: &str) -> String {
    let has = row.columns().iter().any(|it| it.name() == column);
    let value = if has { row.get(column) } else { None };
    one_line(value.unwrap_or_default())
}

fn is_paused(row: &SimpleQueryRow) -> bool {
    text(row, "paused") == "1"
}

fn database(row: &SimpleQueryRow, pools: &[SimpleQueryRow], mode: &str) -> Database {
    let name = text(row, "name");
    let own = text(row, "pool_mode");
    let of_it = pools.iter().filter(|pool| text(pool, "database") == name);
    let waiting = of_it.filter_map(|pool| text(pool, "cl_waiting").parse::<u64>().ok());
    Database {
        host: text(row, "host"),
        mode: if own.is_empty() { mode.to_owned() } else { own },
        is_paused: is_paused(row),
        waiting: waiting.sum(),
        name,
    }
}
