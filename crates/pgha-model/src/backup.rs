//! Backups: what must hold before one is asked for, how a request stands, and what a repository holds.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::check::Consent;
use crate::finding::Findings;
use crate::leader::judge_leader;
use crate::member::Role;
use crate::observed::Observed;
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
    /// Whether the object has a section for backups on request at all.
    pub has_manual_section: bool,
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
    let managers = (!consent.managed && !object.managed_by.is_empty())
        .then(|| format!("The object is owned by {}.", object.managed_by.join(", ")));
    findings.fail_if(
        "managed",
        None,
        managers,
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
    let seen = match running {
        Some(job) => Some(format!(
            "The Job {} ({}) makes a backup.",
            job.name, job.kind
        )),
        None => locked.then(|| "pgBackRest says that a backup is under way.".to_owned()),
    };
    findings.fail_if(
        "running",
        None,
        seen,
        "Wait until it has ended: a second request would take its place in the status, and its result would be lost.",
    );
    let accepted = object.manual_backup.as_ref().map(|backup| &backup.id);
    let pending = object
        .requested_backup
        .as_ref()
        .filter(|id| !id.is_empty() && Some(*id) != accepted);
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

/// What pgBackRest says of its repositories (`pgbackrest info --output=json`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RepoInfo {
    /// The backups, oldest first.
    pub backups: Vec<StoredBackup>,
    /// Whether a backup is under way.
    pub locked: bool,
}

/// A backup in a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredBackup {
    /// Its name, `20261121-153931F`.
    pub label: String,
    /// Its type as it was made: `full`, `diff` or `incr`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The repository.
    pub repo: String,
    /// When it began, by the clock of where pgBackRest ran.
    pub started_at: Timestamp,
    /// When it ended.
    pub stopped_at: Timestamp,
    /// Size of the database, in bytes.
    pub size_bytes: u64,
    /// What was read for this backup, in bytes.
    pub delta_bytes: u64,
    /// What this backup takes in the repository by itself, in bytes; unknown where pgBackRest does not say.
    pub repo_delta_bytes: Option<u64>,
    /// First segment of log that it needs.
    pub wal_start: Option<String>,
    /// Last segment of log that it needs.
    pub wal_stop: Option<String>,
    /// Whether a page checksum was wrong while it was made; unknown where pgBackRest did not look.
    pub page_error: Option<bool>,
}

/// An answer that is not pgBackRest's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what `pgbackrest info` said cannot be read: {0}")]
pub struct InvalidInfo(String);

/// Reads `pgbackrest info --output=json` for one stanza (pgBackRest `command/info/info.c`).
pub fn read_info(json: &str) -> Result<RepoInfo, InvalidInfo> {
    let stanzas: Vec<raw::Stanza> =
        serde_json::from_str(json.trim()).map_err(|error| InvalidInfo(error.to_string()))?;
    let mut info = RepoInfo::default();
    for stanza in stanzas {
        info.locked |= stanza.status.lock.backup.held;
        for backup in stanza.backup {
            info.backups.push(backup.stored()?);
        }
    }
    info.backups.sort_by_key(|backup| backup.stopped_at);
    Ok(info)
}

impl RepoInfo {
    /// The backup of this label in this repository.
    pub fn labelled(&self, repo: &str, label: &str) -> Option<&StoredBackup> {
        self.backups
            .iter()
            .find(|backup| backup.repo == repo && backup.label == label)
    }

    /// The only backup of a repository that was not there before; `None` when there are several or none.
    pub fn only_new(&self, repo: &str, before: &Self) -> Option<&StoredBackup> {
        let mut new = self
            .backups
            .iter()
            .filter(|backup| backup.repo == repo && before.labelled(repo, &backup.label).is_none());
        new.next().filter(|_| new.next().is_none())
    }
}

/// The label in what pgBackRest says at level info, `new backup label = 20261121-153931F` (`command/backup/backup.c`).
pub fn label_in_log(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("new backup label = ")?;
    let is_of_label = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let end = rest.find(|c| !is_of_label(c)).unwrap_or(rest.len());
    Some(&rest[..end]).filter(|label| !label.is_empty())
}

