//! Which programs a kubeconfig may start to get credentials: the user's own policy for kubectl, in the file `kuberc`.
//!
//! Source: the fields `credentialPluginPolicy` and `credentialPluginAllowlist` of `kubectl.config.k8s.io/v1beta1`, from
//! Kubernetes 1.35 on (KEP-3104, `kubectl/pkg/kuberc`, `client-go/plugin/pkg/client/auth/exec`). The kube crate does not
//! know them. Where kubectl warns of a file that it cannot read and starts the program nevertheless, we do not start it.

use std::io;
use std::path::{Path, PathBuf};

use kube::config::AuthInfo;
use serde::Deserialize;

use super::kubeconfig::without_values;
use crate::diagnose::sanitised;

/// Where the policy is; the process that reads the environment decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum KubercSource {
    /// The user has turned the file off: every program may be started.
    #[default]
    Off,
    /// The file that `KUBERC` names: it must be there.
    Named(PathBuf),
    /// The file in the home folder, which may be absent.
    Home(PathBuf),
}

/// The user's policy, and where programs are looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kuberc {
    /// Where the policy is.
    pub source: KubercSource,
    /// The folders of `PATH`.
    pub search: Vec<PathBuf>,
}

/// Why a program may not be started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} does not let it run: {reason}", sanitised(&file.display().to_string()))]
pub struct PluginDenied {
    /// The file.
    pub file: PathBuf,
    /// The policy as it says there, or what is wrong with it.
    pub reason: String,
}

/// One document of the file. What else there is in it is kubectl's.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Preference {
    credential_plugin_policy: Option<String>,
    credential_plugin_allowlist: Option<Vec<Entry>>,
}

/// A program that may be started: `command`, which Kubernetes 1.35 called `name`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Entry {
    command: String,
    name: String,
}

impl Kuberc {
    /// Whether a user of a kubeconfig may start the program that it names, if any. Under an allow-list the program is
    /// replaced by the very file that was found for it, so that nothing else is started.
    pub(super) fn settle(&self, user: &mut AuthInfo) -> Result<(), PluginDenied> {
        let exec = user.exec.as_mut().and_then(|exec| exec.command.as_mut());
        let provider = user.auth_provider.as_mut();
        // A way to name a program that kubectl no longer knows; the kube crate does.
        let legacy = provider.and_then(|provider| provider.config.get_mut("cmd-path"));
        for command in [exec, legacy].into_iter().flatten() {
            if let Some(found) = self.allowed(command)? {
                *command = found;
            }
        }
        Ok(())
    }

    /// The file to start instead of the command, where that matters.
    fn allowed(&self, command: &str) -> Result<Option<String>, PluginDenied> {
        let file = match &self.source {
            KubercSource::Off => return Ok(None),
            KubercSource::Named(file) | KubercSource::Home(file) => file,
        };
        let denied = |reason: String| PluginDenied {
            file: file.clone(),
            reason,
        };
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error)
                if error.kind() == io::ErrorKind::NotFound
                    && matches!(self.source, KubercSource::Home(_)) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(denied(format!("it cannot be read: {error}"))),
        };
        let preference = read(&text).map_err(denied)?;
        self.judge(&preference, command).map_err(denied)
    }

    fn judge(&self, preference: &Preference, command: &str) -> Result<Option<String>, String> {
        let policy = preference.credential_plugin_policy.as_deref();
        let list = preference.credential_plugin_allowlist.as_deref();
        match (policy.unwrap_or_default(), list) {
            ("" | "AllowAll", None) => Ok(None),
            ("DenyAll", None) => Err("its credentialPluginPolicy is DenyAll".to_owned()),
            ("" | "AllowAll" | "DenyAll", Some(_)) => {
                Err("its credentialPluginAllowlist wants the policy Allowlist".to_owned())
            }
            ("Allowlist", None | Some([])) => {
                Err("its credentialPluginPolicy is Allowlist, without an allow-list".to_owned())
            }
            ("Allowlist", Some(list)) => self.find_in(list, command).map(Some),
            (other, _) => Err(format!(
                "its credentialPluginPolicy `{}` is unknown",
                sanitised(other)
            )),
        }
    }

    fn find_in(&self, list: &[Entry], command: &str) -> Result<String, String> {
        if list.iter().any(|entry| entry.names().next().is_none()) {
            return Err("an entry of its credentialPluginAllowlist names nothing".to_owned());
        }
        let found = self.find(command);
        let matches =
            |name: &str| name == command || (found.is_some() && (self.find(name) == found));
        if !list.iter().any(|entry| entry.names().all(matches)) {
            return Err("its credentialPluginAllowlist does not name it".to_owned());
        }
        let found = found.as_deref().and_then(Path::to_str);
        Ok(found.unwrap_or(command).to_owned())
    }

    /// The file that a command starts, as a shell finds it: in the folders of `PATH`, unless it is a path itself.
    fn find(&self, command: &str) -> Option<PathBuf> {
        if command.contains(std::path::MAIN_SEPARATOR) {
            let path = PathBuf::from(command);
            return is_program(&path).then_some(path);
        }
        let candidates = self.search.iter().map(|folder| folder.join(command));
        candidates.into_iter().find(|path| is_program(path))
    }
}

impl Entry {
    fn names(&self) -> impl Iterator<Item = &str> {
        let names = [self.command.as_str(), self.name.as_str()];
        names.into_iter().filter(|name| !name.is_empty())
    }
}

/// The first document that is kubectl's, as kubectl takes it.
fn read(text: &str) -> Result<Preference, String> {
    let documents: Vec<serde_json::Value> =
        serde_saphyr::from_multiple(text).map_err(|error| not_yaml(&error.to_string()))?;
    for document in documents {
        let is_ours = document["kind"] == "Preference"
            && document["apiVersion"]
                .as_str()
                .is_some_and(|version| version.starts_with("kubectl.config.k8s.io/"));
        if is_ours {
            return serde_json::from_value(document).map_err(|error| not_yaml(&error.to_string()));
        }
    }
    Ok(Preference::default())
}

fn not_yaml(error: &str) -> String {
    let first = error.lines().next().unwrap_or_default();
    format!("it cannot be read: {}", sanitised(&without_values(first)))
}

#[cfg(unix)]
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata()
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(path: &Path) -> bool {
    path.is_file()
}
