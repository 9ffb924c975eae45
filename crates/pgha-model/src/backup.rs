//! Backups: what must hold before one is asked for, how a request stands, and what a repository holds.

mod repository;

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::repository::{
    InvalidInfo, RepoInfo, StoredBackup, Verification, label_in_log, read_info, read_verification,
};
use crate::check::Consent;
use crate::finding::Findings;
use crate::leader::judge_leader;
use crate::member::Role;
use crate::observed::Observed;
use crate::owner;
use crate::survey::{ClusterObject, SiteSurvey};

/// What a backup copies (pgBackRest configuration reference, `--type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BackupType {
    /// Everything.
    Full,
    /// What changed since the last full backup.
    Diff,
    /// What changed since the last backup.
    Incr,
}

impl fmt::Display for BackupType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "full",
            Self::Diff => "diff",
            Self::Incr => "incr",
        })
    }
}

/// What the operator's object says about backups on request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackupSpec {
    /// The repositories that the object asks for, `repo1` first.
    pub repos: Vec<String>,
    /// Those of them that are on a volume of the cluster's own, behind a repository host.
    pub on_volume: Vec<String>,
    /// The repository of the last request.
    pub manual_repo: Option<String>,
    /// The options of the last request. They stay for the next one.
    pub manual_options: Vec<String>,
}

/// A Job that makes a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackupJob {
    /// Its name.
    pub name: String,
    /// `manual`, `replica-create` or `scheduled`.
    pub kind: String,
    /// The id of the request it serves, on a manual one.
    pub id: Option<String>,
    /// Whether it neither completed nor failed for good.
    pub unfinished: bool,
}

/// Everything that decides whether a backup may be asked for.
#[derive(Clone, Debug)]
pub struct BackupFacts {
    /// The site.
    pub survey: SiteSurvey,
    /// What the object says about backups.
    pub spec: BackupSpec,
    /// The Jobs that make backups of this cluster.
    pub jobs: Vec<BackupJob>,
    /// What the repositories hold, and whether pgBackRest holds its lock.
    pub info: Observed<RepoInfo>,
}

/// A backup to ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackupPlan {
    /// Into which repository.
    pub repo: String,
    /// The options for pgBackRest.
    pub options: Vec<String>,
}

/// Lets pgBackRest say what it does; without it a backup is silent (its console default is `warn`).
const CONSOLE: &str = "--log-level-console";

/// Settles the repository and the options: what was asked for, else what the object has, else the first repository.
/// `None`: the object has no repository.
pub fn plan_backup(
    spec: &BackupSpec,
    repo: Option<&str>,
    kind: Option<BackupType>,
) -> Option<BackupPlan> {
    let repo = repo
        .or(spec.manual_repo.as_deref())
        .or(spec.repos.first().map(String::as_str))?;
    let is_type = |option: &String| option.starts_with("--type=") || option.starts_with("--type ");
    let mut options: Vec<String> = spec
        .manual_options
        .iter()
        .filter(|option| kind.is_none() || !is_type(option))
        .cloned()
        .collect();
    options.extend(kind.map(|kind| format!("--type={kind}")));
    if !options.iter().any(|option| option.starts_with(CONSOLE)) {
        options.push(format!("{CONSOLE}=info"));
    }
    Some(BackupPlan {
        repo: repo.to_owned(),
        options,
    })
}

/// Checks everything that would make the operator refuse a request, or keep it without a word.
///
/// Source of the gates: PGO v5.8.9 `internal/controller/postgrescluster/pgbackrest.go`, `reconcileManualBackup`.
pub fn judge_backup(
    facts: &BackupFacts,
    plan: &BackupPlan,
    consent: Consent,
    now: Timestamp,
) -> Findings {
    let mut findings = Findings::default();
    let object = &facts.survey.object;
    judge_role(&facts.survey, now, &mut findings);
    judge_operator(&facts.survey, &mut findings);
    judge_repo(facts, plan, &mut findings);
    // A site that was never primary has prepared no repository, which is normal.
    if !is_standby(&facts.survey) {
        judge_preparation(facts, plan, &mut findings);
    }
    judge_running(facts, &mut findings);
    findings.fail_if(
        "managed",
        None,
        owner::writing(&object.owners).filter(|_| !consent.managed),
        "The owner will take the request back or fight over it. Give --allow-managed to ask all the same.",
    );
    findings
}

