//! What `-f` can name, and the texts that are found there.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use pgha_core::diagnose::sanitised;

use super::document::{Document, Sort, documents};
use super::{Service, senseless};
use crate::failure::Failure;
use crate::view::API_VERSION;

/// No file of a person is as long as this, in bytes.
const LARGEST: u64 = 1024 * 1024;

/// What a `ConfigMap` is called before the slash, as kubectl calls it.
const CONFIG_MAP: [&str; 3] = ["configmap", "configmaps", "cm"];

/// What `-f` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A file, or a folder of them.
    Path(PathBuf),
    /// A `ConfigMap` in a cluster.
    ConfigMap {
        /// The namespace, where it is named with it.
        namespace: Option<String>,
        /// Its name.
        name: String,
    },
}

impl Source {
    /// What a path means: `configmap/NAME` and `configmap/NAMESPACE/NAME` are in a cluster, whatever is in the current folder.
    ///
    /// # Errors
    /// A `ConfigMap` cannot be called so.
    pub(crate) fn of(path: &Path) -> Result<Self, Failure> {
        let Some((kind, rest)) = path.to_str().and_then(|text| text.split_once('/')) else {
            return Ok(Self::Path(path.to_owned()));
        };
        if !CONFIG_MAP.contains(&kind) {
            return Ok(Self::Path(path.to_owned()));
        }
        let (namespace, name) = match rest.split_once('/') {
            Some((namespace, name)) => (Some(namespace), name),
            None => (None, rest),
        };
        let is_name = |text: &str| {
            let is_allowed =
                |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
            let is_framed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
            text.len() <= 253
                && text.starts_with(is_framed)
                && text.ends_with(is_framed)
                && text.chars().all(is_allowed)
        };
        if !is_name(name) || namespace.is_some_and(|namespace| !is_name(namespace)) {
            let shown = sanitised(&path.display().to_string());
            let text = format!("{shown} names no ConfigMap that can be");
            return Err(Failure::usage(text).hinting(format!(
                "Write configmap/NAME or configmap/NAMESPACE/NAME; a file of this path is ./{shown}."
            )));
        }
        Ok(Self::ConfigMap {
            namespace: namespace.map(str::to_owned),
            name: name.to_owned(),
        })
    }
}

/// Where a service's document was found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin {
    /// As messages name it.
    pub(crate) shown: String,
    /// Where the files lie that it names.
    pub(crate) folder: PathBuf,
    /// What has a command find it again: `-f FILE`, with the context of a `ConfigMap`.
    pub(crate) flags: String,
    /// Whether its service must be named, as there are others.
    pub(crate) is_one_of_several: bool,
    /// Whether whoever may write in a cluster has written it.
    pub(crate) is_remote: bool,
}

/// A text in which services may be.
#[derive(Debug)]
pub(crate) struct Text {
    origin: Origin,
    text: String,
}

/// What was found at one place.
#[derive(Debug)]
pub(crate) struct Found {
    /// The place, as messages name it.
    pub(crate) shown: String,
    /// The services, or why one makes no sense.
    pub(crate) services: Vec<Result<Service, Failure>>,
    /// What could not be read as YAML, and why.
    pub(crate) unread: Vec<String>,
}

/// A file, or the files of a folder.
///
/// # Errors
/// It cannot be read.
pub(crate) fn read_path(path: &Path) -> Result<Found, Failure> {
    if path.is_dir() {
        return read_folder(path).map_err(|error| unreadable(path, &error));
    }
    let text = read_bounded(path).map_err(|error| unreadable(path, &error))?;
    let text = Text::of_file(path, text);
    let mut found = Found::nothing(shown(path));
    found.add(&text);
    if found.services.is_empty() {
        found.services.push(text.as_a_service());
    }
    found.refuse_twins();
    Ok(found)
}

/// A text that is in no file yet.
///
/// # Errors
/// As for a file.
pub(crate) fn read_text(text: &str) -> Result<Service, Failure> {
    let origin = Origin {
        shown: "the draft".to_owned(),
        ..Origin::default()
    };
    let text = text.to_owned();
    Text { origin, text }.as_a_service()
}

