//! The sync windows of an application's project: outside of those that allow, and in those that deny, Argo CD applies nothing by
//! itself (Argo CD documentation, "Sync Windows").

use serde_json::Value;

use super::NAMESPACE;
use crate::client::{CallKind, SiteClient};
use crate::diagnose::{chain_of, sanitised};
use crate::gitops::text_at;
use crate::k8s::{self, DynamicObject};

/// The windows that decide about an application, as a sentence; none where its project has none of it.
pub(in crate::gitops) async fn told(site: &SiteClient, found: &DynamicObject) -> Option<String> {
    let project = text_at(found, "/spec/project").unwrap_or_else(|| "default".to_owned());
    // Applications may be elsewhere, projects may not.
    let namespace = text_at(found, "/status/controllerNamespace");
    let site = site.in_namespace(namespace.as_deref().unwrap_or(NAMESPACE));
    let resource = k8s::resource("argoproj.io", "v1alpha1", "AppProject", "appprojects");
    let what = format!("Argo CD project {project}");
    let got = site
        .call("get", &what, site.objects(&resource).get(&project))
        .await;
    match got {
        Ok(found_project) => of(&project, &found_project.data, found),
        Err(error) if error.kind == CallKind::NotFound || error.is_unknown_resource() => None,
        Err(error) => Some(format!(
            "Whether its project has sync windows was not seen: {}.",
            chain_of(&error)
        )),
    }
}

fn of(project: &str, data: &Value, application: &DynamicObject) -> Option<String> {
    let windows = data.pointer("/spec/syncWindows")?.as_array()?;
    let mut of_it = windows.iter().filter(|window| names(window, application));
    let first = describe(of_it.next()?);
    let told = of_it.fold(first, |told, window| {
        format!("{told}; {}", describe(window))
    });
    Some(format!(
        "Sync windows of its project {project} decide when it applies anything: {told}."
    ))
}

/// Whether a window is of an application: any of its lists has it, or each that there is where it says so.
fn names(window: &Value, application: &DynamicObject) -> bool {
    let name = application.metadata.name.clone();
    let at = |pointer| text_at(application, pointer);
    let cluster = ["/spec/destination/name", "/spec/destination/server"].map(at);
    let lists = [
        ("applications", vec![name]),
        ("namespaces", vec![at("/spec/destination/namespace")]),
        ("clusters", cluster.to_vec()),
    ];
    let seen = lists.iter().filter_map(|(list, values)| {
        let patterns = window.get(list)?.as_array()?;
        let patterns: Vec<&str> = patterns.iter().filter_map(Value::as_str).collect();
        let is_of = |value: &String| patterns.iter().any(|pattern| is_like(pattern, value));
        (!patterns.is_empty()).then(|| values.iter().flatten().any(is_of))
    });
    let seen: Vec<bool> = seen.collect();
    let needs_all = window["andOperator"] == true;
    seen.contains(&true) && !(needs_all && seen.contains(&false))
}

/// Whether a text is of a pattern, in which a star stands for anything.
fn is_like(pattern: &str, text: &str) -> bool {
    let Some((before, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(text) = text.strip_prefix(before) else {
        return false;
    };
    let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    let mut tails = ends.filter_map(|at| text.get(at..));
    tails.any(|tail| is_like(rest, tail))
}

fn describe(window: &Value) -> String {
    let text = |key: &str| window.get(key).and_then(Value::as_str).map(sanitised);
    let or_unknown = |key: &str| text(key).unwrap_or_else(|| "?".to_owned());
    let zone = text("timeZone").map_or_else(String::new, |zone| format!(" ({zone})"));
    let (kind, schedule) = (or_unknown("kind"), or_unknown("schedule"));
    format!("{kind} `{schedule}`{zone} for {}", or_unknown("duration"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn application() -> DynamicObject {
        let object = json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
            "metadata": {"name": "zitadel-db", "namespace": "argocd"},
            "spec": {"destination": {"server": "https://kubernetes.default.svc", "namespace": "prod"}},
        });
        serde_json::from_value(object).unwrap()
    }

    fn told(windows: &Value) -> Option<String> {
        of(
            "prod",
            &json!({"spec": {"syncWindows": windows}}),
            &application(),
        )
    }

    #[test]
    fn a_window_that_names_the_application_is_told() {
        let deny = json!({"kind": "deny", "schedule": "0 22 * * *", "duration": "1h", "timeZone": "Europe/Berlin",
            "applications": ["zitadel-*"]});
        let allow = json!({"kind": "allow", "schedule": "0 8 * * 1-5", "duration": "8h", "namespaces": ["prod"]});
        let other = json!({"kind": "deny", "schedule": "* * * * *", "duration": "1h", "applications": ["other"]});
        assert_eq!(
            told(&json!([deny, other, allow])).unwrap(),
            "Sync windows of its project prod decide when it applies anything: deny `0 22 * * *` (Europe/Berlin) for 1h; \
             allow `0 8 * * 1-5` for 8h."
        );
        assert_eq!(told(&json!([other])), None);
        assert_eq!(told(&json!([])), None);
        assert_eq!(told(&Value::Null), None);
    }

    #[test]
    fn a_window_of_several_lists_is_of_any_or_of_all_of_them() {
        let mut window = json!({"kind": "deny", "schedule": "s", "duration": "1h", "applications": ["other"],
            "clusters": ["https://kubernetes.*"]});
        assert!(told(&json!([window])).is_some());
        window["andOperator"] = true.into();
        assert!(told(&json!([window])).is_none());
        window["applications"] = json!(["*-db"]);
        assert!(told(&json!([window])).is_some());
        window["applications"] = json!([]);
        window["clusters"] = json!([]);
        assert!(told(&json!([window])).is_none(), "it is of nobody");
    }

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, text, is) in [
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abcd", false),
            ("*-*-db", "a-é-b-db", true),
            ("a", "ab", false),
        ] {
            assert_eq!(is_like(pattern, text), is, "{pattern} {text}");
        }
    }
}
