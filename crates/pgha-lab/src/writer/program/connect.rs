//! Connections to Postgres: TLS as PGO demands it, and short timeouts everywhere.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::Severity;
use tokio_postgres::{Client, Row, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::writer::Config;

/// How long a connection may take, with TLS and login.
const CONNECT: Duration = Duration::from_secs(1);
/// How long a statement may take.
const STATEMENT: Duration = Duration::from_secs(1);

const WHO: &str = "select host(inet_server_addr()), pg_postmaster_start_time()::text, \
                   pg_is_in_recovery()";
const IN_RECOVERY: &str = "select pg_is_in_recovery()";
/// The row tells where it stands in the log, which names what was lost if it ever is missing.
const INSERT: &str = "insert into pgha_writer.rows (run, lane, seq) values ($1, $2, $3) \
                      returning left(pg_walfile_name(pg_current_wal_insert_lsn()), 8), \
                      pg_current_wal_insert_lsn()::text";

/// Makes connections.
pub(super) struct Connector {
    tls: MakeRustlsConnect,
    login: tokio_postgres::Config,
}

/// A kept connection.
pub(super) struct Link {
    client: Client,
    /// Drives the connection; dropped with it, which closes the socket at once.
    _driver: JoinSet<()>,
    in_recovery: Statement,
    insert: Option<Statement>,
    /// The server's own address.
    pub(super) server: String,
    /// When its postmaster started.
    pub(super) started: String,
    /// Whether it was in recovery when asked last.
    pub(super) is_in_recovery: bool,
}

/// How a statement ended that did not succeed.
pub(super) enum Refusal {
    /// The server rolled it back and said so, with this SQLSTATE; the connection is whole.
    Said(String),
    /// The connection is lost or unusable: it may have been committed or not.
    Lost(String),
}

impl Connector {
    /// From the writer's configuration.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub(super) fn new(config: &Config) -> Result<Self> {
        let provider = Arc::new(ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .context("cannot set up TLS")?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyServer(provider)))
            .with_no_client_auth();
        let mut login = tokio_postgres::Config::new();
        login
            .user(&config.user)
            .password(&config.password)
            .dbname(&config.database);
        login
            .ssl_mode(SslMode::Require)
            .application_name("pgha-writer")
            .connect_timeout(CONNECT);
        Ok(Self {
            tls: MakeRustlsConnect::new(tls),
            login,
        })
    }

    /// Connects to `address` (host and port).
    ///
    /// # Errors
    /// What went wrong, in words.
    pub(super) async fn connect(&self, address: &str) -> Result<Link, String> {
        match timeout(CONNECT, self.connect_patiently(address)).await {
            Ok(connected) => connected,
            Err(_) => Err("no connection in time".to_owned()),
        }
    }

    async fn connect_patiently(&self, address: &str) -> Result<Link, String> {
        let (host, port) = address.rsplit_once(':').ok_or("the address has no port")?;
        let mut login = self.login.clone();
        login
            .host(host)
            .port(port.parse().map_err(|_| "the port is no number")?);
        let (client, connection) = login
            .connect(self.tls.clone())
            .await
            .map_err(|e| words(&e))?;
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            // How it ended is told by the statement that it ended under.
            drop(connection.await);
        });
        let who = client.query_one(WHO, &[]).await.map_err(|e| words(&e))?;
        let in_recovery = client.prepare(IN_RECOVERY).await.map_err(|e| words(&e))?;
        // On a standby that has not replayed the table yet this fails; it is tried again later.
        let insert = client.prepare(INSERT).await.ok();
        let (server, started): (Option<String>, String) = (text(&who, 0)?, text(&who, 1)?);
        let (server, is_in_recovery) = (server.unwrap_or_default(), text(&who, 2)?);
        Ok(Link {
            client,
            _driver: driver,
            in_recovery,
            insert,
            server,
            started,
            is_in_recovery,
        })
    }
}

impl Link {
    /// Asks whether the server is in recovery.
    pub(super) async fn ask(&mut self) -> Result<bool, Refusal> {
        let row = in_time(self.client.query_one(&self.in_recovery, &[])).await?;
        self.is_in_recovery = text(&row, 0).map_err(Refusal::Lost)?;
        Ok(self.is_in_recovery)
    }

    /// Writes one row, and returns timeline and position as the server prints them.
    pub(super) async fn insert(
        &mut self,
        run: &str,
        lane: i64,
        seq: i64,
    ) -> Result<(String, String), Refusal> {
        let statement = match &self.insert {
            Some(statement) => statement.clone(),
            None => in_time(self.client.prepare(INSERT)).await?,
        };
        let row = in_time(self.client.query_one(&statement, &[&run, &lane, &seq])).await?;
        self.insert = Some(statement);
        Ok((
            text(&row, 0).map_err(Refusal::Lost)?,
            text(&row, 1).map_err(Refusal::Lost)?,
        ))
    }

    /// Runs statements without parameters.
    pub(super) async fn run(&self, statements: &str) -> Result<(), Refusal> {
        in_time(self.client.batch_execute(statements)).await
    }
}

async fn in_time<T>(
    statement: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, Refusal> {
    match timeout(STATEMENT, statement).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(refusal(&error)),
        Err(_) => Err(Refusal::Lost("no answer in time".to_owned())),
    }
}

/// Only an ERROR is a no: it ends the transaction and keeps the session. FATAL and PANIC end the
/// session and can come after the commit (PostgreSQL documentation, "Message Severity Levels").
fn refusal(error: &tokio_postgres::Error) -> Refusal {
    match error.as_db_error() {
        Some(said) if said.parsed_severity() == Some(Severity::Error) => {
            Refusal::Said(said.code().code().to_owned())
        }
        Some(_) | None => Refusal::Lost(words(error)),
    }
}

fn text<'a, T: tokio_postgres::types::FromSql<'a>>(
    row: &'a Row,
    column: usize,
) -> Result<T, String> {
    row.try_get(column).map_err(|error| words(&error))
}

/// The error with its causes, for the ledger.
fn words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        words = format!("{words}: {inner}");
        cause = inner.source();
    }
    words
}

/// Accepts every server: the lab's authorities are made anew each time, and what is measured is
/// when rows are acknowledged, not by whom. Signatures are still checked, as a handshake must be.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
