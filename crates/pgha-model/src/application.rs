//! The application: what runs, or is told to do its work, only where the primary is.
//!
//! Each step says what is so where the primary is, and what where the standby is. Leaving a site takes the steps in reverse
//! order, so that what depends on others stops before them; entering one takes them in order.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::record::{Entry, Epoch, Journal};

/// One thing that differs between the primary's site and the other's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum AppStep {
    /// A workload that has pods only where the primary is.
    Scale(Scale),
    /// An annotation, for those who read one: whether a controller may touch the object, say.
    Annotate(Annotate),
}

/// A workload that has pods only where the primary is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scale {
    /// Which: `deployment/zitadel`.
    pub object: ObjectName,
    /// Its namespace [default: the site's].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// How many pods [default: as many as there were at the site that is left].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
}

/// An annotation that says something else where the primary is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Annotate {
    /// Of which object.
    pub object: ObjectName,
    /// Its namespace [default: the site's].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its key.
    pub key: String,
    /// Its value where the primary is; without one it is absent there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary: Option<String>,
    /// Its value where the standby is; without one it is absent there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standby: Option<String>,
}

/// An object, by the same name at each site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct At {
    /// Its resource and name: `deployment/zitadel`.
    pub object: ObjectName,
    /// Its namespace [default: the site's].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// How many pods a workload had before it was stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Count {
    /// Which.
    #[serde(flatten)]
    pub at: At,
    /// How many.
    pub replicas: u32,
}

/// The steps, with the counts to which workloads are started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Application {
    /// In the order in which they are started.
    pub steps: Vec<AppStep>,
    /// One for each workload that is to run.
    pub counts: Vec<Count>,
}

/// A resource and a name in it, written as kubectl takes them: `deployment/zitadel`, `sts/zitadel`, or with the whole name of
/// the resource, `kustomizations.v1.kustomize.toolkit.fluxcd.io/prod`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ObjectName {
    /// The resource.
    pub resource: ResourceName,
    /// The object's name.
    pub name: String,
}

/// A resource of an API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceName {
    /// In the plural.
    pub plural: String,
    /// Its version.
    pub version: String,
    /// Its group; empty for the core group.
    pub group: String,
}

/// Names that need no group: short name, singular, plural, group. All are of version v1 (Kubernetes API reference, 1.34).
const KNOWN: [(&str, &str, &str, &str); 8] = [
    ("deploy", "deployment", "deployments", "apps"),
    ("sts", "statefulset", "statefulsets", "apps"),
    ("ds", "daemonset", "daemonsets", "apps"),
    ("job", "job", "jobs", "batch"),
    ("cj", "cronjob", "cronjobs", "batch"),
    ("svc", "service", "services", ""),
    ("cm", "configmap", "configmaps", ""),
    ("ing", "ingress", "ingresses", "networking.k8s.io"),
];

/// No name of an object is longer (Kubernetes documentation, Object Names and IDs).
const LONGEST: usize = 253;

impl FromStr for ObjectName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("`{text}` is not TYPE/NAME or PLURAL.VERSION.GROUP/NAME");
        let (resource, name) = text.split_once('/').ok_or_else(wrong)?;
        if !is_name(name) {
            return Err(wrong());
        }
        let known = KNOWN
            .iter()
            .find(|(short, singular, plural, _)| [*short, *singular, *plural].contains(&resource));
        let resource = match known {
            Some((_, _, plural, group)) => ResourceName {
                plural: (*plural).to_owned(),
                version: "v1".to_owned(),
                group: (*group).to_owned(),
            },
            None => full(resource).ok_or_else(wrong)?,
        };
        Ok(Self {
            resource,
            name: name.to_owned(),
        })
    }
}

fn full(resource: &str) -> Option<ResourceName> {
    let mut parts = resource.splitn(3, '.');
    let (plural, version, group) = (parts.next()?, parts.next()?, parts.next()?);
    let all = [plural, version, group];
    all.iter().all(|part| is_name(part)).then(|| ResourceName {
        plural: plural.to_owned(),
        version: version.to_owned(),
        group: group.to_owned(),
    })
}

