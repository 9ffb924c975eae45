//! Reading kubeconfig files, and why a context of one cannot be opened.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use http::Uri;
use kube::client::AuthError;
use kube::config::{AuthInfo, Kubeconfig as Parsed, KubeconfigError};
use pgha_model::effect::Effect;

use super::{EnvironmentProxy, Kuberc, PluginDenied};
use crate::diagnose::{Diagnose, sanitised};

/// Where the kubeconfig comes from; the process that reads the environment decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KubeconfigSource {
    /// The file named on the command line: it must be there.
    Flag(PathBuf),
    /// The files that `KUBECONFIG` lists: the first to set a value wins, missing ones are skipped as kubectl does.
    List(Vec<PathBuf>),
    /// The file in the home folder.
    Home(PathBuf),
    /// No file: what Kubernetes gives to a pod.
    Pod {
        /// The API server's address.
        server: String,
        /// The folder with the account's token, namespace and certificate authority.
        folder: PathBuf,
    },
}

impl KubeconfigSource {
    fn paths(&self) -> &[PathBuf] {
        match self {
            Self::Flag(path) | Self::Home(path) => std::slice::from_ref(path),
            Self::List(paths) => paths,
            Self::Pod { .. } => &[],
        }
    }
}

/// A kubeconfig that was read and is YAML of the right shape. Its `Debug` shows nothing of it: it holds credentials.
#[derive(Clone)]
pub struct Kubeconfig {
    parsed: Parsed,
    proxy: EnvironmentProxy,
    kuberc: Kuberc,
}

impl fmt::Debug for Kubeconfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kubeconfig").finish_non_exhaustive()
    }
}

/// Why a context could not be opened. Nothing was sent to any API server.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// None of the files exists.
    #[error("there is no kubeconfig at {}", listed(paths))]
    Missing {
        /// The files that were looked for.
        paths: Vec<PathBuf>,
    },
    /// A file exists and cannot be read.
    #[error("cannot read the kubeconfig {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A file is not YAML, or not the YAML of a kubeconfig.
    #[error("{} is not a kubeconfig: {reason}", path.display())]
    NotKubeconfig {
        /// The file.
        path: PathBuf,
        /// What the parser said, in one line.
        reason: String,
    },
    /// No context was named, and the kubeconfig has no current one.
    #[error("no context is named, and the kubeconfig has no current context")]
    NoCurrentContext {
        /// The contexts that there are.
        known: Vec<String>,
    },
    /// The named context is not in the kubeconfig.
    #[error("the kubeconfig has no context `{context}`")]
    UnknownContext {
        /// The context that was asked for.
        context: String,
        /// The contexts that there are.
        known: Vec<String>,
    },
    /// The context's credentials cannot be had: a program that was to bring them failed, or a file is not there.
    #[error("the credentials of context `{context}` cannot be had: {reason}")]
    Credentials {
        /// The context.
        context: String,
        /// What went wrong, in one line.
        reason: String,
    },
    /// The user's own policy forbids the program that is to bring the context's credentials.
    #[error("the credentials of context `{context}` come from the program `{command}`")]
    PluginDenied {
        /// The context.
        context: String,
        /// The program, as the kubeconfig names it.
        command: String,
        /// Which policy, and where it is.
        #[source]
        source: PluginDenied,
    },
    /// The context's server, certificates or proxy cannot be used.
    #[error("the context `{context}` cannot be used: {reason}")]
    Unusable {
        /// The context.
        context: String,
        /// What is wrong with it, in one line.
        reason: String,
    },
}

impl OpenError {
    pub(super) fn unusable(context: &str, error: &dyn Error) -> Self {
        Self::Unusable {
            context: sanitised(context),
            reason: sanitised(&error.to_string()),
        }
    }

    pub(super) fn of_client(context: &str, error: &kube::Error) -> Self {
        let kube::Error::Auth(error) = error else {
            return Self::unusable(context, error);
        };
        Self::Credentials {
            context: sanitised(context),
            reason: sanitised(&said_of(error)),
        }
    }
}

