//! What an object is called.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

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

/// A resource and a name in it, written as kubectl takes them: `deployment/zitadel`, `sts/zitadel`, or with the whole name of
/// the resource, `kustomizations.v1.kustomize.toolkit.fluxcd.io/prod`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(extend("pattern" = "^[^/]+/[^/]+$"))
)]
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

pub(super) fn is_name(text: &str) -> bool {
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

impl At {
    pub(super) fn new(object: &ObjectName, namespace: Option<&str>) -> Self {
        Self {
            object: object.clone(),
            namespace: namespace.map(str::to_owned),
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
