//! The command that drafts a service's file.

use std::path::PathBuf;

use clap::{ArgAction, Args};

use super::{ColorChoice, CommonArgs, Format, OutputArgs, SiteArgs};

const INIT_EXAMPLES: &str = "\
Examples:
  # What a service's file for zitadel could say, by what both sites say
  kubectl pgha init zitadel --from core1 --to core2 -n prod

  # The same into a file, then whether it makes sense and whether a move by it could be made
  kubectl pgha init zitadel --from core1 --to core2 -n prod --write pgha.yaml
  kubectl pgha lint pgha.yaml
  kubectl pgha validate zitadel -f pgha.yaml --to core2

It looks at Deployments, StatefulSets, CronJobs, Jobs, Services, Ingresses and routes of the
Gateway API in the cluster's namespace at both sites, and at no Secret: which of them a program
uses stands in the program's own template. What it may not list is told on stderr and in the
file. Nothing is changed at the sites.

Exit code 2: the file of --write is there already. Exit code 3: a side cannot be seen, or they
are no sides of one service.";

/// Draft a service's file from what both sites say
///
/// What is live in it was seen: the sites, and the workloads that use the database and run at one site. What could not be known
/// is a comment that says what to do: who else writes an object, Jobs, poolers, and the hosts by which users come in.
#[derive(Debug, Args)]
#[command(after_help = INIT_EXAMPLES)]
pub(crate) struct InitArgs {
    /// The operator's Postgres cluster, of the same name and namespace at both sites
    pub(crate) cluster: String,

    /// Write the text into this new file and not to stdout
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) write: Option<PathBuf>,

    /// Replace the file that is there already
    #[arg(long, requires = "write")]
    pub(crate) force: bool,

    /// The kubeconfig context of one site, which becomes its name
    #[arg(long, value_name = "CONTEXT", help_heading = "Site options")]
    pub(crate) from: String,

    /// The kubeconfig context of the other site
    #[arg(long, value_name = "CONTEXT", help_heading = "Site options")]
    pub(crate) to: String,

    #[command(flatten)]
    pub(crate) site: SiteArgs,

    /// Whether to colour what is told on stderr [default: auto]
    #[arg(long, value_name = "WHEN", help_heading = "Output options")]
    pub(crate) color: Option<ColorChoice>,

    /// Log what is done on stderr; twice for more
    #[arg(short, long, action = ArgAction::Count, help_heading = "Output options")]
    pub(crate) verbose: u8,
}

impl InitArgs {
    /// What every command takes. The result has one form: it is a file.
    pub(crate) fn common(&self) -> CommonArgs {
        CommonArgs {
            site: self.site.clone(),
            output: OutputArgs {
                output: Format::Table,
                color: self.color,
                verbose: self.verbose,
            },
        }
    }
}
