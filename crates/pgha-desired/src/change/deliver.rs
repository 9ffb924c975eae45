//! How a part gets to the remote, and how it is taken back.

use std::collections::BTreeMap;

use pgha_git::{Tree, with_trailers, with_trailers_of_undo};
use pgha_model::effect::Effect;
use pgha_model::site::Part;

use super::make::Made;
use super::{Change, Done, How, PartState, TRIES, phase, role, state};
use crate::error::{DesiredError, Problem};

impl Change<'_> {
    /// Commits a part and pushes it with a lease, or proposes it by a merge request. A branch that moved is looked at again, and the
    /// change made anew on it. One that has it already is left alone.
    ///
    /// The target's part is committed only while the branch says that the source is a standby, and nobody took that back.
    ///
    /// # Errors
    /// As for [`plan`](Self::plan); a hook, the signing or the remote says no; or nobody knows whether the push arrived. The
    /// error's effect says which.
    pub async fn commit(&self, part: Part, operation: &str) -> Result<Done, DesiredError> {
        let mut tries = 1;
        loop {
            match self.try_commit(part, operation).await {
                Err(error) if error.is_moved() && tries < TRIES => tries += 1,
                ended => return ended,
            }
        }
    }

    /// Makes a part's commit and does not push it, so that nothing is left to be rendered when it is to be: the render, the hooks and
    /// the signing have said what they have to say by then. None where nothing is to be pushed.
    ///
    /// # Errors
    /// As for [`commit`](Self::commit); nothing was pushed.
    pub async fn prepare(
        &self,
        part: Part,
        operation: &str,
    ) -> Result<Option<Prepared>, DesiredError> {
        Ok(match self.next(part, operation).await? {
            Next::Done(_) => None,
            Next::Push(prepared) => Some(prepared),
        })
    }

    /// Pushes a commit that was made before, while the branch is as it was then. Once somebody has pushed, another one is made.
    ///
    /// # Errors
    /// As for [`commit`](Self::commit).
    pub async fn deliver(
        &self,
        prepared: &Prepared,
        part: Part,
        operation: &str,
    ) -> Result<Done, DesiredError> {
        let delivered = self.push(prepared, (part, operation, false)).await;
        match delivered {
            Err(error) if error.is_moved() => self.commit(part, operation).await,
            ended => ended,
        }
    }

    /// Takes a part's commit back by another commit. The source's stays while the target's stands: both would be primary.
    ///
    /// # Errors
    /// As for [`commit`](Self::commit); or what was changed since stands against it.
    pub async fn revert(&self, part: Part, operation: &str) -> Result<Done, DesiredError> {
        let mut tries = 1;
        loop {
            match self.try_revert(part, operation).await {
                Err(error) if error.is_moved() && tries < TRIES => tries += 1,
                ended => return ended,
            }
        }
    }

    async fn try_commit(&self, part: Part, operation: &str) -> Result<Done, DesiredError> {
        match self.next(part, operation).await? {
            Next::Done(done) => Ok(done),
            Next::Push(prepared) => self.push(&prepared, (part, operation, false)).await,
        }
    }

    /// What is left to be done for a part, on what the branch is at now.
    async fn next(&self, part: Part, operation: &str) -> Result<Next, DesiredError> {
        self.desired.refuse_clone(&[]).await?;
        let tip = self.desired.tip().await?;
        let marks = self.marks(&tip, operation).await?;
        match state(&marks, part) {
            PartState::Made { commit } => return Ok(Next::Done(already(commit))),
            PartState::TakenBack { by } => return Err(self.taken_back(by)),
            PartState::None => {}
        }
        if part == Part::Target {
            let seen = match state(&marks, Part::Source) {
                PartState::TakenBack { by } => return Err(self.taken_back(by)),
                PartState::Made { .. } => "its commit was undone by others: it is no standby there",
                PartState::None => "it is not there",
            };
            if !self.says(&tip, Part::Source, true).await? {
                let next = "Nothing was pushed. The source becomes a standby in Git first.";
                let at = format!("{} (the source's commit)", self.desired.at());
                let problem = Problem::NoSource { seen };
                return Err(DesiredError::new("commit the target", at, problem, next));
            }
        }
        if let Some(done) = self.proposed(part, operation, false).await? {
            return Ok(Next::Done(done));
        }
        let within = self.desired.patience.git;
        let mut tree = self.desired.branch.worktree(&tip, within).await?;
        let commit = self.committed(&mut tree, part, operation).await;
        drop(tree.remove(within).await);
        match commit {
            Ok(Some(commit)) => Ok(Next::Push(Prepared { commit, base: tip })),
            Ok(None) => Ok(Next::Done(already(tip))),
            // Whatever is wrong with the render, nothing is needed of it.
            Err(_) if matches!(self.says(&tip, part, true).await, Ok(true)) => {
                Ok(Next::Done(already(tip)))
            }
            Err(error) => Err(error),
        }
    }

    /// The commit of a part in a checkout; none where there is nothing to change.
    async fn committed(
        &self,
        tree: &mut Tree<'_>,
        part: Part,
        operation: &str,
    ) -> Result<Option<String>, DesiredError> {
        let made = self.make(tree, part, &BTreeMap::new()).await?;
        if made.files.is_empty() {
            return Ok(None);
        }
        let paths = made.paths();
        let files = paths.iter().map(|path| tree.file(path));
        let files = files.collect::<Result<Vec<_>, _>>()?;
        let message = with_trailers(&self.message(part, &made), operation, phase(part));
        let commit = tree
            .commit(&files, &message, self.desired.patience.git)
            .await?;
        Ok(Some(commit))
    }

    fn message(&self, part: Part, made: &Made) -> String {
        let (service, site) = (self.service, &self.place(part).site);
        let role = role(part);
        let lines: Vec<_> = made.changes.iter().map(ToString::to_string).collect();
        format!("{service}: make {site} {role}\n\n{}", lines.join("\n"))
    }

    async fn try_revert(&self, part: Part, operation: &str) -> Result<Done, DesiredError> {
        self.desired.refuse_clone(&[]).await?;
        let tip = self.desired.tip().await?;
        let marks = self.marks(&tip, operation).await?;
        let is_made = |part| matches!(state(&marks, part), PartState::Made { .. });
        let commit = match state(&marks, part) {
            PartState::Made { commit } => commit,
            PartState::TakenBack { by } => return Ok(already(by)),
            PartState::None => return Ok(already(tip)),
        };
        if part == Part::Source && is_made(Part::Target) {
            let seen = "the target's commit stands there: both sites would be primary".to_owned();
            let next = "Nothing was pushed. Take the target's commit back first, while nobody has promoted it.";
            let problem = Problem::NotAsMeant { seen };
            let at = self.desired.at();
            return Err(DesiredError::new(
                "take the source's commit back",
                at,
                problem,
                next,
            ));
        }
        if let Some(done) = self.proposed(part, operation, true).await? {
            return Ok(done);
        }
        let within = self.desired.patience.git;
        let (service, site) = (self.service, &self.place(part).site);
        let message = format!("{service}: leave {site} as it was\n\nThis reverts commit {commit}.");
        let message = with_trailers_of_undo(&message, operation, &commit);
        let mut tree = self.desired.branch.worktree(&tip, within).await?;
        let taken_back = tree.revert(&commit, &message, within).await;
        drop(tree.remove(within).await);
        let prepared = Prepared {
            commit: taken_back?,
            base: tip,
        };
        self.push(&prepared, (part, operation, true)).await
    }

    fn taken_back(&self, commit: String) -> DesiredError {
        let next = "Nothing was pushed. Begin a new move.";
        let problem = Problem::TakenBack { commit };
        DesiredError::new(
            "commit a part of the move",
            self.desired.at(),
            problem,
            next,
        )
    }

    async fn push(
        &self,
        Prepared { commit, base }: &Prepared,
        (part, operation, is_undo): (Part, &str, bool),
    ) -> Result<Done, DesiredError> {
        let within = self.desired.patience.git;
        let branch = &self.desired.branch;
        let commit = commit.to_owned();
        let Some(request) = &self.desired.request else {
            branch.push(&commit, base, within).await?;
            let how = How::Pushed;
            return Ok(Done { commit, how });
        };
        let name = self.request_branch(part, operation, is_undo);
        let name = name.unwrap_or_default();
        let options = &request.push_options;
        let pushed = branch.publish(&commit, &name, options, within).await?;
        let told = pushed.link().map(str::to_owned);
        let link = self.link(&name).or(told);
        let how = How::Proposed { branch: name, link };
        Ok(Done { commit, how })
    }
}

/// A commit that is not pushed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    commit: String,
    /// What the branch was at.
    base: String,
}

/// What is left to be done for a part.
enum Next {
    /// Nothing.
    Done(Done),
    /// A commit is to be pushed.
    Push(Prepared),
}

const fn already(commit: String) -> Done {
    let how = How::Already;
    Done { commit, how }
}

impl DesiredError {
    /// Whether the branch is surely as it was.
    pub fn changed_nothing(&self) -> bool {
        self.effect == Effect::None
    }
}
