//! The files of one part of a move.

use std::collections::{BTreeMap, BTreeSet};

use pgha_edit::yaml;
use pgha_git::Tree;
use pgha_model::site::Part;
use pgha_nlb::diff::unified;
use serde_json::Value;

use super::Change;
use crate::check::Place;
use crate::edit::{Spot, Switch, Wrong};
use crate::error::{DesiredError, Problem};
use crate::gate::{Turned, cluster, differences, is_standby, recovery_target, unexpected};
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
    fn refused(&self, tried: &'static str, problem: Problem, next: &str) -> DesiredError {
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
    fn edits(&self, part: Part) -> impl Iterator<Item = &Switch> {
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

    /// The files must say what the part is to say, and leave no recovery target.
    async fn verify(&self, tree: &Tree<'_>, part: Part) -> Result<(), DesiredError> {
        let tried = "take what was rendered";
        if let Some((object, option)) = self.recovery_target(tree, part).await? {
            let next = "Nothing was pushed. Remove the option where spec.dataSource is written, and plan again.";
            let problem = Problem::RecoveryTarget { object, option };
            return Err(self.refused(tried, problem, next));
        }
        let parts: &[Part] = match part {
            Part::Source => &[Part::Source],
            Part::Target => &[Part::Source, Part::Target],
        };
        for part in parts {
            if !self.says_in(tree, *part, true).await? {
                let site = &self.place(*part).site;
                let role = match part {
                    Part::Source => "a standby",
                    Part::Target => "the primary",
                };
                let seen = format!("its files would not say that {site} is {role}");
                let next = "Nothing was pushed. Look at spec.change: the edits, and where the render writes the site's files.";
                return Err(self.refused(tried, Problem::NotAsMeant { seen }, next));
            }
        }
        Ok(())
    }

    /// The documents of a part's files in the checkout that have its cluster.
    async fn documents_in(&self, tree: &Tree<'_>, part: Part) -> Result<Vec<Value>, DesiredError> {
        let within = self.desired.patience.git;
        let mut paths = self.desired.branch.paths(tree.head(), within).await?;
        paths.extend(tree.changed(within).await?);
        let mut all = Vec::new();
        for path in self.manifests(part, paths) {
            if let Some(bytes) = tree.file(&path)?.bytes {
                all.extend(documents(&path, &text(&path, bytes)?)?);
            }
        }
        Ok(all)
    }

    /// Which paths may have a part's cluster: those that are rendered for its site, and its edited YAML.
    fn manifests(&self, part: Part, paths: Vec<String>) -> BTreeSet<String> {
        let site = &self.place(part).site;
        let globs = self.desired.render.as_ref();
        let globs = globs.and_then(|render| render.paths.get(site));
        let is_rendered = |path: &str| globs.is_some_and(|all| all.iter().any(|it| it.is_of(path)));
        let is_edited = |path: &str| {
            let of_yaml = |edit: &&Switch| matches!(edit.spot, Spot::Yaml { .. });
            let mut edits = self.desired.edits.iter().filter(of_yaml);
            edits.any(|edit| edit.is_of(site) && edit.file == path)
        };
        let paths = paths.into_iter();
        paths
            .filter(|path| is_rendered(path) || is_edited(path))
            .collect()
    }

    async fn recovery_target(
        &self,
        tree: &Tree<'_>,
        part: Part,
    ) -> Result<Option<(String, String)>, DesiredError> {
        let documents = self.documents_in(tree, part).await?;
        let place = self.place(part);
        let option = cluster(&documents, place).and_then(recovery_target);
        Ok(option.map(|option| (place.object().to_string(), option)))
    }

    /// Whether the checkout says of a part what the move makes of it, or what was before.
    async fn says_in(
        &self,
        tree: &Tree<'_>,
        part: Part,
        is_after: bool,
    ) -> Result<bool, DesiredError> {
        for edit in self.own_edits(part) {
            let bytes = tree.file(&edit.file)?.bytes.unwrap_or_default();
            if !self.is_turned(edit, &text(&edit.file, bytes)?, is_after) {
                return Ok(false);
            }
        }
        if self.desired.render.is_none() {
            return Ok(true);
        }
        let documents = self.documents_in(tree, part).await?;
        self.is_declared(&documents, part, is_after)
    }

    /// The same of a fetched commit.
    pub(super) async fn says(
        &self,
        commit: &str,
        part: Part,
        is_after: bool,
    ) -> Result<bool, DesiredError> {
        let within = self.desired.patience.git;
        let branch = &self.desired.branch;
        for edit in self.own_edits(part) {
            let (_, bytes) = branch.file(commit, &edit.file, within).await?;
            if !self.is_turned(edit, &text(&edit.file, bytes)?, is_after) {
                return Ok(false);
            }
        }
        if self.desired.render.is_none() {
            return Ok(true);
        }
        let paths = branch.paths(commit, within).await?;
        let mut all = Vec::new();
        for path in self.manifests(part, paths) {
            let (_, bytes) = branch.file(commit, &path, within).await?;
            all.extend(documents(&path, &text(&path, bytes)?)?);
        }
        self.is_declared(&all, part, is_after)
    }

    /// The edits that are in a part's commit.
    fn own_edits(&self, part: Part) -> impl Iterator<Item = &Switch> {
        let is_own = move |edit: &&Switch| part == Part::Target || !edit.is_of_all();
        self.edits(part).filter(is_own)
    }

    fn is_turned(&self, edit: &Switch, text: &str, is_after: bool) -> bool {
        let turn = edit.turn(&self.source.site, &self.target.site);
        turn.is_some_and(|turn| edit.says(text, if is_after { &turn.to } else { &turn.from }))
    }

    /// Whether the part's rendered cluster is what it was before the move or is after it.
    fn is_declared(
        &self,
        documents: &[Value],
        part: Part,
        is_after: bool,
    ) -> Result<bool, DesiredError> {
        let place = self.place(part);
        let Some(object) = cluster(documents, place) else {
            let (object, site) = (place.object(), &place.site);
            let seen = format!("there is no {object} among the files of {site}");
            let next = "Correct the site's patterns in spec.change.render.paths.";
            let problem = Problem::NotAsMeant { seen };
            return Err(self.refused("read which site is primary", problem, next));
        };
        Ok(is_standby(object) == ((part == Part::Source) == is_after))
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

fn text(path: &str, bytes: Vec<u8>) -> Result<String, DesiredError> {
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

/// The documents of a file that may have an object of the operator's; a file without one need not be YAML.
fn documents(path: &str, text: &str) -> Result<Vec<Value>, DesiredError> {
    if !text.contains(&crate::settings::postgres_cluster()) {
        return Ok(Vec::new());
    }
    let tried = "read which site is primary";
    yaml::documents(text).map_err(|error| DesiredError::of_edit(tried, path, error))
}
