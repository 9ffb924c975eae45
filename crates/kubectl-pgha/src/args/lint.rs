//! The command that looks at files and at nothing else.

use std::path::PathBuf;

use clap::Args;

use super::CommonArgs;

const LINT_EXAMPLES: &str = "\
Examples:
  # Whether a service's file makes sense
  kubectl pgha lint pgha.yaml

  # All of a repository, in its CI
  kubectl pgha lint services/

  # Those that a cluster keeps
  kubectl pgha lint configmap/pgha-services -n prod --context core1

No site, load balancer or pooler is asked: what they say is for `validate -f`. The files that a service's file names, keys,
passwords and certificates, are read where a command would read them before anything else. Exit code 2: a file makes no sense.

An editor marks most mistakes as they are typed, by docs/service.schema.json: docs/traffic.md says how.";

/// Check services' files by themselves
///
/// The first mistake of each document is told with its line and column, and what was expected there.
#[derive(Debug, Args)]
#[command(after_help = LINT_EXAMPLES)]
pub(crate) struct LintArgs {
    /// Files, folders of files, or configmap/NAME or configmap/NAMESPACE/NAME in a cluster [default: ./pgha.yaml]
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::AnyPath)]
    pub(crate) files: Vec<PathBuf>,

    /// The kubeconfig context of the cluster where a `ConfigMap` is [default: the current one]
    #[arg(long, value_name = "CONTEXT", help_heading = "Site options")]
    pub(crate) context: Option<String>,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}