/// What went wrong with a program that was to bring credentials, without what it said: that may be the credentials.
pub(crate) fn said_of(error: &AuthError) -> String {
    if let AuthError::AuthExecRun { cmd, out } = error {
        let program = cmd.split_whitespace().next().unwrap_or_default();
        return format!("`{program}` ended with {}", out.status);
    }
    if matches!(
        error,
        AuthError::AuthExecParse(_) | AuthError::ParseTokenKey(_)
    ) {
        return "what the program said are no credentials".to_owned();
    }
    error.to_string()
}

impl Diagnose for OpenError {
    fn effect(&self) -> Effect {
        Effect::None
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { .. } => {
                Some("Name one with `--kubeconfig` or `KUBECONFIG`.".to_owned())
            }
            Self::NoCurrentContext { known } | Self::UnknownContext { known, .. } => {
                Some(if known.is_empty() {
                    "The kubeconfig has no contexts at all.".to_owned()
                } else {
                    format!("Known contexts: {}.", known.join(", "))
                })
            }
            Self::Credentials { context, .. } => Some(format!(
                "Renew your login, then try `kubectl --context {context} auth whoami`."
            )),
            Self::PluginDenied {
                command, source, ..
            } => Some(format!(
                "If you trust `{command}`, permit it in {}.",
                sanitised(&source.file.display().to_string())
            )),
            Self::Unreadable { .. } | Self::NotKubeconfig { .. } | Self::Unusable { .. } => None,
        }
    }
}

impl Kubeconfig {
    /// Reads and merges the files.
    pub fn read(source: &KubeconfigSource) -> Result<Self, OpenError> {
        let mut merged: Option<Parsed> = match source {
            KubeconfigSource::Pod { server, folder } => Some(of_pod(server, folder)?),
            KubeconfigSource::Flag(_) | KubeconfigSource::List(_) | KubeconfigSource::Home(_) => {
                None
            }
        };
        for path in source.paths() {
            let Some(next) = read_file(path)? else {
                continue;
            };
            let whole = match merged {
                Some(before) => before
                    .merge(next)
                    .map_err(|error| not_kubeconfig(path, &error))?,
                None => next,
            };
            merged = Some(whole);
        }
        let parsed = merged.ok_or_else(|| OpenError::Missing {
            paths: source.paths().to_vec(),
        })?;
        Ok(Self {
            parsed,
            proxy: EnvironmentProxy::default(),
            kuberc: Kuberc::default(),
        })
    }

    /// Uses the environment's proxy for the contexts that name none themselves.
    #[must_use]
    pub fn with_proxy(self, proxy: EnvironmentProxy) -> Self {
        Self { proxy, ..self }
    }

    /// Starts only the programs that the user's policy permits.
    #[must_use]
    pub fn with_kuberc(self, kuberc: Kuberc) -> Self {
        Self { kuberc, ..self }
    }

    /// The names of its contexts, in the order of the file.
    pub fn contexts(&self) -> impl Iterator<Item = &str> {
        self.parsed
            .contexts
            .iter()
            .map(|context| context.name.as_str())
    }

    /// The context that is used when none is named.
    pub fn current_context(&self) -> Option<&str> {
        self.parsed
            .current_context
            .as_deref()
            .filter(|name| !name.is_empty())
    }

    /// The kubeconfig as it may be used with a context. Nothing is started before this.
    pub(super) fn permitted(&self, context: &str) -> Result<Parsed, OpenError> {
        let mut parsed = self.parsed.clone();
        let contexts = parsed.contexts.iter().find(|named| named.name == context);
        let user = contexts.and_then(|named| named.context.as_ref()?.user.clone());
        let mut users = parsed.auth_infos.iter_mut();
        let user = users.find(|named| Some(&named.name) == user.as_ref());
        if let Some(info) = user.and_then(|named| named.auth_info.as_mut()) {
            self.kuberc
                .settle(info)
                .map_err(|source| OpenError::PluginDenied {
                    context: sanitised(context),
                    command: sanitised(&program_of(info)),
                    source,
                })?;
        }
        Ok(parsed)
    }

