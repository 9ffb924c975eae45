//! The Job that goes back to the source of a move at the deadline: where it is asked for, and what it runs.

use std::time::Duration;

use clap::Args;
use pgha_core::engine::DeadlineJob;

use super::CommonArgs;
use crate::settings::RequestTimeout;

/// Who a move leaves at its source.
#[derive(Clone, Debug, Args)]
pub(crate) struct DeadlineJobArgs {
    /// Image with kubectl-pgha for a Job at the source: it goes back to the source if this command dies
    #[arg(long, value_name = "IMAGE")]
    deadline_image: Option<String>,

    /// `ServiceAccount` of that Job, with the operator's role (manifests/rbac/deadline.yaml)
    #[arg(
        long,
        value_name = "NAME",
        default_value = "pgha-deadline",
        requires = "deadline_image"
    )]
    deadline_account: String,
}

impl DeadlineJobArgs {
    /// The Job, where there is an image for it.
    pub(crate) fn job(&self) -> Option<DeadlineJob> {
        Some(DeadlineJob {
            image: self.deadline_image.clone()?,
            account: self.deadline_account.clone(),
        })
    }
}

/// Go back to the source when the record of a move has not changed for too long
///
/// What the Job of `switchover --deadline-image` runs, in the source's cluster. It sees that cluster alone: the move's epoch
/// is taken over on the source's record, the source made primary again, and its operator released. What the move has left
/// at the target, `kubectl pgha abort` puts back.
#[derive(Debug, Args)]
pub(crate) struct DeadlineArgs {
    /// The operator's Postgres cluster
    pub(crate) cluster: String,

    /// The epoch of the move
    #[arg(long, value_name = "EPOCH")]
    pub(crate) epoch: u64,

    /// The name of the Job
    #[arg(long, value_name = "NAME")]
    pub(crate) job: String,

    /// How long the record may stay as it is
    #[arg(long, value_name = "DURATION")]
    pub(crate) after: RequestTimeout,

    /// How long each wait may last
    #[arg(long, value_name = "DURATION", default_value = "1m")]
    pub(crate) timeout: RequestTimeout,

    /// Only look whether it may do all that
    #[arg(long)]
    pub(crate) check: bool,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

impl DeadlineArgs {
    /// How long the record may stay as it is; not at all is what nobody means.
    pub(crate) fn patience(&self) -> Duration {
        self.after.0.max(Duration::from_secs(1))
    }
}
