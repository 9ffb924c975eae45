//! A commit that is checked out beside the clone, and what is made of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::Command;

use crate::branch::{Branch, is_path, without_git};
use crate::error::{GitError, Problem};
use crate::program::{Ended, run};

/// A file of a commit that is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its path in the repository.
    pub path: String,
    /// Git's mode of it, `100644` or `100755`.
    pub mode: String,
    /// Its bytes, as they are: no filter and no line end conversion comes between. None where it is to go.
    pub bytes: Option<Vec<u8>>,
}

/// A commit that is checked out in a temporary folder, without a branch.
pub struct Tree<'a> {
    branch: &'a Branch,
    // Removed when the tree goes.
    folder: TempDir,
    path: PathBuf,
    base: String,
}

impl Branch {
    /// Checks a fetched commit out in a folder of its own. [`Tree::remove`] takes it away again.
    ///
    /// # Errors
    /// There is no place for it, or git says no.
    pub async fn worktree(&self, commit: &str, within: Duration) -> Result<Tree<'_>, GitError> {
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
            branch: self,
            folder,
            path,
            base,
        })
    }
}

impl Tree<'_> {
    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The commit that it is at.
    pub fn head(&self) -> &str {
        &self.base
    }

    /// Whether a part of a path is a link, which may lead out of the folder.
    fn leads_elsewhere(&self, path: &str) -> bool {
        let mut here = self.path.clone();
        path.split('/').any(|part| {
            here.push(part);
            here.is_symlink()
        })
    }

    async fn text(
        &self,
        tried: &'static str,
        arguments: &[&str],
        within: Duration,
    ) -> Result<String, GitError> {
        self.branch.text(&self.path, tried, arguments, within).await
    }

    /// Runs the user's own program in the folder, for what it writes there; its output.
    ///
    /// # Errors
    /// It ends badly, in its words; or not in time, and was killed. Nothing was pushed.
    pub async fn render(&self, program: &[String], within: Duration) -> Result<Vec<u8>, GitError> {
        let mut words = program.iter();
        let mut command = Command::new(words.next().map_or("", String::as_str));
        command.args(words).current_dir(&self.path);
        without_git(&mut command);
        let next = "Nothing was pushed; correct the program or what it reads, and plan again.";
        let failed = |problem| {
            Err(GitError::new(
                "render the change",
                self.branch.at(),
                problem,
                next,
            ))
        };
        match run(&mut command, within).await {
            Ended::Well { output, .. } => Ok(output),
            Ended::Badly(said) => failed(Problem::Denied { said }),
            Ended::NotInTime => failed(Problem::NoAnswer { within }),
        }
    }

    /// The files that are not as in the commit: changed, new, or gone. Ignored ones are left out.
    ///
    /// # Errors
    /// Git says no, or a name is not one that can be committed here.
    pub async fn changed(&self, within: Duration) -> Result<Vec<String>, GitError> {
        let tried = "see what was rendered";
        let list = [
            "status",
            "--porcelain",
            "-z",
            "--no-renames",
            "--untracked-files=all",
        ];
        let output = self.branch.output(&self.path, tried, &list, within).await?;
        let text = String::from_utf8_lossy(&output).into_owned();
        let paths = text
            .split_terminator('\0')
            .filter_map(|entry| entry.get(3..));
        let mut paths: Vec<String> = paths.map(str::to_owned).collect();
        if let Some(odd) = paths.iter().find(|path| !is_path(path)) {
            let seen = format!("`{odd}` is not a name that is committed here");
            return Err(self.branch.unfit(tried, seen, "Name the file differently."));
        }
        paths.sort_unstable();
        Ok(paths)
    }

    /// A file as it is in the folder now, for a commit of it.
    ///
    /// # Errors
    /// It is no file, or cannot be read.
    pub fn file(&self, path: &str) -> Result<File, GitError> {
        let unfit = |seen: String| {
            let next = "Nothing was pushed; look at what the program writes.";
            self.branch.unfit("read what was rendered", seen, next)
        };
        if !is_path(path) || self.leads_elsewhere(path) {
            return Err(unfit(format!("`{path}` is no path in the repository")));
        }
        let on_disk = self.path.join(path);
        let found = match fs::symlink_metadata(&on_disk) {
            Ok(found) if found.is_file() => found,
            Ok(_) => return Err(unfit(format!("`{path}` is no file"))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(File {
                    path: path.to_owned(),
                    mode: "100644".to_owned(),
                    bytes: None,
                });
            }
            Err(error) => return Err(unfit(format!("`{path}` cannot be read")).caused_by(error)),
        };
        let bytes = fs::read(&on_disk)
            .map_err(|error| unfit(format!("`{path}` cannot be read")).caused_by(error))?;
        Ok(File {
            path: path.to_owned(),
            mode: mode_of(&found).to_owned(),
            bytes: Some(bytes),
        })
    }

    /// Writes a file in the folder, for a program to read; nothing of it is committed by that.
    ///
    /// # Errors
    /// It is no path in the repository, or cannot be written.
    pub fn put(&self, path: &str, bytes: &[u8]) -> Result<(), GitError> {
        let tried = "write a file of the change";
        if !is_path(path) || self.leads_elsewhere(path) {
            let seen = format!("`{path}` is no path in the repository");
            return Err(self.branch.unfit(tried, seen, "Name the file differently."));
        }
        write(&self.path.join(path), bytes).map_err(|error| {
            let seen = format!("`{path}` cannot be written");
            let next = "Make room for temporary files.";
            self.branch.unfit(tried, seen, next).caused_by(error)
        })
    }

    /// Commits files and nothing else, by the user's name, hooks and signature; the commit. Other files of the folder stay
    /// as they are.
    ///
    /// # Errors
    /// A hook or the signing says no; or the commit is not what was meant, because a hook changed it. Nothing was pushed.
    pub async fn commit(
        &mut self,
        files: &[File],
        message: &str,
        within: Duration,
    ) -> Result<String, GitError> {
        let tried = "commit the change";
        for file in files {
            self.stage(tried, file, within).await?;
        }
        let commit = self.recorded(tried, message, within).await?;
        self.verify(&commit, files, within).await?;
        self.base.clone_from(&commit);
        Ok(commit)
    }

    async fn stage(
        &self,
        tried: &'static str,
        file: &File,
        within: Duration,
    ) -> Result<(), GitError> {
        let path = file.path.as_str();
        if !is_path(path) || self.leads_elsewhere(path) {
            let seen = format!("`{path}` is no path in the repository");
            return Err(self.branch.unfit(tried, seen, "Name the file differently."));
        }
        let on_disk = self.path.join(path);
        let Some(bytes) = &file.bytes else {
            let gone = ["update-index", "--force-remove", "--", path];
            let staged = self.text(tried, &gone, within).await;
            return staged.map(drop);
        };
        write(&on_disk, bytes).map_err(|error| {
            let seen = format!("`{path}` cannot be written");
            self.branch
                .unfit(tried, seen, "Make room for temporary files.")
                .caused_by(error)
        })?;
        let hash = ["hash-object", "-w", "--no-filters", "--", path];
        let blob = self.text(tried, &hash, within).await?;
        let entry = format!("{},{blob},{path}", file.mode);
        let add = ["update-index", "--add", "--cacheinfo", &entry];
        self.text(tried, &add, within).await.map(drop)
    }

    async fn recorded(
        &self,
        tried: &'static str,
        message: &str,
        within: Duration,
    ) -> Result<String, GitError> {
        let commit = ["commit", "--quiet", "--message", message];
        self.text(tried, &commit, within).await?;
        self.text(tried, &["rev-parse", "HEAD"], within).await
    }

    /// What two commits differ in.
    async fn names(
        &self,
        one: &str,
        other: &str,
        within: Duration,
    ) -> Result<Vec<String>, GitError> {
        let tried = "verify the commit";
        let list = ["diff", "--no-renames", "--name-only", "-z", one, other];
        let names = self.branch.output(&self.path, tried, &list, within).await?;
        let names = String::from_utf8_lossy(&names).into_owned();
        let mut names: Vec<String> = names.split_terminator('\0').map(str::to_owned).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// A hook may have changed what was committed.
    async fn verify(&self, commit: &str, files: &[File], within: Duration) -> Result<(), GitError> {
        let names = self.names(&self.base, commit, within).await?;
        let mut wanted: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        wanted.sort_unstable();
        let mut is_ours = names == wanted;
        for file in files {
            if let Some(bytes) = &file.bytes {
                let (_, there) = self.branch.file(commit, &file.path, within).await?;
                is_ours &= there == *bytes;
            }
        }
        if is_ours {
            return Ok(());
        }
        Err(self.another_change(&names))
    }

    fn another_change(&self, names: &[String]) -> GitError {
        let names = match names {
            [] => "no file".to_owned(),
            names => names.join(", "),
        };
        let seen = format!("a hook made another change than the planned one: {names}");
        let next = "Change the hook, or make the change by hand.";
        self.branch.unfit("verify the commit", seen, next)
    }

    /// Commits the opposite of a commit, on what the folder is at; the new commit.
    ///
    /// # Errors
    /// It does not apply any more, or is taken back already; a hook or the signing says no. Nothing was pushed.
    pub async fn revert(
        &mut self,
        commit: &str,
        message: &str,
        within: Duration,
    ) -> Result<String, GitError> {
        let tried = "take a commit back";
        let revert = ["revert", "--no-commit", commit];
        self.text(tried, &revert, within).await?;
        let parent = format!("{commit}^");
        let (theirs, staged) = (
            self.names(&parent, commit, within).await?,
            self.text(tried, &["diff", "--cached", "--name-only"], within)
                .await?,
        );
        if staged.is_empty() {
            let seen = format!("nothing of {commit} is left to take back");
            let next = "Look at the branch's history.";
            return Err(self.branch.unfit(tried, seen, next));
        }
        let taken_back = self.recorded(tried, message, within).await?;
        let ours = self.names(&self.base, &taken_back, within).await?;
        if !ours.iter().all(|name| theirs.contains(name)) {
            return Err(self.another_change(&ours));
        }
        self.base.clone_from(&taken_back);
        Ok(taken_back)
    }

    /// Removes it. What stays of it in the clone after an interruption goes with `git worktree prune`.
    ///
    /// # Errors
    /// Git says no; the folder is gone all the same.
    pub async fn remove(self, within: Duration) -> Result<(), GitError> {
        let path = self.path.to_string_lossy().into_owned();
        let remove = ["worktree", "remove", "--force", &path];
        let tried = "remove the temporary checkout";
        let checkout = &self.branch.checkout;
        let removed = self.branch.output(checkout, tried, &remove, within).await;
        drop(self.folder);
        removed.map(drop)
    }
}

fn write(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(file, bytes)
}

#[cfg(unix)]
fn mode_of(found: &fs::Metadata) -> &'static str {
    use std::os::unix::fs::PermissionsExt as _;
    if found.permissions().mode() & 0o100 == 0 {
        "100644"
    } else {
        "100755"
    }
}

#[cfg(not(unix))]
fn mode_of(_found: &fs::Metadata) -> &'static str {
    "100644"
}