fn is_name(text: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.len() <= LONGEST
        && text.chars().all(is_allowed)
        && ends(text.chars().next())
        && ends(text.chars().next_back())
}

impl TryFrom<String> for ObjectName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ObjectName> for String {
    fn from(name: ObjectName) -> Self {
        name.to_string()
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ResourceName {
            plural,
            version,
            group,
        } = &self.resource;
        let known = KNOWN
            .iter()
            .find(|(_, _, known, of)| known == plural && of == group);
        match known {
            Some((_, singular, _, _)) => write!(f, "{singular}/{}", self.name),
            None => write!(f, "{plural}.{version}.{group}/{}", self.name),
        }
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} in {namespace}", self.object),
            None => self.object.fmt(f),
        }
    }
}

impl Scale {
    /// The workload.
    pub fn at(&self) -> At {
        At {
            object: self.object.clone(),
            namespace: self.namespace.clone(),
        }
    }
}

impl Annotate {
    /// The object that has the annotation.
    pub fn at(&self) -> At {
        At {
            object: self.object.clone(),
            namespace: self.namespace.clone(),
        }
    }
}

impl AppStep {
    /// The object that it is about.
    pub fn at(&self) -> At {
        match self {
            Self::Scale(scale) => scale.at(),
            Self::Annotate(annotate) => annotate.at(),
        }
    }
}

impl Application {
    /// To how many pods a workload is started; `None` for one that is not.
    pub fn count(&self, at: &At) -> Option<u32> {
        let count = self.counts.iter().find(|count| count.at == *at)?;
        (count.replicas > 0).then_some(count.replicas)
    }
}

/// What is wrong with the steps of a service, as a clause.
pub fn contradiction(steps: &[AppStep]) -> Option<String> {
    for (index, step) in steps.iter().enumerate() {
        let at = step.at();
        if at.namespace.as_deref().is_some_and(|name| !is_name(name)) {
            return Some(format!(
                "the namespace of {} has no possible name",
                at.object
            ));
        }
        match step {
            AppStep::Scale(scale) if scale.count == Some(0) => {
                return Some(format!("{at} would have no pods where the primary is"));
            }
            AppStep::Annotate(annotate) if annotate.primary == annotate.standby => {
                return Some(format!(
                    "the annotation {} of {at} is the same at both sites",
                    annotate.key
                ));
            }
            AppStep::Scale(_) | AppStep::Annotate(_) => {}
        }
        if steps[..index].iter().any(|other| is_same(other, step)) {
            return Some(format!("two steps are about the same of {at}"));
        }
    }
    None
}

fn is_same(one: &AppStep, other: &AppStep) -> bool {
    let key = |step: &AppStep| match step {
        AppStep::Scale(_) => None,
        AppStep::Annotate(annotate) => Some(annotate.key.clone()),
    };
    one.at() == other.at() && key(one) == key(other)
}