    /// The kubeconfig as it was read: for a use that starts no program.
    #[cfg(feature = "oidc")]
    pub(super) fn as_read(&self) -> Parsed {
        self.parsed.clone()
    }

    /// The names of its users, in the order of the file.
    #[cfg(feature = "oidc")]
    pub(crate) fn users(&self) -> impl Iterator<Item = &str> {
        self.parsed.auth_infos.iter().map(|user| user.name.as_str())
    }

    /// A user's credentials, as the policy permits to use them; else the program that it denies.
    #[cfg(feature = "oidc")]
    pub(crate) fn permitted_user(
        &self,
        user: &str,
    ) -> Option<Result<AuthInfo, (String, PluginDenied)>> {
        let mut users = self.parsed.auth_infos.iter();
        let found = users.find(|named| named.name == user)?;
        let mut info = found.auth_info.clone().unwrap_or_default();
        let settled = self.kuberc.settle(&mut info);
        Some(match settled {
            Ok(()) => Ok(info),
            Err(denied) => Err((sanitised(&program_of(&info)), denied)),
        })
    }

    /// The proxy that leads to a context's server.
    pub(super) fn proxy_of(&self, context: &str, server: &Uri) -> Result<Option<Uri>, OpenError> {
        let named = self
            .parsed
            .contexts
            .iter()
            .find(|named| named.name == context);
        let cluster = named.and_then(|named| Some(named.context.as_ref()?.cluster.as_str()));
        let own = self
            .parsed
            .clusters
            .iter()
            .find(|named| Some(named.name.as_str()) == cluster)
            .and_then(|named| named.cluster.as_ref()?.proxy_url.as_deref())
            .filter(|url| !url.is_empty());
        let Some(url) = own.or_else(|| self.proxy.to(server)) else {
            return Ok(None);
        };
        url.parse()
            .map(Some)
            .map_err(|error| OpenError::unusable(context, &error))
    }

    /// The named context, or the current one, when the kubeconfig has it.
    pub(super) fn known_context<'a>(
        &'a self,
        named: Option<&'a str>,
    ) -> Result<&'a str, OpenError> {
        let known = || self.contexts().map(sanitised).collect();
        let Some(context) = named.or(self.current_context()) else {
            return Err(OpenError::NoCurrentContext { known: known() });
        };
        if self.contexts().any(|name| name == context) {
            return Ok(context);
        }
        Err(OpenError::UnknownContext {
            context: sanitised(context),
            known: known(),
        })
    }
}

/// The program that brings a user's credentials, as the kubeconfig names it.
fn program_of(user: &AuthInfo) -> String {
    let exec = user.exec.as_ref().and_then(|exec| exec.command.clone());
    let provider = user.auth_provider.as_ref();
    exec.or_else(|| provider?.config.get("cmd-path").cloned())
        .unwrap_or_default()
}

/// The context of a pod is called so.
const POD_CONTEXT: &str = "in-cluster";

/// A kubeconfig of what a pod was given (Kubernetes documentation, "Accessing the Kubernetes API from a Pod"). The token is
/// read anew while it is used: it is short-lived.
fn of_pod(server: &str, folder: &Path) -> Result<Parsed, OpenError> {
    let path = folder.join("namespace");
    let namespace = std::fs::read_to_string(&path).map_err(|source| OpenError::Unreadable {
        path: path.clone(),
        source,
    })?;
    let name = POD_CONTEXT;
    let config = serde_json::json!({
        "apiVersion": "v1", "kind": "Config", "current-context": name,
        "clusters": [{"name": name, "cluster": {
            "server": server, "certificate-authority": folder.join("ca.crt"),
        }}],
        "users": [{"name": name, "user": {"tokenFile": folder.join("token")}}],
        "contexts": [{"name": name, "context": {
            "cluster": name, "user": name, "namespace": namespace.trim(),
        }}],
    });
    serde_json::from_value(config).map_err(|error| not_kubeconfig(folder, &error))
}

