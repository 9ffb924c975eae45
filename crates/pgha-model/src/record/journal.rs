//! The records that one site keeps.

use std::collections::BTreeMap;

use super::{Epoch, MoveRecord, VERSION};
use crate::guard::Guard;

/// How many records a site keeps.
pub const KEPT: usize = 20;

/// The key of the last epoch.
const EPOCH: &str = "epoch";

/// What the key of a record begins with.
const MOVE: &str = "move-";

/// A record as it was found.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// It can be read.
    Readable(Box<MoveRecord>),
    /// It cannot, or is of a version that this program does not know; the reason, as a fragment.
    Unreadable(String),
}

impl Entry {
    /// Whether it may be a move of this database system: one that cannot be read, or names none, may be.
    pub fn is_of_system(&self, system_identifier: &str) -> bool {
        match self {
            Self::Readable(record) => {
                let of = &record.system_identifier;
                of.is_empty() || of == system_identifier
            }
            Self::Unreadable(_) => true,
        }
    }
}

/// The records that one site keeps of one cluster, as the data of a `ConfigMap`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Journal {
    /// The epoch that was claimed last.
    pub epoch: Epoch,
    /// The records by epoch, oldest first.
    pub moves: BTreeMap<Epoch, Entry>,
}

impl Journal {
    /// Reads what a site keeps. What cannot be read is kept as such: a journal is never worse than none.
    pub fn from_data(data: &BTreeMap<String, String>) -> Self {
        let moves: BTreeMap<_, _> = data
            .iter()
            .filter_map(|(key, text)| Some((epoch_of_key(key)?, read(text))))
            .collect();
        let named = data.get(EPOCH).and_then(|text| Epoch::from_text(text));
        let last = moves.keys().next_back().copied();
        Self {
            epoch: named.max(last).unwrap_or_default(),
            moves,
        }
    }

    /// The newest record, with its epoch.
    pub fn last(&self) -> Option<(Epoch, &Entry)> {
        let (epoch, entry) = self.moves.iter().next_back()?;
        Some((*epoch, entry))
    }

    /// The same without the moves of another database system, which had the cluster's name before this one. The epoch stays.
    #[must_use]
    pub fn of_system(mut self, system_identifier: Option<&str>) -> Self {
        if let Some(own) = system_identifier {
            self.moves.retain(|_, entry| entry.is_of_system(own));
        }
        self
    }

    /// The record of this epoch, when it can be read.
    pub fn readable(&self, epoch: Epoch) -> Option<&MoveRecord> {
        match self.moves.get(&epoch)? {
            Entry::Readable(record) => Some(record),
            Entry::Unreadable(_) => None,
        }
    }

    /// The key that holds the last epoch.
    pub const fn epoch_key() -> &'static str {
        EPOCH
    }

    /// The key that holds the record of an epoch.
    pub fn key(epoch: Epoch) -> String {
        format!("{MOVE}{epoch}")
    }

    /// The keys that are dropped when a record of `epoch` comes in.
    pub fn outlived(&self, epoch: Epoch) -> Vec<String> {
        let others: Vec<_> = self.moves.keys().filter(|kept| **kept != epoch).collect();
        let too_many = (others.len() + 1).saturating_sub(KEPT);
        others
            .into_iter()
            .take(too_many)
            .map(|old| Self::key(*old))
            .collect()
    }
}

fn epoch_of_key(key: &str) -> Option<Epoch> {
    key.strip_prefix(MOVE).and_then(Epoch::from_text)
}

fn read(text: &str) -> Entry {
    #[derive(serde::Deserialize)]
    struct Versioned {
        version: u32,
    }
    match serde_json::from_str::<Versioned>(text) {
        Ok(Versioned { version }) if !Guard::RecordVersion.holds(version == VERSION) => {
            Entry::Unreadable(format!(
                "it has version {version}, this program knows {VERSION}"
            ))
        }
        Ok(_) => match serde_json::from_str(text) {
            Ok(record) => Entry::Readable(Box::new(record)),
            Err(error) => Entry::Unreadable(error.to_string()),
        },
        Err(error) => Entry::Unreadable(error.to_string()),
    }
}
