//! What is wrong with the steps of a service.

use super::object::is_name;
use super::{AppStep, At, Select};

/// Which of the steps of a service is wrong, the first of them, and why, as a clause.
pub fn contradiction(steps: &[AppStep]) -> Option<(usize, String)> {
    let mut numbered = steps.iter().enumerate();
    numbered.find_map(|(index, step)| Some((index, wrong_with(step, &steps[..index])?)))
}

fn wrong_with(step: &AppStep, before: &[AppStep]) -> Option<String> {
    if let Some(At { object, namespace }) = step.object()
        && namespace.as_deref().is_some_and(|name| !is_name(name))
    {
        return Some(format!("the namespace of {object} has no possible name"));
    }
    let twin = step
        .object()
        .filter(|_| before.iter().any(|other| is_same(other, step)));
    if let Some(at) = twin {
        return Some(format!("two steps are about the same of {at}"));
    }
    of_itself(step)
}

fn of_itself(step: &AppStep) -> Option<String> {
    match step {
        AppStep::Scale(scale) => {
            let at = scale.at();
            (scale.count == Some(0))
                .then(|| format!("{at} would have no pods where the primary is"))
        }
        AppStep::Annotate(annotate) => {
            let (key, at) = (&annotate.key, annotate.at());
            (annotate.primary == annotate.standby)
                .then(|| format!("the annotation {key} of {at} is the same at both sites"))
        }
        AppStep::Select(select) => of_selection(select),
        AppStep::Restart(restart) => {
            let kinds = ["deployments", "statefulsets", "daemonsets"];
            let at = restart.at();
            (!is_one_of(&at, "apps", &kinds)).then(|| {
                format!("{at} is no Deployment, StatefulSet or DaemonSet, and cannot be restarted")
            })
        }
        AppStep::Job(job) => {
            let at = job.at();
            (!is_one_of(&at, "batch", &["jobs"])).then(|| format!("{at} is no Job"))
        }
        AppStep::Call(call) => (call.primary.is_none() && call.standby.is_none())
            .then(|| "a call has neither `primary` nor `standby`".to_owned()),
        AppStep::Wait(wait) => {
            let status = wait.status;
            (!(200..600).contains(&status))
                .then(|| format!("no answer ends a wait with the status {status}"))
        }
    }
}

fn of_selection(select: &Select) -> Option<String> {
    let at = select.at();
    if !is_one_of(&at, "", &["services"]) {
        Some(format!("{at} is no Service, and selects no pods"))
    } else if select.primary.is_empty() || select.standby.is_empty() {
        Some(format!("{at} would select no pods at one of both sites"))
    } else if select.primary == select.standby {
        Some(format!("{at} selects the same pods at both sites"))
    } else {
        None
    }
}

fn is_one_of(at: &At, group: &str, kinds: &[&str]) -> bool {
    let of = &at.object.resource;
    of.group == group && kinds.contains(&of.plural.as_str())
}

fn is_same(one: &AppStep, other: &AppStep) -> bool {
    let key = |step: &AppStep| {
        let AppStep::Annotate(annotate) = step else {
            return None;
        };
        Some(annotate.key.clone())
    };
    let is_of_one_kind = std::mem::discriminant(one) == std::mem::discriminant(other);
    is_of_one_kind && one.object() == other.object() && key(one) == key(other)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn steps(text: serde_json::Value) -> Result<Vec<AppStep>, serde_json::Error> {
        serde_json::from_value(text)
    }

    #[test]
    fn steps_are_read_and_an_unknown_field_is_not() {
        let read = steps(json!([
            {"scale": {"object": "deployment/zitadel", "namespace": "iam", "count": 2}},
            {"annotate": {"object": "deployment/zitadel", "key": "a/b", "standby": "disabled"}},
        ]));
        let read = read.unwrap();
        assert_eq!(
            read[0].object().unwrap().to_string(),
            "deployment/zitadel in iam"
        );
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
    fn one_object_may_have_steps_of_different_kinds() {
        let read = steps(json!([
            {"scale": {"object": "deployment/zitadel"}},
            {"restart": {"object": "deployment/zitadel"}},
            {"annotate": {"object": "deployment/zitadel", "key": "a", "standby": "x"}},
            {"annotate": {"object": "deployment/zitadel", "key": "b", "standby": "x"}},
            {"wait": {"url": "http://a"}},
            {"wait": {"url": "http://a"}},
        ]));
        assert_eq!(contradiction(&read.unwrap()), None);
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
            (
                json!([{"select": {"object": "sts/x", "primary": {"a": "b"}, "standby": {"a": "c"}}}]),
                "no Service",
            ),
            (
                json!([{"select": {"object": "svc/x", "primary": {}, "standby": {"a": "c"}}}]),
                "no pods at one",
            ),
            (
                json!([{"select": {"object": "svc/x", "primary": {"a": "c"}, "standby": {"a": "c"}}}]),
                "the same pods",
            ),
            (
                json!([{"restart": {"object": "cj/x"}}]),
                "cannot be restarted",
            ),
            (json!([{"job": {"object": "cj/x"}}]), "is no Job"),
            (json!([{"call": {}}]), "neither"),
            (
                json!([{"wait": {"url": "http://a", "status": 0}}]),
                "status 0",
            ),
        ] {
            let steps = steps(wrong).unwrap();
            let (index, said) = contradiction(&steps).unwrap();
            assert_eq!(index, steps.len() - 1);
            assert!(said.contains(words), "{said}");
        }
    }
}
