//! Having a pooler lead to another site.

use std::process::Stdio;
use std::time::Duration;

use pgha_nlb::text::one_line;
use tokio::process::Command;

use crate::admin::Wrong;
use crate::{Pooler, PoolerError};

impl Pooler {
    /// Has its databases lead to this site: by its program, after which the pooler reads its configuration again. Nothing where they do
    /// already, and where that is not its business. Whether something was done.
    ///
    /// # Errors
    /// They were not seen to lead there within the time.
    pub async fn lead_to(&self, site: &str, within: Duration) -> Result<bool, PoolerError> {
        if self.settings.point.is_empty() {
            return Ok(false);
        }
        self.bounded("point", within, async {
            let host = self.host_of(site);
            let host = host.ok_or_else(|| Wrong::new(format!("it has no host of {site}")))?;
            let mut admin = self.enter().await?;
            if self.elsewhere(&mut admin, host).await?.is_none() {
                return Ok(false);
            }
            self.run_program(site, host).await?;
            admin.run("RELOAD").await?;
            match self.elsewhere(&mut admin, host).await? {
                None => Ok(true),
                Some((name, seen)) => Err(Wrong::new(format!(
                    "its database {name} leads to {seen}, not to {host}, after its program"
                ))),
            }
        })
        .await
    }

    async fn run_program(&self, site: &str, host: &str) -> Result<(), Wrong> {
        let mut words = self.settings.point.iter();
        let program = words.next().map(String::as_str).unwrap_or_default();
        let mut command = Command::new(program);
        command.args(words.map(|word| word.replace("{site}", site).replace("{host}", host)));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command.kill_on_drop(true);
        let ended = command.output().await;
        let ended =
            ended.map_err(|error| Wrong::new(format!("{program} does not run: {error}")))?;
        if ended.status.success() {
            return Ok(());
        }
        let said = one_line(&String::from_utf8_lossy(&ended.stderr));
        Err(Wrong::new(format!(
            "{program} ends with {}: {said}",
            ended.status
        )))
    }
}