/// The counts that the newest move noted which stopped an application.
pub fn last_counts(journals: &[&Journal]) -> Vec<Count> {
    let records = journals.iter().flat_map(|journal| &journal.moves);
    let counted = records.filter_map(|(epoch, entry)| match entry {
        Entry::Readable(record) if !record.application.is_empty() => {
            Some((*epoch, &record.application))
        }
        Entry::Readable(_) | Entry::Unreadable(_) => None,
    });
    let newest: Option<(Epoch, _)> = counted.max_by_key(|(epoch, _)| *epoch);
    newest.map(|(_, counts)| counts.clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn steps(text: serde_json::Value) -> Result<Vec<AppStep>, serde_json::Error> {
        serde_json::from_value(text)
    }

    #[test]
    fn objects_are_named_as_kubectl_takes_them() {
        for (written, shown) in [
            ("deployment/zitadel", "deployment/zitadel"),
            ("deploy/zitadel", "deployment/zitadel"),
            ("statefulsets/keycloak", "statefulset/keycloak"),
            ("svc/login", "service/login"),
            (
                "kustomizations.v1.kustomize.toolkit.fluxcd.io/prod",
                "kustomizations.v1.kustomize.toolkit.fluxcd.io/prod",
            ),
        ] {
            let name: ObjectName = written.parse().unwrap();
            assert_eq!(name.to_string(), shown);
            assert_eq!(name.to_string().parse(), Ok(name));
        }
        let known: ObjectName = "ing/x".parse().unwrap();
        assert_eq!(known.resource.group, "networking.k8s.io");
    }

    #[test]
    fn what_names_no_object_is_refused() {
        for text in [
            "",
            "/",
            "zitadel",
            "deployment/",
            "/zitadel",
            "deployment/a/b",
            "deployment/A",
            "deployment/-a",
            "widgets/x",
            "widgets.v1/x",
            "widgets.v1./x",
            "deployment/..",
        ] {
            assert!(text.parse::<ObjectName>().is_err(), "{text}");
        }
        let long = format!("deployment/{}", "a".repeat(254));
        assert!(long.parse::<ObjectName>().is_err());
    }

    #[test]
    fn steps_are_read_and_an_unknown_field_is_not() {
        let read = steps(json!([
            {"scale": {"object": "deployment/zitadel", "namespace": "iam", "count": 2}},
            {"annotate": {"object": "deployment/zitadel", "key": "a/b", "standby": "disabled"}},
        ]));
        let read = read.unwrap();
        assert_eq!(read[0].at().to_string(), "deployment/zitadel in iam");
        assert_eq!(contradiction(&read), None);
        for wrong in [
            json!([{"scale": {"object": "deployment/zitadel", "cuont": 2}}]),
            json!([{"scale": {"object": "zitadel"}}]),
            json!([{"scale": {"count": 2}}]),
            json!([{"shrink": {"object": "deployment/zitadel"}}]),
        ] {
            assert!(steps(wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_contradicts_itself_is_named() {
        let scale = json!({"scale": {"object": "deployment/zitadel"}});
        for (wrong, words) in [
            (
                json!([scale, {"scale": {"object": "deploy/zitadel"}}]),
                "two steps",
            ),
            (
                json!([{"scale": {"object": "sts/x", "count": 0}}]),
                "no pods",
            ),
            (
                json!([{"annotate": {"object": "sts/x", "key": "k"}}]),
                "the same at both",
            ),
            (
                json!([{"scale": {"object": "sts/x", "namespace": "a b"}}]),
                "no possible name",
            ),
        ] {
            let said = contradiction(&steps(wrong).unwrap()).unwrap();
            assert!(said.contains(words), "{said}");
        }
    }

    #[test]
    fn a_workload_that_did_not_run_is_not_started() {
        let steps = steps(json!([{"scale": {"object": "sts/a"}}, {"scale": {"object": "sts/b"}}]));
        let steps = steps.unwrap();
        let (a, b) = (steps[0].at(), steps[1].at());
        let counts = vec![
            Count {
                at: a.clone(),
                replicas: 2,
            },
            Count {
                at: b.clone(),
                replicas: 0,
            },
        ];
        let application = Application { steps, counts };
        assert_eq!(
            (application.count(&a), application.count(&b)),
            (Some(2), None)
        );
    }

    #[test]
    fn the_newest_move_that_noted_counts_is_believed() {
        let noted = |epoch: u64, replicas: Option<u32>| {
            let mut record = crate::record::tests::record(epoch);
            record.application = replicas
                .map(|replicas| Count {
                    at: At {
                        object: "sts/x".parse().unwrap(),
                        namespace: None,
                    },
                    replicas,
                })
                .into_iter()
                .collect();
            (Epoch(epoch), Entry::Readable(Box::new(record)))
        };
        let journal = |moves: Vec<(Epoch, Entry)>| Journal {
            epoch: Epoch(9),
            moves: moves.into_iter().collect(),
        };
        let here = journal(vec![noted(3, Some(1)), noted(7, None)]);
        let there = journal(vec![noted(5, Some(4))]);
        let counts = last_counts(&[&here, &there]);
        assert_eq!(counts.iter().map(|it| it.replicas).collect::<Vec<_>>(), [4]);
        assert_eq!(last_counts(&[]), []);
    }
}
