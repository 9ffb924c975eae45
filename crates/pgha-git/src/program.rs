//! Programs that are run: git, and the user's own.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;

/// More than this of an output is a fault, in bytes. The largest output wanted is a file of the repository.
const MOST: usize = 64 << 20;

/// More than this of what a program complains of is not kept, in bytes.
const MOST_WORDS: usize = 64 << 10;

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Well.
    Well {
        /// What it wrote to its output.
        output: Vec<u8>,
        /// What it told beside it, without passwords.
        told: String,
    },
    /// With an error, or it could not be run.
    Badly(
        /// What it wrote to both of its outputs, without passwords; at most 128 KiB.
        String,
    ),
    /// It took longer than it may, and was killed.
    NotInTime,
}

/// Runs a program to its end, without input; one that takes too long is killed.
pub async fn run(command: &mut Command, within: Duration) -> Ended {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    match tokio::time::timeout(within, finished(command)).await {
        Err(_elapsed) => Ended::NotInTime,
        Ok(Err(error)) => Ended::Badly(error.to_string()),
        Ok(Ok((status, output, told))) if status.success() => {
            if output.len() > MOST {
                return Ended::Badly(format!("its output is over {MOST} bytes"));
            }
            let told = words(&told);
            Ended::Well { output, told }
        }
        Ok(Ok((_, mut output, told))) => {
            output.truncate(MOST_WORDS);
            Ended::Badly(words(&[output, told].concat()))
        }
    }
}

async fn finished(command: &mut Command) -> std::io::Result<(ExitStatus, Vec<u8>, Vec<u8>)> {
    let mut child = command.spawn()?;
    let (output, told) = (child.stdout.take(), child.stderr.take());
    tokio::try_join!(
        child.wait(),
        bounded(output, MOST + 1),
        bounded(told, MOST_WORDS)
    )
}

/// What comes first of a stream; the rest is read, so that its writer goes on, and forgotten.
async fn bounded(stream: Option<impl AsyncRead + Unpin>, most: usize) -> std::io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    let Some(mut stream) = stream else {
        return Ok(kept);
    };
    let limit = u64::try_from(most).unwrap_or(u64::MAX);
    (&mut stream).take(limit).read_to_end(&mut kept).await?;
    tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
    Ok(kept)
}

fn words(bytes: &[u8]) -> String {
    without_credentials(&String::from_utf8_lossy(bytes))
}

/// A password in the address of a remote is in git's messages too.
pub(crate) fn without_credentials(text: &str) -> String {
    let mut parts = text.split("://");
    let mut clean = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let authority = part.split(['/', ' ', '\n', '\'', '"']).next().unwrap_or("");
        clean.push_str("://");
        match authority.rfind('@') {
            Some(at) => clean.extend(["***", &part[at..]]),
            None => clean.push_str(part),
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_an_address_is_hidden() {
        assert_eq!(
            without_credentials(
                "fatal: 'https://me:pass@host/x.git' and ssh://git@h and http://h/a@b"
            ),
            "fatal: 'https://***@host/x.git' and ssh://***@h and http://h/a@b"
        );
    }

    async fn shell(script: &str, within: Duration) -> Ended {
        run(Command::new("sh").args(["-c", script]), within).await
    }

    #[tokio::test]
    async fn what_a_program_says_is_kept_within_bounds() {
        let within = Duration::from_secs(30);
        let script = "head -c 1000000 /dev/zero | tr '\\0' x >&2; echo out; exit 1";
        let Ended::Badly(said) = shell(script, within).await else {
            panic!("it ends badly");
        };
        assert_eq!(said.len(), "out\n".len() + MOST_WORDS);
        let well = shell("echo out; echo told >&2", within).await;
        let (output, told) = (b"out\n".to_vec(), "told\n".to_owned());
        assert_eq!(well, Ended::Well { output, told });
        let Ended::Badly(said) = run(&mut Command::new("/no/such"), within).await else {
            panic!("it cannot be run");
        };
        assert!(said.contains("No such file"), "{said}");
    }

    #[tokio::test]
    async fn a_program_that_takes_too_long_is_ended() {
        let ended = shell("exec sleep 600", Duration::from_millis(200)).await;
        assert_eq!(ended, Ended::NotInTime);
    }
}
