//! Commands in containers, through the API server's exec.

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::AttachParams;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// What a command wrote.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs `command` in a container and waits for its end.
///
/// # Errors
/// When the exec cannot be made, and when the command ends with another code than 0; what it wrote to standard error
/// is then part of the message.
pub(crate) async fn exec(
    pods: &Api<Pod>,
    pod: &str,
    container: &str,
    command: &[&str],
    stdin: Option<&str>,
) -> Result<Output> {
    let params = AttachParams::default()
        .container(container)
        .stdin(stdin.is_some())
        .stdout(true)
        .stderr(true);
    let mut process = pods
        .exec(pod, command.iter().copied(), &params)
        .await
        .with_context(|| format!("exec in {pod}/{container}"))?;
    let status = process.take_status().context("exec without a status")?;
    let writer = process.stdin();
    let mut out = process.stdout().context("exec without stdout")?;
    let mut err = process.stderr().context("exec without stderr")?;

    let writing = async move {
        if let (Some(mut writer), Some(text)) = (writer, stdin) {
            writer.write_all(text.as_bytes()).await?;
            writer.shutdown().await?;
        }
        anyhow::Ok(())
    };
    let (mut stdout, mut stderr) = (String::new(), String::new());
    let (written, read_out, read_err, status) = tokio::join!(
        writing,
        out.read_to_string(&mut stdout),
        err.read_to_string(&mut stderr),
        status
    );
    let status = status.with_context(|| format!("exec in {pod} ended without a status"))?;
    if status.status.as_deref() != Some("Success") {
        let message = status.message.unwrap_or_default();
        bail!("{} in {pod}: {message}: {}", command[0], stderr.trim());
    }
    written.with_context(|| format!("stdin of {}", command[0]))?;
    read_out
        .and(read_err)
        .with_context(|| format!("output of {}", command[0]))?;
    Ok(Output { stdout, stderr })
}
