//! The branches of history that a repository knows.

use pgha_model::check::inspection::RepositoryBranch;
use pgha_model::timeline::Timeline;
use serde_json::Value;

use super::inside::{LOOK_TIME, LookError, last_line};
use crate::client::SiteClient;
use crate::exec::{Container, Shell};
use crate::operator::pgo_v5::render::repositories;

/// Prints a line `pgha-branch REPO FILE yes|no` for each repository.
const LIST: &str = include_str!("branches.sh");

/// The newest branch in each repository of the object, seen from the leader.
pub(super) async fn list_branches(
    site: &SiteClient,
    leader: &Container,
    object: &Value,
) -> Result<Vec<RepositoryBranch>, LookError> {
    let numbers = repositories(object);
    let limit = site.request_timeout.max(LOOK_TIME);
    let mut shell = Shell::open(site, leader, limit)
        .await
        .map_err(LookError::Exec)?;
    let words: Vec<_> = numbers.iter().map(ToString::to_string).collect();
    let script = format!("numbers='{}'\n{LIST}", words.join(" "));
    let output = shell.run(&script, limit).await.map_err(LookError::Exec)?;
    let branches: Vec<_> = output.stdout.lines().filter_map(read).collect();
    if branches.len() != numbers.len() {
        return Err(LookError::Incomplete {
            pod: leader.pod.clone(),
            said: last_line(&output.stdout),
        });
    }
    Ok(branches)
}

fn read(line: &str) -> Option<RepositoryBranch> {
    let mut words = line.strip_prefix("pgha-branch ")?.split_whitespace();
    let (repo, file, same) = (words.next()?, words.next()?, words.next()?);
    let newest = match file {
        "-" => None,
        file => {
            let digits = file.strip_suffix(".history")?;
            Some(Timeline(u32::from_str_radix(digits, 16).ok()?))
        }
    };
    Some(RepositoryBranch {
        repo: repo.to_owned(),
        newest,
        same_as_leaders: match same {
            "yes" => Some(true),
            "no" => Some(false),
            _ => None,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_repository_is_a_line() {
        let branch = read("pgha-branch repo2 0000000A.history no").unwrap();
        assert_eq!(branch.repo, "repo2");
        assert_eq!(branch.newest, Some(Timeline(10)));
        assert_eq!(branch.same_as_leaders, Some(false));
        let none = read("pgha-branch repo1 - -").unwrap();
        assert_eq!((none.newest, none.same_as_leaders), (None, None));
        assert_eq!(read("pgha-failed ERROR: [055]"), None);
    }
}
