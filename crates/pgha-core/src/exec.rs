//! Commands in a container, through the API server (`pods/exec`).
//!
//! Each start of a command costs about 0.1 s of requests; a [`Shell`] that is kept open costs one round trip a command.

#[cfg(debug_assertions)]
mod simulated;

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::Api;
use kube::api::{AttachParams, AttachedProcess};
use tokio::io::{
    AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, ReadHalf,
    SimplexStream, WriteHalf,
};
use tokio::time::timeout;

#[cfg(debug_assertions)]
pub use self::simulated::{Commands, Started};
use crate::client::{CallError, SiteClient};

/// Bytes of a stream that may wait for their reader before the connection stops reading.
const STREAM_BUFFER_BYTES: usize = 1 << 20;

/// A container of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Name of the pod, in the site's namespace.
    pub pod: String,
    /// Name of the container.
    pub name: String,
}

impl std::fmt::Display for Container {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.pod, self.name)
    }
}

/// What a command said and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Everything it wrote to its standard output, and to its standard error when it ran in a [`Shell`].
    pub stdout: String,
    /// Its standard error when it ran by itself.
    pub stderr: String,
    /// Its exit code.
    pub exit_code: i32,
}

/// What a command whose output is not text said, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bytes {
    /// Everything it wrote to its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: String,
    /// Its exit code.
    pub exit_code: i32,
}

/// Why a command's result is not known, or was not good.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// The API server did not start the command.
    #[error("could not start a command in {container}")]
    Open {
        /// Where.
        container: Container,
        /// What the API server said.
        #[source]
        source: Box<CallError>,
    },
    /// The connection ended before the command did: it may have run, in part or whole.
    #[error("the connection to {container} ended before the command did")]
    Lost {
        /// Where.
        container: Container,
    },
    /// The command did not end in time: it may still run.
    #[error("the command in {container} did not end within {} ms", limit.as_millis())]
    Timeout {
        /// Where.
        container: Container,
        /// How long was waited.
        limit: Duration,
    },
    /// The command ended with another code than 0.
    #[error("the command in {container} ended with code {code}: {text}")]
    Exit {
        /// Where.
        container: Container,
        /// Its exit code.
        code: i32,
        /// The last line it wrote.
        text: String,
    },
}

impl Output {
    /// The output of a command that ended with 0; its last line as an error otherwise.
    pub fn ok(self, container: &Container) -> Result<String, ExecError> {
        if self.exit_code == 0 {
            return Ok(self.stdout);
        }
        let said = if self.stderr.trim().is_empty() {
            &self.stdout
        } else {
            &self.stderr
        };
        let text = said
            .lines()
            .rev()
            .map(str::trim)
            .find(|line| !line.is_empty());
        Err(ExecError::Exit {
            container: container.clone(),
            code: self.exit_code,
            text: text
                .unwrap_or("it said nothing")
                .chars()
                .filter(|c| !c.is_control())
                .collect(),
        })
    }
}

/// A started command with its streams.
pub struct Process {
    container: Container,
    /// Its standard input; dropping it closes it.
    pub stdin: Option<WriteHalf<SimplexStream>>,
    /// Its standard output.
    pub stdout: BufReader<ReadHalf<SimplexStream>>,
    stderr: ReadHalf<SimplexStream>,
    ending: Ending,
}

/// Where a command's exit code comes from.
enum Ending {
    /// The connection that carries its streams.
    Attached(Box<AttachedProcess>),
    /// A simulation that stands for the container.
    #[cfg(debug_assertions)]
    Simulated(tokio::sync::oneshot::Receiver<i32>),
}

impl Ending {
    async fn exit_code(self) -> Option<i32> {
        match self {
            Self::Attached(mut attached) => exit_code(&attached.take_status()?.await?),
            #[cfg(debug_assertions)]
            Self::Simulated(code) => code.await.ok(),
        }
    }
}

impl Process {
    /// Starts a command that is given input; `argv` is not read by a shell.
    ///
    /// Before Kubernetes 1.30 the end of the input cannot be told without ending the connection: a command that needs more
    /// than a line must know how much it gets.
    pub async fn start(
        site: &SiteClient,
        container: &Container,
        argv: &[&str],
    ) -> Result<Self, ExecError> {
        Self::attach(site, container, argv, true).await
    }

