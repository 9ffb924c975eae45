//! One conversation with a DNS server over TCP (RFC 7766): a length, a message, and the same back.

use std::io;
use std::time::Duration;

use hickory_proto::op::{Message, MessageType};
use pgha_nlb::{CutoverError, Problem};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Why there is no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    #[error(transparent)]
    Io(#[from] io::Error),
    /// What was seen, in words.
    #[error("{0}")]
    Unfit(String),
}

pub(crate) struct Conversation(TcpStream);

impl Conversation {
    pub(crate) async fn open(server: &str) -> Result<Self, Failed> {
        Ok(Self(TcpStream::connect(server).await?))
    }

    /// Sends a message, and returns the answer to it with its bytes, which a signature is over.
    pub(crate) async fn ask(&mut self, message: &Message) -> Result<(Message, Vec<u8>), Failed> {
        let garbled =
            |error: &dyn std::fmt::Display| Failed::Unfit(format!("no DNS message: {error}"));
        let bytes = message.to_vec().map_err(|error| garbled(&error))?;
        let length = u16::try_from(bytes.len()).map_err(|error| garbled(&error))?;
        let framed = [&length.to_be_bytes()[..], &bytes].concat();
        self.0.write_all(&framed).await?;
        let length = self.0.read_u16().await?;
        let mut bytes = vec![0; usize::from(length)];
        self.0.read_exact(&mut bytes).await?;
        let answer = Message::from_vec(&bytes).map_err(|error| garbled(&error))?;
        let is_answer = answer.message_type == MessageType::Response
            && (answer.id, answer.op_code) == (message.id, message.op_code);
        if !is_answer {
            return Err(garbled(&"it is not the answer to what was asked"));
        }
        Ok((answer, bytes))
    }
}

/// Bounds a conversation with a server. An error says nothing of what it changed: its effect is none.
pub(crate) async fn within<T>(
    time: Duration,
    tried: &'static str,
    server: &str,
    conversation: impl Future<Output = Result<T, Failed>>,
) -> Result<T, CutoverError> {
    let error = |problem| {
        let next = "See that the server runs, is of this zone, and answers this machine over TCP.";
        CutoverError::new(tried, server, problem, next)
    };
    match tokio::time::timeout(time, conversation).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(Failed::Io(cause))) => Err(error(Problem::Unreachable).caused_by(cause)),
        Ok(Err(Failed::Unfit(seen))) => Err(error(Problem::Unfit { seen })),
        Err(_elapsed) => Err(error(Problem::NoAnswer { within: time })),
    }
}
