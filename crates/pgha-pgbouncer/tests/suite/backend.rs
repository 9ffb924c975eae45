//! What stands for Postgres behind the pooler: it lets everybody in, and knows where a transaction begins and ends (PostgreSQL
//! documentation, 55.2, Message Flow).

use std::io::{Read as _, Result, Write as _};
use std::net::{TcpListener, TcpStream};

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It is let in.
    Welcome,
    /// It is closed at once.
    Refusal,
    /// Nothing, for as long as the pooler leaves it open.
    Silence,
}

/// Listens at a free port of the loopback address until the process ends; the first connections are answered so, all others let in.
pub(crate) fn serve(first: &'static [Answer]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for (place, stream) in listener.incoming().enumerate() {
            // The pooler goes away when it likes.
            let answer = first.get(place).copied().unwrap_or(Answer::Welcome);
            std::thread::spawn(move || stream.and_then(|it| converse(it, answer)).ok());
        }
    });
    port
}

fn converse(mut stream: TcpStream, answer: Answer) -> Result<()> {
    read_message(&mut stream)?;
    match answer {
        Answer::Welcome => {}
        Answer::Refusal => return Ok(()),
        Answer::Silence => stream.read_exact(&mut [0])?,
    }
    message(&mut stream, b'R', &0_i32.to_be_bytes())?;
    for pair in ["server_version\x0015.0\0", "client_encoding\0UTF8\0"] {
        message(&mut stream, b'S', pair.as_bytes())?;
    }
    let mut state = b'I';
    loop {
        message(&mut stream, b'Z', &[state])?;
        let mut kind = [0];
        stream.read_exact(&mut kind)?;
        let body = read_message(&mut stream)?;
        if kind == *b"X" {
            return Ok(());
        }
        let query = String::from_utf8_lossy(&body).to_lowercase();
        state = match query.trim_end_matches('\0') {
            "begin" => b'T',
            "commit" => b'I',
            _ => state,
        };
        message(&mut stream, b'C', b"DONE\0")?;
    }
}

fn read_message(stream: &mut TcpStream) -> Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut body = vec![0; u32::from_be_bytes(length) as usize - 4];
    stream.read_exact(&mut body)?;
    Ok(body)
}

fn message(stream: &mut TcpStream, kind: u8, body: &[u8]) -> Result<()> {
    let length = u32::try_from(body.len() + 4).unwrap();
    stream.write_all(&[&[kind], &length.to_be_bytes()[..], body].concat())
}
