//! What tests need of a product that nobody can run here: a server on loopback whose answers a closure gives.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::thread;

/// A whole request.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its method.
    pub method: String,
    /// What it asks for, with the query.
    pub path: String,
    /// Each line, with its name in small letters.
    pub headers: Vec<(String, String)>,
    /// What it carries.
    pub body: String,
}

impl Request {
    /// The first line of this name; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        let mut own = self.headers.iter().filter(|(own, _)| own == name);
        own.next().map_or("", |(_, value)| value)
    }
}

/// What becomes of a connection whose request was read.
#[derive(Clone, Debug)]
pub enum Then {
    /// It gets a status with header lines, and a body.
    Answer(String, String),
    /// It ends without an answer.
    End,
    /// Nothing, for as long as the test runs.
    Silence,
}

/// What happens to a request instead of what should.
#[derive(Clone, Debug)]
pub enum Fault {
    /// This becomes of the connection, and nothing of the product.
    Instead(Then),
    /// This becomes of the connection, once the request has taken hold.
    After(Then),
}

/// Hands every whole request to `answer`; returns the port. It ends with the process.
///
/// # Errors
/// There is no free port.
pub fn serve(answer: impl Fn(Request) -> Then + Send + 'static) -> io::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        let mut silent = Vec::new();
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
                Then::Silence => silent.push(stream),
            }
        }
    });
    Ok(port)
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

/// Writes a file with a secret that nobody else may read.
///
/// # Errors
/// It cannot be written.
pub fn private_file(folder: &Path, name: &str, secret: &str) -> io::Result<PathBuf> {
    let path = folder.join(name);
    let mut how = std::fs::OpenOptions::new();
    let file = how.write(true).create(true).truncate(true).mode(0o600);
    writeln!(file.open(&path)?, "{secret}")?;
    Ok(path)
}
