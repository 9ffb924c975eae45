//! Where a report of a move goes.

use std::path::PathBuf;

use clap::Args;

/// Beside a command that moves a primary.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ReportArgs {
    /// Write what was done for each task of the run book, and what proved it, to this file: a page (.html) or Markdown (.md). A file
    /// that is there is replaced; it is written however the move ends, once it has begun
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath, help_heading = "Output options")]
    pub(crate) report: Option<PathBuf>,
}