    async fn attach(
        site: &SiteClient,
        container: &Container,
        argv: &[&str],
        has_input: bool,
    ) -> Result<Self, ExecError> {
        #[cfg(debug_assertions)]
        if let Some(commands) = &site.commands {
            return simulated::start(commands, site, container, argv, has_input).await;
        }
        let pods: Api<Pod> = Api::namespaced(site.client.clone(), &site.namespace);
        let params = AttachParams::default()
            .container(&container.name)
            .stdin(has_input)
            .stdout(true)
            .stderr(true)
            .max_stdout_buf_size(STREAM_BUFFER_BYTES)
            .max_stderr_buf_size(STREAM_BUFFER_BYTES)
            .max_stdin_buf_size(STREAM_BUFFER_BYTES);
        let mut attached = pods
            .exec(&container.pod, argv.iter().copied(), &params)
            .await
            .map_err(|error| not_opened(site, container, error))?;
        let lost = || ExecError::Lost {
            container: container.clone(),
        };
        let stdin = attached.stdin();
        let stdout = BufReader::with_capacity(64 << 10, attached.stdout().ok_or_else(lost)?);
        let stderr = attached.stderr().ok_or_else(lost)?;
        Ok(Self {
            container: container.clone(),
            stdin,
            stdout,
            stderr,
            ending: Ending::Attached(Box::new(attached)),
        })
    }

    /// Gives the command input, without telling its end.
    pub async fn give(&mut self, input: &[u8]) -> Result<(), ExecError> {
        let lost = ExecError::Lost {
            container: self.container.clone(),
        };
        let Some(stdin) = self.stdin.as_mut() else {
            return Err(lost);
        };
        let given = stdin.write_all(input).await;
        if given.is_err() || stdin.flush().await.is_err() {
            return Err(lost);
        }
        Ok(())
    }

    /// Reads its output up to a line that says this, and returns what came before it; `None` when the output ended first.
    pub async fn read_to_line(&mut self, last: &str) -> Result<Option<String>, ExecError> {
        let mut said = String::new();
        loop {
            let mut line = String::new();
            let read = self.stdout.read_line(&mut line).await;
            let read = read.map_err(|_| ExecError::Lost {
                container: self.container.clone(),
            })?;
            if read == 0 {
                return Ok(None);
            }
            if line.trim_end() == last {
                return Ok(Some(said));
            }
            said.push_str(&line);
        }
    }

    /// Reads what is left of the command's output and awaits its end.
    pub async fn finish(self) -> Result<Output, ExecError> {
        let output = self.finish_bytes().await?;
        Ok(Output {
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: output.stderr,
            exit_code: output.exit_code,
        })
    }

    /// The same for a command whose output is not text.
    pub async fn finish_bytes(mut self) -> Result<Bytes, ExecError> {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let (out, err) = tokio::join!(
            self.stdout.read_to_end(&mut stdout),
            self.stderr.read_to_end(&mut stderr)
        );
        let lost = || ExecError::Lost {
            container: self.container.clone(),
        };
        out.and(err).map_err(|_| lost())?;
        let exit_code = self.ending.exit_code().await;
        let exit_code = exit_code.ok_or_else(|| ExecError::Lost {
            container: self.container.clone(),
        })?;
        let stderr = String::from_utf8_lossy(&stderr).into_owned();
        Ok(Bytes {
            stdout,
            stderr,
            exit_code,
        })
    }
}

fn not_opened(site: &SiteClient, container: &Container, error: kube::Error) -> ExecError {
    let object = format!("pod {}", container.pod);
    ExecError::Open {
        container: container.clone(),
        source: Box::new(CallError::new(site, "exec", object, error)),
    }
}

/// The exit code in the status that ends an exec: absent causes mean 0 (Kubernetes `client-go`, `remotecommand`).
fn exit_code(status: &Status) -> Option<i32> {
    if status.status.as_deref() == Some("Success") {
        return Some(0);
    }
    let causes = status.details.as_ref()?.causes.as_ref()?;
    let cause = causes
        .iter()
        .find(|cause| cause.reason.as_deref() == Some("ExitCode"))?;
    cause.message.as_deref()?.parse().ok()
}

/// Runs one command to its end; `argv` is not read by a shell.
pub async fn run(
    site: &SiteClient,
    container: &Container,
    argv: &[&str],
    limit: Duration,
) -> Result<Output, ExecError> {
    let whole = async {
        Process::attach(site, container, argv, false)
            .await?
            .finish()
            .await
    };
    timeout(limit, whole).await.unwrap_or_else(|_| {
        Err(ExecError::Timeout {
            container: container.clone(),
            limit,
        })
    })
}

