//! Containers in which a test answers what is asked.

use std::sync::Arc;

use tokio::io::{
    AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, ReadHalf, SimplexStream, simplex,
};
use tokio::sync::oneshot;

use crate::exec::{Commands, Container, Started};

/// Bytes that may wait in a stream.
const BUFFER_BYTES: usize = 1 << 16;

/// Commands that `answer` answers by the pod and by what is asked there: a statement in `psql`, a script in `bash`, or the
/// words of any other command.
pub(in crate::engine) fn commands(
    answer: impl Fn(&str, &str) -> String + Send + Sync + 'static,
) -> Commands {
    let answer = Arc::new(answer);
    Arc::new(move |container: Container, argv: Vec<String>| {
        let answer = Arc::clone(&answer);
        Box::pin(async move {
            let (input, stdin) = simplex(BUFFER_BYTES);
            let (stdout, mut output) = simplex(BUFFER_BYTES);
            let (stderr, mut complaints) = simplex(1);
            let (code, exit) = oneshot::channel();
            let work = async move {
                let pod = container.pod.as_str();
                let marks = match argv.first().map(String::as_str) {
                    Some("psql") => Some("\\echo "),
                    Some("bash") if argv.len() == 3 => Some("printf '\\n%s %d\\n' "),
                    _ => None,
                };
                if let Some(mark) = marks {
                    let said = |asked: &str, end: &str| {
                        let code = if mark.starts_with('\\') {
                            "00000 "
                        } else {
                            "0"
                        };
                        format!("{}\n{end} {code}\n", answer(pod, asked))
                    };
                    converse(input, &mut output, mark, said).await;
                } else {
                    let text = answer(pod, &argv.join(" "));
                    output.write_all(text.as_bytes()).await.ok();
                }
                output.shutdown().await.ok();
                complaints.shutdown().await.ok();
                code.send(0).ok();
            };
            #[expect(
                clippy::disallowed_methods,
                reason = "a command goes on by itself, as one in a container does"
            )]
            tokio::spawn(work);
            Ok(Started {
                stdin,
                stdout,
                stderr,
                exit,
            })
        })
    })
}

/// Answers each thing that is asked, which ends with a line that begins with `mark` and goes on with the word that ends the
/// answer.
async fn converse(
    input: ReadHalf<SimplexStream>,
    output: &mut tokio::io::WriteHalf<SimplexStream>,
    mark: &str,
    said: impl Fn(&str, &str) -> String,
) {
    let mut lines = BufReader::new(input).lines();
    let mut asked = String::new();
    while let Ok(Some(line)) = lines.next_line().await {
        let Some(rest) = line.strip_prefix(mark) else {
            asked.push_str(&line);
            asked.push('\n');
            continue;
        };
        let end = rest.split(' ').next().unwrap_or_default();
        let text = said(&asked, end);
        output.write_all(text.as_bytes()).await.ok();
        asked.clear();
    }
}