/// Whether a file may have a service of this name: it has one, or it cannot be told.
///
/// # Errors
/// It cannot be read.
pub(crate) fn may_have(path: &Path, named: &str) -> Result<bool, Failure> {
    let text = read_bounded(path).map_err(|error| unreadable(path, &error))?;
    let Ok(documents) = documents(&text) else {
        return Ok(true);
    };
    let may_be = |it: &&Document| it.sort.name().is_none_or(|name| name == named);
    let is_service = |it: &&Document| matches!(it.sort, Sort::Service(_));
    if documents.iter().any(|it| is_service(&it)) {
        return Ok(documents.iter().filter(is_service).any(|it| may_be(&it)));
    }
    Ok(documents.is_empty() || documents.iter().any(|it| may_be(&it)))
}

/// The documents of a `ConfigMap`: each key that ends as a YAML file does. What they name lies relative to the current folder.
pub(crate) fn of_config_map(shown: &str, flags: &str, data: BTreeMap<String, String>) -> Found {
    let data = data.into_iter().filter(|(key, _)| is_yaml(Path::new(key)));
    let mut found = Found::nothing(shown.to_owned());
    for (key, text) in data {
        let origin = Origin {
            shown: sanitised(&format!("{shown}/{key}")),
            flags: flags.to_owned(),
            is_remote: true,
            ..Origin::default()
        };
        found.add(&Text { origin, text });
    }
    found.refuse_twins();
    let is_one_of_several = found.services.len() > 1;
    for service in found.services.iter_mut().flatten() {
        service.origin.is_one_of_several = is_one_of_several;
    }
    found
}

impl Text {
    fn of_file(path: &Path, text: String) -> Self {
        let shown = shown(path);
        let origin = Origin {
            flags: format!("-f {shown}"),
            shown,
            folder: path.parent().unwrap_or(Path::new("")).to_owned(),
            ..Origin::default()
        };
        Self { origin, text }
    }

    /// Its first document, whatever that is: what keeps it from being a service is the mistake.
    fn as_a_service(&self) -> Result<Service, Failure> {
        let documents =
            documents(&self.text).map_err(|because| senseless(&self.origin.shown, &because))?;
        let first = documents.first().map_or("", |it| it.text.as_str());
        Service::of(first, self.origin.clone())
    }
}

impl Found {
    fn nothing(shown: String) -> Self {
        Self {
            shown,
            services: Vec::new(),
            unread: Vec::new(),
        }
    }

    fn add(&mut self, text: &Text) {
        let documents = match documents(&text.text) {
            Ok(documents) => documents,
            Err(because) => {
                self.unread
                    .push(format!("{}: {because}", text.origin.shown));
                return;
            }
        };
        let services = documents
            .iter()
            .filter(|it| matches!(it.sort, Sort::Service(_)));
        let is_one_of_several = services.clone().count() > 1;
        for document in services {
            let origin = Origin {
                is_one_of_several,
                ..text.origin.clone()
            };
            self.services.push(Service::of(&document.text, origin));
        }
        let unread = documents.iter().filter_map(|it| match &it.sort {
            Sort::Unread(because) => Some(format!("{}: {because}", text.origin.shown)),
            Sort::Service(_) | Sort::Other(_) => None,
        });
        self.unread.extend(unread);
    }

    /// A second service of one name makes no sense: which of both is meant could not be told.
    fn refuse_twins(&mut self) {
        let mut first: BTreeMap<String, String> = BTreeMap::new();
        for found in &mut self.services {
            let Ok(service) = found else { continue };
            let (name, shown) = (service.name.clone(), service.origin.shown.clone());
            if let Some(other) = first.get(&name) {
                let because =
                    format!("{other} is of service {name} too; expected a name of its own");
                *found = Err(service.mistaken(service.named_at, &because));
            } else {
                first.insert(name, shown);
            }
        }
    }

    /// The service of this name; without one, the only one.
    ///
    /// # Errors
    /// One of them makes no sense, there is no such service, or there are several.
    pub(crate) fn choose(self, named: Option<&str>) -> Result<Service, Failure> {
        let services: Vec<Service> = self.services.into_iter().collect::<Result<_, _>>()?;
        let all: Vec<String> = services.iter().map(|it| it.name.clone()).collect();
        let all = all.join(", ");
        let is_meant = |it: &Service| named.is_none_or(|named| it.name == named);
        let mut meant = services.into_iter().filter(is_meant);
        match (meant.next(), meant.next(), named) {
            (Some(service), None, _) => Ok(service),
            (Some(_), Some(_), _) => {
                let text = format!("{} has more than one service", self.shown);
                Err(Failure::usage(text).hinting(format!("Name one of them: {all}.")))
            }
            (None, _, _) if all.is_empty() => Err(nothing_in(&self.shown, self.unread)),
            (None, _, named) => {
                let (shown, named) = (self.shown, named.unwrap_or_default());
                let service = if all.contains(',') {
                    "services"
                } else {
                    "service"
                };
                let text = format!("{shown} is of {service} {all}, not of {named}");
                Err(Failure::usage(text).because(self.unread))
            }
        }
    }
}

