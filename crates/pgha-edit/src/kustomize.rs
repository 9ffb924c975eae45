//! Which file of a kustomization sets a field, and the edit of it there.
//!
//! What the overlay's own patches set wins, then its resources, then its bases; so the edit goes where the value comes from,
//! and never into a base that another kustomization uses too. Whatever else could reach the object is refused rather than
//! guessed: components, replacements, transformers, generated objects, changed names, patches by selectors. The deprecated
//! `bases`, `patchesStrategicMerge` and `patchesJson6902` are read as they were meant
//! (kustomize's own reference, "kustomization").

mod patch;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::error::{EditError, Problem, shown};
use crate::object::ObjectId;
use crate::pointer::Pointer;
use crate::yaml::{self, Edit, Target};
use patch::Patch;

/// Texts of a repository by their paths in it.
pub type Files = BTreeMap<String, String>;

/// Names of a kustomization's file.
const NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// Keys that say what a kustomization is made of, or change no object.
const HARMLESS: [&str; 12] = [
    "apiVersion",
    "kind",
    "metadata",
    "namespace",
    "resources",
    "bases",
    "patches",
    "patchesStrategicMerge",
    "patchesJson6902",
    "sortOptions",
    "buildMetadata",
    "crds",
];

/// Fields that labels and annotations for all are written into, in a spec too.
const LABELS: [&str; 5] = [
    "labels",
    "annotations",
    "metadata",
    "selector",
    "matchLabels",
];

/// More kustomizations below each other than this are a circle.
const DEEPEST: usize = 20;

/// A place where the object's field is or could be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setter {
    /// The file.
    pub file: String,
    /// Where in the file the patch is, which is a text of its own.
    pub within: Option<Pointer>,
    /// The document.
    pub target: Target,
    /// The field in that document.
    pub at: Pointer,
    /// Whether it sets the field now.
    pub is_set: bool,
    /// Whether it is an operation of a JSON patch.
    is_operation: bool,
    /// Whether it is a patch, not the object itself.
    is_patch: bool,
    /// The kustomizations that lead to it, the first one asked for.
    chain: Vec<String>,
}

/// The file that an edit of an object's field changes, and its text afterwards; none where nothing is to be changed.
///
/// # Errors
/// The kustomization in the folder is not understood, the object is not in it once, the field is set in more places than one
/// edit changes, or only a base has it that others use.
pub fn edited(
    files: &Files,
    folder: &str,
    object: &ObjectId,
    edit: &Edit,
) -> Result<Option<(String, String)>, EditError> {
    let all = setters(files, folder, object, edit.at())?;
    let Some(setter) = chosen(files, &all, edit)? else {
        return Ok(None);
    };
    let text = files.get(&setter.file).map_or("", String::as_str);
    let at = setter.at.clone();
    let edit = match edit {
        Edit::Set { to, .. } => Edit::Set { at, to: to.clone() },
        Edit::Remove { .. } => Edit::Remove { at },
    };
    let after = match &setter.within {
        Some(within) => yaml::edited_within(text, within, &setter.target, &edit),
        None => yaml::edited(text, &setter.target, std::slice::from_ref(&edit)),
    };
    let after = after.map_err(|error| error.in_file(&setter.file))?;
    Ok((after != text).then(|| (setter.file.clone(), after)))
}

fn chosen<'s>(
    files: &Files,
    all: &'s [Setter],
    edit: &Edit,
) -> Result<Option<&'s Setter>, EditError> {
    let failed = |problem| EditError::new(format!("edit {}", edit.at()), problem);
    let set: Vec<&Setter> = all.iter().filter(|setter| setter.is_set).collect();
    let several = |all: &[&Setter]| {
        let names: Vec<_> = all.iter().map(|setter| setter.file.as_str()).collect();
        let (wanted, count) = (
            format!("places that set it ({})", names.join(", ")),
            all.len(),
        );
        failed(Problem::Several { wanted, count })
    };
    let setter = match (edit, set.as_slice()) {
        (Edit::Remove { .. }, []) => return Ok(None),
        (Edit::Remove { .. }, [one]) if one.is_operation => {
            let seen = "the removal of a value that a JSON patch sets";
            return Err(failed(Problem::Unsupported { seen }).in_file(&one.file));
        }
        (_, [one]) => one,
        (Edit::Remove { .. }, many) => return Err(several(many)),
        // Two patches of one kustomization: their order decides, which nobody sees.
        (Edit::Set { .. }, [one, next, ..]) if one.chain == next.chain && next.is_patch => {
            return Err(several(&[*one, *next]));
        }
        (Edit::Set { .. }, [one, ..]) => one,
        (Edit::Set { .. }, []) => {
            let wanted = "document of the object".to_owned();
            let first = all.iter().find(|setter| !setter.is_operation);
            first.ok_or_else(|| failed(Problem::Nothing { wanted }))?
        }
    };
    for folder in setter.chain.iter().skip(1) {
        if users_of(files, folder) > 1 {
            let seen = "a base that more than one kustomization uses; give the overlay a patch of its own: it";
            return Err(failed(Problem::Unsupported { seen }).in_file(&setter.file));
        }
    }
    Ok(Some(setter))
}

/// How many kustomizations name a folder as a part of theirs.
fn users_of(files: &Files, folder: &str) -> usize {
    let names = |(path, text): (&String, &String)| {
        let (here, name) = path.rsplit_once('/').unwrap_or(("", path));
        let all = NAMES.contains(&name).then(|| yaml::documents(text).ok());
        let parts = all.flatten().unwrap_or_default();
        let parts: Vec<String> = parts.iter().flat_map(parts_of).collect();
        parts
            .iter()
            .any(|part| joined(here, part).as_deref() == Some(folder))
    };
    files.iter().filter(|file| names(*file)).count()
}

