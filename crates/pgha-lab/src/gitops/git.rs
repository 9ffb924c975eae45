//! The git host in the edge, and a person's own copy of a repository.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::{GRACE, remove_if_there};
use crate::daemon::Daemon;
use crate::paths::{self, Cache};
use crate::program;
use crate::site::Place;

/// The host's daemon, and its program.
pub const DAEMON: &str = "git-http";
/// The branch of every repository.
pub const BRANCH: &str = "main";

const PORT: u16 = 3000;

/// Starts the host and waits until it answers.
pub(super) fn start(cache: &Cache, built: &Path) -> Result<()> {
    let folder = folder(cache);
    fs::create_dir_all(&folder)?;
    let daemon = Daemon::new(Place::Edge, DAEMON, paths::program(DAEMON))
        .version(built.display().to_string())
        .args(["-address", &format!("{}:{PORT}", Place::Edge.ip())])
        .arg("-folder")
        .arg(folder.display().to_string());
    daemon.ensure(GRACE)?;
    daemon.await_ready(Duration::from_secs(20), answers)
}

/// Ends the host and removes its repositories.
pub(super) fn remove(cache: &Cache) -> Result<()> {
    if let Ok(daemon) = Daemon::load(Place::Edge, DAEMON) {
        daemon.remove(GRACE)?;
    }
    remove_if_there(fs::remove_dir_all(folder(cache)))
}

fn answers() -> Result<()> {
    let url = format!("http://{}:{PORT}/", Place::Edge.ip());
    let args = ["--silent", "--max-time", "3", "--output", "/dev/null", &url];
    program::output(Command::new("curl").args(args)).map(drop)
}

/// Has the host answer every request with this status from now on, or as it should again.
///
/// # Errors
/// There is no host.
pub fn answer_with(cache: &Cache, status: Option<u16>) -> Result<()> {
    let file = folder(cache).join("answer");
    let done = match status {
        Some(status) => fs::write(&file, format!("{status}\n")).map_err(anyhow::Error::from),
        None => remove_if_there(fs::remove_file(&file)),
    };
    done.with_context(|| format!("cannot change {}", file.display()))
}

/// Has the host run this program of the shell before it takes a push, with the repository as its folder; or nothing any more.
///
/// # Errors
/// There is no such repository.
pub fn before_a_push(cache: &Cache, repository: &str, shell: Option<&str>) -> Result<()> {
    let file = bare(cache, repository).join("hooks/pre-receive");
    let Some(shell) = shell else {
        return remove_if_there(fs::remove_file(&file));
    };
    fs::write(&file, format!("#!/bin/sh\n{shell}\n"))
        .and_then(|()| fs::set_permissions(&file, fs::Permissions::from_mode(0o755)))
        .with_context(|| format!("cannot write {}", file.display()))
}

/// The URL of a repository, for both sites and for this machine.
pub fn url(repository: &str) -> String {
    format!("http://{}:{PORT}/{repository}.git", Place::Edge.ip())
}

/// Makes a repository without a commit.
///
/// # Errors
/// There is one of this name.
pub fn create(cache: &Cache, repository: &str) -> Result<()> {
    let bare = bare(cache, repository);
    ensure!(!bare.exists(), "there is a repository {repository} already");
    fs::create_dir_all(&bare)?;
    git(
        &bare,
        &["init", "--quiet", "--bare", "--initial-branch", BRANCH],
    )?;
    // The host knows nobody by name, and git takes a push from such a one only then.
    git(&bare, &["config", "http.receivepack", "true"]).map(drop)
}

/// Removes a repository; what is not there is fine.
pub fn forget(cache: &Cache, repository: &str) -> Result<()> {
    remove_if_there(fs::remove_dir_all(bare(cache, repository)))
}

fn bare(cache: &Cache, repository: &str) -> PathBuf {
    folder(cache).join(format!("{repository}.git"))
}

fn folder(cache: &Cache) -> PathBuf {
    cache.data(Place::Edge).join("git")
}

/// A person's own copy of a repository.
#[derive(Clone, Debug)]
pub struct WorkTree {
    folder: PathBuf,
}

impl WorkTree {
    /// The one in this folder.
    pub const fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Clones a repository, with a name and an address for its commits.
    ///
    /// # Errors
    /// The host does not answer, or the folder is in use.
    pub fn clone_of(repository: &str, folder: PathBuf) -> Result<Self> {
        fs::create_dir_all(&folder)?;
        let tree = Self { folder };
        tree.git(&["clone", "--quiet", &url(repository), "."])?;
        // A clone of an empty repository is on whatever branch this machine's git prefers.
        tree.git(&["symbolic-ref", "HEAD", &format!("refs/heads/{BRANCH}")])?;
        tree.git(&["config", "user.name", "lab"])?;
        tree.git(&["config", "user.email", "lab@example.org"])?;
        Ok(tree)
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Commits what changed below these paths, and nothing else, and returns the commit.
    ///
    /// # Errors
    /// Nothing changed there.
    pub fn commit(&self, paths: &[&str], message: &str) -> Result<String> {
        self.git(&[&["add", "--all", "--"], paths].concat())?;
        let commit = ["commit", "--quiet", "--message", message, "--"];
        self.git(&[&commit[..], paths].concat())?;
        self.head()
    }

    /// The newest commit.
    pub fn head(&self) -> Result<String> {
        Ok(self.git(&["rev-parse", "HEAD"])?.trim().to_owned())
    }

    /// Pushes the branch.
    ///
    /// # Errors
    /// The host does not answer, or somebody else has pushed meanwhile.
    pub fn push(&self) -> Result<()> {
        self.git(&["push", "--quiet", "origin", BRANCH]).map(drop)
    }

    /// Runs git in it and returns what it wrote to stdout.
    ///
    /// # Errors
    /// git fails; the error holds what it wrote.
    pub fn git(&self, args: &[&str]) -> Result<String> {
        git(&self.folder, args)
    }
}

/// git with nothing of this machine's settings: no hooks, no signing, no helper that asks for a password.
fn git(folder: &Path, args: &[impl AsRef<OsStr>]) -> Result<String> {
    let mut git = Command::new("git");
    git.current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0");
    program::output(git.args(args))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_holds_only_what_is_below_its_paths() {
        let folder = tempfile::tempdir().unwrap();
        let tree = WorkTree::at(folder.path().to_owned());
        tree.git(&["init", "--quiet", "--initial-branch", BRANCH])
            .unwrap();
        tree.git(&["config", "user.name", "test"]).unwrap();
        tree.git(&["config", "user.email", "test@example.org"])
            .unwrap();
        for name in ["one", "two"] {
            fs::create_dir(folder.path().join(name)).unwrap();
            fs::write(folder.path().join(name).join("file"), name).unwrap();
        }
        let commit = tree.commit(&["one"], "one of them").unwrap();
        let shown = tree
            .git(&["show", "--name-only", "--format=%s", &commit])
            .unwrap();
        assert_eq!(shown, "one of them\n\none/file\n");
        assert!(tree.commit(&["one"], "nothing").is_err());
    }

    #[test]
    fn the_hosts_fault_is_one_file() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::at(root.path().to_owned());
        assert!(answer_with(&cache, Some(401)).is_err(), "there is no host");
        fs::create_dir_all(folder(&cache)).unwrap();
        answer_with(&cache, Some(401)).unwrap();
        assert_eq!(
            fs::read_to_string(folder(&cache).join("answer")).unwrap(),
            "401\n"
        );
        answer_with(&cache, None).unwrap();
        answer_with(&cache, None).unwrap();
        assert!(!folder(&cache).join("answer").exists());
    }
}
