//! Backups on request and the first backup, with every gate of the real operator, silent ones included.

use std::collections::BTreeMap;

use anyhow::Result;
use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt as _;

use super::backup_job::{Progress, copy_status, progress};
use super::name;
use super::reconcile::Turn;
use super::status::{BackupStatus, PgBackRestStatus};
use super::status::{MANUAL_BACKUP, REPLICA_CREATE, REPLICA_REPO_READY};
use super::types::ManualBackupSpec;

/// What stands between an accepted request and its Job.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Gate {
    Open,
    /// Waits without a word.
    Silent,
    /// Refuses with an event: its reason and its text.
    Event(&'static str, String),
}

impl Turn<'_> {
    /// Serves the annotation `pgbackrest-backup`. Without a writable member the request stays where it is, unseen in
    /// the status, and is served when there is one: also after a promotion much later.
    pub(crate) async fn reconcile_manual_backup(&mut self) -> Result<()> {
        let request = self.annotation(name::BACKUP_ANNOTATION);
        let job = self.backup_jobs("manual").await?.into_iter().next();
        if let Some(job) = &job {
            let done = self.report_manual_backup(job);
            let id = job_id(job);
            if done && request.as_ref().is_some_and(|request| Some(request) != id) {
                return self.delete::<Job>(&job.name_any()).await;
            }
        }
        let manual = self.pg_cluster.spec.backups.pgbackrest.manual.clone();
        let (Some(request), Some(manual)) = (request, manual) else {
            return Ok(());
        };
        if !self.members.iter().any(super::member::Member::is_writable) {
            return Ok(());
        }
        self.accept(&request);
        let accepted = self.status.pgbackrest.manual_backup.as_ref();
        if accepted.is_some_and(|accepted| accepted.finished) {
            return Ok(());
        }
        let has_first_backup = self.status.is_true(REPLICA_CREATE);
        match gate(&manual, &self.status.pgbackrest, has_first_backup) {
            Gate::Silent => Ok(()),
            Gate::Event(reason, note) => {
                self.warn(reason, &note).await;
                Ok(())
            }
            Gate::Open => {
                let annotations = BTreeMap::from([(name::BACKUP_ANNOTATION.to_owned(), request)]);
                let existing = job.map(|job| job.name_any());
                self.apply_backup_job(
                    existing,
                    &manual.repo_name,
                    "manual",
                    &annotations,
                    &manual.options,
                )
                .await
            }
        }
    }

    /// A new id replaces what the status says of an older request.
    fn accept(&mut self, request: &str) {
        let known = self.status.pgbackrest.manual_backup.as_ref();
        if known.is_none_or(|known| known.id != request) {
            self.status.pgbackrest.manual_backup = Some(BackupStatus {
                id: request.to_owned(),
                ..BackupStatus::default()
            });
            self.status.remove_condition(MANUAL_BACKUP);
        }
    }

    /// Writes what a Job has come to, if it is the Job of the request in the status. Whether the Job has ended.
    fn report_manual_backup(&mut self, job: &Job) -> bool {
        let progress = progress(job);
        let done = progress != Progress::Unfinished;
        let status = self.status.pgbackrest.manual_backup.as_mut();
        let Some(status) = status.filter(|status| Some(&status.id) == job_id(job)) else {
            return done;
        };
        copy_status(job, status);
        status.finished |= done;
        match progress {
            Progress::Complete => self.set_condition(
                MANUAL_BACKUP,
                "True",
                "ManualBackupComplete",
                "Manual backup completed successfully",
            ),
            Progress::Failed => self.set_condition(
                MANUAL_BACKUP,
                "False",
                "ManualBackupFailed",
                "Manual backup did not complete successfully",
            ),
            Progress::Unfinished => {}
        }
        done
    }

    /// The first backup into the first repository, from which replicas and standbys are made.
    pub(crate) async fn reconcile_replica_create_backup(&mut self, hash: &str) -> Result<()> {
        let outcome = self.advance_replica_create_backup(hash).await;
        let (status, reason, message) = match self.status.pgbackrest.repos.first() {
            None => (
                "Unknown",
                "RepoStatusMissing",
                "Status is missing for the replica create repo",
            ),
            Some(repo) if repo.replica_create_backup_complete => (
                "True",
                "RepoBackupComplete",
                "pgBackRest replica creation is now possible",
            ),
            Some(_) => (
                "False",
                "RepoBackupNotComplete",
                "pgBackRest replica creation is not currently possible",
            ),
        };
        self.set_condition(REPLICA_CREATE, status, reason, message);
        outcome
    }

    async fn advance_replica_create_backup(&mut self, hash: &str) -> Result<()> {
        let Some(repo) = self.status.pgbackrest.repos.first().cloned() else {
            return Ok(());
        };
        let writable = self.members.iter().any(super::member::Member::is_writable);
        if !writable || repo.replica_create_backup_complete {
            return Ok(());
        }
        let annotations = BTreeMap::from([
            (
                name::CONFIG_ANNOTATION.to_owned(),
                name::DATABASE.to_owned(),
            ),
            (name::HASH_ANNOTATION.to_owned(), hash.to_owned()),
        ]);
        let job = self.backup_jobs("replica-create").await?.into_iter().next();
        if let Some(job) = &job {
            let stale = annotations
                .iter()
                .any(|(key, value)| job.annotations().get(key) != Some(value))
                || job.labels().get(&name::key("pgbackrest-repo")) != Some(&repo.name);
            match progress(job) {
                Progress::Complete if !stale => {
                    self.status.pgbackrest.repos[0].replica_create_backup_complete = true;
                    return Ok(());
                }
                Progress::Unfinished if !stale => {}
                Progress::Failed | Progress::Complete | Progress::Unfinished => {
                    return self.delete::<Job>(&job.name_any()).await;
                }
            }
        } else if !self.status.is_true(REPLICA_REPO_READY) {
            return Ok(());
        }
        let existing = job.map(|job| job.name_any());
        self.apply_backup_job(existing, &repo.name, "replica-create", &annotations, &[])
            .await
    }
}

