//! The files of one part of a move.

use std::collections::{BTreeMap, BTreeSet};

use pgha_git::Tree;
use pgha_model::site::Part;
use pgha_nlb::diff::unified;

use super::Change;
use crate::check::Place;
use crate::edit::{Switch, Wrong};
use crate::error::{DesiredError, Problem};
use crate::gate::{Turned, differences, unexpected};
use crate::plan::Changed;

/// The files of a part before and after, and what changes in them.
pub(super) struct Made {
    pub(super) files: Vec<Turned>,
    pub(super) changes: Vec<Changed>,
}

/// Texts of files that count in place of those of a commit; none where a file is gone.
pub(super) type Texts = BTreeMap<String, Option<String>>;

impl Made {
    pub(super) fn paths(&self) -> Vec<String> {
        self.files.iter().map(|file| file.path.clone()).collect()
    }

    pub(super) fn texts(&self) -> Texts {
        let files = self.files.iter();
        files
            .map(|file| (file.path.clone(), file.after.clone()))
            .collect()
    }

    pub(super) fn diff(&self) -> Vec<String> {
        let bytes = |text: &Option<String>| text.clone().unwrap_or_default().into_bytes();
        let files = self.files.iter();
        files
            .map(|file| unified(&file.path, &bytes(&file.before), &bytes(&file.after)))
            .collect()
    }
}

