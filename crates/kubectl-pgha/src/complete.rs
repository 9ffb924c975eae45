//! Completion of a command line that is not finished: commands and flags, and what only a kubeconfig and a cluster know.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use clap::CommandFactory as _;
use clap_complete::CompletionCandidate;
use clap_complete::engine::{ArgValueCandidates, complete};
use clap_complete::env::Shells;
use pgha_core::diagnose::sanitised;
use pgha_core::survey::{Scope, list_clusters};

use crate::args::{Cli, CommonArgs, Format, OutputArgs, SiteArgs};
use crate::commands::runtime;
use crate::exit::Exit;
use crate::session::Session;
use crate::settings::{Environment, RequestTimeout, Settings};
use crate::ui;

/// Somebody waits at a prompt.
const PATIENCE: Duration = Duration::from_secs(2);

/// kubectl's word for "offer no files instead" (cobra, `ShellCompDirectiveNoFileComp`).
const NO_FILES: &str = ":4";

/// Answers the script that `completion bash|zsh|fish|powershell` printed: everything after `--` is the command line.
pub(crate) fn answer_shell(
    shell: &str,
    arguments: Vec<OsString>,
    environment: &Environment,
) -> Exit {
    let shells = Shells::builtins();
    let Some(shell) = shells.completer(shell) else {
        return Exit::Usage;
    };
    let words: Vec<OsString> = arguments
        .into_iter()
        .skip_while(|word| word != "--")
        .skip(1)
        .collect();
    let mut answer = Vec::new();
    let mut command = knowing(&words, environment);
    let here = std::env::current_dir().ok();
    match shell.write_complete(&mut command, words, here.as_deref(), &mut answer) {
        Ok(()) => ui::print(&String::from_utf8_lossy(&answer)),
        Err(_) => return Exit::Usage,
    }
    Exit::Done
}

/// Answers kubectl's own completion, which calls `kubectl_complete-pgha` with the words after `kubectl pgha`, the last of
/// them incomplete, and reads candidates, a tab and a description each, then a directive (Kubernetes KEP-2379).
pub(crate) fn answer_kubectl(words: Vec<String>, environment: &Environment) -> Exit {
    let program = OsString::from("kubectl-pgha");
    let words: Vec<OsString> = std::iter::once(program)
        .chain(words.into_iter().map(OsString::from))
        .collect();
    let mut command = knowing(&words, environment);
    let last = words.len().saturating_sub(1).max(1);
    let wants_flags = words.get(last).is_some_and(|word| starts_flag(word));
    let candidates = complete(&mut command, words, last, None).unwrap_or_default();
    let lines = candidates
        .iter()
        .filter(|one| !one.is_hide_set() && starts_flag(one.get_value()) == wants_flags)
        .map(line);
    let answer: String = lines.chain([format!("{NO_FILES}\n")]).collect();
    ui::print(&answer);
    Exit::Done
}

/// kubectl offers flags only where one was begun, so its plugin does too.
fn starts_flag(word: &OsStr) -> bool {
    word.as_encoded_bytes().starts_with(b"-")
}

fn line(candidate: &CompletionCandidate) -> String {
    let value = candidate.get_value().to_string_lossy();
    match candidate.get_help() {
        Some(help) => {
            let help = help.to_string();
            format!("{value}\t{}\n", help.lines().next().unwrap_or_default())
        }
        None => format!("{value}\n"),
    }
}

/// A name that would steer the terminal is not offered: the shell writes what it is given, and there is no way to escape.
fn is_harmless(name: &str) -> bool {
    sanitised(name) == name
}

/// The command line, with candidates that come from the kubeconfig and the site which these words name.
fn knowing(words: &[OsString], environment: &Environment) -> clap::Command {
    let site = NamedSite::read(words);
    let contexts = {
        let (site, environment) = (site.clone(), environment.clone());
        ArgValueCandidates::new(move || site.contexts(&environment).unwrap_or_default())
    };
    let clusters = {
        let environment = environment.clone();
        ArgValueCandidates::new(move || site.clusters(&environment).unwrap_or_default())
    };
    // A flag of one name means the same in every command.
    Cli::command().mut_subcommands(|command| {
        command.mut_args(|arg| match arg.get_id().as_str() {
            "context" | "contexts" | "from" | "to" | "peer" | "api_servers" => {
                arg.add(contexts.clone())
            }
            "cluster" => arg.add(clusters.clone()),
            _ => arg,
        })
    })
}

/// The site that an unfinished command line names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct NamedSite {
    context: Option<String>,
    namespace: Option<String>,
    kubeconfig: Option<PathBuf>,
}

impl NamedSite {
    /// Reads the flags without the parser, which refuses what is not finished.
    fn read(words: &[OsString]) -> Self {
        let mut site = Self::default();
        let mut words = words.iter().map(|word| word.to_string_lossy());
        while let Some(word) = words.next() {
            let (flag, value) = match word.split_once('=') {
                Some((flag, value)) => (flag.to_owned(), Some(value.to_owned())),
                None => (word.into_owned(), None),
            };
            let mut value = || {
                let given = value.clone().or_else(|| words.next().map(String::from));
                given.filter(|text| !text.is_empty())
            };
            match flag.as_str() {
                "--context" | "--from" => site.context = value(),
                "-n" | "--namespace" => site.namespace = value(),
                "--kubeconfig" => site.kubeconfig = value().map(PathBuf::from),
                _ => {}
            }
        }
        site
    }

    fn contexts(&self, environment: &Environment) -> Option<Vec<CompletionCandidate>> {
        let settings = self.settings(environment)?;
        let session = Session::open(&settings).ok()?;
        let names = session.contexts().filter(|name| is_harmless(name));
        Some(names.map(CompletionCandidate::new).collect())
    }

    fn clusters(&self, environment: &Environment) -> Option<Vec<CompletionCandidate>> {
        let settings = self.settings(environment)?;
        let session = Session::open(&settings).ok()?;
        let places = runtime().ok()?.block_on(async {
            let site = session.site(self.context.as_deref()).await.ok()?;
            list_clusters(&site, Scope::Namespace).await.ok()
        })?;
        let names = places.into_iter().map(|place| place.cluster);
        let names = names.filter(|name| is_harmless(name));
        Some(names.map(CompletionCandidate::new).collect())
    }

    fn settings(&self, environment: &Environment) -> Option<Settings> {
        let site = SiteArgs {
            namespace: self.namespace.clone(),
            kubeconfig: self.kubeconfig.clone(),
            request_timeout: Some(RequestTimeout(PATIENCE)),
        };
        let output = OutputArgs {
            output: Format::Name,
            color: None,
            verbose: 0,
        };
        Settings::settle(&CommonArgs { site, output }, environment).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unfinished_line_names_its_site() {
        let words = [
            "leader",
            "--context",
            "core2",
            "-n",
            "db",
            "--kubeconfig=/k",
            "",
        ];
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        assert_eq!(
            NamedSite::read(&words),
            NamedSite {
                context: Some("core2".to_owned()),
                namespace: Some("db".to_owned()),
                kubeconfig: Some("/k".into()),
            }
        );
    }

    #[test]
    fn a_flag_without_its_value_yet_names_nothing() {
        let words: Vec<OsString> = ["status", "--context", ""].map(OsString::from).to_vec();
        assert_eq!(NamedSite::read(&words), NamedSite::default());
    }
}