fn job_id(job: &Job) -> Option<&String> {
    job.annotations().get(name::BACKUP_ANNOTATION)
}

fn gate(manual: &ManualBackupSpec, status: &PgBackRestStatus, has_first_backup: bool) -> Gate {
    if !has_first_backup {
        return Gate::Silent;
    }
    let repo = &manual.repo_name;
    let Some(found) = status.repos.iter().find(|it| it.name == *repo) else {
        let note = format!(
            "Unable to find status for \"{repo}\" as configured for a manual backup.  Please ensure this repo is \
             defined in the spec."
        );
        return Gate::Event("InvalidBackupRepo", note);
    };
    if !found.stanza_created {
        let note = format!("Stanza not created for \"{repo}\" as specified for a manual backup");
        return Gate::Event("StanzaNotCreated", note);
    }
    if manual
        .options
        .iter()
        .any(|it| it.contains("--repo=") || it.contains("--repo "))
    {
        let note = format!(
            "Option '--repo' is not allowed for repo \"{repo}\": please use the 'repoName' field instead."
        );
        return Gate::Event("InvalidManualBackup", note);
    }
    Gate::Open
}

#[cfg(test)]
mod tests {
    use super::super::status::RepoStatus;
    use super::*;

    fn manual(repo: &str, option: &str) -> ManualBackupSpec {
        ManualBackupSpec {
            repo_name: repo.into(),
            options: vec![option.into()],
        }
    }

    fn status(stanza_created: bool) -> PgBackRestStatus {
        let repo = RepoStatus {
            name: "repo1".into(),
            stanza_created,
            ..RepoStatus::default()
        };
        PgBackRestStatus {
            repos: vec![repo],
            ..PgBackRestStatus::default()
        }
    }

    fn reason(gate: &Gate) -> &'static str {
        match gate {
            Gate::Open => "open",
            Gate::Silent => "silent",
            Gate::Event(reason, _) => reason,
        }
    }

    #[test]
    fn each_gate_holds_in_the_operators_order() {
        let full = manual("repo1", "--type=full");
        assert_eq!(reason(&gate(&full, &status(true), false)), "silent");
        assert_eq!(
            reason(&gate(&manual("repo2", ""), &status(true), true)),
            "InvalidBackupRepo"
        );
        assert_eq!(
            reason(&gate(&full, &status(false), true)),
            "StanzaNotCreated"
        );
        assert_eq!(
            reason(&gate(&manual("repo1", "--repo=2"), &status(true), true)),
            "InvalidManualBackup"
        );
        assert_eq!(reason(&gate(&full, &status(true), true)), "open");
    }
}