/// What a kustomization is made of.
fn parts_of(document: &Value) -> Vec<String> {
    let keys = ["resources", "bases", "components"];
    let lists = keys
        .into_iter()
        .filter_map(|key| document.get(key)?.as_array());
    let parts = lists.flatten().filter_map(Value::as_str);
    parts.map(str::to_owned).collect()
}

/// A path from a folder; none where it leads out of the repository.
fn joined(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Every place where the field of an object is or could be set, the one that wins first.
///
/// # Errors
/// The kustomization is not understood, or the object is not in it once.
pub fn setters(
    files: &Files,
    folder: &str,
    object: &ObjectId,
    at: &Pointer,
) -> Result<Vec<Setter>, EditError> {
    let folder = joined("", folder).unwrap_or_default();
    let mut search = Search {
        files,
        object: object.clone(),
        at,
        chain: Vec::new(),
        resources: 0,
        is_remote: false,
        found: Vec::new(),
    };
    search.level(&folder)?;
    let wanted = shown(&object.to_string());
    let problem = match search.resources {
        1 => return Ok(search.found),
        0 if search.is_remote => Problem::Unsupported {
            seen: "an object of a remote resource",
        },
        0 => Problem::Nothing { wanted },
        count => Problem::Several { wanted, count },
    };
    Err(search.failed(problem).in_file(&folder))
}

struct Search<'f> {
    files: &'f Files,
    object: ObjectId,
    at: &'f Pointer,
    chain: Vec<String>,
    /// In how many files the object is.
    resources: usize,
    /// Whether a part was left out that is elsewhere.
    is_remote: bool,
    found: Vec<Setter>,
}

impl Search<'_> {
    fn failed(&self, problem: Problem) -> EditError {
        EditError::new(format!("find what sets {}", self.at), problem)
    }

    fn unsupported(&self, file: &str, seen: &'static str) -> EditError {
        self.failed(Problem::Unsupported { seen }).in_file(file)
    }

    /// Whether a key of a kustomization cannot change the field.
    fn is_harmless(&self, key: &str) -> bool {
        let tokens = self.at.tokens();
        match key {
            "commonLabels" | "labels" | "commonAnnotations" => {
                !tokens.iter().any(|token| LABELS.contains(&token.as_str()))
                    && tokens.first().is_some_and(|token| token == "spec")
            }
            "images" => tokens.last().is_some_and(|token| token != "image"),
            "configMapGenerator" | "secretGenerator" | "generatorOptions" => {
                !["ConfigMap", "Secret"].contains(&self.object.kind.as_str())
            }
            key => HARMLESS.contains(&key),
        }
    }

    fn documents(&self, file: &str) -> Result<Vec<Value>, EditError> {
        let wanted = "such file".to_owned();
        let text = self.files.get(file);
        let text = text.ok_or_else(|| self.failed(Problem::Nothing { wanted }).in_file(file))?;
        yaml::documents(text).map_err(|error| error.in_file(file))
    }

    fn level(&mut self, folder: &str) -> Result<(), EditError> {
        let paths = NAMES.iter().filter_map(|name| joined(folder, name));
        let paths: Vec<String> = paths.filter(|path| self.files.contains_key(path)).collect();
        let [file] = paths.as_slice() else {
            let (wanted, count) = ("kustomization".to_owned(), paths.len());
            let problem = match count {
                0 => Problem::Nothing { wanted },
                count => Problem::Several { wanted, count },
            };
            return Err(self.failed(problem).in_file(folder));
        };
        if self.chain.len() >= DEEPEST {
            return Err(self.unsupported(file, "a circle of kustomizations"));
        }
        self.chain.push(folder.to_owned());
        let documents = self.documents(file)?;
        let [Value::Object(entries)] = documents.as_slice() else {
            return Err(self.unsupported(file, "a kustomization that is not one mapping"));
        };
        if !entries.keys().all(|key| self.is_harmless(key)) {
            return Err(self.unsupported(
                file,
                "a kustomization with keys that may change the object in other ways",
            ));
        }
        if entries.contains_key("namespace") {
            self.object.namespace = None;
        }
        let document = &documents[0];
        for patch in Patch::all_of(document) {
            let patch = patch.map_err(|seen| self.unsupported(file, seen))?;
            self.patch(folder, file, &patch)?;
        }
        for part in parts_of(document) {
            self.part(folder, file, &part)?;
        }
        self.chain.pop();
        Ok(())
    }

    fn part(&mut self, folder: &str, file: &str, part: &str) -> Result<(), EditError> {
        let outside = "a part outside of the repository";
        let Some(path) = joined(folder, part).filter(|_| !part.contains("://")) else {
            if part.contains("://") {
                self.is_remote = true;
                return Ok(());
            }
            return Err(self.unsupported(file, outside));
        };
        if !self.files.contains_key(&path) {
            let is_there = NAMES
                .iter()
                .any(|name| joined(&path, name).is_some_and(|path| self.files.contains_key(&path)));
            self.is_remote |= !is_there;
            return if is_there { self.level(&path) } else { Ok(()) };
        }
        for document in self.documents(&path)? {
            let Some(id) = ObjectId::of(&document).filter(|id| self.object.is(id)) else {
                continue;
            };
            self.resources += 1;
            let is_set = document.pointer(&self.at.to_string()).is_some();
            self.found.push(Setter {
                file: path.clone(),
                within: None,
                target: Target::Object(id),
                at: self.at.clone(),
                is_set,
                is_operation: false,
                is_patch: false,
                chain: self.chain.clone(),
            });
        }
        Ok(())
    }
}