/// Why a place has no service.
pub(crate) fn nothing_in(shown: &str, unread: Vec<String>) -> Failure {
    let text =
        format!("{shown} has no document of `apiVersion: {API_VERSION}` and `kind: Service`");
    Failure::usage(text).because(unread)
}

fn shown(path: &Path) -> String {
    sanitised(&path.display().to_string())
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let text = format!("cannot read the service's file {}: {error}", shown(path));
    Failure::usage(text).hinting("Name it with --file.")
}

fn is_yaml(path: &Path) -> bool {
    let ending = path.extension().and_then(|it| it.to_str());
    matches!(ending, Some("yaml" | "yml"))
}

/// The YAML files of a folder by name, as a shell's `*.yaml` finds them: what an editor keeps beside a file is hidden. What is
/// longer than a person writes is none.
fn read_folder(folder: &Path) -> io::Result<Found> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = PathBuf::from(entry?.file_name());
        let is_hidden = name.as_os_str().as_encoded_bytes().starts_with(b".");
        if is_yaml(&name) && !is_hidden {
            paths.push(folder.join(name));
        }
    }
    paths.sort();
    let mut found = Found::nothing(shown(folder));
    for path in paths {
        let about = fs::metadata(&path).map_err(|error| of(&path, &error))?;
        if !about.is_file() || about.len() > LARGEST {
            continue;
        }
        match read_bounded(&path) {
            Ok(text) => found.add(&Text::of_file(&path, text)),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                found.unread.push(of(&path, &error).to_string());
            }
            Err(error) => return Err(of(&path, &error)),
        }
    }
    found.refuse_twins();
    Ok(found)
}

/// The same, with the name of the file.
fn of(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", shown(path)))
}

