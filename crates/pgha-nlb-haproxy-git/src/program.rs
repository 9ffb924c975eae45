//! The user's own programs, which make a configuration of a template and judge it.

use std::path::Path;
use std::time::Duration;

use pgha_git::{Ended, run};
use pgha_nlb::{CutoverError, Problem};
use tempfile::NamedTempFile;
use tokio::process::Command;

use crate::Settings;

impl Settings {
    /// What HAProxy gets to read: the rendered template, or the file itself.
    pub(crate) async fn rendered(
        &self,
        tree: &Path,
        within: Duration,
    ) -> Result<Vec<u8>, CutoverError> {
        let file = tree.join(&self.config);
        if self.render.is_empty() {
            return std::fs::read(&file).map_err(|error| {
                let seen = "it cannot be read".to_owned();
                self.error("read the configuration", Problem::Unfit { seen })
                    .caused_by(error)
            });
        }
        self.run(
            &self.render,
            tree,
            &file,
            "render the configuration",
            within,
        )
        .await
    }

    /// Lets the check judge a configuration.
    pub(crate) async fn judge(
        &self,
        config: &[u8],
        tree: &Path,
        within: Duration,
    ) -> Result<(), CutoverError> {
        if self.check.is_empty() {
            return Ok(());
        }
        let tried = "check the configuration";
        let write = || -> std::io::Result<NamedTempFile> {
            let mut file = NamedTempFile::with_suffix(".cfg")?;
            std::io::Write::write_all(&mut file, config)?;
            Ok(file)
        };
        let file = write().map_err(|error| {
            let seen = "there is no place for it".to_owned();
            self.error(tried, Problem::Unfit { seen }).caused_by(error)
        })?;
        self.run(&self.check, tree, file.path(), tried, within)
            .await
            .map(drop)
    }

    async fn run(
        &self,
        program: &[String],
        tree: &Path,
        file: &Path,
        tried: &'static str,
        within: Duration,
    ) -> Result<Vec<u8>, CutoverError> {
        let file = file.to_string_lossy();
        let mut words = program.iter().map(|word| word.replace("{file}", &file));
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).current_dir(tree);
        match run(&mut command, within).await {
            Ended::Well { output, .. } => Ok(output),
            Ended::Badly(said) => Err(self.error(tried, Problem::Denied { said })),
            Ended::NotInTime => Err(self.error(tried, Problem::NoAnswer { within })),
        }
    }

    fn error(&self, tried: &'static str, problem: Problem) -> CutoverError {
        let next = "Nothing was pushed; correct the template or the program, and plan again.";
        CutoverError::new(tried, self.config.as_str(), problem, next)
    }
}
