//! One move in a repository.

mod deliver;
mod make;
mod request;
mod says;

use std::collections::BTreeMap;
use std::time::Duration;

use pgha_git::{Mark, Phase};
use pgha_model::site::Part;
use pgha_nlb::SiteName;

use crate::check::{Desired, Place};
use crate::error::{DesiredError, Problem};
use crate::plan::{Planned, PlannedCommit};
use make::Made;

pub use deliver::Prepared;
pub use request::{Proposal, Request};

/// A branch that moves on faster than this many tries is left to its people.
const TRIES: usize = 5;

/// A move from one site to another, in a repository.
#[derive(Clone, Debug)]
pub struct Change<'a> {
    desired: &'a Desired,
    service: &'a str,
    source: &'a Place,
    target: &'a Place,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// The commit: the one that was made, or the one that the branch is at where it says so already.
    pub commit: String,
    /// How it got there.
    pub how: How,
}

/// How a commit got to the remote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// It was pushed to the branch.
    Pushed,
    /// The branch had it, or says so without it. Nothing was pushed.
    Already,
    /// It was pushed as a branch of its own, for a merge request.
    Proposed {
        /// The branch.
        branch: String,
        /// Where a person opens the request.
        link: Option<String>,
    },
}

/// What a branch has of one part of a move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartState {
    /// Nothing.
    None,
    /// Its commit.
    Made {
        /// The commit.
        commit: String,
    },
    /// Its commit, which another one has taken back.
    TakenBack {
        /// The commit that took it back.
        by: String,
    },
}

const fn phase(part: Part) -> Phase {
    match part {
        Part::Source => Phase::Source,
        Part::Target => Phase::Target,
    }
}

/// What a move makes of the site of a part.
pub const fn role(part: Part) -> &'static str {
    match part {
        Part::Source => "a standby",
        Part::Target => "the primary",
    }
}

impl Desired {
    /// A move of a service between two of its sites; `None` where one is not a site of it.
    pub fn change<'a>(
        &'a self,
        service: &'a str,
        source: &SiteName,
        target: &SiteName,
    ) -> Option<Change<'a>> {
        let place = |site: &SiteName| self.places.iter().find(|place| place.site == *site);
        Some(Change {
            desired: self,
            service,
            source: place(source)?,
            target: place(target)?,
        })
    }

    /// The remote and the branch, for a message.
    pub fn at(&self) -> String {
        self.branch.at()
    }

    /// Whether changes are proposed by merge requests.
    pub const fn is_by_merge_request(&self) -> bool {
        self.request.is_some()
    }

    /// How long to wait for each merge request; none where there is no limit, or nothing is proposed.
    pub fn merges_within(&self) -> Option<Duration> {
        let seconds = self.request.as_ref()?.timeout_seconds;
        (seconds > 0).then(|| Duration::from_secs(seconds))
    }

    /// Whether the clone is there and nobody is at work on the files in it.
    ///
    /// # Errors
    /// It is not, or somebody is.
    async fn refuse_clone(&self, files: &[String]) -> Result<(), DesiredError> {
        let checkout = self.branch.checkout();
        let at = checkout.display().to_string();
        let tried = "use the clone of the repository";
        if !checkout.is_dir() {
            let next = "Clone the repository there, or correct spec.change.repository.";
            return Err(DesiredError::new(tried, at, Problem::NoClone, next));
        }
        let mut paths = self.branch.unsaved(self.patience.git).await?;
        paths.retain(|path| files.contains(path));
        if paths.is_empty() {
            return Ok(());
        }
        let next = "Commit and push what is meant, or take it back, and plan again.";
        let problem = Problem::Unsaved { paths };
        Err(DesiredError::new(tried, at, problem, next))
    }

    /// The newest commit of the branch, fetched.
    async fn tip(&self) -> Result<String, DesiredError> {
        let within = self.patience.git;
        let tip = self.branch.tip(within).await?;
        self.branch.fetch(&tip, within).await?;
        Ok(tip)
    }
}

