//! The address of this machine to which the browser brings the answer (RFC 8252, section 7.3).

use std::io;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// Where the answer comes.
const PATH: &str = "/callback";

/// A request that is longer is none of a browser's, in bytes.
const LONGEST_REQUEST: usize = 16 * 1024;

/// How long one connection may take to say what it wants: browsers open some that they never use.
const PATIENCE: Duration = Duration::from_secs(5);

/// A port that waits for one answer.
#[derive(Debug)]
pub(super) struct Loopback {
    listener: TcpListener,
    at: SocketAddr,
}

impl Loopback {
    /// Listens.
    pub(super) async fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let at = listener.local_addr()?;
        Ok(Self { listener, at })
    }

    /// What the issuer sends the browser to.
    pub(super) fn redirect(&self) -> String {
        format!("http://{}{PATH}", self.at)
    }

    /// The query of the first request for that address. Whatever else is asked for is not there.
    pub(super) async fn answer(&self, limit: Duration) -> Result<String, String> {
        let answered = timeout(limit, async {
            loop {
                let (connection, _) = self.listener.accept().await?;
                // One connection that says nothing must not keep the others waiting for long.
                if let Ok(Ok(Some(query))) = timeout(PATIENCE, serve(connection)).await {
                    return Ok(query);
                }
            }
        });
        match answered.await {
            Ok(Ok(query)) => Ok(query),
            Ok(Err(error)) => Err(io::Error::to_string(&error)),
            Err(_elapsed) => Err(format!("{} s have passed", limit.as_secs())),
        }
    }
}

async fn serve(mut connection: TcpStream) -> io::Result<Option<String>> {
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut more = [0; 1024];
        let count = connection.read(&mut more).await?;
        request.extend_from_slice(&more[..count]);
        if count == 0 || request.len() > LONGEST_REQUEST {
            return Ok(None);
        }
    }
    let query = query_of(&request);
    let (status, text) = match &query {
        Some(_) => (
            "200 OK",
            "You can close this page and go back to the terminal.\n",
        ),
        None => ("404 Not Found", "There is nothing here.\n"),
    };
    let length = text.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\nreferrer-policy: no-referrer\r\n\
         cache-control: no-store\r\nconnection: close\r\n\r\n{text}"
    );
    connection.write_all(answer.as_bytes()).await?;
    connection.shutdown().await?;
    Ok(query)
}

/// What is asked of [`PATH`], from a request's first line.
fn query_of(request: &[u8]) -> Option<String> {
    let line = request.split(|byte| *byte == b'\r').next()?;
    let line = std::str::from_utf8(line).ok()?;
    let target = line.strip_prefix("GET ")?.split(' ').next()?;
    let query = target.strip_prefix(PATH)?.strip_prefix('?')?;
    Some(query.to_owned())
}

/// Whether a program was started that opens addresses on this system.
pub(super) fn open_browser(url: &str) -> bool {
    let mut command = Command::new("xdg-open");
    command
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.spawn().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_question_for_the_address_has_a_query() {
        let query = |request: &str| query_of(request.as_bytes());
        let good = "GET /callback?code=a&state=b HTTP/1.1\r\nHost: x\r\n\r\n";
        assert_eq!(query(good).as_deref(), Some("code=a&state=b"));
        for request in [
            "GET /favicon.ico HTTP/1.1\r\n\r\n",
            "GET /callback HTTP/1.1\r\n\r\n",
            "GET /callbacks?code=a HTTP/1.1\r\n\r\n",
            "POST /callback?code=a HTTP/1.1\r\n\r\n",
            "",
            "GET",
        ] {
            assert_eq!(query(request), None, "{request}");
        }
        assert_eq!(query_of(b"GET /callback?\xff HTTP/1.1\r\n"), None);
    }
}
