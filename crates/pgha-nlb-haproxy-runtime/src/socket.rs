//! HAProxy's runtime API: one connection, one line of commands, the answer up to its end (management guide, 9.3).

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use pgha_nlb::{CutoverError, Problem};
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

/// More than this is no table that anybody would move users by, in bytes.
const LARGEST_ANSWER: u64 = 64 * 1024 * 1024;

/// Where the runtime API listens.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Socket {
    /// `stats socket /run/haproxy/admin.sock`.
    Unix(PathBuf),
    /// `stats socket ipv4@127.0.0.1:9999`; neither encrypted nor authenticated.
    Tcp(String),
}

impl fmt::Display for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Tcp(address) => f.write_str(address),
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A socket, and how long each exchange over it may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Live<'a> {
    pub(crate) socket: &'a Socket,
    pub(crate) within: Duration,
}

impl Live<'_> {
    /// Sends commands and returns the answer. An error says nothing of what they changed: its effect is none.
    pub(crate) async fn ask(
        self,
        tried: &'static str,
        commands: &str,
    ) -> Result<String, CutoverError> {
        let (within, exchange) = (self.within, self.socket.exchange(commands));
        let error = |problem| {
            let next = "See that HAProxy runs and that this user may use its socket.";
            CutoverError::new(tried, self.socket.to_string(), problem, next)
        };
        match tokio::time::timeout(within, exchange).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(cause)) => Err(error(Problem::Unreachable).caused_by(cause)),
            Err(_elapsed) => Err(error(Problem::NoAnswer { within })),
        }
    }
}

impl Socket {
    async fn exchange(&self, commands: &str) -> io::Result<String> {
        let mut stream: Box<dyn Stream> = match self {
            Self::Unix(path) => Box::new(UnixStream::connect(path).await?),
            Self::Tcp(address) => Box::new(TcpStream::connect(address).await?),
        };
        stream.write_all(commands.as_bytes()).await?;
        stream.write_all(b"\n").await?;
        let mut answer = Vec::new();
        stream.take(LARGEST_ANSWER).read_to_end(&mut answer).await?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}
