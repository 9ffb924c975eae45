//! A fake issuer on a loopback port: documents that a test changes, and tokens that it signs or has signed by somebody else.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

/// The client for which tokens are.
pub(crate) const CLIENT: &str = "kubectl";

pub(crate) fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A signing key.
pub(crate) struct Key {
    id: &'static str,
    pair: EcdsaKeyPair,
}

impl Key {
    pub(crate) fn new(id: &'static str) -> Self {
        let (scheme, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(scheme, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(scheme, pkcs8.as_ref(), &random).unwrap();
        Self { id, pair }
    }

    pub(crate) fn jwk(&self) -> Value {
        let (x, y) = self.pair.public_key().as_ref()[1..].split_at(32);
        json!({"kty": "EC", "crv": "P-256", "use": "sig", "kid": self.id, "x": encoded(x), "y": encoded(y)})
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.sign_with(
            &json!({"alg": "ES256", "kid": self.id, "typ": "JWT"}),
            claims,
        )
    }

    pub(crate) fn sign_with(&self, header: &Value, claims: &Value) -> String {
        let signed = format!(
            "{}.{}",
            encoded(header.to_string()),
            encoded(claims.to_string())
        );
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes());
        format!("{signed}.{}", encoded(signature.unwrap()))
    }
}

/// What is answered.
#[derive(Clone)]
pub(crate) enum Reply {
    Json(Value),
    /// The head of an answer without a body, `302 Found\r\nLocation: /`.
    Head(&'static str),
    /// So many bytes.
    Flood(usize),
    /// Nothing, until the other side gives up.
    Silence,
}

#[derive(Default)]
struct State {
    /// The answers of each path; the last one is given again and again.
    replies: BTreeMap<String, Vec<Reply>>,
    /// The heads of all requests.
    requests: Vec<String>,
    is_over: bool,
}

/// The issuer, until it is dropped.
pub(crate) struct Issuer {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    thread: Option<JoinHandle<()>>,
}

pub(crate) const DOCUMENT: &str = "/.well-known/openid-configuration";
pub(crate) const KEYS: &str = "/keys";

impl Issuer {
    /// An issuer that publishes these keys.
    pub(crate) fn new(keys: &[&Key]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.lock().unwrap().is_over {
                    return;
                }
                let shared = Arc::clone(&shared);
                // Silence ends with its connection, which the plugin closes.
                std::thread::spawn(move || drop(answer(&stream.unwrap(), &shared)));
            }
        });
        let issuer = Self {
            address,
            state,
            thread: Some(thread),
        };
        issuer.reply(DOCUMENT, [Reply::Json(issuer.document())]);
        issuer.publish(keys);
        issuer
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn document(&self) -> Value {
        json!({"issuer": self.url(), "jwks_uri": format!("{}{KEYS}", self.url()),
            "id_token_signing_alg_values_supported": ["RS256", "ES256"]})
    }

    pub(crate) fn publish(&self, keys: &[&Key]) {
        self.reply(KEYS, [set(keys)]);
    }

    pub(crate) fn reply(&self, path: &str, replies: impl Into<Vec<Reply>>) {
        let mut state = self.state.lock().unwrap();
        state.replies.insert(path.to_owned(), replies.into());
    }

    /// The heads of the requests for a path.
    pub(crate) fn requests(&self, path: &str) -> Vec<String> {
        let state = self.state.lock().unwrap();
        let heads = state.requests.iter();
        let of_path = |head: &&String| head.split(' ').nth(1).unwrap().starts_with(path);
        heads.filter(of_path).cloned().collect()
    }

    /// The claims of somebody who has just logged in.
    pub(crate) fn claims(&self) -> Value {
        let now = crate::bench::now().as_second();
        json!({"iss": self.url(), "aud": CLIENT, "sub": "jane", "email": "jane@example.org", "groups": ["prod-admin", "dev"],
            "iat": now - 5, "exp": now + 3600, "auth_time": now - 10})
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.state.lock().unwrap().is_over = true;
        drop(TcpStream::connect(self.address));
        drop(self.thread.take().unwrap().join());
    }
}

/// The set of these keys.
pub(crate) fn set(keys: &[&Key]) -> Reply {
    let keys: Vec<Value> = keys.iter().map(|key| key.jwk()).collect();
    Reply::Json(json!({"keys": keys}))
}

fn answer(mut stream: &TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse().ok())?
    });
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body)?;
    let path = head.split(' ').nth(1).unwrap_or_default();
    let path = path.split('?').next().unwrap_or_default().to_owned();
    let reply = {
        let mut state = state.lock().unwrap();
        state.requests.push(head);
        match state.replies.get_mut(&path) {
            Some(replies) if replies.len() > 1 => Some(replies.remove(0)),
            Some(replies) => replies.first().cloned(),
            None => None,
        }
    };
    match reply {
        Some(Reply::Json(value)) => write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{value}",
            value.to_string().len()
        ),
        Some(Reply::Head(head)) => write!(
            stream,
            "HTTP/1.1 {head}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        ),
        Some(Reply::Flood(length)) => {
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
            )?;
            stream.write_all(&vec![b' '; length])
        }
        Some(Reply::Silence) => {
            let _end = reader.read(&mut [0])?;
            Ok(())
        }
        None => write!(
            stream,
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        ),
    }
}
