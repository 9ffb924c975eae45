//! Whether the target's credentials can write to its repositories.
//!
//! After the move the target archives there; a repository that only the source may write to is noticed by nobody before
//! that. `docs/decisions/0003-repository-write.md` says why it is this command.

use pgha_model::plan::Step;

use super::Switchover;
use crate::engine::StepError;
use crate::exec::Output;
use crate::operator::pgo_v5::render;

/// pgBackRest's code for a command that it does not know (its source, `build/error/error.yaml`, `command-invalid`).
const UNKNOWN_COMMAND: i32 = 48;

impl Switchover<'_> {
    /// Writes a small file into each repository of the target, beside the archive's own, and removes it; the end of
    /// the evidence, as a fragment.
    pub(super) async fn write_to_repositories(&mut self) -> Result<String, StepError> {
        let facts = self.target.facts.postgres.as_ref();
        let command = facts.map_or("", |facts| facts.archive_command.as_str());
        let Some(scripts) = render::write_tests(command, self.target.object()) else {
            return Err(StepError::BasisChanged {
                what: format!("the target's archive command `{command}` is not pgBackRest's"),
            });
        };
        let limit = self.limits.step;
        let mut written = Vec::new();
        for (repo, script) in scripts {
            let shell = self.target.shell()?;
            let output = shell.run(&script, limit).await.map_err(StepError::Exec)?;
            match judge(&repo, &output)? {
                None => written.push(repo),
                Some(remark) => self.note(Step::Rehearse, remark),
            }
        }
        Ok(if written.is_empty() {
            "no repository was written to".to_owned()
        } else {
            format!("it can write to {}", written.join(" and "))
        })
    }
}

/// Nothing, or what a person should know; an error when the repository cannot be written to.
fn judge(repo: &str, output: &Output) -> Result<Option<String>, StepError> {
    let file = render::WRITE_TEST_FILE;
    match output.exit_code {
        0 if output
            .stdout
            .lines()
            .any(|line| line == render::LEFT_BEHIND) =>
        {
            Ok(Some(format!(
                "{repo} takes writes and no removals: {file} of a few bytes stays beside the archive."
            )))
        }
        0 => Ok(None),
        UNKNOWN_COMMAND => Ok(Some(format!(
            "The target's pgBackRest has no `repo-put`: whether {repo} takes writes was not seen."
        ))),
        code => {
            let text = output.stdout.lines().find(|line| line.contains("ERROR:"));
            let said = crate::diagnose::sanitised(text.unwrap_or("it said nothing").trim());
            Err(StepError::BasisChanged {
                what: format!(
                    "the target cannot write to {repo}: pgBackRest ended with {code}, {said}"
                ),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(exit_code: i32, stdout: &str) -> Result<Option<String>, String> {
        let output = Output {
            stdout: stdout.to_owned(),
            stderr: String::new(),
            exit_code,
        };
        judge("repo1", &output).map_err(|error| error.to_string())
    }

    #[test]
    fn a_repository_is_writable_or_the_move_does_not_begin() {
        assert_eq!(judged(0, ""), Ok(None));
        let refused = "ERROR: [039]: HTTP request failed with 403 (Forbidden):\n  *** Path/Query ***:\n  PUT /pgbackrest\n";
        assert_eq!(
            judged(39, refused).unwrap_err(),
            "the target cannot write to repo1: pgBackRest ended with 39, ERROR: [039]: HTTP request failed with 403 \
             (Forbidden):"
        );
    }

    #[test]
    fn what_was_not_seen_or_not_removed_is_told() {
        let unknown = judged(48, "ERROR: [048]: invalid command 'repo-put'\n").unwrap();
        assert!(unknown.unwrap().ends_with("was not seen."));
        let kept = judged(0, "ERROR: [039]: forbidden\npgha-left-behind\n").unwrap();
        assert!(kept.unwrap().contains("no removals"));
    }
}
