//! What the files of a site say: in a checkout, and in a commit.

use std::collections::BTreeSet;

use pgha_edit::yaml;
use pgha_git::Tree;
use pgha_model::site::Part;
use serde_json::Value;

use super::make::text;
use super::{Change, role};
use crate::edit::{Spot, Switch};
use crate::error::{DesiredError, Problem};
use crate::gate::{cluster, is_standby, recovery_target};
use crate::settings::postgres_cluster;

impl Change<'_> {
    /// The files must say what the part is to say, and leave no recovery target.
    pub(super) async fn verify(&self, tree: &Tree<'_>, part: Part) -> Result<(), DesiredError> {
        let tried = "take what was rendered";
        if let Some((object, option)) = self.recovery_target(tree, part).await? {
            let next = "Nothing was pushed. Remove the option where spec.dataSource is written, and plan again.";
            let (object, option) = (object.into(), option.into());
            let problem = Problem::RecoveryTarget { object, option };
            return Err(self.refused(tried, problem, next));
        }
        let parts: &[Part] = match part {
            Part::Source => &[Part::Source],
            Part::Target => &[Part::Source, Part::Target],
        };
        for part in parts {
            if !self.says_in(tree, *part, true).await? {
                let (site, role) = (&self.place(*part).site, role(*part));
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
    pub(super) async fn says_in(
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

/// The documents of a file that may have an object of the operator's; a file without one need not be YAML.
fn documents(path: &str, text: &str) -> Result<Vec<Value>, DesiredError> {
    if !text.contains(&postgres_cluster()) {
        return Ok(Vec::new());
    }
    let tried = "read which site is primary";
    yaml::documents(text).map_err(|error| DesiredError::of_edit(tried, path, error))
}
