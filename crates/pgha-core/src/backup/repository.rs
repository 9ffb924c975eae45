//! What the repositories hold, by pgBackRest itself in the leader's database container.

use std::time::Duration;

use pgha_model::backup::{InvalidInfo, RepoInfo, Verification, read_info, read_verification};

use crate::client::SiteClient;
use crate::exec::{Container, ExecError, run};
use crate::operator::pgo_v5::backup::STANZA;

/// How long pgBackRest may take to read the list of backups from a slow store.
const INFO_TIME: Duration = Duration::from_secs(30);

/// Why pgBackRest's word could not be had.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// The command did not run to its end, or failed.
    #[error("could not ask pgBackRest")]
    Exec(#[source] ExecError),
    /// What it said is not what it says.
    #[error("could not understand pgBackRest")]
    Unreadable(#[source] InvalidInfo),
    /// It says nothing of this backup.
    #[error("pgBackRest verified {repo} and said nothing of backup {label}")]
    NotVerified {
        /// The repository.
        repo: String,
        /// The backup.
        label: String,
    },
}

/// Reads what every repository of the cluster holds.
pub async fn fetch_info(
    site: &SiteClient,
    leader: &Container,
) -> Result<RepoInfo, RepositoryError> {
    let stanza = format!("--stanza={STANZA}");
    let argv = ["pgbackrest", "info", &stanza, "--output=json"];
    let said = run(site, leader, &argv, INFO_TIME)
        .await
        .and_then(|output| output.ok(leader))
        .map_err(RepositoryError::Exec)?;
    read_info(&said).map_err(RepositoryError::Unreadable)
}

/// Reads every file of the repository back and compares it with its checksum: the whole repository, since `verify` of
/// pgBackRest 2.45 takes no single backup. It can take as long as a restore.
pub async fn verify(
    site: &SiteClient,
    leader: &Container,
    repo: &str,
    label: &str,
    limit: Duration,
) -> Result<Verification, RepositoryError> {
    let stanza = format!("--stanza={STANZA}");
    let number = format!("--repo={}", repo.trim_start_matches("repo"));
    let argv = [
        "pgbackrest",
        "verify",
        &stanza,
        &number,
        "--output=text",
        "--verbose",
        "--log-level-file=off",
    ];
    let output = run(site, leader, &argv, limit)
        .await
        .map_err(RepositoryError::Exec)?;
    // It ends with 0 even when files are missing (seen on 2.45): only what it says counts.
    if let Some(found) = read_verification(&output.stdout, label) {
        return Ok(found);
    }
    output.ok(leader).map_err(RepositoryError::Exec)?;
    Err(RepositoryError::NotVerified {
        repo: repo.to_owned(),
        label: label.to_owned(),
    })
}
