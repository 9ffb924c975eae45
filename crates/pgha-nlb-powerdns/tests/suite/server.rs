//! Servers on loopback that stand before PowerDNS, or in its place.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What becomes of a connection whose request was read.
pub(crate) enum Then {
    /// It gets these bytes, and ends.
    Answer(Vec<u8>),
    /// It ends without an answer.
    End,
    /// Nothing, for as long as the test runs.
    Silence,
}

/// Hands every whole request to `answer`; returns the port. It ends with the process.
pub(crate) fn serve(
    tls: Option<Arc<ServerConfig>>,
    answer: impl Fn(&[u8]) -> Then + Send + 'static,
) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let mut silent = Vec::new();
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let then = match &tls {
                None => one(&mut stream, &answer),
                Some(config) => {
                    let connection = ServerConnection::new(Arc::clone(config)).unwrap();
                    let Ok(copy) = stream.try_clone() else {
                        continue;
                    };
                    let mut secure = StreamOwned::new(connection, copy);
                    let then = one(&mut secure, &answer);
                    secure.conn.send_close_notify();
                    // A client that does not believe the certificate hangs up.
                    drop(secure.flush());
                    then
                }
            };
            if matches!(then, Ok(Then::Silence)) {
                silent.push(stream);
            }
        }
    });
    port
}

fn one(stream: &mut (impl Read + Write), answer: &dyn Fn(&[u8]) -> Then) -> std::io::Result<Then> {
    let request = request(stream)?;
    let then = answer(&request);
    if let Then::Answer(bytes) = &then {
        stream.write_all(bytes)?;
    }
    Ok(then)
}

fn request(stream: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    let lengths = head.lines().filter_map(|line| line.split_once(": "));
    let mut lengths = lengths.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length = lengths
        .next()
        .map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok([head.into_bytes(), body].concat())
}

/// A whole response.
pub(crate) fn response(status: &str, body: &str) -> Then {
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    Then::Answer([head.as_bytes(), body.as_bytes()].concat())
}

/// A server's configuration with a certificate for 127.0.0.1, and the authority that signed it in PEM.
pub(crate) fn authority() -> (Arc<ServerConfig>, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let config = builder
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .unwrap();
    (Arc::new(config), issuer.pem())
}
