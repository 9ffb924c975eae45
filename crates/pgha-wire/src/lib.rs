//! What backends and probes share of the network and the disk: one HTTP exchange over a connection that nobody has used before,
//! a question to an API of JSON by such an exchange, and a key from a file of the user's own.
//!
//! An exchange is bounded in size, and its caller bounds it in time. No redirect is followed, and nothing is sent twice. What
//! goes wrong is told as a full sentence.

mod api;
mod key_file;

use std::path::Path;
use std::sync::Arc;

use http::uri::Scheme;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

pub use api::{Api, Auth, Kind, Question};
pub use key_file::{read_key, read_secret};

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// The server of a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its name or address as the URL has it.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether the URL begins with `https://`.
    pub is_tls: bool,
}

/// A connection that nobody has used before.
pub struct Connection {
    stream: Box<dyn Stream>,
    /// The server's own certificate, over TLS.
    pub certificate: Option<CertificateDer<'static>>,
}

/// Who is believed to sign a server's certificate: the authorities in a file, or the system's. No session is taken up again, and
/// only HTTP/1.1 is spoken.
///
/// # Errors
/// The file holds no certificate.
pub fn tls(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
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
    Ok(Arc::new(config))
}

impl Server {
    /// The server that a URL names.
    ///
    /// # Errors
    /// It is none of HTTP's, or holds a user name.
    pub fn of(url: &Uri) -> Result<Self, &'static str> {
        let host = url.host().ok_or("it names no host")?.to_owned();
        let authority = url.authority().map_or("", |authority| authority.as_str());
        if authority.contains('@') {
            return Err("it holds a user name");
        }
        let is_tls = match url.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return Err("it begins with http:// or https://"),
        };
        let port = match authority.strip_prefix(host.as_str()) {
            Some("") => Some(if is_tls { 443 } else { 80 }),
            Some(_) | None => url.port_u16(),
        };
        let port = port.ok_or("its port is none")?;
        Ok(Self { host, port, is_tls })
    }

    /// Its name or address, without the brackets that a URL has around one.
    pub fn name(&self) -> &str {
        self.host.trim_matches(['[', ']'])
    }

    /// Whether what is sent to it can be seen on a network.
    pub fn is_clear(&self) -> bool {
        let name = self.name();
        let address = name.parse::<std::net::IpAddr>();
        let is_loopback = name == "localhost" || address.is_ok_and(|it| it.is_loopback());
        !self.is_tls && !is_loopback
    }

    /// Connects to it, or to an address in its place. `ca_file` has those who are believed to sign its certificate; without it the
    /// system's are.
    ///
    /// # Errors
    /// There is no connection; why.
    pub async fn open(
        &self,
        ca_file: Option<&Path>,
        instead: Option<&str>,
    ) -> Result<Connection, String> {
        let tls = self.is_tls.then(|| tls(ca_file)).transpose()?;
        let own = format!("{}:{}", self.host, self.port);
        self.connect(instead.unwrap_or(&own), tls.as_ref()).await
    }

    /// Connects to an address in its place, `192.0.2.1:443`; over TLS where `tls` is given.
    ///
    /// # Errors
    /// There is no connection; why.
    pub async fn connect(
        &self,
        address: &str,
        tls: Option<&Arc<ClientConfig>>,
    ) -> Result<Connection, String> {
        let stream = TcpStream::connect(address).await;
        let stream = stream.map_err(|error| format!("No connection to {address}: {error}."))?;
        let Some(config) = tls else {
            return Ok(Connection {
                stream: Box::new(stream),
                certificate: None,
            });
        };
        let name = ServerName::try_from(self.name().to_owned());
        let name = name.map_err(|error| format!("{}: {error}.", self.host))?;
        let connector = TlsConnector::from(Arc::clone(config));
        let stream = connector.connect(name, stream).await;
        let stream = stream.map_err(|error| format!("No TLS with {address}: {error}."))?;
        let shown = stream.get_ref().1.peer_certificates();
        let certificate = shown.and_then(<[_]>::first).cloned();
        Ok(Connection {
            stream: Box::new(stream),
            certificate,
        })
    }
}

impl Connection {
    /// Sends a request, and reads the answer with at most so many bytes of a body.
    ///
    /// # Errors
    /// There is no answer, or it does not end well; why.
    pub async fn ask(
        self,
        request: Request<Full<Bytes>>,
        most: usize,
    ) -> Result<Response<Bytes>, String> {
        let told = |error: hyper::Error| format!("No HTTP: {error}.");
        let (mut sender, connection) = http1::handshake(TokioIo::new(self.stream))
            .await
            .map_err(told)?;
        let question = async move {
            let answer = sender.send_request(request).await.map_err(told)?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, most).collect().await;
            let body = body.map_err(|error| format!("The body does not end well: {error}."))?;
            Ok(Response::from_parts(head, body.to_bytes()))
        };
        // Whatever ends the connection badly ends the question badly too, and with the better words.
        tokio::join!(question, connection).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str) -> Result<Server, &'static str> {
        Server::of(&url.parse().unwrap())
    }

    #[test]
    fn a_url_names_its_server() {
        let server = server("https://[::1]/x").unwrap();
        assert_eq!(
            (server.name(), server.port, server.is_tls),
            ("::1", 443, true)
        );
        assert_eq!(self::server("http://a:8081").unwrap().port, 8081);
    }

    #[test]
    fn what_is_no_url_of_http_is_refused() {
        for (url, words) in [
            ("/x", "no host"),
            ("ftp://a", "begins with"),
            ("http://me:secret@a", "user name"),
            ("https://a:x/", "port is none"),
            ("https://a:70000/", "port is none"),
        ] {
            assert!(server(url).unwrap_err().contains(words), "{url}");
        }
    }
}