impl Change<'_> {
    fn place(&self, part: Part) -> &Place {
        match part {
            Part::Source => self.source,
            Part::Target => self.target,
        }
    }

    /// Both commits as they would be, on what the branch is at now. Fetches, renders, and pushes nothing.
    ///
    /// # Errors
    /// The clone, the branch, an edit or the render is not as it must be, or more would change than was expected.
    pub async fn plan(&self) -> Result<Planned, DesiredError> {
        self.desired.refuse_clone(&[]).await?;
        let base = self.desired.tip().await?;
        let within = self.desired.patience.git;
        self.desired.branch.committer(within).await?;
        let tree = self.desired.branch.worktree(&base, within).await?;
        let planned = async {
            let source = self.make(&tree, Part::Source, &BTreeMap::new()).await?;
            let overlay = source.texts();
            let target = self.make(&tree, Part::Target, &overlay).await?;
            Ok::<_, DesiredError>((source, target))
        }
        .await;
        drop(tree.remove(within).await);
        let (source, target) = planned?;
        let files = [source.paths(), target.paths()].concat();
        self.desired.refuse_clone(&files).await?;
        Ok(Planned {
            at: self.desired.at(),
            base,
            by_merge_request: self.desired.is_by_merge_request(),
            source: self.planned(Part::Source, source),
            target: self.planned(Part::Target, target),
        })
    }

    fn planned(&self, part: Part, made: Made) -> PlannedCommit {
        PlannedCommit {
            site: self.place(part).site.clone(),
            files: made.paths(),
            diff: made.diff(),
            changes: made.changes,
        }
    }

    /// What the branch has of the source's and of the target's part of a move, by the commits' trailers.
    ///
    /// # Errors
    /// The remote does not answer.
    pub async fn find(&self, operation: &str) -> Result<(PartState, PartState), DesiredError> {
        let tip = self.desired.tip().await?;
        let marks = self.marks(&tip, operation).await?;
        Ok((state(&marks, Part::Source), state(&marks, Part::Target)))
    }

    async fn marks(&self, tip: &str, operation: &str) -> Result<Vec<Mark>, DesiredError> {
        let within = self.desired.patience.git;
        let marks = self.desired.branch.marks(tip, operation, within).await;
        marks.map_err(DesiredError::from)
    }

    /// The commit that the branch is at, once it says of a part what the part is to say: by the move's own commit, or by the files,
    /// since a merge may have made another commit of it. None while it does not.
    ///
    /// # Errors
    /// The remote does not answer.
    pub async fn is_merged(
        &self,
        part: Part,
        operation: &str,
    ) -> Result<Option<String>, DesiredError> {
        let tip = self.desired.tip().await?;
        let marks = self.marks(&tip, operation).await?;
        let is_there = match state(&marks, part) {
            PartState::TakenBack { .. } => false,
            PartState::Made { .. } | PartState::None => self.says(&tip, part, true).await?,
        };
        Ok(is_there.then_some(tip))
    }

    /// The commit that the branch is at, once it says of a part what it said before the move. None while it does not.
    ///
    /// # Errors
    /// The remote does not answer.
    pub async fn is_taken_back(&self, part: Part) -> Result<Option<String>, DesiredError> {
        let tip = self.desired.tip().await?;
        let is_back = self.says(&tip, part, false).await?;
        Ok(is_back.then_some(tip))
    }
}

/// What commits say of a part, the newest first.
fn state(marks: &[Mark], part: Part) -> PartState {
    let Some(made) = marks.iter().find(|mark| mark.phase == phase(part)) else {
        return PartState::None;
    };
    let is_undo = |mark: &&Mark| mark.undoes.as_ref() == Some(&made.commit);
    match marks.iter().find(is_undo) {
        Some(undo) => PartState::TakenBack {
            by: undo.commit.clone(),
        },
        None => PartState::Made {
            commit: made.commit.clone(),
        },
    }
}
