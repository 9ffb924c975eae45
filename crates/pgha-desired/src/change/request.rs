//! Merge requests: branches that a person merges.

use pgha_model::site::Part;

use super::{Change, Done, How, phase};
use crate::check::Desired;
use crate::error::DesiredError;

/// What has become of a merge request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// The branch says what was proposed.
    Merged {
        /// The commit that it is at.
        commit: String,
    },
    /// Nobody has merged it.
    Open,
    /// Its branch is gone, and nobody has merged it.
    Closed,
}

/// A branch that was pushed for a merge request, by whichever move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Its name.
    pub branch: String,
    /// The move that it was made for.
    pub operation: String,
    commit: String,
}

/// What a name of a branch has of the move's name: that is all of it where a move's name has only letters, digits and `-`.
fn id(operation: &str) -> String {
    let allowed = |c: &char| c.is_ascii_alphanumeric() || *c == '-';
    operation.chars().filter(allowed).collect()
}

impl Desired {
    /// The branches of merge requests that are there, of all moves; none where changes are not proposed.
    ///
    /// # Errors
    /// The remote does not answer.
    pub async fn proposals(&self) -> Result<Vec<Proposal>, DesiredError> {
        let Some(request) = &self.request else {
            return Ok(Vec::new());
        };
        let (prefix, within) = (&request.branch_prefix.0, self.patience.git);
        let published = self.branch.published_as(prefix, within).await?;
        let proposal = |(branch, commit): (String, String)| {
            let name = branch.strip_prefix(prefix.as_str())?;
            let name = name.strip_suffix(UNDO).unwrap_or(name);
            let is_of = |part| name.strip_suffix(&format!("-{}", phase(part).word()));
            let operation = is_of(Part::Source).or_else(|| is_of(Part::Target))?;
            Some(Proposal {
                operation: operation.to_owned(),
                branch,
                commit,
            })
        };
        Ok(published.into_iter().filter_map(proposal).collect())
    }

    /// Removes the branch of a merge request that is not to be merged any more.
    ///
    /// # Errors
    /// Somebody has pushed to it, or the remote says no.
    pub async fn withdraw(&self, proposal: &Proposal) -> Result<(), DesiredError> {
        let Proposal { branch, commit, .. } = proposal;
        let within = self.patience.git;
        let gone = self.branch.unpublish(branch, commit, within).await;
        gone.map_err(DesiredError::from)
    }
}

/// What the branch of a request ends with that takes a merged one back.
const UNDO: &str = "-undo";

impl Change<'_> {
    /// What has become of a part's merge request.
    ///
    /// # Errors
    /// The remote does not answer.
    pub async fn request(&self, part: Part, operation: &str) -> Result<Request, DesiredError> {
        // In this order: a host may remove a branch as soon as it is merged.
        let proposed = self.proposed(part, operation, false).await?;
        Ok(match self.is_merged(part, operation).await? {
            Some(commit) => Request::Merged { commit },
            None if proposed.is_some() => Request::Open,
            None => Request::Closed,
        })
    }

    /// The branch of a part's merge request.
    pub(super) fn request_branch(
        &self,
        part: Part,
        operation: &str,
        is_undo: bool,
    ) -> Option<String> {
        let request = self.desired.request.as_ref()?;
        let (prefix, word) = (&request.branch_prefix.0, phase(part).word());
        let undo = if is_undo { UNDO } else { "" };
        Some(format!("{prefix}{}-{word}{undo}", id(operation)))
    }

    /// What an earlier run has proposed for a part.
    pub(super) async fn proposed(
        &self,
        part: Part,
        operation: &str,
        is_undo: bool,
    ) -> Result<Option<Done>, DesiredError> {
        let Some(branch) = self.request_branch(part, operation, is_undo) else {
            return Ok(None);
        };
        let within = self.desired.patience.git;
        let published = self.desired.branch.published(&branch, within).await?;
        Ok(published.map(|commit| Done {
            commit,
            how: How::Proposed {
                link: self.link(&branch),
                branch,
            },
        }))
    }

    /// Where a person opens the request of a branch, as far as that can be told without the server's word.
    pub(super) fn link(&self, branch: &str) -> Option<String> {
        let link = self.desired.request.as_ref()?.link.as_ref()?;
        // A branch's name has no character that means something in an address but this one.
        Some(link.0.replace("{branch}", &branch.replace('/', "%2F")))
    }
}
