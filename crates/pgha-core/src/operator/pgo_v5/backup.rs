//! Backups on request: what the operator's object and its Jobs say of them, and the patch that asks for one.
//!
//! Source: PGO v5.8.9 `internal/controller/postgrescluster/pgbackrest.go` and `internal/naming`.

use pgha_model::backup::{BackupJob, BackupPlan, BackupSpec};
use serde_json::{Map, Value, json};

use super::{BACKUP_ANNOTATION, PREFIX};
use crate::diagnose::sanitised;
use crate::patch::{ObjectPatch, PatchBuilder};

const KIND: &str = "postgrescluster";

/// The container of a backup Job's pod.
pub const JOB_CONTAINER: &str = "pgbackrest";

/// The stanza of every cluster (`pgbackrest.DefaultStanzaName`).
pub const STANZA: &str = "db";

const MANUAL: [&str; 4] = ["spec", "backups", "pgbackrest", "manual"];

/// Selects the Jobs that make backups: on request, the first one, and by schedule.
pub fn jobs_selector(cluster: &str) -> String {
    format!("{PREFIX}/cluster={cluster},{PREFIX}/pgbackrest")
}

/// Selects the `CronJob`s that make backups by schedule.
pub fn schedules_selector(cluster: &str) -> String {
    format!("{PREFIX}/cluster={cluster},{PREFIX}/pgbackrest-cronjob")
}

/// The names of the `CronJob`s that the object asks for (`naming.PGBackRestCronJob`).
pub fn schedules_asked(cluster: &str, object: &Value) -> Vec<String> {
    let repos = object
        .pointer("/spec/backups/pgbackrest/repos")
        .and_then(Value::as_array);
    let kinds = [
        ("full", "full"),
        ("differential", "diff"),
        ("incremental", "incr"),
    ];
    let of_repo = |repo: &Value| -> Option<Vec<String>> {
        let name = repo.get("name")?.as_str()?;
        let schedules = repo.get("schedules")?;
        let asked = kinds.iter().filter(|(field, _)| {
            let schedule = schedules.get(field).and_then(Value::as_str);
            schedule.is_some_and(|schedule| !schedule.is_empty())
        });
        Some(
            asked
                .map(|(_, kind)| format!("{cluster}-{name}-{kind}"))
                .collect(),
        )
    };
    repos
        .into_iter()
        .flatten()
        .filter_map(of_repo)
        .flatten()
        .collect()
}

/// Selects the pods of a Job.
pub fn job_pods_selector(job: &str) -> String {
    format!("job-name={job}")
}

/// Reads what the object says about backups.
pub fn read_spec(data: &Value) -> BackupSpec {
    let section = data.pointer("/spec/backups/pgbackrest");
    let repos = || {
        let list = section.and_then(|section| section.get("repos")?.as_array());
        list.into_iter().flatten()
    };
    let named = |repo: &Value| repo.get("name")?.as_str().map(sanitised);
    let manual = section
        .and_then(|section| section.get("manual"))
        .filter(|manual| manual.is_object());
    let options = manual.and_then(|manual| manual.get("options")?.as_array());
    BackupSpec {
        repos: repos().filter_map(named).collect(),
        on_volume: repos()
            .filter(|repo| repo.get("volume").is_some_and(Value::is_object))
            .filter_map(named)
            .collect(),
        manual_repo: manual
            .and_then(|manual| manual.get("repoName")?.as_str())
            .map(sanitised),
        manual_options: options
            .into_iter()
            .flatten()
            .filter_map(|option| option.as_str().map(str::to_owned))
            .collect(),
    }
}

/// Reads a Job; `None` for one that makes no backup, a restore for example.
pub fn read_job(job: &Value) -> Option<BackupJob> {
    let text = |pointer: &str| job.pointer(pointer).and_then(Value::as_str);
    let label = |name: &str| {
        let labels = job.pointer("/metadata/labels")?;
        labels.get(format!("{PREFIX}/{name}"))?.as_str()
    };
    // Before 5.7 only the label of the CronJob says that it is scheduled.
    let kind = label("pgbackrest-backup").or(label("pgbackrest-cronjob").map(|_| "scheduled"))?;
    let annotations = job.pointer("/metadata/annotations");
    let id = annotations.and_then(|all| all.get(BACKUP_ANNOTATION)?.as_str());
    let conditions = job.pointer("/status/conditions").and_then(Value::as_array);
    let has_ended = conditions.into_iter().flatten().any(|condition| {
        let is = |key: &str, values: &[&str]| {
            let value = condition.get(key).and_then(Value::as_str);
            value.is_some_and(|value| values.contains(&value))
        };
        is("type", &["Complete", "Failed"]) && is("status", &["True"])
    });
    Some(BackupJob {
        name: sanitised(text("/metadata/name")?),
        kind: sanitised(kind),
        id: id.map(sanitised),
        unfinished: !has_ended,
    })
}

/// Asks for a backup. Rests on what the object says of its role, of holds, and of the request before.
pub fn request(object: &Value, name: &str, id: &str, plan: &BackupPlan) -> ObjectPatch {
    let mut patch = PatchBuilder::default();
    for path in [
        &["metadata", "uid"][..],
        &["spec", "standby"],
        &["spec", "paused"],
        &["spec", "shutdown"],
    ] {
        if let Some(seen) = object.pointer(&format!("/{}", path.join("/"))) {
            patch = patch.test(path, seen.clone());
        }
    }
    let manual = manual_of(object);
    let mut wanted = manual
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    wanted.insert("repoName".to_owned(), json!(plan.repo));
    wanted.insert("options".to_owned(), json!(plan.options));
    patch = patch.set(&MANUAL, manual, Value::Object(wanted));
    annotate(patch, object, id).of(KIND, name)
}

