//! The command that looks at files and at nothing else.

use std::path::PathBuf;

use clap::Args;

use super::{CommonArgs, OutputArgs, SiteArgs};

const LINT_EXAMPLES: &str = "\
Examples:
  # Whether a service's file makes sense
  kubectl pgha lint pgha.yaml

  # All of a repository, in its CI
  kubectl pgha lint services/*.yaml

No cluster, load balancer or pooler is asked: what they say is for `validate -f`. The files that a service's file names, keys,
passwords and certificates, are read where a command would read them before anything else. Exit code 2: a file makes no sense.

An editor marks most mistakes as they are typed, by docs/service.schema.json: docs/traffic.md says how.";

/// Check services' files by themselves
///
/// The first mistake of each file is told with its line and column, and what was expected there.
#[derive(Debug, Args)]
#[command(after_help = LINT_EXAMPLES)]
pub(crate) struct LintArgs {
    /// The files
    #[arg(required = true, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

impl LintArgs {
    /// What every command takes. A file is of no namespace.
    pub(crate) fn common(&self) -> CommonArgs {
        CommonArgs {
            site: SiteArgs::default(),
            output: self.output.clone(),
        }
    }
}
