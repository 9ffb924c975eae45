//! Scheduled backups: a `CronJob` for each, suspended while the cluster is a standby or shut down.

use std::collections::BTreeMap;

use anyhow::Result;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use kube::ResourceExt as _;
use serde_json::json;

use super::backup_job::{copy_status, with_default_container};
use super::name;
use super::reconcile::{Again, Turn};
use super::status::REPLICA_CREATE;
use super::status::{BackupStatus, ScheduledBackupStatus};
use super::types::RepoSpec;

impl Turn<'_> {
    /// Applies the schedules that can run; a failure is an event and another try in 10 s.
    pub(crate) async fn reconcile_schedules(&mut self) {
        for repo in &self.pg_cluster.spec.backups.pgbackrest.repos {
            for (kind, schedule) in schedules(repo) {
                if let Err(error) = self.reconcile_schedule(repo, kind, &schedule).await {
                    self.warn("UnableToCreatePGBackRestCronJob", &format!("{error:#}"))
                        .await;
                    self.ask_again(Again::After(10));
                }
            }
        }
        match self
            .list::<Job>(&[("cluster", &self.name), ("pgbackrest-cronjob", "")])
            .await
        {
            Ok(jobs) => {
                self.status.pgbackrest.scheduled_backups = jobs.iter().map(scheduled).collect();
            }
            Err(error) => tracing::warn!(name = self.name, "scheduled backups: {error:#}"),
        }
    }

    async fn reconcile_schedule(&self, repo: &RepoSpec, kind: &str, schedule: &str) -> Result<()> {
        if !self.status.is_bootstrapped() || !self.status.is_true(REPLICA_CREATE) {
            return Ok(());
        }
        let status = self
            .status
            .pgbackrest
            .repos
            .iter()
            .find(|it| it.name == repo.name);
        if !status.is_some_and(|status| status.stanza_created) {
            let note = format!(
                "Stanza not created for \"{}\" as specified for a scheduled backup",
                repo.name
            );
            self.warn("StanzaNotCreated", &note).await;
            return Ok(());
        }
        let spec = &self.pg_cluster.spec;
        let labels = name::labels(&[
            ("cluster", &self.name),
            ("pgbackrest", ""),
            ("pgbackrest-repo", &repo.name),
            ("pgbackrest-cronjob", kind),
            ("pgbackrest-backup", "scheduled"),
        ]);
        let options = [format!("--type={kind}")];
        let annotations = with_default_container(&BTreeMap::new());
        let job = self.backup_job_spec(&repo.name, &labels, &BTreeMap::new(), &options)?;
        let body = json!({"spec": {
            "schedule": schedule,
            "suspend": spec.is_shut_down() || spec.standby().is_some(),
            "concurrencyPolicy": "Forbid",
            "jobTemplate": {"metadata": {"labels": labels, "annotations": annotations}, "spec": job},
        }});
        let object = format!("{}-{}-{kind}", self.name, repo.name);
        self.apply_annotated::<CronJob>(&object, &labels, &annotations, body)
            .await?;
        Ok(())
    }
}

fn schedules(repo: &RepoSpec) -> Vec<(&'static str, String)> {
    let asked = repo.schedules.clone().unwrap_or_default();
    [
        ("full", asked.full),
        ("diff", asked.differential),
        ("incr", asked.incremental),
    ]
    .into_iter()
    .filter_map(|(kind, schedule)| Some((kind, schedule?)))
    .collect()
}

fn scheduled(job: &Job) -> ScheduledBackupStatus {
    let label = |key: &str| {
        job.labels()
            .get(&name::key(key))
            .cloned()
            .unwrap_or_default()
    };
    let owner = job
        .owner_references()
        .iter()
        .find(|owner| owner.kind == "CronJob");
    let mut counts = BackupStatus::default();
    copy_status(job, &mut counts);
    ScheduledBackupStatus {
        cron_job_name: owner.map(|owner| owner.name.clone()).unwrap_or_default(),
        repo: label("pgbackrest-repo"),
        kind: label("pgbackrest-cronjob"),
        start_time: counts.start_time,
        completion_time: counts.completion_time,
        active: counts.active,
        succeeded: counts.succeeded,
        failed: counts.failed,
    }
}
