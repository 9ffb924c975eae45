//! Servers on loopback that answer as a site would, and keep what they saw.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use pgha_nlb::{Probe as _, Sample};
use pgha_nlb_probe::{HttpProbe, Settings};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{HandshakeKind, ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

pub(crate) const WITHIN: Duration = Duration::from_secs(20);

/// What a server saw of one connection.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) request: String,
    pub(crate) handshake: Option<HandshakeKind>,
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

/// Answers every request with what `answer` makes of its first line. It ends with the process.
pub(crate) fn serve(
    listen: &str,
    tls: Option<Arc<ServerConfig>>,
    answer: impl Fn(&str) -> String + Send + 'static,
) -> Server {
    let listener = TcpListener::bind(listen).unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&seen);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { continue };
            // A client that hangs up early is no business of the next one.
            drop(one(stream, tls.as_ref(), &answer, &notes));
        }
    });
    Server { address, seen }
}

fn one(
    mut stream: TcpStream,
    tls: Option<&Arc<ServerConfig>>,
    answer: &dyn Fn(&str) -> String,
    notes: &Mutex<Vec<Seen>>,
) -> std::io::Result<()> {
    let Some(config) = tls else {
        let request = head(&mut stream)?;
        let note = Seen {
            request: request.clone(),
            handshake: None,
        };
        notes.lock().unwrap().push(note);
        return stream.write_all(answer(&request).as_bytes());
    };
    let connection = ServerConnection::new(Arc::clone(config)).unwrap();
    let mut stream = StreamOwned::new(connection, stream);
    let request = head(&mut stream)?;
    let note = Seen {
        request: request.clone(),
        handshake: stream.conn.handshake_kind(),
    };
    notes.lock().unwrap().push(note);
    stream.write_all(answer(&request).as_bytes())?;
    stream.conn.send_close_notify();
    stream.flush()
}

fn head(stream: &mut impl Read) -> std::io::Result<String> {
    let mut reader = BufReader::new(stream);
    let mut text = String::new();
    while !text.ends_with("\r\n\r\n") {
        if reader.read_line(&mut text)? == 0 {
            break;
        }
    }
    Ok(text)
}

/// A whole response.
pub(crate) fn response(headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

pub(crate) fn probe(settings: Value) -> HttpProbe {
    let settings: Settings = serde_json::from_value(settings).unwrap();
    HttpProbe::new(settings).unwrap()
}

pub(crate) async fn sample(settings: Value) -> Sample {
    probe(settings).sample(WITHIN).await
}

/// An authority of its own, and certificates that it signs.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A server's configuration, and the certificate in it.
    pub(crate) fn server(&self, name: &str) -> (Arc<ServerConfig>, Vec<u8>) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let chain = vec![certificate.der().clone()];
        let config = builder
            .with_no_client_auth()
            .with_single_cert(chain, private)
            .unwrap();
        (Arc::new(config), certificate.der().to_vec())
    }
}
