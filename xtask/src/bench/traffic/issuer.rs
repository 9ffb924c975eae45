//! An `OpenID` issuer on a loopback port that answers with the same two documents each time.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use anyhow::Result;
use serde_json::{Value, json};

/// Where its address is, before it answers.
#[derive(Debug)]
pub(super) struct Place {
    listener: TcpListener,
    at: SocketAddr,
}

/// The issuer; ends with its value.
#[derive(Debug)]
pub(super) struct Issuer {
    at: SocketAddr,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Place {
    /// Takes a port.
    pub(super) fn take() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let at = listener.local_addr()?;
        Ok(Self { listener, at })
    }

    /// Its name in tokens.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.at)
    }

    /// Answers there, with these keys.
    pub(super) fn serve(self, keys: Value) -> Issuer {
        let url = self.url();
        let document = json!({"issuer": url, "jwks_uri": format!("{url}/keys"),
            "id_token_signing_alg_values_supported": ["ES256"]});
        let is_over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&is_over);
        let Self { listener, at } = self;
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ends.load(Ordering::Relaxed) {
                    return;
                }
                // Whoever went away has its own error to show.
                drop(stream.and_then(|stream| answer(&stream, &document, &keys)));
            }
        });
        Issuer {
            at,
            is_over,
            thread: Some(thread),
        }
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // It looks at the word when somebody comes.
        drop(TcpStream::connect(self.at));
        drop(self.thread.take().map(JoinHandle::join));
    }
}

fn answer(mut stream: &TcpStream, document: &Value, keys: &Value) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    let body = match head.split(' ').nth(1) {
        Some("/.well-known/openid-configuration") => document.to_string(),
        Some("/keys") => keys.to_string(),
        _ => return stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
    };
    // In one piece: a head that goes alone would have the other side wait for the rest.
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close";
    let text = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn it_says_where_its_keys_are_and_has_them_there() {
        let place = Place::take().unwrap();
        let (at, url) = (place.at, place.url());
        let issuer = place.serve(json!({"keys": []}));
        let ask = |path: &str| {
            let mut stream = TcpStream::connect(at).unwrap();
            write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer.split("\r\n\r\n").nth(1).unwrap().to_owned()
        };
        let document: Value =
            serde_json::from_str(&ask("/.well-known/openid-configuration")).unwrap();
        assert_eq!(document["issuer"], json!(url));
        let keys = document["jwks_uri"]
            .as_str()
            .unwrap()
            .strip_prefix(&url)
            .unwrap();
        assert_eq!(ask(keys), r#"{"keys":[]}"#);
        // Its end is awaited there.
        drop(issuer);
    }
}
