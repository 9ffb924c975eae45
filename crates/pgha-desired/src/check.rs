//! Settings that make sense, and why others do not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pgha_edit::diff::Expected;
use pgha_edit::glob::Glob;
use pgha_edit::yaml::Target;
use pgha_edit::{ObjectId, Pointer};
use pgha_git::Branch;
use pgha_nlb::SiteName;
use serde_json::Value;
use serde_saphyr::{Location, Spanned};

use crate::edit::{Of, Spot, Switch};
use crate::settings::{
    Edit, Expect, MergeRequest, Object, Render, Settings, Way, pgo, postgres_cluster,
};

/// Where the operator's objects say that they are standbys.
pub(crate) const ENABLED: [&str; 3] = ["spec", "standby", "enabled"];

/// A mistake in the settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Mistake {
    /// Where it is in the file; none where it is in them as a whole.
    pub place: Option<Location>,
    /// What is wrong, and what was expected.
    pub because: String,
}

/// How long one run of a program may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// One run of git.
    pub git: Duration,
    /// The render command.
    pub render: Duration,
}

impl Default for Patience {
    /// What is enough for a large repository over a slow line.
    fn default() -> Self {
        Self {
            git: Duration::from_mins(1),
            render: Duration::from_mins(5),
        }
    }
}

/// A site of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// What the service calls it.
    pub site: SiteName,
    /// The namespace of its Postgres cluster, where it is known.
    pub namespace: Option<String>,
    /// Its Postgres cluster.
    pub cluster: String,
}

/// A repository of desired state, and what in it says which site is primary.
#[derive(Clone, Debug)]
pub struct Desired {
    pub(crate) branch: Branch,
    pub(crate) edits: Vec<Switch>,
    pub(crate) render: Option<Rendered>,
    pub(crate) expected: Vec<Expected>,
    pub(crate) request: Option<MergeRequest>,
    pub(crate) places: Vec<Place>,
    pub(crate) patience: Patience,
}

/// A render command, and what it writes for each site.
#[derive(Clone, Debug)]
pub(crate) struct Rendered {
    pub(crate) command: Vec<String>,
    pub(crate) paths: BTreeMap<SiteName, Vec<Glob>>,
}

impl Place {
    /// The operator's object.
    pub(crate) fn object(&self) -> ObjectId {
        ObjectId {
            api_version: pgo(),
            kind: postgres_cluster(),
            namespace: self.namespace.clone(),
            name: self.cluster.clone(),
        }
    }
}

fn mistake<T>(place: Option<Location>, because: impl Into<String>) -> Result<T, Mistake> {
    let because = because.into();
    Err(Mistake { place, because })
}

impl Desired {
    /// The same, with other times.
    #[must_use]
    pub fn with_patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }
}

impl Settings {
    /// What they mean for a service of these sites; `None` where clusters are changed directly. Reads nothing. A repository lies
    /// relative to `folder`.
    ///
    /// # Errors
    /// They contradict each other, or lack something: where, and what was expected.
    pub fn desired(
        &self,
        folder: &Path,
        places: &[Place],
        patience: Patience,
    ) -> Result<Option<Desired>, Mistake> {
        let request = self.merge_request.as_ref();
        if let Some(request) = request.filter(|_| self.way != Way::MergeRequest) {
            let because = "mergeRequest is of another way, expected `way: mergeRequest`";
            return mistake(Some(request.referenced), because);
        }
        if self.way == Way::Direct {
            return self.refuse_edits().map(|()| None);
        }
        let Some(repository) = &self.repository else {
            return mistake(
                None,
                "no repository is named, expected `repository: FOLDER`",
            );
        };
        let branch = self.branch(&folder.join(repository))?;
        let edits = self.edits.iter().map(|edit| {
            let read = edit.value.read(places);
            read.map_err(|because| Mistake {
                place: Some(edit.referenced),
                because,
            })
        });
        let edits: Vec<Switch> = edits.collect::<Result<_, _>>()?;
        self.refuse_gaps(&edits, places)?;
        let render = self.render.as_ref().map(|it| read_render(it, places));
        let request = request.map(|request| request.value.clone());
        Ok(Some(Desired {
            branch,
            edits,
            render: render.transpose()?,
            expected: expected(&self.expect, places),
            request: (self.way == Way::MergeRequest).then(|| request.unwrap_or_default()),
            places: places.to_vec(),
            patience,
        }))
    }

