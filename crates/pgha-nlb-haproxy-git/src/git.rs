//! Git's own program on the user's own clone: hooks, signing and credentials are the user's.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use pgha_model::effect::Effect;
use pgha_nlb::plan::conflict;
use pgha_nlb::{CutoverError, Problem};
use tempfile::TempDir;
use tokio::process::Command;

/// A branch of a remote, as seen from a clone.
#[derive(Clone, Debug)]
pub(crate) struct Git {
    pub(crate) checkout: PathBuf,
    pub(crate) remote: String,
    pub(crate) reference: String,
    pub(crate) push_options: Vec<String>,
}

/// How a program ended.
pub(crate) enum Ended {
    Well(Vec<u8>),
    Badly(String),
    NotInTime,
}

/// Runs a program to its end; one that takes too long is killed.
pub(crate) async fn run(command: &mut Command, within: Duration) -> Ended {
    command.stdin(Stdio::null()).kill_on_drop(true);
    match tokio::time::timeout(within, command.output()).await {
        Err(_elapsed) => Ended::NotInTime,
        Ok(Err(error)) => Ended::Badly(error.to_string()),
        Ok(Ok(output)) if output.status.success() => Ended::Well(output.stdout),
        Ok(Ok(output)) => Ended::Badly(said(&output)),
    }
}

fn said(output: &Output) -> String {
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    without_credentials(&String::from_utf8_lossy(&text))
}

/// A password in the address of a remote is in git's messages too.
fn without_credentials(text: &str) -> String {
    let mut parts = text.split("://");
    let mut clean = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let authority = part.split(['/', ' ', '\n', '\'', '"']).next().unwrap_or("");
        clean.push_str("://");
        match authority.rfind('@') {
            Some(at) => clean.extend(["***", &part[at..]]),
            None => clean.push_str(part),
        }
    }
    clean
}

fn git(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    command.current_dir(folder).args(arguments);
    // A question that nobody can answer must fail; what a caller's hook has set is about another repository.
    command.env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C");
    for variable in ["GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "GIT_PREFIX"] {
        command.env_remove(variable);
    }
    command
}

impl Git {
    /// The branch, for a message. Never the remote's address, which may hold a password.
    pub(crate) fn at(&self) -> String {
        format!("{} {}", self.remote, self.reference)
    }

    /// Runs git where it changes nothing of the remote's.
    pub(crate) async fn output(
        &self,
        folder: &Path,
        tried: &'static str,
        arguments: &[&str],
        within: Duration,
    ) -> Result<Vec<u8>, CutoverError> {
        let next = "Run the same git command in the checkout to see more.";
        let error = |problem| Err(CutoverError::new(tried, self.at(), problem, next));
        match run(&mut git(folder, arguments), within).await {
            Ended::Well(output) => Ok(output),
            Ended::Badly(said) => error(Problem::Denied { said }),
            Ended::NotInTime => error(Problem::NoAnswer { within }),
        }
    }

    async fn text(
        &self,
        folder: &Path,
        tried: &'static str,
        arguments: &[&str],
        within: Duration,
    ) -> Result<String, CutoverError> {
        let output = self.output(folder, tried, arguments, within).await?;
        Ok(String::from_utf8_lossy(&output).trim_end().to_owned())
    }

    fn unfit(&self, tried: &'static str, seen: String, next: &str) -> CutoverError {
        CutoverError::new(tried, self.at(), Problem::Unfit { seen }, next)
    }

    /// The commit that the branch is at, asked of the remote itself.
    pub(crate) async fn tip(&self, within: Duration) -> Result<String, CutoverError> {
        let tried = "read the branch";
        let arguments = ["ls-remote", "--refs", &self.remote, &self.reference];
        let next = "See that the remote answers: run `git ls-remote` in the checkout.";
        let error = |problem| CutoverError::new(tried, self.at(), problem, next);
        match run(&mut git(&self.checkout, &arguments), within).await {
            Ended::NotInTime => Err(error(Problem::NoAnswer { within })),
            Ended::Badly(said) => Err(error(Problem::Unreachable).caused_by(said)),
            Ended::Well(output) => {
                let text = String::from_utf8_lossy(&output).into_owned();
                let commit = text.split_whitespace().next().map(str::to_owned);
                let none = "the remote has no such branch".to_owned();
                commit.ok_or_else(|| self.unfit(tried, none, "Name an existing branch."))
            }
        }
    }

