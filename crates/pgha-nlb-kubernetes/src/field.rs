//! What a field says, and the operations that have it say something else: pure.

use std::collections::BTreeMap;

use json_patch::PatchOperation;
use kube::api::{ApiResource, DynamicObject};
use pgha_nlb::text::one_line;
use pgha_nlb::{Active, SiteName, SiteValues};
use pgha_objects::{Part, is_word, swap, test};
use serde_json::json;

use crate::weights::{reweigh, weights};
use crate::{Field, RouteKind, Says, TargetKind};

const GATEWAY_API: &str = "gateway.networking.k8s.io";

/// external-dns reads the first since v0.22.0 and read the second before; by flags it reads either, or both (its release notes).
const TARGETS: [&str; 2] = [
    "external-dns.kubernetes.io/target",
    "external-dns.alpha.kubernetes.io/target",
];

/// What a field says for each site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Values {
    /// As the service's file has it.
    written: SiteValues,
    /// As one text, in which a selector's labels and the weights of all backends are told.
    pub(crate) texts: SiteValues,
}

impl Field {
    /// The texts by which its object is found.
    pub(crate) fn names(&self) -> Vec<&str> {
        match self {
            Self::Weights { name, version, .. } => vec![name, version],
            Self::Selector { service } => vec![service],
            Self::Target { name, .. } => vec![name],
            Self::PrimaryGeoTag { gslb, group } => vec![gslb, group],
        }
    }

    /// The object's name.
    pub(crate) fn object(&self) -> &str {
        match self {
            Self::Weights { name, .. } | Self::Target { name, .. } => name,
            Self::Selector { service } => service,
            Self::PrimaryGeoTag { gslb, .. } => gslb,
        }
    }

    /// The object's kind. It is named here and not discovered: discovery costs a request for what never changes.
    pub(crate) fn resource(&self) -> ApiResource {
        let (group, version, kind, plural) = match self {
            Self::Weights { kind, version, .. } => {
                let (kind, plural) = match kind {
                    RouteKind::HttpRoute => ("HTTPRoute", "httproutes"),
                    RouteKind::TlsRoute => ("TLSRoute", "tlsroutes"),
                    RouteKind::GrpcRoute => ("GRPCRoute", "grpcroutes"),
                };
                (GATEWAY_API, version.as_str(), kind, plural)
            }
            Self::Target { kind, .. } => match kind {
                TargetKind::Service => ("", "v1", "Service", "services"),
                TargetKind::Ingress => ("networking.k8s.io", "v1", "Ingress", "ingresses"),
                TargetKind::Gateway => (GATEWAY_API, "v1", "Gateway", "gateways"),
            },
            Self::Selector { .. } => ("", "v1", "Service", "services"),
            Self::PrimaryGeoTag { group, .. } => (group.as_str(), "v1beta1", "Gslb", "gslbs"),
        };
        let api_version = format!("{group}/{version}");
        ApiResource {
            group: group.to_owned(),
            version: version.to_owned(),
            api_version: api_version.trim_start_matches('/').to_owned(),
            kind: kind.to_owned(),
            plural: plural.to_owned(),
        }
    }

    /// What it says for each site.
    ///
    /// # Errors
    /// It could not say so, or says the same for two.
    pub(crate) fn values(&self, sites: &BTreeMap<SiteName, Says>) -> Result<Values, String> {
        let written: Vec<_> = sites
            .iter()
            .map(|(site, says)| Ok((site.clone(), self.written(says)?)))
            .collect::<Result<_, String>>()?;
        let written = SiteValues::new(written).map_err(|error| error.to_string())?;
        let Self::Weights { weight, .. } = self else {
            let texts = written.clone();
            return Ok(Values { written, texts });
        };
        let texts = written.iter().map(|(site, _)| {
            let weights = written.iter().map(|(other, backend)| {
                let weight = if other == site { *weight } else { 0 };
                format!("{backend} {weight}")
            });
            (site.clone(), weights.collect::<Vec<_>>().join(", "))
        });
        let texts = SiteValues::new(texts).map_err(|error| error.to_string())?;
        Ok(Values { written, texts })
    }

    fn written(&self, says: &Says) -> Result<String, String> {
        match (self, says) {
            (Self::Selector { .. }, Says::Labels(labels)) => {
                let is_label = |(key, value): (&String, &String)| {
                    is_word(key) && (value.is_empty() || is_word(value))
                };
                if labels.is_empty() || !labels.iter().all(is_label) {
                    return Err("a selector is of one label or more".to_owned());
                }
                Ok(joined(labels.iter()))
            }
            (Self::Target { .. }, Says::Text(text))
                if !text.is_empty() && one_line(text) == *text =>
            {
                Ok(text.clone())
            }
            (Self::Weights { .. } | Self::PrimaryGeoTag { .. }, Says::Text(text))
                if is_word(text) =>
            {
                Ok(text.clone())
            }
            (Self::Selector { .. }, Says::Text(_)) => {
                Err("a selector is a map of labels for each site".to_owned())
            }
            (_, Says::Text(text)) => Err(format!("`{}` is no value of a site", one_line(text))),
            (_, Says::Labels(_)) => Err("only a selector has labels for a site".to_owned()),
        }
    }