    fn refuse_edits(&self) -> Result<(), Mistake> {
        let edit = self.edits.first().map(|edit| edit.referenced);
        let render = self.render.as_ref().map(|render| render.referenced);
        if edit.is_none() && render.is_none() && self.repository.is_none() && self.expect.is_empty()
        {
            return Ok(());
        }
        let because = "`way: direct` changes no repository, expected `way: git` or no more keys";
        mistake(edit.or(render), because)
    }

    fn branch(&self, repository: &Path) -> Result<Branch, Mistake> {
        let repository: PathBuf = repository.to_owned();
        let (remote, branch) = (&self.remote.0, &self.branch.0);
        let branch = Branch::new(repository, remote, branch, &self.push_options);
        branch.or_else(|bad| mistake(None, bad.to_string()))
    }

    /// Every site must have something of its own that changes, or there are no two commits.
    fn refuse_gaps(&self, edits: &[Switch], places: &[Place]) -> Result<(), Mistake> {
        if edits.is_empty() {
            return mistake(None, "nothing is edited, expected `edits`");
        }
        if self.render.is_some() {
            return Ok(());
        }
        for (edit, at) in edits.iter().zip(&self.edits) {
            if matches!(edit.of, Of::All(_)) {
                let because = "one value for all sites is no two commits, expected `site`, or a `render` that makes the files of \
                               each site";
                return mistake(Some(at.referenced), because);
            }
        }
        let has_one = |place: &&Place| edits.iter().any(|edit| edit.is_of(&place.site));
        match places.iter().find(|place| !has_one(place)) {
            None => Ok(()),
            Some(place) => {
                let site = &place.site;
                mistake(
                    None,
                    format!("no edit is of site {site}, expected one with `site: {site}`"),
                )
            }
        }
    }
}

fn read_render(render: &Spanned<Render>, places: &[Place]) -> Result<Rendered, Mistake> {
    let at = Some(render.referenced);
    let Render { command, paths } = &render.value;
    if command.first().is_none_or(String::is_empty) {
        return mistake(
            at,
            "render.command names no program, expected one and its arguments",
        );
    }
    let is_site = |name: &SiteName| places.iter().any(|place| place.site == *name);
    if let Some(name) = paths.keys().find(|name| !is_site(name)) {
        return mistake(at, format!("render.paths: {}", no_site(name, places)));
    }
    let globs = |place: &Place| paths.get(&place.site).filter(|globs| !globs.is_empty());
    if let Some(place) = places.iter().find(|place| globs(place).is_none()) {
        let site = &place.site;
        let because =
            format!("render.paths has none of site {site}, expected patterns of its files");
        return mistake(at, because);
    }
    let paths = paths.iter().map(|(site, globs)| {
        let globs = globs.iter().map(|glob| glob.0.clone());
        (site.clone(), globs.collect())
    });
    Ok(Rendered {
        command: command.clone(),
        paths: paths.collect(),
    })
}

fn no_site(name: &SiteName, places: &[Place]) -> String {
    let names: Vec<_> = places.iter().map(|place| place.site.as_str()).collect();
    format!(
        "there is no site `{name}`, expected one of {}",
        names.join(", ")
    )
}

fn expected(more: &[Expect], places: &[Place]) -> Vec<Expected> {
    let own = places.iter().map(|place| Expected {
        object: place.object(),
        at: vec![Pointer::new(ENABLED), Pointer::new(["spec", "dataSource"])],
    });
    let more = more.iter().map(|it| Expected {
        object: ObjectId {
            api_version: it.api_version.clone(),
            kind: it.kind.clone(),
            namespace: it.namespace.clone(),
            name: it.name.clone(),
        },
        at: it.at.iter().map(|at| at.0.clone()).collect(),
    });
    own.chain(more).collect()
}