impl Change<'_> {
    pub(super) fn refused(
        &self,
        tried: &'static str,
        problem: Problem,
        next: &str,
    ) -> DesiredError {
        DesiredError::new(tried, self.desired.at(), problem, next)
    }

    /// Makes a part in a checkout: edits, renders, and looks at everything that is not as before. `overlay` is what counts as before
    /// beside the checkout's commit: an earlier part.
    ///
    /// # Errors
    /// An edit does not fit, the render fails, more changes than was expected, or the files would not say what they are to say.
    pub(super) async fn make(
        &self,
        tree: &Tree<'_>,
        part: Part,
        overlay: &Texts,
    ) -> Result<Made, DesiredError> {
        if part == Part::Source {
            self.refuse_lone_target(tree).await?;
        }
        let edited = self.edit(tree, part, overlay).await?;
        if let Some(render) = &self.desired.render {
            let mut command = render.command.clone();
            if let Some(program) = command.first_mut().filter(|name| name.contains('/')) {
                *program = tree.path().join(&*program).display().to_string();
            }
            tree.render(&command, self.desired.patience.render).await?;
        }
        let turned = self.turned(tree, overlay).await?;
        let (ours, changes) = self.gated(part, turned, &edited)?;
        self.verify(tree, part).await?;
        Ok(Made {
            files: ours,
            changes,
        })
    }

    /// A target that is primary in Git beside the source may be promoted by whoever applies it, whatever is done here.
    async fn refuse_lone_target(&self, tree: &Tree<'_>) -> Result<(), DesiredError> {
        let source = self.says_in(tree, Part::Source, true).await?;
        if source || !self.says_in(tree, Part::Target, true).await? {
            return Ok(());
        }
        let (from, to) = (&self.source.site, &self.target.site);
        let seen = format!("it says already that {to} is primary, while {from} is primary too");
        let next = "Put right in Git which site is primary, and plan again.";
        let problem = Problem::NotAsMeant { seen };
        Err(self.refused("make two commits of the move", problem, next))
    }

    /// The edits of a part: those of its site, and those that name the primary of all.
    pub(super) fn edits(&self, part: Part) -> impl Iterator<Item = &Switch> {
        let site = &self.place(part).site;
        let edits = self.desired.edits.iter();
        edits.filter(move |edit| edit.is_of(site) || edit.is_of_all())
    }

    /// Edits the files in the checkout; what changed in each, in words.
    async fn edit(
        &self,
        tree: &Tree<'_>,
        part: Part,
        overlay: &Texts,
    ) -> Result<BTreeMap<String, Vec<Changed>>, DesiredError> {
        let mut texts: BTreeMap<String, String> = BTreeMap::new();
        let mut changes: BTreeMap<String, Vec<Changed>> = BTreeMap::new();
        for edit in self.edits(part) {
            let Some(turn) = edit.turn(&self.source.site, &self.target.site) else {
                continue;
            };
            let text = match texts.get(&edit.file) {
                Some(text) => text.clone(),
                None => self
                    .before(tree, overlay, &edit.file)
                    .await?
                    .unwrap_or_default(),
            };
            let after = edit
                .turned(&text, &turn)
                .map_err(|wrong| not_turned(edit, wrong))?;
            let all = changes.entry(edit.file.clone()).or_default();
            if after != text {
                all.push(Changed {
                    of: edit.file.clone(),
                    at: edit.at(),
                    old: Some(turn.from.to_string()),
                    new: Some(turn.to.to_string()),
                });
            }
            tree.put(&edit.file, after.as_bytes())?;
            texts.insert(edit.file.clone(), after);
        }
        Ok(changes)
    }

    /// A file as it was before the part.
    async fn before(
        &self,
        tree: &Tree<'_>,
        overlay: &Texts,
        path: &str,
    ) -> Result<Option<String>, DesiredError> {
        if let Some(text) = overlay.get(path) {
            return Ok(text.clone());
        }
        let within = self.desired.patience.git;
        let (_, bytes) = self.desired.branch.file(tree.head(), path, within).await?;
        text(path, bytes).map(Some)
    }

    /// Every file of the checkout that is not as before.
    async fn turned(&self, tree: &Tree<'_>, overlay: &Texts) -> Result<Vec<Turned>, DesiredError> {
        let within = self.desired.patience.git;
        let changed = tree.changed(within).await?;
        let there = self.desired.branch.paths(tree.head(), within).await?;
        let there: BTreeSet<String> = there.into_iter().collect();
        let paths: BTreeSet<String> = changed.into_iter().chain(overlay.keys().cloned()).collect();
        let mut turned = Vec::new();
        for path in paths {
            let before = if there.contains(&path) || overlay.contains_key(&path) {
                self.before(tree, overlay, &path).await?
            } else {
                None
            };
            let after = tree.file(&path)?.bytes;
            let after = after.map(|bytes| text(&path, bytes)).transpose()?;
            if before != after {
                turned.push(Turned {
                    path,
                    before,
                    after,
                });
            }
        }
        Ok(turned)
    }

    /// Whose file it is: edited, or rendered.
    fn owner(&self, part: Part, path: &str) -> Option<Part> {
        let site = &self.place(part).site;
        let has = |edit: &&Switch| edit.file == path;
        if self.edits(part).any(|edit| has(&edit) && edit.is_of(site)) {
            return Some(part);
        }
        if self.edits(part).any(|edit| has(&edit)) {
            return Some(Part::Target);
        }
        let render = self.desired.render.as_ref()?;
        let is_of = |place: &Place| {
            let globs = render.paths.get(&place.site);
            globs.is_some_and(|globs| globs.iter().any(|glob| glob.is_of(path)))
        };
        match (is_of(self.source), is_of(self.target)) {
            (true, false) => Some(Part::Source),
            (false, true) => Some(Part::Target),
            // A file of both sites is no part of either's commit.
            (true, true) | (false, false) => None,
        }
    }

    /// The files of the part, and what changes in them, once everything that changes was expected.
    fn gated(
        &self,
        part: Part,
        turned: Vec<Turned>,
        edited: &BTreeMap<String, Vec<Changed>>,
    ) -> Result<(Vec<Turned>, Vec<Changed>), DesiredError> {
        let tried = "take what was rendered";
        let (mut ours, mut others, mut outside) = (Vec::new(), Vec::new(), Vec::new());
        for file in turned {
            match self.owner(part, &file.path) {
                Some(owner) if owner == part => ours.push(file),
                // The source's commit stands by now; the target's may change nothing of it.
                Some(Part::Target) => others.push(file),
                Some(Part::Source) | None => outside.push(file.path),
            }
        }
        let mut changes: Vec<Changed> = Vec::new();
        for (side, is_ours) in [(&ours, true), (&others, false)] {
            let rendered = side.iter().filter(|file| !edited.contains_key(&file.path));
            let rendered: Vec<&Turned> = rendered.collect();
            let found = differences(&rendered)
                .map_err(|error| DesiredError::of_edit(tried, &self.desired.at(), error))?;
            outside.extend(unexpected(&found, &self.desired.expected));
            if is_ours {
                let own = ours.iter().filter_map(|file| edited.get(&file.path));
                changes.extend(own.flatten().cloned());
                changes.extend(found.iter().map(Changed::of));
            }
        }
        if outside.is_empty() {
            return Ok((ours, changes));
        }
        let next = "Nothing was pushed. Name what is meant to change in spec.change (`render.paths`, `expect`), or mend what the \
                    render reads.";
        let problem = Problem::Unexpected { places: outside };
        Err(self.refused(tried, problem, next))
    }
}

fn not_turned(edit: &Switch, wrong: Wrong) -> DesiredError {
    let tried = "edit a value";
    match wrong {
        Wrong::Edit(error) => DesiredError::of_edit(tried, &edit.file, error),
        Wrong::Other => {
            let next =
                "Nothing was pushed. Look at the value in the file, and at spec.change.edits.";
            let problem = Problem::Other { place: edit.at() };
            DesiredError::new(tried, edit.file.as_str(), problem, next)
        }
    }
}

pub(super) fn text(path: &str, bytes: Vec<u8>) -> Result<String, DesiredError> {
    String::from_utf8(bytes).map_err(|error| {
        let seen = "it is no text".to_owned();
        let next = "Nothing was pushed. Keep files that are no text out of what is rendered.";
        let mut refused = DesiredError::new(
            "read a file of the change",
            path,
            Problem::NotAsMeant { seen },
            next,
        );
        refused.source = Some(Box::new(error));
        refused
    })
}
