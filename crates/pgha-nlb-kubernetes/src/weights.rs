//! The weights of the backends in a rule of the Gateway API: pure.

use std::collections::BTreeMap;

use json_patch::{AddOperation, PatchOperation, RemoveOperation};
use kube::api::DynamicObject;
use pgha_nlb::text::one_line;
use pgha_nlb::{Active, SiteValues};
use pgha_objects::{Part, pointer, test};
use serde_json::{Value, json};

/// What a weight says that is left out, which counts as 1 (Gateway API, `BackendRef`).
const LEFT_OUT: &str = "default";

/// The one rule, or that of this number.
fn rule_of(object: &DynamicObject, rule: Option<usize>) -> Result<(usize, &Value), String> {
    let rules = object.data["spec"]["rules"].as_array();
    let rules = rules.map(Vec::as_slice).unwrap_or_default();
    match (rule, rules) {
        (None, [only]) => Ok((0, only)),
        (None, _) => Err(format!(
            "It has {} rules, and `rule` names none.",
            rules.len()
        )),
        (Some(index), _) => {
            let found = rules.get(index).map(|found| (index, found));
            found.ok_or_else(|| format!("It has {} rules, and no rule {index}.", rules.len()))
        }
    }
}

/// The backends of a rule, each with its name as the service's file has it, and its weight where there is one.
fn backends<'a>(
    object: &'a DynamicObject,
    rule: &'a Value,
) -> impl Iterator<Item = (String, Option<i64>)> {
    let home = object.metadata.namespace.as_deref();
    let all = rule["backendRefs"].as_array().into_iter().flatten();
    all.map(move |backend| {
        let name = backend["name"].as_str().unwrap_or_default();
        let namespace = backend["namespace"].as_str();
        let abroad = namespace.filter(|namespace| Some(*namespace) != home);
        let name = abroad.map_or_else(
            || name.to_owned(),
            |namespace| format!("{namespace}/{name}"),
        );
        (name, backend["weight"].as_i64())
    })
}

/// What a rule says, and where that leads.
pub(crate) fn weights(
    object: &DynamicObject,
    rule: Option<usize>,
    sites: &SiteValues,
) -> Result<Part, String> {
    let (index, rule) = rule_of(object, rule)?;
    let backends: Vec<_> = backends(object, rule).collect();
    let (mut texts, mut leading) = (Vec::new(), Vec::new());
    for (site, name) in sites.iter() {
        let mut own = backends.iter().filter(|(backend, _)| backend == name);
        let (Some((_, weight)), None) = (own.next(), own.next()) else {
            return Err(format!(
                "Rule {index} does not have the backend {name} once."
            ));
        };
        let text = weight.map_or_else(|| LEFT_OUT.to_owned(), |weight| weight.to_string());
        texts.push(format!("{name} {text}"));
        leading.extend((weight.unwrap_or(1) > 0).then_some(site));
    }
    let is_foreign = |(name, weight): &&(String, Option<i64>)| {
        sites.site(name).is_none() && weight.unwrap_or(1) > 0
    };
    let (foreign, value) = (backends.iter().find(is_foreign), texts.join(", "));
    let active = match (leading.as_slice(), foreign) {
        ([site], None) => Active::Site((*site).clone()),
        ([], _) => Active::Unknown {
            because: format!("Rule {index} gives nobody to a site: {value}."),
        },
        (_, Some((name, _))) => Active::Split {
            seen: format!(
                "Rule {index} gives users to {}, which is no site's.",
                one_line(name)
            ),
        },
        (_, None) => Active::Split {
            seen: format!("Rule {index} gives users to more than one site: {value}."),
        },
    };
    let what = format!("weights of rule {index}");
    Ok(Part {
        what,
        value,
        active,
    })
}

