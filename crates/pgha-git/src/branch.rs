//! A branch of a remote, as seen from a clone.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use crate::error::{GitError, Problem};
use crate::message::{Mark, OPERATION, PHASE, Phase, UNDOES, word};
use crate::program::{Ended, run};

/// So many commits of a branch are looked through for one of a move.
const LOOKED_THROUGH: &str = "1000";

/// A branch of a remote, as seen from a clone.
#[derive(Clone, Debug)]
pub struct Branch {
    pub(crate) checkout: PathBuf,
    pub(crate) remote: String,
    pub(crate) reference: String,
    pub(crate) push_options: Vec<String>,
}

/// Why names are none of a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBranch {
    /// An address could hold a password, and would be shown.
    #[error("`remote` is the name of a remote, not an address")]
    Remote,
    /// Git would take it for something else.
    #[error("`branch` is no name of a branch")]
    Name,
    /// A line is an option.
    #[error("each of `pushOptions` is one line")]
    PushOption,
}

/// A word that means nothing to git or to a shell.
pub fn is_word(word: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    !word.is_empty()
        && !word.starts_with(['-', '.'])
        && !word.contains("..")
        && word.chars().all(allowed)
}

/// A file's path in a repository, which stays within it and which git takes as it is.
pub fn is_path(path: &str) -> bool {
    let is_odd = |c: char| c.is_control() || "\\\"'*?[:,".contains(c);
    let is_component = |word: &str| {
        !word.is_empty()
            && !word.starts_with('-')
            && ![".", ".."].contains(&word)
            && !word.eq_ignore_ascii_case(".git")
            && !word.contains(is_odd)
    };
    path.split('/').all(is_component)
}

/// Git, with what a caller's hook has set taken away, which is about another repository.
pub(crate) fn git(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    command.current_dir(folder).args(arguments);
    // A question that nobody can answer must fail; OpenSSH asks the terminal unless it is told not to (ssh(1)).
    command
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("SSH_ASKPASS_REQUIRE", "force")
        .env("LC_ALL", "C");
    without_git(&mut command);
    command
}

pub(crate) fn without_git(command: &mut Command) {
    for variable in ["GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "GIT_PREFIX"] {
        command.env_remove(variable);
    }
}

impl Branch {
    /// A branch; reads nothing. The clone is a folder of this machine, the branch a name without `refs/heads/`, and the push
    /// options are what the server's hooks are told.
    ///
    /// # Errors
    /// A name that git would take for something else.
    pub fn new(
        checkout: PathBuf,
        remote: &str,
        branch: &str,
        push_options: &[String],
    ) -> Result<Self, BadBranch> {
        if !is_word(remote) {
            return Err(BadBranch::Remote);
        }
        if push_options.iter().any(|option| option.contains('\n')) {
            return Err(BadBranch::PushOption);
        }
        Ok(Self {
            checkout,
            remote: remote.to_owned(),
            reference: reference(branch)?,
            push_options: push_options.to_vec(),
        })
    }

    /// The branch, for a message. Never the remote's address, which may hold a password.
    pub fn at(&self) -> String {
        format!("{} {}", self.remote, self.reference)
    }

    /// The clone.
    pub fn checkout(&self) -> &Path {
        &self.checkout
    }

    /// Runs git where it changes nothing of the remote's.
    pub(crate) async fn output(
        &self,
        folder: &Path,
        tried: &'static str,
        arguments: &[&str],
        within: Duration,
    ) -> Result<Vec<u8>, GitError> {
        let next = "Run the same git command in the checkout to see more.";
        let error = |problem| Err(GitError::new(tried, self.at(), problem, next));
        match run(&mut git(folder, arguments), within).await {
            Ended::Well { output, .. } => Ok(output),
            Ended::Badly(said) => error(Problem::Denied { said }),
            Ended::NotInTime => error(Problem::NoAnswer { within }),
        }
    }

    pub(crate) async fn text(
        &self,
        folder: &Path,
        tried: &'static str,
        arguments: &[&str],
        within: Duration,
    ) -> Result<String, GitError> {
        let output = self.output(folder, tried, arguments, within).await?;
        Ok(String::from_utf8_lossy(&output).trim_end().to_owned())
    }

    pub(crate) fn unfit(&self, tried: &'static str, seen: String, next: &str) -> GitError {
        GitError::new(tried, self.at(), Problem::Unfit { seen }, next)
    }

