//! The backup that is made before a service moves, as its file says.

use std::time::Duration;

use serde::Deserialize;

/// A full backup of the primary, made and awaited before each switchover.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct BackupSettings {
    /// The repository, repo1 to repo4 [default: the one that the target is fed from, else that of the request before, else the first].
    #[serde(default)]
    pub(crate) repo: Option<String>,
    /// How long to wait for its end, in seconds.
    #[serde(default = "an_hour")]
    timeout_seconds: u64,
    /// Whether the repository is read back afterwards, which takes as long as a restore.
    #[serde(default)]
    pub(crate) verify: bool,
}

const fn an_hour() -> u64 {
    3600
}

impl Default for BackupSettings {
    fn default() -> Self {
        Self {
            repo: None,
            timeout_seconds: an_hour(),
            verify: false,
        }
    }
}

impl BackupSettings {
    /// The same, with another limit.
    pub(crate) fn within(self, limit: Duration) -> Self {
        Self {
            timeout_seconds: limit.as_secs(),
            ..self
        }
    }

    /// How long to wait for its end.
    pub(crate) const fn limit(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<BackupSettings, String> {
        serde_saphyr::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_left_out_is_an_hour_and_no_verification() {
        let settings = read("{}").unwrap();
        assert_eq!((settings.limit().as_secs(), settings.verify), (3600, false));
        assert_eq!(settings.repo, None);
        let settings = read("{ repo: repo2, timeoutSeconds: 60, verify: true }").unwrap();
        assert_eq!((settings.limit().as_secs(), settings.verify), (60, true));
        let said = read("{ repos: repo2 }").unwrap_err();
        assert!(said.contains("repo, timeoutSeconds, verify"), "{said}");
    }
}
