//! Who lets the clients of poolers go on when the tool that has them wait dies: a process of its own.
//!
//! It hears from the tool over its input: first which poolers there are, then that all of them go on. It is in a process group of its
//! own, so that a Ctrl-C at the terminal is not its end. It does not outlive the machine: there, the poolers' own patience ends the
//! wait.

use std::process::Stdio;
use std::time::Duration;

use futures::future::join_all;
use pgha_core::clock;
use pgha_core::settle::{Look, await_until, pause};
use pgha_pgbouncer::{Pooler, Settings};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::oneshot;

use crate::exit::Exit;

/// The hidden command that it runs.
const COMMAND: &str = "pooler-guard";

const READY: &str = "ready";
const DONE: &str = "done";

/// How long one request to a pooler may take.
const WITHIN: Duration = Duration::from_secs(5);

/// How long a pooler that does not answer is tried.
const TRIES: Duration = Duration::from_mins(10);

/// Pause between two tries.
const AGAIN: Duration = Duration::from_secs(1);

/// The process, as the tool has it.
#[derive(Debug)]
pub(super) struct Guard {
    child: Child,
    input: ChildStdin,
}

impl Guard {
    /// Starts it, and waits until it watches.
    ///
    /// # Errors
    /// It does not; why, as a clause. Nobody waits yet.
    pub(super) async fn start(poolers: &[Pooler]) -> Result<Self, String> {
        let failed = |error: std::io::Error| {
            format!("nobody would let them go on if this tool died: {error}")
        };
        let program = std::env::current_exe().map_err(failed)?;
        let mut command = Command::new(program);
        command.arg(COMMAND).process_group(0);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().map_err(failed)?;
        let gone = || failed(std::io::ErrorKind::BrokenPipe.into());
        let mut input = child.stdin.take().ok_or_else(gone)?;
        let output = child.stdout.take().ok_or_else(gone)?;
        let settings: Vec<_> = poolers.iter().map(Pooler::settings).collect();
        let text = serde_json::to_string(&settings).map_err(|error| error.to_string())?;
        input
            .write_all(format!("{text}\n").as_bytes())
            .await
            .map_err(failed)?;
        let mut line = String::new();
        let mut output = BufReader::new(output);
        match tokio::time::timeout(WITHIN, output.read_line(&mut line)).await {
            Ok(Ok(_)) if line.trim() == READY => Ok(Self { child, input }),
            Ok(Err(error)) => Err(failed(error)),
            Ok(Ok(_)) | Err(_) => Err(gone()),
        }
    }

    /// Tells it that nobody waits any more.
    pub(super) async fn dismiss(mut self) {
        // One that has gone has nothing to do any more either.
        drop(self.input.write_all(format!("{DONE}\n").as_bytes()).await);
        drop(self.input);
        drop(tokio::time::timeout(WITHIN, self.child.wait()).await);
    }
}

/// Runs the process.
pub(crate) fn main() -> Exit {
    let mut first = String::new();
    let heard = std::io::stdin().read_line(&mut first);
    let Some(poolers) = heard.ok().and_then(|_| read(&first)) else {
        return Exit::Usage;
    };
    let Ok(runtime) = super::super::runtime() else {
        return Exit::Stopped;
    };
    let (word, dismissed) = oneshot::channel();
    // A tool that dies closes the input without a word.
    std::thread::spawn(move || {
        let mut lines = std::io::stdin().lines().map_while(Result::ok);
        if lines.any(|line| line == DONE) {
            word.send(()).ok();
        }
    });
    if say_ready().is_err() {
        return Exit::Stopped;
    }
    runtime.block_on(watch(&poolers, dismissed))
}

fn read(line: &str) -> Option<Vec<Pooler>> {
    let settings: Vec<Settings> = serde_json::from_str(line).ok()?;
    let poolers = settings.into_iter().map(|one| Pooler::new(one).ok());
    poolers.collect()
}

async fn watch(poolers: &[Pooler], dismissed: oneshot::Receiver<()>) -> Exit {
    tokio::select! {
        Ok(()) = dismissed => Exit::Done,
        resumed = join_all(poolers.iter().map(resume)) => {
            if resumed.into_iter().all(|it| it) { Exit::Done } else { Exit::Held }
        }
    }
}

#[expect(
    clippy::print_stdout,
    reason = "the tool waits for this word, and no view has it"
)]
fn say_ready() -> std::io::Result<()> {
    use std::io::Write as _;
    println!("{READY}");
    std::io::stdout().flush()
}

/// Lets the clients of a pooler go on once their longest pause is over. Whether that was seen.
async fn resume(pooler: &Pooler) -> bool {
    pause(pooler.longest_pause()).await;
    let settlement = await_until(clock::monotonic() + TRIES, AGAIN, async || {
        Ok::<_, std::convert::Infallible>(match pooler.resume(WITHIN).await {
            Ok(()) => Look::Settled(()),
            Err(error) => Look::NotYet(error),
        })
    });
    matches!(
        settlement.await,
        Ok(pgha_core::settle::Settlement::Settled(()))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One that nobody answers for.
    fn nobody() -> Vec<Pooler> {
        let line =
            r#"[{"name": "edge", "address": "127.0.0.1:1", "user": "pgha", "databases": ["app"]}]"#;
        read(line).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_dismissed_does_nothing() {
        let begun = clock::monotonic();
        let (word, dismissed) = oneshot::channel();
        word.send(()).unwrap();
        assert_eq!(watch(&nobody(), dismissed).await, Exit::Done);
        assert_eq!(clock::monotonic(), begun);
    }

    #[tokio::test(start_paused = true)]
    async fn a_tool_that_dies_is_no_word_and_the_longest_pause_is_waited_for() {
        let begun = clock::monotonic();
        let (word, dismissed) = oneshot::channel();
        drop(word);
        assert_eq!(watch(&nobody(), dismissed).await, Exit::Held);
        let waited = clock::monotonic() - begun;
        assert!(waited >= Duration::from_secs(30) + TRIES, "{waited:?}");
    }

    #[test]
    fn what_names_no_pooler_is_not_watched() {
        for line in [
            "",
            "{}",
            "[{}]",
            r#"[{"name": "e", "address": "e", "user": "u", "databases": ["a"]}]"#,
        ] {
            assert!(read(line).is_none(), "{line}");
        }
    }
}