fn read_bounded(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let mut file = File::open(path)?.take(LARGEST + 1);
    file.read_to_string(&mut text)?;
    if text.len() as u64 > LARGEST {
        return Err(io::Error::other("it is longer than 1 MiB"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str) -> String {
        format!(
            "apiVersion: pgha.dev/v1alpha1
kind: Service
metadata: {{ name: {name} }}
spec:
  sites:
    - {{ name: a, context: a, cluster: x }}
    - {{ name: b, context: b, cluster: x }}
"
        )
    }

    const OTHER: &str = "apiVersion: v1\nkind: Service\nmetadata: { name: web }\n";

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    fn chosen(path: &Path, named: Option<&str>) -> Result<String, String> {
        let chosen = read_path(path).and_then(|found| found.choose(named));
        let told = |failure: Failure| failure.in_one_line();
        chosen.map(|service| service.flags()).map_err(told)
    }

    #[test]
    fn a_config_map_is_named_by_its_type() {
        let of = |text: &str| Source::of(Path::new(text));
        let map = |namespace: Option<&str>, name: &str| Source::ConfigMap {
            namespace: namespace.map(str::to_owned),
            name: name.to_owned(),
        };
        assert_eq!(of("configmap/pgha").unwrap(), map(None, "pgha"));
        assert_eq!(of("cm/prod/pgha.v1").unwrap(), map(Some("prod"), "pgha.v1"));
        for path in ["./cm/pgha", "pgha.yaml", "services/", "configmap", "/cm/x"] {
            assert_eq!(of(path).unwrap(), Source::Path(path.into()));
        }
        for path in ["cm/", "configmap/..", "cm/a/b/c", "cm/A", "configmaps//x"] {
            assert!(of(path).is_err(), "{path}");
        }
    }

    #[test]
    fn a_folder_has_the_services_of_its_files_and_no_others() {
        let two = format!("{}---\n{OTHER}---\n{}", service("c"), service("d"));
        let files = folder(&[
            ("a.yaml", &service("a")),
            ("b.yml", OTHER),
            ("two.yaml", &two),
            ("helm.yaml", "{{ if }}\n"),
            ("bytes.txt", "- 1"),
            (".hidden.yaml", &service("a")),
        ]);
        fs::create_dir(files.path().join("deeper.yaml")).unwrap();
        fs::write(files.path().join("latin.yaml"), [0xff, b'a']).unwrap();
        let found = read_path(files.path()).unwrap();
        let names = found
            .services
            .iter()
            .map(|it| it.as_ref().unwrap().name.clone());
        assert_eq!(names.collect::<Vec<_>>(), ["a", "c", "d"]);
        assert_eq!(found.unread.len(), 2, "{:?}", found.unread);
        let path = |name: &str| format!("-f {}", files.path().join(name).display());
        assert_eq!(chosen(files.path(), Some("a")).unwrap(), path("a.yaml"));
        let d = chosen(files.path(), Some("d")).unwrap();
        assert_eq!(d, format!("d {}", path("two.yaml")));
        let several = read_path(files.path()).unwrap().choose(None).unwrap_err();
        let hint = several.lines().pop().unwrap().1;
        assert_eq!(hint, "Name one of them: a, c, d.");
        let none = chosen(files.path(), Some("x")).unwrap_err();
        assert!(none.contains("is of services a, c, d, not of x"), "{none}");
    }

    #[test]
    fn one_bad_service_or_two_of_one_name_are_no_folder() {
        let bad = service("b").replace("context: b", "contxt: b");
        let files = folder(&[("a.yaml", &service("a")), ("b.yaml", &bad)]);
        let said = chosen(files.path(), Some("a")).unwrap_err();
        assert!(
            said.contains("b.yaml is no service's file: line 7 column 18"),
            "{said}"
        );
        let files = folder(&[("a.yaml", &service("a")), ("b.yaml", &service("a"))]);
        let said = chosen(files.path(), None).unwrap_err();
        assert!(said.contains("b.yaml: line 3 column 19: "), "{said}");
        assert!(said.contains("a.yaml is of service a too"), "{said}");
    }

    #[test]
    fn one_file_is_of_its_service_or_says_why_not() {
        let files = folder(&[
            ("a.yaml", &service("a")),
            ("other.yaml", OTHER),
            ("empty.yaml", ""),
            ("late.yaml", &format!("# x\n---\n{OTHER}---\nkind: Pod\n")),
        ]);
        let at = |name: &str| chosen(&files.path().join(name), None);
        assert!(at("a.yaml").is_ok());
        for (name, words) in [
            ("other.yaml", "line 1 column 13: apiVersion is `v1`"),
            ("late.yaml", "line 3 column 13: apiVersion is `v1`"),
            ("empty.yaml", "empty.yaml is no service's file: "),
            ("none.yaml", "cannot read the service's file"),
        ] {
            let said = at(name).unwrap_err();
            assert!(said.contains(words), "{said}");
        }
    }

    #[test]
    fn whether_a_file_may_be_of_a_service_is_told_also_where_it_makes_no_sense() {
        let unnamed = "metadata: { name: a }";
        for (text, is_about) in [
            (service("a"), true),
            (service("b"), false),
            (service("a").replace("context", "contxt"), true),
            (service("b").replace("context", "contxt"), false),
            (format!("{}---\n{OTHER}", service("b")), false),
            (service("a").replace(unnamed, "metadata: ["), true),
            (OTHER.to_owned(), false),
            ("values: 1\n".to_owned(), true),
            (String::new(), true),
        ] {
            let files = folder(&[("pgha.yaml", &text)]);
            let path = files.path().join("pgha.yaml");
            assert_eq!(may_have(&path, "a").unwrap(), is_about, "{text}");
        }
    }

    #[test]
    fn the_keys_of_a_config_map_are_files() {
        let data = [
            ("a.yaml", service("a")),
            ("b.yml", OTHER.to_owned()),
            ("readme", "[".to_owned()),
        ];
        let data = data.map(|(key, text)| (key.to_owned(), text));
        let found = of_config_map(
            "configmap/prod/pgha",
            "-f cm/prod/pgha --context c",
            data.into(),
        );
        let service = found.choose(None).unwrap();
        assert_eq!(service.origin.shown, "configmap/prod/pgha/a.yaml");
        assert_eq!(service.flags(), "-f cm/prod/pgha --context c");
        assert!(service.origin.is_remote);
    }
}