    /// What the field says in an object.
    ///
    /// # Errors
    /// Why it cannot be told where it leads, as a full sentence.
    pub(crate) fn read(
        &self,
        object: &DynamicObject,
        values: &Values,
    ) -> Result<Vec<Part>, String> {
        let spec = &object.data["spec"];
        let part = |what: &str, value: &str| {
            let value = shown(value);
            Part {
                what: what.to_owned(),
                active: leads(&value, &values.texts),
                value,
            }
        };
        match self {
            Self::Weights { rule, .. } => Ok(vec![weights(object, *rule, &values.written)?]),
            Self::Selector { .. } if spec["type"] == "ExternalName" => {
                Err("The Service is a name for another one, and leads to no pods.".to_owned())
            }
            Self::Selector { .. } => Ok(vec![part("selector", &selector_of(object))]),
            Self::Target { .. } => {
                let annotations = object.metadata.annotations.iter().flatten();
                let targets = annotations.filter(|(key, _)| TARGETS.contains(&key.as_str()));
                let parts: Vec<_> = targets.map(|(key, value)| part(key, value)).collect();
                if parts.is_empty() {
                    return Err(format!("It has no annotation {}.", TARGETS.join(" or ")));
                }
                Ok(parts)
            }
            Self::PrimaryGeoTag { .. } => match spec["strategy"]["type"].as_str() {
                Some("failover") => {
                    let tag = spec["strategy"]["primaryGeoTag"].as_str();
                    Ok(vec![part("primaryGeoTag", tag.unwrap_or_default())])
                }
                other => Err(format!(
                    "Its strategy is `{}`, and only `failover` has a primary.",
                    one_line(other.unwrap_or_default())
                )),
            },
        }
    }

    /// The operations that have a part of the field, as [`read`](Self::read) named it, say something else: tests of what it
    /// says now, and the change.
    ///
    /// # Errors
    /// It cannot say so.
    pub(crate) fn operations(
        &self,
        object: &DynamicObject,
        what: &str,
        to: &str,
    ) -> Result<Vec<PatchOperation>, String> {
        let spec = &object.data["spec"];
        match self {
            Self::Weights { rule, .. } => reweigh(object, *rule, to),
            Self::Selector { .. } => {
                let labels = to.split(',').map(|label| label.split_once('='));
                let labels: Option<BTreeMap<_, _>> = labels.collect();
                let labels = labels.ok_or_else(|| format!("`{to}` is no selector"))?;
                Ok(swap(&["spec", "selector"], &spec["selector"], json!(labels)).into())
            }
            Self::Target { .. } => {
                let annotations = object.metadata.annotations.as_ref();
                let seen = annotations.and_then(|all| all.get(what));
                let seen = seen.ok_or_else(|| format!("it has no annotation {what}"))?;
                Ok(swap(&["metadata", "annotations", what], &json!(seen), json!(to)).into())
            }
            Self::PrimaryGeoTag { .. } => {
                let (kind, tag) = (
                    &spec["strategy"]["type"],
                    &spec["strategy"]["primaryGeoTag"],
                );
                let mut operations = vec![test(&["spec", "strategy", "type"], kind)];
                operations.extend(swap(&["spec", "strategy", "primaryGeoTag"], tag, json!(to)));
                Ok(operations)
            }
        }
    }
}

/// The text as it is, unless it would not be one line, or hides a blank: then it is told so that it is no site's.
fn shown(text: &str) -> String {
    if one_line(text) == text {
        return text.to_owned();
    }
    one_line(&format!("{text:?}"))
}

fn leads(value: &str, sites: &SiteValues) -> Active {
    sites.site(value).map_or_else(
        || Active::Unknown {
            because: format!("It says `{value}`, which is no site's."),
        },
        |site| Active::Site(site.clone()),
    )
}

/// The selector of a Service, as kubectl has it.
pub(crate) fn selector_of(object: &DynamicObject) -> String {
    let selector = &object.data["spec"]["selector"];
    let labels = selector.as_object().into_iter().flatten();
    joined(labels.map(|(key, value)| (key, value.as_str().unwrap_or_default())))
}