/// Without annotations there is no value to rest on but the revision of the object.
fn annotate(patch: PatchBuilder, object: &Value, id: &str) -> PatchBuilder {
    let Some(annotations) = object.pointer("/metadata/annotations") else {
        let mut annotations = Map::new();
        annotations.insert(BACKUP_ANNOTATION.to_owned(), json!(id));
        let revision = object.pointer("/metadata/resourceVersion");
        return patch
            .test(
                &["metadata", "resourceVersion"],
                revision.cloned().unwrap_or_default(),
            )
            .set(
                &["metadata", "annotations"],
                None,
                Value::Object(annotations),
            );
    };
    patch.set(
        &["metadata", "annotations", BACKUP_ANNOTATION],
        annotations.get(BACKUP_ANNOTATION),
        json!(id),
    )
}

/// Takes a request back that the operator has not taken up. The annotation goes away rather than back to an older id,
/// which the operator would serve once more.
pub fn withdraw(name: &str, id: &str) -> ObjectPatch {
    PatchBuilder::default()
        .remove(
            &["metadata", "annotations", BACKUP_ANNOTATION],
            Some(&json!(id)),
        )
        .of(KIND, name)
}

fn manual_of(object: &Value) -> Option<&Value> {
    object.pointer("/spec/backups/pgbackrest/manual")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> BackupPlan {
        BackupPlan {
            repo: "repo2".to_owned(),
            options: vec!["--type=full".to_owned()],
        }
    }

    #[test]
    fn each_schedule_of_each_repository_is_a_cron_job() {
        let schedules =
            json!({"full": "0 3 * * 0", "differential": "0 3 * * 1", "incremental": ""});
        let repos = json!([{"name": "repo1", "schedules": schedules}, {"name": "repo2"}]);
        let object = json!({"spec": {"backups": {"pgbackrest": {"repos": repos}}}});
        assert_eq!(
            schedules_asked("db", &object),
            ["db-repo1-full", "db-repo1-diff"]
        );
    }

    #[test]
    fn a_request_rests_on_what_was_seen() {
        let mut object = json!({
            "metadata": {"uid": "u", "annotations": {BACKUP_ANNOTATION: "old"}},
            "spec": {"standby": {"enabled": false}, "backups": {"pgbackrest": {"manual": {"repoName": "repo1"}}}},
        });
        let patch = request(&object, "zitadel", "new", &plan());
        json_patch::patch(&mut object, &patch.operations).unwrap();
        assert_eq!(object["metadata"]["annotations"][BACKUP_ANNOTATION], "new");
        assert_eq!(
            object["spec"]["backups"]["pgbackrest"]["manual"],
            json!({"repoName": "repo2", "options": ["--type=full"]})
        );
        // The same patch again: the request that it rests on is no longer there.
        assert!(json_patch::patch(&mut object, &patch.operations).is_err());
    }

    #[test]
    fn a_site_that_became_a_standby_takes_no_request() {
        let mut object = json!({
            "metadata": {"uid": "u", "annotations": {}},
            "spec": {"standby": {"enabled": false}, "backups": {"pgbackrest": {}}},
        });
        let patch = request(&object, "zitadel", "new", &plan());
        object["spec"]["standby"]["enabled"] = json!(true);
        assert!(json_patch::patch(&mut object, &patch.operations).is_err());
    }

    #[test]
    fn an_object_without_annotations_gets_them() {
        let mut object = json!({"metadata": {"uid": "u", "resourceVersion": "7"},
            "spec": {"backups": {"pgbackrest": {}}}});
        let patch = request(&object, "zitadel", "new", &plan());
        json_patch::patch(&mut object, &patch.operations).unwrap();
        assert_eq!(object["metadata"]["annotations"][BACKUP_ANNOTATION], "new");
    }

    #[test]
    fn a_withdrawal_takes_away_only_its_own_request() {
        let mut object = json!({"metadata": {"annotations": {BACKUP_ANNOTATION: "other"}}});
        let patch = withdraw("zitadel", "new");
        assert!(json_patch::patch(&mut object, &patch.operations).is_err());
    }

    #[test]
    fn jobs_are_told_apart() {
        let job = |labels: Value, status: Value| {
            json!({"metadata": {"name": "j", "labels": labels, "annotations": {BACKUP_ANNOTATION: "id"}},
                "status": status})
        };
        let kind = format!("{PREFIX}/pgbackrest-backup");
        let done = json!({"conditions": [{"type": "Complete", "status": "True"}]});
        let manual = read_job(&job(json!({kind.clone(): "manual"}), json!({"active": 1}))).unwrap();
        assert!(manual.unfinished && manual.id.as_deref() == Some("id"));
        assert!(
            !read_job(&job(json!({kind: "manual"}), done))
                .unwrap()
                .unfinished
        );
        let cron = format!("{PREFIX}/pgbackrest-cronjob");
        assert_eq!(
            read_job(&job(json!({cron: "full"}), json!({})))
                .unwrap()
                .kind,
            "scheduled"
        );
        assert!(read_job(&job(json!({}), json!({}))).is_none());
    }
}