fn judge_role(survey: &SiteSurvey, now: Timestamp, findings: &mut Findings) {
    let verdict = judge_leader(survey, now);
    let seen = match (&verdict.role, survey.object.standby) {
        (Some(Role::Primary), false) => None,
        (Some(Role::StandbyLeader), _) | (_, true) => Some(
            "This side is a standby: the request would wait without a word and fire after a promotion."
                .to_owned(),
        ),
        (Some(role), false) => Some(format!("The member that holds Patroni's lock is {role}.")),
        (None, false) => Some("No member is known to be primary.".to_owned()),
    };
    let is_primary = seen.is_none();
    findings.fail_if(
        "primary",
        None,
        seen,
        "Ask at the site that is primary; `kubectl pgha status` shows which.",
    );
    let disagreement =
        (is_primary && !verdict.disagreements.is_empty()).then(|| verdict.disagreements.join(" "));
    findings.fail_if(
        "leader",
        None,
        disagreement,
        "Wait for Patroni's next turn; `kubectl pgha leader` shows the evidence.",
    );
}

fn is_standby(survey: &SiteSurvey) -> bool {
    let holder = survey.lock_holder();
    let role = holder.and_then(|member| Some(&member.freshest().ok()?.role));
    survey.object.standby || role == Some(&Role::StandbyLeader)
}

fn judge_operator(survey: &SiteSurvey, findings: &mut Findings) {
    let object = &survey.object;
    let clearing = format!(
        "Wait until it is done, or clear it: kubectl --context {} -n {} patch postgrescluster {} --type json -p \
         '[{{\"op\":\"replace\",\"path\":\"/spec/patroni/switchover/enabled\",\"value\":false}}]'",
        survey.place.context, survey.place.namespace, survey.place.cluster
    );
    findings.fail_if(
        "paused",
        None,
        object
            .paused
            .then(|| "spec.paused is true: the operator leaves the cluster alone.".to_owned()),
        "Set spec.paused to false first, unless something else holds the cluster on purpose.",
    );
    findings.fail_if(
        "shutdown",
        None,
        object
            .shutdown
            .then(|| "spec.shutdown is true: there is nothing to back up from.".to_owned()),
        "Set spec.shutdown to false and wait until the cluster is writable.",
    );
    findings.fail_if(
        "switchover",
        None,
        object.pending_switchover.as_ref().map(|id| {
            format!(
                "The operator has not finished the switchover `{id}`, and does nothing else before."
            )
        }),
        &clearing,
    );
}

fn judge_repo(facts: &BackupFacts, plan: &BackupPlan, findings: &mut Findings) {
    let repo = &plan.repo;
    let is_configured = facts.spec.repos.contains(repo);
    findings.fail_if(
        "repo",
        None,
        (!is_configured).then(|| {
            let there = facts.spec.repos.join(", ");
            format!("There is no repository {repo}; there is {there}.")
        }),
        "Name one of them with --repo.",
    );
    let option = plan
        .options
        .iter()
        .find(|option| option.contains("--repo=") || option.contains("--repo "));
    findings.fail_if(
        "options",
        None,
        option.map(|option| {
            format!(
                "spec.backups.pgbackrest.manual.options has `{option}`, which the operator refuses."
            )
        }),
        "Remove that option from the object; --repo names the repository.",
    );
}