/// What `pgbackrest verify` found of one backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verification {
    /// `valid`, `invalid`, `manifest missing` or `in-progress`.
    pub status: String,
    /// Files that were read.
    pub files: u64,
    /// Files whose checksum and size are right.
    pub valid_files: u64,
    /// What is wrong with the log in the repository, a line each.
    pub wal_problems: Vec<String>,
}

impl Verification {
    /// Whether each file of the backup is right, and all log in the repository is.
    pub fn is_good(&self) -> bool {
        self.status == "valid"
            && self.files > 0
            && self.files == self.valid_files
            && self.wal_problems.is_empty()
    }
}

/// Reads what `pgbackrest verify --output=text --verbose` says of one backup (pgBackRest `command/verify/verify.c`);
/// `None` when it says nothing of it.
pub fn read_verification(text: &str, label: &str) -> Option<Verification> {
    let head = format!("backup: {label}, status: ");
    let mut lines = text.lines().map(str::trim);
    let line = lines.clone().find_map(|line| line.strip_prefix(&head))?;
    let mut words = line.split(", ");
    let status = words.next()?.to_owned();
    let count = |name: &str| -> Option<u64> {
        words
            .clone()
            .find_map(|word| word.strip_prefix(name))?
            .trim()
            .parse()
            .ok()
    };
    let files = count("total files checked:").unwrap_or(0);
    let valid_files = count("total valid files:").unwrap_or(0);
    let wal_problems = lines
        .by_ref()
        .filter(|line| line.starts_with("archiveId:"))
        .filter(|line| {
            let number = |name: &str| {
                let (_, rest) = line.split_once(name)?;
                rest.split(',').next()?.trim().parse::<u64>().ok()
            };
            number("total WAL checked:") != number("total valid WAL:")
        })
        .map(str::to_owned)
        .collect();
    Some(Verification {
        status,
        files,
        valid_files,
        wal_problems,
    })
}

mod raw {
    //! pgBackRest's own words.

    use jiff::Timestamp;
    use serde::Deserialize;

    use super::{InvalidInfo, StoredBackup};

    #[derive(Deserialize)]
    pub(super) struct Stanza {
        #[serde(default)]
        pub(super) backup: Vec<Backup>,
        #[serde(default)]
        pub(super) status: Status,
    }

    #[derive(Default, Deserialize)]
    pub(super) struct Status {
        #[serde(default)]
        pub(super) lock: Lock,
    }

    #[derive(Default, Deserialize)]
    pub(super) struct Lock {
        #[serde(default)]
        pub(super) backup: Held,
    }

    #[derive(Default, Deserialize)]
    pub(super) struct Held {
        #[serde(default)]
        pub(super) held: bool,
    }

    #[derive(Deserialize)]
    pub(super) struct Backup {
        label: String,
        #[serde(rename = "type")]
        kind: String,
        database: Database,
        timestamp: Times,
        info: Sizes,
        #[serde(default)]
        archive: Wal,
        error: Option<bool>,
    }

    #[derive(Deserialize)]
    struct Database {
        #[serde(rename = "repo-key")]
        repo_key: u8,
    }

    #[derive(Deserialize)]
    struct Times {
        start: i64,
        stop: i64,
    }

    #[derive(Deserialize)]
    struct Sizes {
        size: u64,
        delta: u64,
        #[serde(default)]
        repository: RepoSizes,
    }

    #[derive(Default, Deserialize)]
    struct RepoSizes {
        delta: Option<u64>,
    }

    #[derive(Default, Deserialize)]
    struct Wal {
        start: Option<String>,
        stop: Option<String>,
    }

    impl Backup {
        pub(super) fn stored(self) -> Result<StoredBackup, InvalidInfo> {
            let time = |second| {
                Timestamp::from_second(second).map_err(|error| InvalidInfo(error.to_string()))
            };
            Ok(StoredBackup {
                repo: format!("repo{}", self.database.repo_key),
                started_at: time(self.timestamp.start)?,
                stopped_at: time(self.timestamp.stop)?,
                label: self.label,
                kind: self.kind,
                size_bytes: self.info.size,
                delta_bytes: self.info.delta,
                repo_delta_bytes: self.info.repository.delta,
                wal_start: self.archive.start,
                wal_stop: self.archive.stop,
                page_error: self.error,
            })
        }
    }
}

#[cfg(test)]
mod tests;