/// Reads one file; `None` when there is none.
fn read_file(path: &Path) -> Result<Option<Parsed>, OpenError> {
    if is_cut_utf16(path) {
        let reason = io::Error::new(io::ErrorKind::InvalidData, "it is cut UTF-16");
        return Err(not_kubeconfig(path, &reason));
    }
    let error = match Parsed::read_from(path) {
        Ok(parsed) => return Ok(Some(parsed)),
        Err(error) => error,
    };
    let KubeconfigError::ReadConfig(source, _) = error else {
        return Err(not_kubeconfig(path, &error));
    };
    if source.kind() == io::ErrorKind::NotFound {
        return Ok(None);
    }
    if source.kind() == io::ErrorKind::InvalidData {
        // The file was read, and its bytes are no text.
        return Err(not_kubeconfig(path, &source));
    }
    Err(OpenError::Unreadable {
        path: path.to_owned(),
        source,
    })
}

/// Whether a file begins as UTF-16, which Windows shells write, and has half a character: kube 5.0 panics on it.
fn is_cut_utf16(path: &Path) -> bool {
    let Ok(bytes) = std::fs::read(path) else {
        return false;
    };
    matches!(bytes.as_slice(), [0xff, 0xfe, ..] | [0xfe, 0xff, ..]) && bytes.len() % 2 == 1
}

fn not_kubeconfig(path: &Path, error: &dyn Error) -> OpenError {
    let reason = error.to_string();
    // The parser shows the place in the file over several lines; the first one says what is wrong.
    let first_line = reason.lines().next().unwrap_or_default();
    OpenError::NotKubeconfig {
        path: path.to_owned(),
        reason: sanitised(&without_values(first_line)),
    }
}

/// A parser's message without the values that it quotes, which may be passwords; the names of fields stay.
pub(super) fn without_values(message: &str) -> String {
    let mut clean = String::with_capacity(message.len());
    let mut rest = message;
    while let Some(begin) = rest.find(['"', '`']) {
        let (before, quoted) = rest.split_at(begin);
        let quote = quoted.chars().next().unwrap_or_default();
        clean.push_str(before);
        let inside = &quoted[1..];
        let end = end_of(inside, quote);
        let is_name = quote == '`'
            && !["integer ", "float ", "point ", "boolean "]
                .iter()
                .any(|kind| before.ends_with(kind));
        if is_name {
            clean.push_str(&quoted[..=end]);
            clean.push('`');
        } else {
            clean.push('…');
        }
        rest = inside.get(end + 1..).unwrap_or_default();
    }
    clean + rest
}

/// Where a quotation ends: at the quote that nothing escapes, or with the text.
fn end_of(inside: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (index, character) in inside.char_indices() {
        if character == quote && !is_escaped {
            return index;
        }
        is_escaped = character == '\\' && !is_escaped;
    }
    inside.len()
}

fn listed(paths: &[PathBuf]) -> String {
    let paths: Vec<String> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    paths.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_left_out_and_names_of_fields_stay() {
        for (message, shown) in [
            (
                r#"invalid type: string "pa\"ss", expected struct AuthInfo"#,
                "invalid type: string …, expected struct AuthInfo",
            ),
            (
                "invalid type: integer `1234`, expected a string",
                "invalid type: integer …, expected a string",
            ),
            (
                "missing field `clusters` at line 3",
                "missing field `clusters` at line 3",
            ),
            (r#"unexpected "never closed"#, "unexpected …"),
            ("unknown anchor `never", "unknown anchor `never`"),
            ("plain", "plain"),
        ] {
            assert_eq!(without_values(message), shown);
        }
    }

    #[test]
    fn a_kubeconfig_shows_nothing_of_itself() {
        let user = "users: [{name: jane, user: {exec: {command: login, args: [hunter2]}}}]";
        let kubeconfig = Kubeconfig {
            parsed: Parsed::from_yaml(user).unwrap(),
            proxy: EnvironmentProxy::default(),
            kuberc: Kuberc::default(),
        };
        assert_eq!(format!("{kubeconfig:?}"), "Kubeconfig { .. }");
    }
}