impl Edit {
    fn read(&self, places: &[Place]) -> Result<Switch, String> {
        let of = match &self.site {
            Some(site) => self.read_site(site, places)?,
            None => self.read_all(places)?,
        };
        let spot = self.spot(matches!(of, Of::Site { .. }))?;
        let is_scalar = |value: &&Value| match spot {
            Spot::Yaml { .. } => !value.is_array() && !value.is_object() && !value.is_null(),
            Spot::Cue(_) => value.is_boolean() || value.is_string(),
        };
        if !of.values().all(|value| is_scalar(&value)) {
            return Err(match spot {
                Spot::Yaml { .. } => "a value is a list, a mapping or nothing, expected text, a number, true or false",
                Spot::Cue(_) => "a value is not of those that are edited in CUE, expected text, true or false",
            }
            .to_owned());
        }
        let file = self.file.0.clone();
        Ok(Switch { file, spot, of })
    }

    fn spot(&self, is_of_a_site: bool) -> Result<Spot, String> {
        let target = match &self.object {
            None => Target::Sole,
            Some(Object {
                api_version,
                kind,
                namespace,
                name,
            }) => Target::Object(ObjectId {
                api_version: api_version.clone(),
                kind: kind.clone(),
                namespace: namespace.clone(),
                name: name.clone(),
            }),
        };
        let is_cue = Path::new(&self.file.0)
            .extension()
            .is_some_and(|it| it == "cue");
        match (&self.at, &self.field) {
            (Some(_), Some(_)) => {
                Err("both `at` and `field` are given, expected one of them".to_owned())
            }
            (None, Some(_)) if self.object.is_some() => {
                Err("`object` is of YAML and `field` of CUE, expected one of them".to_owned())
            }
            (None, Some(field)) => Ok(Spot::Cue(field.0.clone())),
            (Some(at), None) => Ok(Spot::Yaml {
                target,
                at: at.0.clone(),
            }),
            (None, None) if is_of_a_site && !is_cue => Ok(Spot::Yaml {
                target,
                at: Pointer::new(ENABLED),
            }),
            (None, None) => Err(
                "no place in the file is named, expected `at` for YAML or `field` for CUE"
                    .to_owned(),
            ),
        }
    }

    fn read_site(&self, site: &SiteName, places: &[Place]) -> Result<Of, String> {
        if !places.iter().any(|place| place.site == *site) {
            return Err(no_site(site, places));
        }
        if !self.sites.is_empty() {
            return Err(
                "`sites` is for a value without `site`, expected `primary` and `standby`"
                    .to_owned(),
            );
        }
        let or =
            |value: &Option<Value>, default: bool| value.clone().unwrap_or(Value::Bool(default));
        let (primary, standby) = (or(&self.primary, false), or(&self.standby, true));
        if primary == standby {
            return Err("`primary` and `standby` are the same, expected two values".to_owned());
        }
        Ok(Of::Site {
            site: site.clone(),
            primary,
            standby,
        })
    }

    fn read_all(&self, places: &[Place]) -> Result<Of, String> {
        if self.primary.is_some() || self.standby.is_some() {
            return Err(
                "`primary` and `standby` are a site's, expected `site` beside them, or `sites`"
                    .to_owned(),
            );
        }
        let is_site = |name: &&SiteName| places.iter().any(|place| place.site == **name);
        if let Some(name) = self.sites.keys().find(|name| !is_site(name)) {
            return Err(no_site(name, places));
        }
        let mut values: BTreeMap<SiteName, Value> = BTreeMap::new();
        for place in places {
            let name = || Value::String(place.site.to_string());
            let value = self.sites.get(&place.site).cloned().unwrap_or_else(name);
            if values.values().any(|other| *other == value) {
                return Err("two of `sites` have the same value, expected one for each".to_owned());
            }
            values.insert(place.site.clone(), value);
        }
        Ok(Of::All(values))
    }
}
