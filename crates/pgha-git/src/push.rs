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
        let reference = reference(branch).map_err(|bad| {
            let seen = format!("`{}`: {bad}", one_line(branch));
            self.unfit(TRIED, seen, "Name the new branch differently.")
        })?;
        self.push_to(&reference, commit, "", push_options, within)
            .await
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
            Ended::Badly(said) if said.lines().any(|line| line.starts_with('!')) => {
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
