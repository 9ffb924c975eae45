//! How a commit gets to the remote, and what became of it.

use std::time::Duration;

use pgha_model::effect::Effect;
use pgha_model::text::one_line;

use crate::branch::{Branch, git, reference};
use crate::error::{GitError, Problem};
use crate::program::{Ended, run};

const TRIED: &str = "push the change";

/// What git says when it gave up before it sent anything (git 2.39 and OpenSSH 9, in the language C).
const NOTHING_SENT: [&str; 9] = [
    "Could not resolve host",
    "Connection refused",
    "Authentication failed",
    "Permission denied (",
    "Host key verification failed",
    "could not read Username",
    "could not read Password",
    "does not appear to be a git repository",
    "Repository not found",
];

/// Whether the remote said no to the branch. A connection that was lost is told in the same form (git 2.39).
fn is_refused(said: &str) -> bool {
    let mut lines = said.lines().filter(|line| line.starts_with('!'));
    lines.any(|line| !line.contains("[remote failure]"))
}

/// Whether a hook of the clone said no, before anything was sent: git then says no more of its own than this last line.
fn is_stopped_here(said: &str) -> bool {
    let of_others = ["!", "fatal:", "remote:", "send-pack:"];
    let is_others = |line: &str| of_others.iter().any(|word| line.starts_with(word));
    let last = said.trim_end().lines().next_back().unwrap_or_default();
    last.starts_with("error: failed to push some refs") && !said.lines().any(is_others)
}

/// What a remote told of a push that it took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pushed {
    /// The lines that it told, each in one line and without passwords.
    pub told: Vec<String>,
}

impl Pushed {
    fn of(told: &str) -> Self {
        let lines = told.lines().filter_map(|line| line.strip_prefix("remote:"));
        let lines = lines.map(one_line).filter(|line| !line.is_empty());
        Self {
            told: lines.collect(),
        }
    }

    /// The first address among what it told: hosts of merge requests tell where to open one.
    pub fn link(&self) -> Option<&str> {
        let mut words = self.told.iter().flat_map(|line| line.split_whitespace());
        words.find(|word| word.starts_with("https://") || word.starts_with("http://"))
    }
}

impl Branch {
    /// Pushes a commit, if the branch is still at `base`. The remote is asked afterwards whether it has it; when git does not
    /// say how the push ended, that answer decides. Each of the two runs of git may take `within`.
    ///
    /// # Errors
    /// [`Problem::Moved`] when somebody came first; what the remote or a hook says against it; or that nobody knows.
    pub async fn push(
        &self,
        commit: &str,
        base: &str,
        within: Duration,
    ) -> Result<Pushed, GitError> {
        self.push_to(&self.reference, commit, base, &self.push_options, within)
            .await
    }

    /// Pushes a commit as a new branch, for a merge request. One that is there at this very commit is as good; the options
    /// may ask the server for the request, `merge_request.create`.
    ///
    /// # Errors
    /// As [`push`](Self::push); [`Problem::Moved`] when there is such a branch at another commit.
    pub async fn publish(
        &self,
        commit: &str,
        branch: &str,
        push_options: &[String],
        within: Duration,
    ) -> Result<Pushed, GitError> {
        let reference = self.named(branch)?;
        self.push_to(&reference, commit, "", push_options, within)
            .await
    }

    /// The commit of a branch that was published for a merge request, brought into the clone's store; none where there is no such
    /// branch.
    ///
    /// # Errors
    /// The remote does not answer.
    pub async fn published(
        &self,
        branch: &str,
        within: Duration,
    ) -> Result<Option<String>, GitError> {
        let reference = self.named(branch)?;
        let Some(commit) = self.tip_of(&reference, within).await? else {
            return Ok(None);
        };
        let other = Self {
            reference,
            ..self.clone()
        };
        other.fetch(&commit, within).await?;
        Ok(Some(commit))
    }

    /// The branches at the remote whose names begin so, without `refs/heads/`, with the commit that each is at.
    ///
    /// # Errors
    /// The remote does not answer.
    pub async fn published_as(
        &self,
        prefix: &str,
        within: Duration,
    ) -> Result<Vec<(String, String)>, GitError> {
        let beginning = self.named(&format!("{prefix}x"))?;
        let beginning = beginning.strip_suffix('x').unwrap_or_default();
        let found = self.references(&format!("{beginning}*"), within).await?;
        let named = found.into_iter().filter_map(|(commit, reference)| {
            let name = reference.strip_prefix("refs/heads/")?;
            Some((name.to_owned(), commit))
        });
        Ok(named.collect())
    }

    /// Removes a published branch, if it is still at this commit, so that nobody merges it later. One that is gone is fine.
    ///
    /// # Errors
    /// [`Problem::Moved`] where it is at another commit; what the remote says against it; or that nobody knows.
    pub async fn unpublish(
        &self,
        branch: &str,
        commit: &str,
        within: Duration,
    ) -> Result<(), GitError> {
        let reference = self.named(branch)?;
        let (lease, what) = (
            format!("--force-with-lease={reference}:{commit}"),
            format!(":{reference}"),
        );
        let arguments = ["push", "--porcelain", &lease, &self.remote, &what];
        let ended = run(&mut git(&self.checkout, &arguments), within).await;
        let seen = self.tip_of(&reference, within).await;
        let problem = match (ended, seen) {
            (_, Ok(None)) => return Ok(()),
            (_, Ok(Some(tip))) if tip != commit => return Err(self.moved(commit, tip)),
            (Ended::Badly(said), _) => Problem::Denied { said },
            (Ended::Well { .. } | Ended::NotInTime, _) => Problem::NoAnswer { within },
        };
        let next = "Remove the branch by hand, so that nobody merges it.";
        let tried = "remove the branch of the merge request";
        Err(GitError::new(tried, self.at(), problem, next).leaving(Effect::Unknown))
    }

