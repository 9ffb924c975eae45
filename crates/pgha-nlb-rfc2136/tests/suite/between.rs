//! What happens between a backend's look and its update, or between the update and its answer.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

/// The operation of a DNS UPDATE, where a message's header has it.
const UPDATE: u8 = 5;

/// Stands between a backend and a server for as many conversations as are expected.
pub(crate) struct Between {
    pub(crate) at: String,
    thread: JoinHandle<()>,
}

/// What becomes of an update.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It arrives, after something else did.
    Answered,
    /// It arrives, and its answer does not.
    Unheard,
    /// It does not arrive.
    Lost,
}

impl Between {
    pub(crate) fn new(
        server: &str,
        conversations: usize,
        fate: Fate,
        before: impl Fn() + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap().to_string();
        let server = server.to_owned();
        let thread = thread::spawn(move || {
            for _ in 0..conversations {
                let (client, _) = listener.accept().unwrap();
                pass(client, &server, fate, &before);
            }
        });
        Self { at, thread }
    }

    /// Every conversation was had.
    pub(crate) fn end(self) {
        self.thread.join().unwrap();
    }
}

fn read(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut message = vec![0; 2];
    stream.read_exact(&mut message).ok()?;
    let length = u16::from_be_bytes([message[0], message[1]]);
    message.resize(2 + usize::from(length), 0);
    stream.read_exact(&mut message[2..]).ok()?;
    Some(message)
}

fn pass(mut client: TcpStream, server: &str, fate: Fate, before: impl Fn()) {
    let mut server = TcpStream::connect(server).unwrap();
    while let Some(question) = read(&mut client) {
        let is_update = (question[4] >> 3) & 0xf == UPDATE;
        if is_update {
            before();
            if fate == Fate::Lost {
                return;
            }
        }
        server.write_all(&question).unwrap();
        let answer = read(&mut server).unwrap();
        if is_update && fate == Fate::Unheard {
            return;
        }
        client.write_all(&answer).unwrap();
    }
}
