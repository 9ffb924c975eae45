//! A bare repository as the server, and the user's clone of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use pgha_git::{Branch, File, GitError, Tree};
use tempfile::TempDir;

use crate::git::{configure, git, hook, program};

pub(crate) const WITHIN: Duration = Duration::from_mins(1);
pub(crate) const SOURCE: &str = "deploy/clusters/core2/pg.yaml";
pub(crate) const TARGET: &str = "deploy/clusters/core1/pg.yaml";

/// Both repositories in one temporary folder.
pub(crate) struct Repository {
    folder: TempDir,
}

impl Repository {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let repository = Self { folder };
        let (server, clone) = (repository.server(), repository.clone());
        fs::create_dir_all(&server).unwrap();
        git(
            &server,
            &["init", "--quiet", "--bare", "--initial-branch=main"],
        );
        git(&server, &["config", "receive.advertisePushOptions", "true"]);
        fs::create_dir_all(&clone).unwrap();
        git(&clone, &["init", "--quiet", "--initial-branch=work"]);
        configure(&clone);
        let address = server.to_str().unwrap();
        git(&clone, &["remote", "add", "origin", address]);
        for (path, text) in [
            (SOURCE, "standby: false\n"),
            (TARGET, "standby: true\n"),
            ("notes.txt", "a\n"),
        ] {
            fs::create_dir_all(clone.join(path).parent().unwrap()).unwrap();
            fs::write(clone.join(path), text).unwrap();
        }
        git(&clone, &["add", "."]);
        git(&clone, &["commit", "--quiet", "--message", "Begin"]);
        git(&clone, &["push", "--quiet", "origin", "HEAD:main"]);
        repository
    }

    pub(crate) fn server(&self) -> PathBuf {
        self.path("server.git")
    }

    pub(crate) fn clone(&self) -> PathBuf {
        self.path("clone")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn branch(&self) -> Branch {
        let options = ["run=deploy".to_owned()];
        Branch::new(self.clone(), "origin", "main", &options).unwrap()
    }

    /// A hook of the server or of the clone; `$FOLDER` is where both are.
    pub(crate) fn hook(&self, of: &Path, name: &str, script: &str) {
        hook(self.folder.path(), of, name, script);
    }

    pub(crate) fn script(&self, file: &Path, script: &str) {
        program(self.folder.path(), file, script);
    }

    pub(crate) fn tip(&self) -> String {
        git(&self.server(), &["rev-parse", "refs/heads/main"])
    }

    /// Another person's commit on the branch.
    pub(crate) fn push_by_another(&self) -> String {
        let other = self.path("other");
        if !other.exists() {
            let (server, to) = (self.server(), other.to_str().unwrap().to_owned());
            let from = server.to_str().unwrap();
            git(self.folder.path(), &["clone", "--quiet", from, &to]);
            configure(&other);
        }
        git(&other, &["pull", "--quiet", "--ff-only"]);
        git(
            &other,
            &["commit", "--quiet", "--allow-empty", "--message", "race"],
        );
        git(&other, &["push", "--quiet", "origin", "HEAD:main"]);
        self.tip()
    }

    pub(crate) fn fifo(&self, name: &str) -> PathBuf {
        let fifo = self.path(name);
        let made = Command::new("mkfifo").arg(&fifo).status().unwrap();
        assert!(made.success());
        fifo
    }
}

pub(crate) fn file(path: &str, text: &str) -> File {
    File {
        path: path.to_owned(),
        mode: "100644".to_owned(),
        bytes: Some(text.as_bytes().to_vec()),
    }
}

/// A checkout of what the branch is at.
pub(crate) async fn tree(branch: &Branch) -> Tree<'_> {
    let tip = branch.tip(WITHIN).await.unwrap();
    branch.fetch(&tip, WITHIN).await.unwrap();
    branch.worktree(&tip, WITHIN).await.unwrap()
}

/// A commit of the source's file, on what the branch is at: the commit and what it rests on.
pub(crate) async fn demoted(branch: &Branch) -> Result<(String, String), GitError> {
    let mut tree = tree(branch).await;
    let base = tree.head().to_owned();
    let files = [file(SOURCE, "standby: true\n")];
    let commit = tree.commit(&files, "core2 follows", WITHIN).await;
    tree.remove(WITHIN).await.unwrap();
    commit.map(|commit| (commit, base))
}
