//! The manifests of the roles are the code's own list, no more and no less.

use std::collections::BTreeSet;
use std::path::Path;

use pgha_core::permission::{Role, permissions};
use serde_json::Value;

/// The names that the manifests are written with.
const CLUSTER: &str = "zitadel";
const IN: &str = "postgres";

type Rule = (String, String, String, String, Option<String>);

fn documents(file: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../manifests/rbac");
    let text = std::fs::read_to_string(path.join(file)).unwrap();
    serde_saphyr::from_multiple(&text).unwrap()
}

fn texts(value: &Value) -> Vec<String> {
    let texts = value.as_array().unwrap().iter();
    texts
        .map(|text| text.as_str().unwrap().to_owned())
        .collect()
}

/// Each combination that the Roles of a file permit: namespace, group, resource, verb, name.
fn permitted(file: &str) -> BTreeSet<Rule> {
    let mut rules = BTreeSet::new();
    for role in documents(file).iter().filter(|it| it["kind"] == "Role") {
        let namespace = role["metadata"]["namespace"].as_str().unwrap();
        for rule in role["rules"].as_array().unwrap() {
            let names = match rule.get("resourceNames") {
                Some(names) => texts(names).into_iter().map(Some).collect(),
                None => vec![None],
            };
            for group in texts(&rule["apiGroups"]) {
                for resource in texts(&rule["resources"]) {
                    for verb in texts(&rule["verbs"]) {
                        for name in &names {
                            let (group, resource) = (group.clone(), resource.clone());
                            let rule = (
                                namespace.to_owned(),
                                group,
                                resource,
                                verb.clone(),
                                name.clone(),
                            );
                            assert!(rules.insert(rule.clone()), "{file} says {rule:?} twice");
                        }
                    }
                }
            }
        }
    }
    rules
}

fn needed(role: Role) -> BTreeSet<Rule> {
    rules(permissions(role, CLUSTER))
}

fn rules(needed: Vec<pgha_core::permission::Permission>) -> BTreeSet<Rule> {
    let as_tuple = |needed: pgha_core::permission::Permission| {
        let resource = match needed.subresource {
            Some(part) => format!("{}/{part}", needed.resource),
            None => needed.resource.into_owned(),
        };
        let namespace = needed.namespace.unwrap_or(IN).to_owned();
        let group = needed.group.into_owned();
        (
            namespace,
            group,
            resource,
            needed.verb.to_owned(),
            needed.name,
        )
    };
    needed.into_iter().map(as_tuple).collect()
}

#[test]
fn the_manifests_permit_what_the_code_needs_and_nothing_else() {
    for (file, role) in [
        ("viewer.yaml", Role::Viewer),
        ("operator.yaml", Role::Operator),
        ("deadline.yaml", Role::DeadlinePlacer),
        ("secrets.yaml", Role::SecretKeeper),
    ] {
        assert_eq!(permitted(file), needed(role), "{file}");
    }
}

#[test]
fn the_manifest_of_an_application_permits_what_its_steps_need_and_nothing_else() {
    let steps = serde_json::json!([
        {"scale": {"object": "deployment/zitadel"}},
        {"annotate": {"object": "deployment/zitadel", "key": "a", "standby": "b"}},
        {"select": {"object": "service/zitadel", "primary": {"a": "b"}, "standby": {"a": "c"}}},
        {"restart": {"object": "deployment/zitadel"}},
        {"job": {"object": "job/zitadel-setup", "recreate": true}},
    ]);
    let steps: Vec<pgha_model::application::AppStep> = serde_json::from_value(steps).unwrap();
    let needed = pgha_core::application::permissions(&steps);
    let needed = needed.into_iter().map(|(_, needed)| needed).collect();
    assert_eq!(permitted("application.yaml"), rules(needed));
}

#[test]
fn the_manifest_of_a_services_file_permits_to_get_it_and_nothing_else() {
    let get = (
        IN.to_owned(),
        String::new(),
        "configmaps".to_owned(),
        "get".to_owned(),
        Some("pgha-services".to_owned()),
    );
    assert_eq!(permitted("service-file.yaml"), BTreeSet::from([get]));
}

#[test]
fn every_role_is_bound_in_its_own_namespace_and_none_is_for_the_whole_cluster() {
    for file in [
        "viewer.yaml",
        "operator.yaml",
        "secrets.yaml",
        "application.yaml",
        "service-file.yaml",
    ] {
        let documents = documents(file);
        let of_kind = |kind: &str| -> Vec<(Value, Value)> {
            let those = documents.iter().filter(|it| it["kind"] == kind);
            those
                .map(|it| {
                    let name = if kind == "Role" {
                        &it["metadata"]["name"]
                    } else {
                        &it["roleRef"]["name"]
                    };
                    (it["metadata"]["namespace"].clone(), name.clone())
                })
                .collect()
        };
        assert_eq!(of_kind("Role"), of_kind("RoleBinding"), "{file}");
        assert_eq!(of_kind("Role").len() * 2, documents.len(), "{file}");
    }
}

#[test]
fn nobody_else_lists_secrets() {
    for role in [Role::Viewer, Role::Operator] {
        let mut secrets = permissions(role, CLUSTER).into_iter();
        let lists =
            |it: &pgha_core::permission::Permission| it.resource == "secrets" && it.name.is_none();
        assert_eq!(secrets.find(lists), None);
    }
    let enters = |it: &pgha_core::permission::Permission| {
        it.subresource == Some("exec") || it.resource == "secrets"
    };
    assert_eq!(
        permissions(Role::Viewer, CLUSTER).into_iter().find(enters),
        None
    );
}
