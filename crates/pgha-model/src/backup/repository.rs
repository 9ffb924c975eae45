//! What pgBackRest says of its repositories.

use jiff::Timestamp;
use serde::Serialize;

/// What pgBackRest says of its repositories (`pgbackrest info --output=json`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RepoInfo {
    /// The backups, oldest first.
    pub backups: Vec<StoredBackup>,
    /// Whether a backup is under way.
    pub locked: bool,
    /// The newest segment of log in any repository.
    pub newest_segment: Option<String>,
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
        let newest = stanza.archive.into_iter().filter_map(|wal| wal.max).max();
        info.newest_segment = info.newest_segment.max(newest);
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
        pub(super) archive: Vec<Archive>,
        #[serde(default)]
        pub(super) backup: Vec<Backup>,
        #[serde(default)]
        pub(super) status: Status,
    }

    #[derive(Deserialize)]
    pub(super) struct Archive {
        pub(super) max: Option<String>,
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