    /// The name that this machine commits under.
    ///
    /// # Errors
    /// Git has none.
    pub async fn committer(&self, within: Duration) -> Result<String, GitError> {
        let identity = ["var", "GIT_COMMITTER_IDENT"];
        let tried = "learn who commits";
        self.text(&self.checkout, tried, &identity, within).await
    }

    /// The commit that the branch is at, asked of the remote itself.
    ///
    /// # Errors
    /// The remote does not answer, or has no such branch.
    pub async fn tip(&self, within: Duration) -> Result<String, GitError> {
        let none = "the remote has no such branch".to_owned();
        let none = || self.unfit("read the branch", none, "Name an existing branch.");
        let tip = self.tip_of(&self.reference, within).await?;
        tip.ok_or_else(none)
    }

    pub(crate) async fn tip_of(
        &self,
        reference: &str,
        within: Duration,
    ) -> Result<Option<String>, GitError> {
        let there = self.references(reference, within).await?;
        let first = there.into_iter().next();
        Ok(first.map(|(commit, _)| commit))
    }

    /// The commits and names of the remote's references by a pattern of `git ls-remote`.
    pub(crate) async fn references(
        &self,
        pattern: &str,
        within: Duration,
    ) -> Result<Vec<(String, String)>, GitError> {
        let arguments = ["ls-remote", "--refs", &self.remote, pattern];
        let next = "See that the remote answers: run `git ls-remote` in the checkout.";
        let error = |problem| GitError::new("read the branch", self.at(), problem, next);
        match run(&mut git(&self.checkout, &arguments), within).await {
            Ended::NotInTime => Err(error(Problem::NoAnswer { within })),
            Ended::Badly(said) => Err(error(Problem::Unreachable).caused_by(said)),
            Ended::Well { output, .. } => {
                let text = String::from_utf8_lossy(&output);
                let line = |line: &str| {
                    let (commit, name) = line.split_once('\t')?;
                    Some((commit.to_owned(), name.to_owned()))
                };
                Ok(text.lines().filter_map(line).collect())
            }
        }
    }

    /// Brings a commit of the branch into the clone's store, without a change to any of its references.
    ///
    /// # Errors
    /// The remote does not give it.
    pub async fn fetch(&self, commit: &str, within: Duration) -> Result<(), GitError> {
        let tried = "fetch the branch";
        let has = format!("{commit}^{{commit}}");
        let has = ["cat-file", "-e", &has];
        let here = self.output(&self.checkout, tried, &has, within).await;
        if here.is_ok() {
            return Ok(());
        }
        let fetch = [
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--refmap=",
            &self.remote,
            &self.reference,
        ];
        self.output(&self.checkout, tried, &fetch, within).await?;
        let has = self.output(&self.checkout, tried, &has, within).await;
        has.map(drop)
    }

    /// A file's mode and bytes in a commit. No filter and no line end conversion comes between.
    ///
    /// # Errors
    /// There is no such file in it.
    pub async fn file(
        &self,
        commit: &str,
        path: &str,
        within: Duration,
    ) -> Result<(String, Vec<u8>), GitError> {
        let tried = "read a file of the branch";
        let list = ["ls-tree", "--full-tree", commit, "--", path];
        let entry = self.text(&self.checkout, tried, &list, within).await?;
        let words: Vec<&str> = entry.split_whitespace().collect();
        let [mode @ ("100644" | "100755"), "blob", blob, ..] = words.as_slice() else {
            let seen = format!("`{path}` is no file in commit {commit}");
            return Err(self.unfit(tried, seen, "Name a file by its path in the repository."));
        };
        let show = ["cat-file", "blob", blob];
        let bytes = self.output(&self.checkout, tried, &show, within).await?;
        Ok(((*mode).to_owned(), bytes))
    }