    /// Brings a commit of the branch into the clone's store, without a change to any of its references.
    pub(crate) async fn fetch(&self, commit: &str, within: Duration) -> Result<(), CutoverError> {
        let tried = "fetch the branch";
        let has = format!("{commit}^{{commit}}");
        let has = ["cat-file", "-e", &has];
        if self
            .output(&self.checkout, tried, &has, within)
            .await
            .is_ok()
        {
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
        self.output(&self.checkout, tried, &has, within)
            .await
            .map(drop)
    }

    /// A file's mode and bytes in a commit. No filter and no line end conversion comes between.
    pub(crate) async fn file(
        &self,
        commit: &str,
        path: &str,
        within: Duration,
    ) -> Result<(String, Vec<u8>), CutoverError> {
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

    /// Checks a commit out in a folder of its own.
    pub(crate) async fn worktree(
        &self,
        commit: &str,
        within: Duration,
    ) -> Result<Tree<'_>, CutoverError> {
        let tried = "check the branch out beside the checkout";
        let folder = TempDir::new().map_err(|error| {
            let seen = "there is no place for it".to_owned();
            self.unfit(tried, seen, "Make room for temporary files.")
                .caused_by(error)
        })?;
        let path = folder.path().join("tree");
        let shown = path.to_string_lossy().into_owned();
        let add = ["worktree", "add", "--quiet", "--detach", &shown, commit];
        self.output(&self.checkout, tried, &add, within).await?;
        let base = commit.to_owned();
        Ok(Tree {
            git: self,
            folder,
            path,
            base,
        })
    }

    /// Pushes a commit, if the branch is still at `base`. When git does not say how that ended, the remote is asked.
    pub(crate) async fn push(
        &self,
        commit: &str,
        base: &str,
        within: Duration,
    ) -> Result<(), CutoverError> {
        let lease = format!("--force-with-lease={}:{base}", self.reference);
        let what = format!("{commit}:{}", self.reference);
        let mut arguments = vec!["push", "--porcelain", "--no-follow-tags", &lease];
        arguments.extend(self.push_options.iter().flat_map(|option| ["-o", option]));
        arguments.extend([self.remote.as_str(), &what]);
        let tried = "push the change";
        let problem = match run(&mut git(&self.checkout, &arguments), within).await {
            Ended::Well(_) => return Ok(()),
            Ended::Badly(said) if said.lines().any(|line| line.starts_with('!')) => {
                return Err(self.rejected(said, base, within).await);
            }
            Ended::Badly(said) => Problem::Denied { said },
            Ended::NotInTime => Problem::NoAnswer { within },
        };
        match self.tip(within).await {
            Ok(tip) if tip == commit => Ok(()),
            _ => {
                let next = "Look at the remote whether the commit has arrived.";
                let error = CutoverError::new(tried, self.at(), problem, next);
                Err(error.leaving(Effect::Unknown))
            }
        }
    }

    /// The server said no: because somebody else came first, or for a reason of its own.
    async fn rejected(&self, said: String, base: &str, within: Duration) -> CutoverError {
        let tried = "push the change";
        match self.tip(within).await {
            Ok(tip) if tip != base => conflict(&base.into(), &tip.into(), tried, &self.at()),
            _ => {
                let next = "Do what the remote says, and apply again.";
                CutoverError::new(tried, self.at(), Problem::Denied { said }, next)
            }
        }
    }
}

/// A commit that is checked out in a temporary folder.
pub(crate) struct Tree<'a> {
    git: &'a Git,
    // Removed when the tree goes.
    folder: TempDir,
    pub(crate) path: PathBuf,
    base: String,
}

impl Tree<'_> {
    /// Commits files and nothing else, by the user's name, hooks and signature.
    pub(crate) async fn commit(
        &self,
        files: &[(&str, String, &[u8])],
        message: &str,
        within: Duration,
    ) -> Result<String, CutoverError> {
        let tried = "commit the change";
        for (path, mode, bytes) in files {
            let file = self.path.join(path);
            std::fs::write(&file, bytes).map_err(|error| {
                let seen = format!("`{path}` cannot be written");
                self.git
                    .unfit(tried, seen, "Make room for temporary files.")
                    .caused_by(error)
            })?;
            let hash = ["hash-object", "-w", "--no-filters", "--", path];
            let blob = self.git.text(&self.path, tried, &hash, within).await?;
            let entry = format!("{mode},{blob},{path}");
            let add = ["update-index", "--cacheinfo", &entry];
            self.git.output(&self.path, tried, &add, within).await?;
        }
        let commit = ["commit", "--quiet", "--message", message];
        self.git.output(&self.path, tried, &commit, within).await?;
        let head = ["rev-parse", "HEAD"];
        let commit = self.git.text(&self.path, tried, &head, within).await?;
        self.verify(&commit, files, within).await?;
        Ok(commit)
    }

    /// A hook may have changed what was committed.
    async fn verify(
        &self,
        commit: &str,
        files: &[(&str, String, &[u8])],
        within: Duration,
    ) -> Result<(), CutoverError> {
        let tried = "verify the commit";
        let list = [
            "diff",
            "--no-renames",
            "--name-only",
            "-z",
            &self.base,
            commit,
        ];
        let names = self.git.output(&self.path, tried, &list, within).await?;
        let names = String::from_utf8_lossy(&names).into_owned();
        let mut names: Vec<&str> = names.split_terminator('\0').collect();
        let mut wanted: Vec<&str> = files.iter().map(|(path, ..)| *path).collect();
        names.sort_unstable();
        wanted.sort_unstable();
        let mut is_ours = names == wanted;
        for (path, _, bytes) in files {
            is_ours &= self.git.file(commit, path, within).await?.1 == *bytes;
        }
        if is_ours {
            return Ok(());
        }
        let seen = format!(
            "a hook made another change than the planned one: {}",
            names.join(", ")
        );
        Err(self
            .git
            .unfit(tried, seen, "Change the hook, or make the change by hand."))
    }

    /// Removes it. What stays of it in the clone after an interruption goes with `git worktree prune`.
    pub(crate) async fn remove(self, within: Duration) -> Result<(), CutoverError> {
        let path = self.path.to_string_lossy().into_owned();
        let remove = ["worktree", "remove", "--force", &path];
        let tried = "remove the temporary checkout";
        let removed = self
            .git
            .output(&self.git.checkout, tried, &remove, within)
            .await;
        drop(self.folder);
        removed.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::without_credentials;

    #[test]
    fn a_password_in_an_address_is_hidden() {
        assert_eq!(
            without_credentials(
                "fatal: 'https://me:pass@host/x.git' and ssh://git@h and http://h/a@b"
            ),
            "fatal: 'https://***@host/x.git' and ssh://***@h and http://h/a@b"
        );
    }
}
