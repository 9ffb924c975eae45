//! A server on loopback that hands each request to a closure.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;

/// A whole request.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    /// Each line, with its name in small letters.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> &str {
        let mut own = self.headers.iter().filter(|(own, _)| own == name);
        own.next().map_or("", |(_, value)| value)
    }
}

/// What becomes of a connection whose request was read.
#[derive(Clone, Debug)]
pub(crate) enum Then {
    /// It gets a status with header lines, and a body.
    Answer(String, String),
    /// It ends without an answer.
    End,
}

/// Hands every whole request to `answer`; returns the port. It ends with the process.
pub(crate) fn serve(answer: impl Fn(Request) -> Then + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let Some(request) = read(&stream) else {
                continue;
            };
            match answer(request) {
                Then::Answer(head, body) => {
                    let length = body.len();
                    let answer = format!(
                        "HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                    );
                    // A client that has read enough hangs up.
                    drop(stream.write_all(answer.as_bytes()));
                }
                Then::End => {}
            }
        }
    });
    port
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let mut first = lines.first()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers = lines.iter().filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    let mut request = Request {
        method,
        path,
        headers: headers.collect(),
        body: String::new(),
    };
    let length = request.header("content-length").parse().unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    request.body = String::from_utf8(body).ok()?;
    Some(request)
}