    /// The newest commit up to a fetched one that a move made as this part of it, by its trailers: how a push is found again
    /// whose answer was lost, and a merge request that was merged.
    ///
    /// # Errors
    /// The commit is not in the clone's store.
    pub async fn made(
        &self,
        tip: &str,
        operation: &str,
        phase: Phase,
        within: Duration,
    ) -> Result<Option<String>, GitError> {
        let trailer = |key| format!("%(trailers:key={key},valueonly,separator=%x2C)");
        let (operations, phases) = (trailer(OPERATION), trailer(PHASE));
        let format = format!("--format=%H%x09{operations}%x09{phases}");
        let list = ["log", "-n", LOOKED_THROUGH, &format, tip];
        let tried = "look for the move's commit";
        let text = self.text(&self.checkout, tried, &list, within).await?;
        let operation = word(operation);
        let is_it = |line: &str| {
            let mut fields = line.split('\t');
            let commit = fields.next()?;
            (fields.next() == Some(operation.as_str()) && fields.next() == Some(phase.word()))
                .then(|| commit.to_owned())
        };
        Ok(text.lines().find_map(is_it))
    }

    /// What the commits up to a fetched one say of a move, the newest first: made, and taken back.
    ///
    /// # Errors
    /// The commit is not in the clone's store.
    pub async fn marks(
        &self,
        tip: &str,
        operation: &str,
        within: Duration,
    ) -> Result<Vec<Mark>, GitError> {
        let trailer = |key| format!("%(trailers:key={key},valueonly,separator=%x2C)");
        let fields = [OPERATION, PHASE, UNDOES].map(trailer).join("%x09");
        let format = format!("--format=%H%x09{fields}");
        let list = ["log", "-n", LOOKED_THROUGH, &format, tip];
        let tried = "look for the move's commits";
        let text = self.text(&self.checkout, tried, &list, within).await?;
        let operation = word(operation);
        let mark = |line: &str| {
            let fields: Vec<&str> = line.split('\t').collect();
            let [commit, named, phase, undoes] = fields.as_slice() else {
                return None;
            };
            let mark = Mark {
                commit: (*commit).to_owned(),
                phase: Phase::of(phase)?,
                undoes: (!undoes.is_empty()).then(|| (*undoes).to_owned()),
            };
            (*named == operation).then_some(mark)
        };
        Ok(text.lines().filter_map(mark).collect())
    }

    /// The paths of all files in a fetched commit.
    ///
    /// # Errors
    /// The commit is not in the clone's store.
    pub async fn paths(&self, commit: &str, within: Duration) -> Result<Vec<String>, GitError> {
        let list = ["ls-tree", "-r", "-z", "--name-only", "--full-tree", commit];
        let tried = "list the files of the branch";
        let output = self.output(&self.checkout, tried, &list, within).await?;
        let text = String::from_utf8_lossy(&output).into_owned();
        Ok(text.split_terminator('\0').map(str::to_owned).collect())
    }

    /// The files of the clone that somebody has changed or added there and not committed; none in a bare one, where nobody works.
    ///
    /// # Errors
    /// It is no clone.
    pub async fn unsaved(&self, within: Duration) -> Result<Vec<String>, GitError> {
        let tried = "look at the clone";
        let is_bare = ["rev-parse", "--is-bare-repository"];
        if self.text(&self.checkout, tried, &is_bare, within).await? == "true" {
            return Ok(Vec::new());
        }
        let list = [
            "status",
            "--porcelain",
            "-z",
            "--no-renames",
            "--untracked-files=all",
        ];
        let output = self.output(&self.checkout, tried, &list, within).await?;
        let text = String::from_utf8_lossy(&output).into_owned();
        let paths = text
            .split_terminator('\0')
            .filter_map(|entry| entry.get(3..));
        Ok(paths.map(str::to_owned).collect())
    }

    /// Whether a fetched commit is part of the history of another.
    ///
    /// # Errors
    /// One of them is not in the clone's store.
    pub async fn is_in(&self, commit: &str, tip: &str, within: Duration) -> Result<bool, GitError> {
        let tried = "compare two commits";
        let list = ["rev-list", "--max-count=1", commit, &format!("^{tip}")];
        let missing = self.text(&self.checkout, tried, &list, within).await?;
        Ok(missing.is_empty())
    }
}

pub(crate) fn reference(branch: &str) -> Result<String, BadBranch> {
    // Git's own rules forbid these two ends (git-check-ref-format(1)).
    let is_bad = |word: &str| {
        !is_word(word)
            || word.contains(':')
            || word.ends_with('.')
            || word.rsplit('.').next() == Some("lock")
    };
    if branch.split('/').any(is_bad) {
        return Err(BadBranch::Name);
    }
    Ok(format!("refs/heads/{branch}"))
}
