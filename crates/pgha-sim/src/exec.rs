//! Commands in containers: what the product's shells, scripts and `psql` say here.

use std::io;
use std::sync::Arc;

use futures::FutureExt as _;
use pgha_core::exec::{Commands, Container, Started};
use tokio::io::{
    AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, ReadHalf,
    SimplexStream, WriteHalf, simplex,
};
use tokio::sync::oneshot;

use crate::server::{Shared, Tool};
use crate::time::pass;
use crate::{script, sql};

/// Bytes that may wait in a stream.
const BUFFER: usize = 1 << 16;

/// A member's container as one command sees it.
#[derive(Clone)]
pub(crate) struct Inside {
    pub(crate) shared: Shared,
    pub(crate) site: usize,
    pub(crate) pod: String,
    tool: Tool,
}

/// The command's ends of its streams.
pub(crate) struct Streams {
    pub(crate) stdin: BufReader<ReadHalf<SimplexStream>>,
    pub(crate) stdout: WriteHalf<SimplexStream>,
    exit: oneshot::Sender<i32>,
}

impl Inside {
    /// Whether the connection is lost.
    pub(crate) fn is_cut(&self) -> bool {
        self.tool.is_dead() || self.shared.is_down(self.site)
    }
}

pub(crate) fn commands(shared: &Shared, site: usize, tool: &Tool) -> Commands {
    let (shared, tool) = (shared.clone(), tool.clone());
    Arc::new(move |container: Container, argv: Vec<String>| {
        let inside = Inside {
            shared: shared.clone(),
            site,
            pod: container.pod,
            tool: tool.clone(),
        };
        start(inside, argv).boxed()
    })
}

async fn start(inside: Inside, argv: Vec<String>) -> io::Result<Started> {
    let travel = inside.shared.world().rng.between(20, 60);
    pass(travel).await;
    if inside.is_cut() {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    let ((stdin_end, stdin), (stdout, stdout_end)) = (simplex(BUFFER), simplex(BUFFER));
    let (stderr, mut stderr_end) = simplex(BUFFER);
    stderr_end.shutdown().await?;
    let (exit, code) = oneshot::channel();
    let streams = Streams {
        stdin: BufReader::new(stdin_end),
        stdout: stdout_end,
        exit,
    };
    let shared = inside.shared.clone();
    shared.spawn(async move { run(inside, argv, streams).await });
    Ok(Started {
        stdin,
        stdout,
        stderr,
        exit: code,
    })
}

async fn run(inside: Inside, argv: Vec<String>, mut streams: Streams) {
    let words: Vec<_> = argv.iter().map(String::as_str).collect();
    let code = match *words {
        ["psql", ..] => converse(&inside, &mut streams, true).await,
        ["bash", "--noprofile", "--norc"] => converse(&inside, &mut streams, false).await,
        ["bash", "--noprofile", "--norc", "-c", text] => {
            script::run_alone(&inside, text, &mut streams).await
        }
        _ => {
            inside
                .shared
                .world()
                .violate(&format!("unknown command {argv:?}"));
            None
        }
    };
    // Half of a stream that is only dropped does not end it.
    drop(streams.stdout.shutdown().await);
    if let Some(code) = code {
        // Whoever started it may be gone.
        let _ = streams.exit.send(code);
    }
}

/// Reads framed statements or scripts, each up to the line that prints its end, until the connection is lost.
async fn converse(inside: &Inside, streams: &mut Streams, is_psql: bool) -> Option<i32> {
    let marker = if is_psql {
        "\\echo "
    } else {
        "printf '\\n%s %d\\n' "
    };
    let mut session = None;
    loop {
        let mut text = String::new();
        let end = loop {
            let mut line = String::new();
            if streams.stdin.read_line(&mut line).await.ok()? == 0 {
                return Some(0);
            }
            if let Some(rest) = line.strip_prefix(marker) {
                break rest.split(' ').next().unwrap_or_default().trim().to_owned();
            }
            text.push_str(&line);
        };
        pass(1).await;
        if inside.is_cut() {
            return None;
        }
        let answer = if is_psql {
            let statement = text.trim_end().trim_end_matches(';').trim();
            let said = sql::answer(inside, statement, &mut session).await?;
            match said {
                Ok(rows) if rows.is_empty() => format!("{end} 00000 \n"),
                Ok(rows) => format!("{rows}\n{end} 00000 \n"),
                Err(why) => format!("{end} {why}\n"),
            }
        } else {
            let script = text.strip_prefix("( ").unwrap_or(&text);
            let script = script
                .split("\n) </dev/null 2>&1")
                .next()
                .unwrap_or_default();
            let (said, code) = script::answer(inside, script).await?;
            format!("{said}\n{end} {code}\n")
        };
        if inside.is_cut() {
            return None;
        }
        streams.stdout.write_all(answer.as_bytes()).await.ok()?;
    }
}

impl Streams {
    pub(crate) async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.stdin.read_line(&mut line).await.ok()?;
        (read > 0).then(|| line.trim_end().to_owned())
    }

    pub(crate) async fn bytes(&mut self, count: usize) -> Option<String> {
        let mut bytes = vec![0; count];
        self.stdin.read_exact(&mut bytes).await.ok()?;
        String::from_utf8(bytes).ok()
    }

    pub(crate) async fn say(&mut self, text: &str) -> Option<()> {
        self.stdout.write_all(text.as_bytes()).await.ok()
    }
}
