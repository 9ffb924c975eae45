//! A connection that nobody has used before.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use pgha_nlb::text::one_line;
use ring::digest::{SHA256, digest};
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use webpki::EndEntityCert;

use crate::{Family, HttpProbe};

pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A stream to the server, and the digest of its key over TLS.
pub(crate) struct Connection {
    pub(crate) stream: Box<dyn Stream>,
    pub(crate) key: Option<String>,
}

/// Who is believed, and that no session is taken up again.
pub(crate) fn tls(ca_file: Option<&Path>) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(path) => {
            let read = CertificateDer::pem_file_iter(path)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>);
            let certificates = read.map_err(|error| format!("{}: {error}", path.display()))?;
            if roots.add_parsable_certificates(certificates).0 == 0 {
                return Err(format!("{} holds no certificate", path.display()));
            }
        }
        None => {
            // What the system has and nobody can read is as good as not there.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| error.to_string())?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// SHA-256 of a certificate's subject public key info, in hexadecimal digits.
///
/// # Errors
/// It is no certificate; why.
pub fn spki_sha256(certificate: &[u8]) -> Result<String, String> {
    let der = CertificateDer::from(certificate);
    let parsed = EndEntityCert::try_from(&der).map_err(|error| error.to_string())?;
    Ok(hex::encode(digest(
        &SHA256,
        &parsed.subject_public_key_info(),
    )))
}

impl HttpProbe {
    /// The address to ask, looked up anew.
    pub(crate) async fn address(&self) -> Result<SocketAddr, String> {
        let name = match &self.settings.connect_to {
            Some(other) => other.clone(),
            None => format!("{}:{}", self.host, self.port),
        };
        let fits = |address: &SocketAddr| match self.settings.family {
            Family::V4 => address.is_ipv4(),
            Family::V6 => address.is_ipv6(),
        };
        let found = lookup_host(&name).await;
        let mut found = found.map_err(|error| format!("{name} cannot be looked up: {error}."))?;
        found
            .find(fits)
            .ok_or_else(|| format!("{name} has no address of this family."))
    }

    pub(crate) async fn connect(&self, address: SocketAddr) -> Result<Connection, String> {
        let stream = TcpStream::connect(address).await;
        let stream = stream.map_err(|error| format!("No connection to {address}: {error}."))?;
        let Some(config) = &self.tls else {
            return Ok(Connection {
                stream: Box::new(stream),
                key: None,
            });
        };
        let host = self.host.trim_matches(['[', ']']).to_owned();
        let name =
            ServerName::try_from(host).map_err(|error| format!("{}: {error}.", self.host))?;
        let connector = TlsConnector::from(Arc::clone(config));
        let stream = connector.connect(name, stream).await;
        let stream = stream
            .map_err(|error| format!("No TLS with {address}: {}.", one_line(&error.to_string())))?;
        let key = key_of(&stream)?;
        Ok(Connection {
            stream: Box::new(stream),
            key: Some(key),
        })
    }
}

fn key_of(stream: &TlsStream<TcpStream>) -> Result<String, String> {
    let certificates = stream.get_ref().1.peer_certificates();
    let leaf = certificates
        .and_then(<[_]>::first)
        .ok_or("The server shows no certificate.")?;
    spki_sha256(leaf).map_err(|error| format!("The server's certificate cannot be read: {error}."))
}
