//! A bare repository as the server, and the user's clone of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use pgha_nlb::{Cutover as _, CutoverError, Plan, Receipt, RouteState, SiteName};
use pgha_nlb_haproxy_git::{HaproxyGit, Settings};
use serde_json::json;
use tempfile::TempDir;

use crate::git::{configure, git, hook};

pub(crate) const TEMPLATE: &str = include_str!("../../../pgha-haproxy/tests/haproxy.cfg.epp");
pub(crate) const FILE: &str = "site-modules/profile/templates/haproxy/haproxy.cfg.epp";
pub(crate) const WITHIN: Duration = Duration::from_secs(30);

pub(crate) fn site(name: &str) -> SiteName {
    SiteName::from(name)
}

/// Both repositories in one temporary folder.
pub(crate) struct Repository {
    folder: TempDir,
}

impl Repository {
    pub(crate) fn new() -> Self {
        Self::with(TEMPLATE)
    }

    pub(crate) fn with(template: &str) -> Self {
        let repository = Self {
            folder: TempDir::new().unwrap(),
        };
        let (server, clone) = (repository.server(), repository.clone());
        fs::create_dir_all(&server).unwrap();
        git(
            &server,
            &["init", "--quiet", "--bare", "--initial-branch=production"],
        );
        git(&server, &["config", "receive.advertisePushOptions", "true"]);
        fs::create_dir_all(clone.join(FILE).parent().unwrap()).unwrap();
        git(&clone, &["init", "--quiet", "--initial-branch=work"]);
        configure(&clone);
        git(
            &clone,
            &["remote", "add", "puppet", server.to_str().unwrap()],
        );
        fs::write(clone.join(FILE), template).unwrap();
        fs::write(clone.join("notes.txt"), "a\n").unwrap();
        git(&clone, &["add", "."]);
        git(&clone, &["commit", "--quiet", "--message", "Begin"]);
        git(&clone, &["push", "--quiet", "puppet", "HEAD:production"]);
        repository
    }

    pub(crate) fn server(&self) -> PathBuf {
        self.folder.path().join("server.git")
    }

    pub(crate) fn clone(&self) -> PathBuf {
        self.folder.path().join("control")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn settings(&self) -> serde_json::Value {
        json!({
            "id": "nlb", "checkout": self.clone(), "remote": "puppet", "branch": "production",
            "pushOptions": ["run=netlb"], "config": FILE,
            "routes": [
                {
                    "name": "https", "host": "login.ois.run",
                    "spot": {"rule": {"frontend": "sni-ingress", "by": "sni"}},
                    "sites": {"core1": "core1-https", "core2": "core2-https"},
                },
                {
                    "name": "http", "host": "login.ois.run",
                    "spot": {"rule": {"frontend": "http-ingress", "by": "host"}},
                    "sites": {"core1": "core1-http", "core2": "core2-http"},
                },
            ],
        })
    }

    pub(crate) fn backend(&self) -> HaproxyGit {
        backend(self.settings())
    }

    /// A hook of the server or of the clone; `$FOLDER` is where both are.
    pub(crate) fn hook(&self, of: &Path, name: &str, script: &str) {
        hook(self.folder.path(), of, name, script);
    }

    pub(crate) fn tip(&self) -> String {
        git(&self.server(), &["rev-parse", "refs/heads/production"])
    }

    pub(crate) fn served(&self, file: &str) -> Vec<u8> {
        let mut command = Command::new("git");
        command.current_dir(self.server());
        command.args(["cat-file", "blob", &format!("production:{file}")]);
        command.output().unwrap().stdout
    }

    /// Another person's commit on the branch.
    pub(crate) fn push_by_another(&self, file: &str, edit: impl Fn(String) -> String) {
        let other = self.folder.path().join("other");
        if !other.exists() {
            let (from, to) = (self.server(), other.to_str().unwrap().to_owned());
            let from = from.to_str().unwrap();
            git(
                self.folder.path(),
                &["clone", "--quiet", "--branch", "production", from, &to],
            );
            configure(&other);
        }
        git(&other, &["pull", "--quiet", "--ff-only"]);
        let path = other.join(file);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, edit(text)).unwrap();
        git(
            &other,
            &["commit", "--quiet", "--all", "--message", "Another change"],
        );
        git(&other, &["push", "--quiet", "origin", "HEAD:production"]);
    }
}

pub(crate) fn backend(settings: serde_json::Value) -> HaproxyGit {
    let settings: Settings = serde_json::from_value(settings).unwrap();
    HaproxyGit::new(settings).unwrap()
}

pub(crate) async fn observed(backend: &HaproxyGit) -> RouteState {
    backend.observe(WITHIN).await.unwrap()
}

pub(crate) async fn plan(backend: &HaproxyGit) -> Plan {
    let seen = observed(backend).await;
    backend.plan(&seen, &site("core1")).unwrap()
}

pub(crate) async fn applied(backend: &HaproxyGit) -> Result<Receipt, CutoverError> {
    let plan = plan(backend).await;
    backend.apply(&plan, WITHIN).await
}
