//! The Job of a backup to a cloud repository: pgBackRest runs in the Job's own pod, against the members' TLS servers.

use std::collections::BTreeMap;

use anyhow::Result;
use k8s_openapi::api::batch::v1::Job;
use serde_json::{Value, json};

use super::instance_pod::mounts;
use super::name;
use super::reconcile::Turn;
use super::status::BackupStatus;

impl Turn<'_> {
    /// The spec of a backup Job. No back-off limit is set, so Kubernetes' 6 holds and a failing backup takes minutes
    /// to be called failed, as with the real operator.
    pub(crate) fn backup_job_spec(
        &self,
        repo: &str,
        labels: &BTreeMap<String, String>,
        annotations: &BTreeMap<String, String>,
        options: &[String],
    ) -> Result<Value> {
        let mut command: Vec<String> = ["sh", "-c", "--", r#"exec "$@""#, "--", "/bin/pgbackrest"]
            .map(str::to_owned)
            .to_vec();
        command.push("backup".to_owned());
        command.push(format!("--stanza={}", name::STANZA));
        command.push(format!("--repo={}", repo.trim_start_matches("repo")));
        command.extend(options.iter().cloned());
        let image = self.images()?.pgbackrest;
        let mut container = self.container("pgbackrest", &image, &json!(command));
        container["volumeMounts"] = mounts(&[
            ("pgbackrest-config", "/etc/pgbackrest/conf.d"),
            ("tmp", "/tmp"),
        ]);

        let annotations = with_default_container(annotations);
        let mut spec = json!({"template": {
            "metadata": {"labels": labels, "annotations": annotations},
            "spec": {
                "containers": [container],
                "enableServiceLinks": false,
                "restartPolicy": "Never",
                "securityContext": {"fsGroup": 26, "fsGroupChangePolicy": "OnRootMismatch"},
                "serviceAccountName": format!("{}-pgbackrest", self.name),
                "volumes": [
                    self.backrest_volume(&[("pgbackrest_cloud.conf", "pgbackrest_cloud.conf")]),
                    {"name": "tmp", "emptyDir": {"sizeLimit": "16Mi"}},
                ],
            },
        }});
        let jobs = self.pg_cluster.spec.backups.pgbackrest.jobs.as_ref();
        if let Some(seconds) = jobs.and_then(|jobs| jobs.ttl_seconds_after_finished) {
            spec["ttlSecondsAfterFinished"] = json!(seconds);
        }
        Ok(spec)
    }

    /// The Jobs of one kind of backup: `manual` or `replica-create`.
    pub(crate) async fn backup_jobs(&self, kind: &str) -> Result<Vec<Job>> {
        self.list(&[("cluster", &self.name), ("pgbackrest-backup", kind)])
            .await
    }

    /// Applies a backup Job under `job`'s name, or under a new one.
    pub(crate) async fn apply_backup_job(
        &self,
        job: Option<String>,
        repo: &str,
        kind: &str,
        annotations: &BTreeMap<String, String>,
        options: &[String],
    ) -> Result<()> {
        let object = match job {
            Some(name) => name,
            None => format!("{}-backup-{}", self.name, name::random_suffix(4)?),
        };
        let labels = name::labels(&[
            ("cluster", &self.name),
            ("pgbackrest", ""),
            ("pgbackrest-repo", repo),
            ("pgbackrest-backup", kind),
        ]);
        let annotations = with_default_container(annotations);
        let spec = self.backup_job_spec(repo, &labels, &annotations, options)?;
        self.apply_annotated::<Job>(&object, &labels, &annotations, json!({"spec": spec}))
            .await?;
        Ok(())
    }
}

/// The same annotations and the one by which kubectl chooses a container: on the Job as well as on its pods.
pub(crate) fn with_default_container(
    annotations: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut all = annotations.clone();
    all.insert(
        "kubectl.kubernetes.io/default-container".to_owned(),
        "pgbackrest".to_owned(),
    );
    all
}

/// How a Job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Unfinished,
    Complete,
    Failed,
}

pub(crate) fn progress(job: &Job) -> Progress {
    let has = |kind: &str| {
        let conditions = job
            .status
            .as_ref()
            .and_then(|status| status.conditions.as_ref());
        conditions.is_some_and(|conditions| {
            conditions
                .iter()
                .any(|it| it.type_ == kind && it.status == "True")
        })
    };
    if has("Complete") {
        Progress::Complete
    } else if has("Failed") {
        Progress::Failed
    } else {
        Progress::Unfinished
    }
}

/// Copies a Job's times and counts.
pub(crate) fn copy_status(job: &Job, into: &mut BackupStatus) {
    let Some(status) = &job.status else { return };
    into.start_time = status.start_time.as_ref().map(rfc3339);
    into.completion_time = status.completion_time.as_ref().map(rfc3339);
    into.active = status.active.unwrap_or_default();
    into.succeeded = status.succeeded.unwrap_or_default();
    into.failed = status.failed.unwrap_or_default();
}

fn rfc3339(time: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Time) -> String {
    time.0.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