    fn named(&self, branch: &str) -> Result<String, GitError> {
        reference(branch).map_err(|bad| {
            let seen = format!("`{}`: {bad}", one_line(branch));
            self.unfit(TRIED, seen, "Name the new branch differently.")
        })
    }

    async fn push_to(
        &self,
        reference: &str,
        commit: &str,
        base: &str,
        push_options: &[String],
        within: Duration,
    ) -> Result<Pushed, GitError> {
        let lease = format!("--force-with-lease={reference}:{base}");
        let what = format!("{commit}:{reference}");
        let mut arguments = vec!["push", "--porcelain", "--no-follow-tags", &lease];
        arguments.extend(push_options.iter().flat_map(|option| ["-o", option]));
        arguments.extend([self.remote.as_str(), &what]);
        let ended = run(&mut git(&self.checkout, &arguments), within).await;
        let seen = self
            .tip_of(reference, within)
            .await
            .map(Option::unwrap_or_default);
        let is_there = seen.as_ref().is_ok_and(|tip| tip == commit);
        match ended {
            Ended::Well { told, .. } if is_there => Ok(Pushed::of(&told)),
            Ended::Well { told, .. } => {
                self.look_after(commit, seen, within).await?;
                Ok(Pushed::of(&told))
            }
            Ended::Badly(_) | Ended::NotInTime if is_there => Ok(Pushed::default()),
            Ended::Badly(said) if is_refused(&said) || is_stopped_here(&said) => {
                Err(self.refused(said, base, seen))
            }
            Ended::Badly(said) if NOTHING_SENT.iter().any(|words| said.contains(words)) => {
                let next = "See that the remote answers and that you may push, and try again.";
                let problem = Problem::Unreachable;
                Err(GitError::new(TRIED, self.at(), problem, next).caused_by(said))
            }
            Ended::Badly(said) => {
                self.unclear(Problem::Denied { said }, (commit, base), seen, within)
                    .await
            }
            Ended::NotInTime => {
                self.unclear(Problem::NoAnswer { within }, (commit, base), seen, within)
                    .await
            }
        }
    }

    /// Git says that the remote took it: another commit may already stand on it.
    async fn look_after(
        &self,
        commit: &str,
        seen: Result<String, GitError>,
        within: Duration,
    ) -> Result<(), GitError> {
        let tip = seen.map_err(|error| error.leaving(Effect::Applied))?;
        if self.is_part_of(commit, &tip, within).await {
            return Ok(());
        }
        let seen = format!("the remote took {commit} and is at {tip}, which is without it");
        let next = "Look at the remote's branch and at what its hooks did.";
        Err(self.unfit(TRIED, seen, next).leaving(Effect::Unknown))
    }

    async fn is_part_of(&self, commit: &str, tip: &str, within: Duration) -> bool {
        self.fetch(tip, within).await.is_ok()
            && self.is_in(commit, tip, within).await.unwrap_or(false)
    }

    /// The server said no: because somebody else came first, or for a reason of its own.
    fn refused(&self, said: String, base: &str, seen: Result<String, GitError>) -> GitError {
        match seen {
            Ok(tip) if tip != base => self.moved(base, tip),
            Ok(_) | Err(_) => {
                let next = "Do what the remote says, and apply again.";
                GitError::new(TRIED, self.at(), Problem::Denied { said }, next)
            }
        }
    }

    fn moved(&self, base: &str, seen: String) -> GitError {
        let expected = base.to_owned();
        let next = "Look at what changed, and plan again.";
        GitError::new(TRIED, self.at(), Problem::Moved { expected, seen }, next)
    }

    /// Nobody said how the push ended. Where the branch is elsewhere by now the lease keeps a late push away for ever.
    async fn unclear(
        &self,
        problem: Problem,
        (commit, base): (&str, &str),
        seen: Result<String, GitError>,
        within: Duration,
    ) -> Result<Pushed, GitError> {
        if let Ok(tip) = seen
            && tip != base
        {
            if self.is_part_of(commit, &tip, within).await {
                return Ok(Pushed::default());
            }
            if self.fetch(&tip, within).await.is_ok() {
                return Err(self.moved(base, tip));
            }
        }
        let next = "Look at the remote whether the commit has arrived.";
        Err(GitError::new(TRIED, self.at(), problem, next).leaving(Effect::Unknown))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_connection_is_no_refusal() {
        let end = "error: failed to push some refs to 'x'\n";
        let rejected =
            format!("!\tc:refs/heads/main\t[remote rejected] (pre-receive hook declined)\n{end}");
        let lost = format!(
            "!\tc:refs/heads/main\t[remote failure] (remote failed to report status)\n{end}"
        );
        let hung_up = format!("fatal: the remote end hung up unexpectedly\n{end}");
        let hook = format!("not on a Friday\n{end}");
        assert!(is_refused(&rejected) && !is_stopped_here(&rejected));
        for unclear in [&lost, &hung_up] {
            assert!(
                !is_refused(unclear) && !is_stopped_here(unclear),
                "{unclear}"
            );
        }
        assert!(is_stopped_here(&hook) && !is_stopped_here("killed\n"));
    }
}
