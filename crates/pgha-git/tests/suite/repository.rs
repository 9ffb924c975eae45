//! A bare repository as the server, and the user's clone of it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use pgha_git::{Branch, File, GitError, Tree};
use tempfile::TempDir;

pub(crate) const WITHIN: Duration = Duration::from_mins(1);
pub(crate) const SOURCE: &str = "deploy/clusters/core2/pg.yaml";
pub(crate) const TARGET: &str = "deploy/clusters/core1/pg.yaml";

/// Both repositories in one temporary folder.
pub(crate) struct Repository {
    folder: TempDir,
}

pub(crate) fn git(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.args(arguments).current_dir(folder);
    for variable in ["GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"] {
        command.env_remove(variable);
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "git {arguments:?}: {said}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.trim_end().to_owned()
}

fn configure(folder: &Path) {
    for (name, value) in [
        ("user.name", "Operator"),
        ("user.email", "operator@example.org"),
        ("commit.gpgsign", "false"),
        ("gc.auto", "0"),
    ] {
        git(folder, &["config", name, value]);
    }
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
        let is_bare = of.join("HEAD").exists();
        let hooks = of.join(if is_bare { "hooks" } else { ".git/hooks" });
        fs::create_dir_all(&hooks).unwrap();
        self.script(&hooks.join(name), script);
    }

    pub(crate) fn script(&self, file: &Path, script: &str) {
        let folder = self.folder.path().display();
        fs::write(file, format!("#!/bin/sh\nFOLDER='{folder}'\n{script}\n")).unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
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