/// What the operator prepares on a primary before it makes backups on request.
fn judge_preparation(facts: &BackupFacts, plan: &BackupPlan, findings: &mut Findings) {
    let object = &facts.survey.object;
    let repo = &plan.repo;
    let is_configured = facts.spec.repos.contains(repo);
    let status = object.repos.iter().find(|known| known.name == *repo);
    let has_stanza = status.is_some_and(|known| known.stanza_created);
    findings.fail_if(
        "stanza",
        None,
        (is_configured && !has_stanza).then(|| format!("{repo} has no stanza yet.")),
        "The operator makes it on a writable primary; look at the object's events.",
    );
    findings.fail_if(
        "first-backup",
        None,
        (!is_true(object, "PGBackRestReplicaCreate")).then(|| {
            "The backup from which replicas are made is not complete; until then the operator starts no other."
                .to_owned()
        }),
        "Wait for the condition PGBackRestReplicaCreate, or look at the Job of that backup.",
    );
    let host_is_missing =
        !facts.spec.on_volume.is_empty() && !is_true(object, "PGBackRestRepoHostReady");
    findings.fail_if(
        "repo-host",
        None,
        host_is_missing.then(|| "The repository host is not ready.".to_owned()),
        "Look at the pod of the repository host.",
    );
}

fn judge_running(facts: &BackupFacts, findings: &mut Findings) {
    let object = &facts.survey.object;
    let running = facts.jobs.iter().find(|job| job.unfinished);
    let locked = facts.info.as_seen().is_some_and(|info| info.locked);
    let requested = object.requested_backup.as_ref();
    let accepted = object.manual_backup.as_ref();
    let unserved = accepted.filter(|backup| !backup.finished && Some(&backup.id) == requested);
    let seen = match running {
        Some(job) => Some(format!(
            "The Job {} ({}) makes a backup.",
            job.name, job.kind
        )),
        None if locked => Some("pgBackRest says that a backup is under way.".to_owned()),
        None => unserved.map(|backup| {
            format!(
                "The request `{}` was taken up and has not ended.",
                backup.id
            )
        }),
    };
    findings.fail_if(
        "running",
        None,
        seen,
        "Wait until it has ended: a second request would take its place in the status, and its result would be lost.",
    );
    let pending =
        requested.filter(|id| !id.is_empty() && accepted.is_none_or(|backup| backup.id != **id));
    findings.fail_if(
        "pending-request",
        None,
        pending.map(|id| {
            format!("The request `{id}` was not taken up yet; another would take its place.")
        }),
        "Look at the operator. To withdraw the request remove the annotation \
         postgres-operator.crunchydata.com/pgbackrest-backup.",
    );
}

fn is_true(object: &ClusterObject, kind: &str) -> bool {
    object
        .conditions
        .iter()
        .any(|condition| condition.kind == kind && condition.status == "True")
}

/// How one request stands, by the object's status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestState {
    /// The operator has not taken it up.
    NotAccepted,
    /// It was taken up and has not ended; this many pods failed on the way.
    Running {
        /// Pods that failed.
        failed: u32,
    },
    /// It ended well, by its completion and by the condition.
    Succeeded {
        /// When, in the object's own text.
        completed_at: String,
    },
    /// It ended badly for good.
    Failed,
    /// Another request took its place in the status.
    Replaced {
        /// The other one's id.
        by: String,
    },
}

/// Judges one request by its own id; success needs its completion and the condition both.
pub fn state_of_request(object: &ClusterObject, id: &str) -> RequestState {
    let requested = object.requested_backup.as_deref();
    if let Some(other) = requested.filter(|other| *other != id && !other.is_empty()) {
        return RequestState::Replaced {
            by: other.to_owned(),
        };
    }
    let Some(backup) = object
        .manual_backup
        .as_ref()
        .filter(|backup| backup.id == id)
    else {
        return RequestState::NotAccepted;
    };
    let condition = object
        .conditions
        .iter()
        .find(|condition| condition.kind == "PGBackRestManualBackupSuccessful");
    match (backup.finished, condition, &backup.completed_at) {
        (true, Some(condition), Some(completed_at)) if condition.status == "True" => {
            RequestState::Succeeded {
                completed_at: completed_at.clone(),
            }
        }
        (true, Some(condition), _) if condition.status == "False" => RequestState::Failed,
        (_, _, _) => RequestState::Running {
            failed: backup.failed,
        },
    }
}

#[cfg(test)]
mod tests;