/// The arguments that have bash run a script, and nothing of its user's.
pub(crate) const fn bash(script: &str) -> [&str; 5] {
    ["bash", "--noprofile", "--norc", "-c", script]
}

/// What a bash script prints in a container; a script that does not end with 0 is an error.
pub(crate) async fn run_script(
    site: &SiteClient,
    container: &Container,
    script: &str,
    limit: Duration,
) -> Result<String, ExecError> {
    let output = run(site, container, &bash(script), limit).await?;
    output.ok(container)
}

/// A bash that stays open in a container. A command that was not seen to end spoils it: open another.
pub struct Shell {
    process: Process,
    commands: u64,
    spoiled: bool,
}

impl Shell {
    /// Opens a shell, and proves that it answers.
    pub async fn open(
        site: &SiteClient,
        container: &Container,
        limit: Duration,
    ) -> Result<Self, ExecError> {
        let started = Process::start(site, container, &["bash", "--noprofile", "--norc"]);
        let process = timeout(limit, started)
            .await
            .map_err(|_| ExecError::Timeout {
                container: container.clone(),
                limit,
            })??;
        let mut shell = Self {
            process,
            commands: 0,
            spoiled: false,
        };
        shell.run("true", limit).await?;
        Ok(shell)
    }

    /// Where it runs.
    pub fn container(&self) -> &Container {
        &self.process.container
    }

    /// Runs a script; it reads nothing, and its standard error is part of its output.
    pub async fn run(&mut self, script: &str, limit: Duration) -> Result<Output, ExecError> {
        if self.spoiled {
            return Err(self.lost());
        }
        self.spoiled = true;
        let ended = timeout(limit, self.run_to_end(script)).await;
        let output = ended.map_err(|_| ExecError::Timeout {
            container: self.process.container.clone(),
            limit,
        })??;
        self.spoiled = false;
        Ok(output)
    }

    async fn run_to_end(&mut self, script: &str) -> Result<Output, ExecError> {
        self.commands += 1;
        let end = format!("pgha-end-of-command-{}", self.commands);
        let framed = format!("( {script}\n) </dev/null 2>&1\nprintf '\\n%s %d\\n' {end} $?\n");
        self.process.give(framed.as_bytes()).await?;
        self.read_until(&end).await
    }

    async fn read_until(&mut self, end: &str) -> Result<Output, ExecError> {
        let mut stdout = String::new();
        loop {
            let mut line = Vec::new();
            let read = self.process.stdout.read_until(b'\n', &mut line).await;
            if !read.is_ok_and(|bytes| bytes > 0) {
                return Err(self.lost());
            }
            let line = String::from_utf8_lossy(&line);
            let code = line
                .strip_prefix(end)
                .and_then(|rest| rest.trim().parse().ok());
            if let Some(exit_code) = code {
                // The frame puts one line end of its own in front of the marker.
                let whole = stdout.strip_suffix('\n').unwrap_or(&stdout).to_owned();
                return Ok(Output {
                    stdout: whole,
                    stderr: String::new(),
                    exit_code,
                });
            }
            stdout.push_str(&line);
        }
    }

    fn lost(&self) -> ExecError {
        ExecError::Lost {
            container: self.process.container.clone(),
        }
    }
}

/// A text as one word of a shell command.
pub fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container() -> Container {
        Container {
            pod: "zitadel-pgha1-abcd-0".to_owned(),
            name: "database".to_owned(),
        }
    }

    #[test]
    fn a_failed_command_is_told_by_its_last_line() {
        let output = Output {
            stdout: String::new(),
            stderr: "WARN: first\nERROR: [045]: \u{1b}[31mdup\n\n".to_owned(),
            exit_code: 45,
        };
        let error = output.ok(&container()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the command in zitadel-pgha1-abcd-0 (database) ended with code 45: ERROR: [045]: [31mdup"
        );
    }

    #[test]
    fn the_exit_code_comes_from_the_status() {
        let status = |json| serde_json::from_value::<Status>(json).unwrap();
        assert_eq!(
            exit_code(&status(serde_json::json!({"status": "Success"}))),
            Some(0)
        );
        let failed = serde_json::json!({"status": "Failure", "reason": "NonZeroExitCode",
            "details": {"causes": [{"reason": "ExitCode", "message": "7"}]}});
        assert_eq!(exit_code(&status(failed)), Some(7));
        assert_eq!(
            exit_code(&status(serde_json::json!({"status": "Failure"}))),
            None
        );
    }

    #[test]
    fn quoted_words_survive_a_shell() {
        assert_eq!(quote("it's"), r"'it'\''s'");
    }
}
