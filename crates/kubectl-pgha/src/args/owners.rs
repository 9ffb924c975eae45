//! What to do about owners that take a change back.

use clap::Args;
use pgha_model::check::Consent;

/// Beside a command that changes objects which GitOps or Helm may own.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct OwnersArgs {
    /// Hold the Flux Kustomizations and Argo CD applications that own the objects first; `release` lets them go
    #[arg(long)]
    pub(crate) hold_owners: bool,

    /// Change objects that GitOps or Helm owns, although the owner will revert it
    #[arg(long)]
    pub(crate) allow_managed: bool,
}

impl OwnersArgs {
    /// What the checks make of owners.
    pub(crate) const fn consent(self) -> Consent {
        Consent {
            managed: self.allow_managed,
            holds: self.hold_owners,
        }
    }
}