/// Labels as kubectl has them in a selector.
fn joined(labels: impl Iterator<Item = (impl AsRef<str>, impl AsRef<str>)>) -> String {
    let mut labels: Vec<_> = labels
        .map(|(key, value)| format!("{}={}", key.as_ref(), value.as_ref()))
        .collect();
    labels.sort_unstable();
    labels.join(",")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn object(spec: &Value, annotations: &[(&str, &str)]) -> DynamicObject {
        let annotations: BTreeMap<_, _> = annotations.iter().copied().collect();
        let metadata = json!({"name": "login", "namespace": "prod", "annotations": annotations});
        serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap()
    }

    fn field(json: Value) -> Field {
        serde_json::from_value(json).unwrap()
    }

    fn values(field: &Field, core1: &Value, core2: &Value) -> Values {
        let sites = serde_json::from_value(json!({"core1": core1, "core2": core2})).unwrap();
        field.values(&sites).unwrap()
    }

    fn told(parts: &[Part]) -> Vec<(&str, &str)> {
        let told = |part| {
            let Part { what, value, .. }: &Part = part;
            (what.as_str(), value.as_str())
        };
        parts.iter().map(told).collect()
    }

    #[test]
    fn an_object_is_found_without_a_question() {
        for (json, api_version, plural) in [
            (json!({"selector": {"service": "x"}}), "v1", "services"),
            (
                json!({"weights": {"kind": "TLSRoute", "name": "x", "version": "v1alpha2"}}),
                "gateway.networking.k8s.io/v1alpha2",
                "tlsroutes",
            ),
            (
                json!({"weights": {"kind": "GRPCRoute", "name": "x"}}),
                "gateway.networking.k8s.io/v1",
                "grpcroutes",
            ),
            (
                json!({"target": {"kind": "Ingress", "name": "x"}}),
                "networking.k8s.io/v1",
                "ingresses",
            ),
            (
                json!({"target": {"kind": "Gateway", "name": "x"}}),
                "gateway.networking.k8s.io/v1",
                "gateways",
            ),
            (
                json!({"primaryGeoTag": {"gslb": "x"}}),
                "k8gb.absa.oss/v1beta1",
                "gslbs",
            ),
            (
                json!({"primaryGeoTag": {"gslb": "x", "group": "k8gb.io"}}),
                "k8gb.io/v1beta1",
                "gslbs",
            ),
        ] {
            let resource = field(json).resource();
            assert_eq!(
                (resource.api_version.as_str(), resource.plural.as_str()),
                (api_version, plural)
            );
        }
    }

    #[test]
    fn a_selector_is_its_labels_in_any_order() {
        let field = field(json!({"selector": {"service": "login"}}));
        let values = values(
            &field,
            &json!({"b": "2", "a": ""}),
            &json!({"app": "maintenance"}),
        );
        let parts = field
            .read(
                &object(&json!({"selector": {"a": "", "b": "2"}}), &[]),
                &values,
            )
            .unwrap();
        assert_eq!(told(&parts), [("selector", "a=,b=2")]);
        assert_eq!(parts[0].active, Active::Site("core1".into()));
        let none = field.read(&object(&json!({}), &[]), &values).unwrap();
        assert!(matches!(none[0].active, Active::Unknown { .. }), "{none:?}");
        let name = object(
            &json!({"type": "ExternalName", "selector": {"app": "maintenance"}}),
            &[],
        );
        assert!(field.read(&name, &values).is_err());
    }

    #[test]
    fn a_target_is_read_under_either_prefix() {
        let field = field(json!({"target": {"kind": "Service", "name": "login"}}));
        let values = values(&field, &json!("192.0.2.1"), &json!("192.0.2.2"));
        let [new, old] = TARGETS;
        for (there, leads) in [
            (&[(new, "192.0.2.1")][..], 1),
            (&[(old, "192.0.2.1")], 1),
            (&[(new, "192.0.2.1"), (old, "192.0.2.1")], 2),
        ] {
            let parts = field.read(&object(&json!({}), there), &values).unwrap();
            let is_at_core1 = |part: &Part| part.active == Active::Site("core1".into());
            assert!(
                parts.len() == leads && parts.iter().all(is_at_core1),
                "{parts:?}"
            );
        }
        let other = [("external-dns.alpha.kubernetes.io/hostname", "192.0.2.1")];
        assert!(field.read(&object(&json!({}), &other), &values).is_err());
    }

    #[test]
    fn only_failover_has_a_primary() {
        let field = field(json!({"primaryGeoTag": {"gslb": "login"}}));
        let values = values(&field, &json!("eu"), &json!("us"));
        let strategy = |kind: &str| {
            object(
                &json!({"strategy": {"type": kind, "primaryGeoTag": "us"}}),
                &[],
            )
        };
        let parts = field.read(&strategy("failover"), &values).unwrap();
        assert_eq!(told(&parts), [("primaryGeoTag", "us")]);
        let said = field
            .read(&strategy("round\u{1b}Robin"), &values)
            .unwrap_err();
        assert!(
            said.contains("only `failover`") && !said.contains('\u{1b}'),
            "{said}"
        );
    }
}