/// The operations that give the backends of a rule the weights of a text. The whole rule is tested: by its number alone it could
/// be another one now.
pub(crate) fn reweigh(
    object: &DynamicObject,
    rule: Option<usize>,
    to: &str,
) -> Result<Vec<PatchOperation>, String> {
    let (index, rule) = rule_of(object, rule)?;
    let index = index.to_string();
    let mut operations = vec![test(&["spec", "rules", &index], rule)];
    let wanted: Option<BTreeMap<_, _>> = to.split(", ").map(|one| one.split_once(' ')).collect();
    let wanted = wanted.ok_or_else(|| format!("`{to}` are no weights"))?;
    for (number, (name, weight)) in backends(object, rule).enumerate() {
        let Some(text) = wanted.get(name.as_str()) else {
            continue;
        };
        let number = number.to_string();
        let path = pointer(&["spec", "rules", &index, "backendRefs", &number, "weight"]);
        match (weight, text.parse::<i64>()) {
            (Some(_), Err(_)) if *text == LEFT_OUT => {
                operations.push(PatchOperation::Remove(RemoveOperation { path }));
            }
            (None, Err(_)) if *text == LEFT_OUT => {}
            (_, Err(_)) => return Err(format!("`{to}` are no weights")),
            // It replaces what is there.
            (_, Ok(value)) => {
                let value = json!(value);
                operations.push(PatchOperation::Add(AddOperation { path, value }));
            }
        }
    }
    Ok(operations)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sites() -> SiteValues {
        let values = [("core1", "web-core1"), ("core2", "other/web-core2")];
        SiteValues::new(values.map(|(site, name)| (site.into(), name.to_owned()))).unwrap()
    }

    fn object(rules: &Value) -> DynamicObject {
        let metadata = json!({"name": "login", "namespace": "prod"});
        serde_json::from_value(json!({"metadata": metadata, "spec": {"rules": rules}})).unwrap()
    }

    /// A rule with these weights of core1's and core2's backends, and of one that is no site's.
    fn rule(weights: [Value; 3]) -> Value {
        let [core1, core2, cdn] = weights;
        let mut backends = json!([{"name": "web-core1", "namespace": "prod"}, {"name": "web-core2", "namespace": "other"},
            {"name": "web-core2"}]);
        for (number, weight) in [core1, core2, cdn].into_iter().enumerate() {
            if !weight.is_null() {
                backends[number]["weight"] = weight;
            }
        }
        json!({"backendRefs": backends})
    }

    fn read(rule: &Value) -> Part {
        weights(&object(&json!([rule])), None, &sites()).unwrap()
    }

    #[test]
    fn a_backend_is_known_by_its_name_and_namespace() {
        let part = read(&rule([json!(0), json!(3), json!(0)]));
        assert_eq!(part.active, Active::Site("core2".into()));
        assert_eq!(
            (part.what.as_str(), part.value.as_str()),
            ("weights of rule 0", "web-core1 0, other/web-core2 3")
        );
    }

    #[test]
    fn a_weight_that_is_left_out_counts() {
        let part = read(&rule([Value::Null, json!(0), json!(0)]));
        assert_eq!(
            (part.active, part.value.as_str()),
            (
                Active::Site("core1".into()),
                "web-core1 default, other/web-core2 0"
            )
        );
        for both in [
            [Value::Null, Value::Null, json!(0)],
            [json!(1), json!(0), Value::Null],
        ] {
            let active = read(&rule(both)).active;
            assert!(matches!(active, Active::Split { .. }), "{active:?}");
        }
    }

    #[test]
    fn a_rule_that_leads_to_no_site_is_unknown() {
        for nobody in [
            [json!(0), json!(0), json!(0)],
            [json!(0), json!(0), json!(9)],
        ] {
            let active = read(&rule(nobody)).active;
            assert!(matches!(active, Active::Unknown { .. }), "{active:?}");
        }
    }

    #[test]
    fn a_rule_or_a_backend_that_is_not_there_once_is_told() {
        let good = || rule([json!(1), json!(0), json!(0)]);
        let twice = json!({"backendRefs": [{"name": "web-core1"}, {"name": "web-core1"}]});
        for (rules, number, words) in [
            (json!([]), None, "It has 0 rules"),
            (
                json!([good(), good()]),
                None,
                "2 rules, and `rule` names none",
            ),
            (json!([good()]), Some(1), "no rule 1"),
            (json!([{}]), None, "the backend web-core1 once"),
            (json!([twice]), None, "the backend web-core1 once"),
        ] {
            let said = weights(&object(&rules), number, &sites()).unwrap_err();
            assert!(said.contains(words), "{said}");
        }
    }

    #[test]
    fn what_was_left_out_is_left_out_again() {
        let before = json!([rule([Value::Null, json!(0), json!(0)])]);
        let (there, back) = (
            "web-core1 0, other/web-core2 100",
            "web-core1 default, other/web-core2 0",
        );
        let mut live = json!({"spec": {"rules": before}});
        for to in [there, back] {
            let operations = reweigh(&object(&live["spec"]["rules"]), None, to).unwrap();
            json_patch::patch(&mut live, &operations).unwrap();
            assert_eq!(read(&live["spec"]["rules"][0]).value, to);
        }
        assert_eq!(live["spec"]["rules"], before);
        assert!(reweigh(&object(&before), None, "web-core1 much").is_err());
        assert!(reweigh(&object(&before), None, "nothing").is_err());
    }
}
