//! Servers on loopback that stand before moto, or in its place.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::TcpListener;
use std::thread;

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
pub(crate) fn serve(answer: impl Fn(&str) -> Then + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let mut silent = Vec::new();
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            if matches!(one(&mut stream, &answer), Ok(Then::Silence)) {
                silent.push(stream);
            }
        }
    });
    port
}

fn one(stream: &mut (impl Read + Write), answer: &dyn Fn(&str) -> Then) -> std::io::Result<Then> {
    let request = request(stream)?;
    let then = answer(&request);
    if let Then::Answer(bytes) = &then {
        stream.write_all(bytes)?;
    }
    Ok(then)
}

fn request(stream: &mut impl Read) -> std::io::Result<String> {
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
    Ok(head + &String::from_utf8(body).unwrap())
}

/// A whole response.
pub(crate) fn response(status: &str, body: &str) -> Then {
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    Then::Answer([head.as_bytes(), body.as_bytes()].concat())
}
