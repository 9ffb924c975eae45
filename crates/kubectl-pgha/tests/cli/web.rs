//! A web server that answers as whichever site its users are sent to. The suite on the lab has it too.

use std::io::{BufRead as _, BufReader, Result, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

/// Answers each connection once, until the process ends, with the header `x-pool` of the moment.
pub(crate) fn serve(pool: impl Fn() -> String + Send + 'static) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let at = listener.local_addr()?;
    thread::spawn(move || {
        for connection in listener.incoming() {
            // Who asks may go away at any time.
            drop(connection.and_then(|connection| answer(&connection, &pool())));
        }
    });
    Ok(at)
}

fn answer(mut connection: &TcpStream, pool: &str) -> Result<()> {
    let mut lines = BufReader::new(connection).lines();
    while lines
        .next()
        .transpose()?
        .is_some_and(|line| !line.is_empty())
    {}
    write!(
        connection,
        "HTTP/1.1 200 OK\r\nx-pool: {pool}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    )
}

/// What the first row of a table of `route value` lines says.
pub(crate) fn first_value(table: &str) -> String {
    let value = table.split_whitespace().nth(1);
    value.unwrap_or_default().to_owned()
}
