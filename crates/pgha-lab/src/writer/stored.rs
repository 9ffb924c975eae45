//! The evidence of an audit on disk, so that it can be judged again after a repair of the judge.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use pgha_judge::{Side, Unread, WalEvidence};
use serde::{Deserialize, Serialize};

/// What the auditor read, without the ledger.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Stored {
    pub(super) sides: Vec<Side>,
    pub(super) unread: Vec<Unread>,
    /// The logs, or why there is nothing to be said of them; none if nobody asked.
    pub(super) wal: Option<Result<WalEvidence, String>>,
    /// Whether the writer was running.
    pub(super) is_open: bool,
}

/// Removes everything that an earlier run left.
pub(super) fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

impl Stored {
    /// Writes the evidence into the writer's folder.
    pub(super) fn save(&self, folder: &Path) -> Result<()> {
        fs::write(facts(folder), serde_json::to_vec_pretty(self)?)?;
        for side in &self.sides {
            let mut text = String::new();
            for (id, times) in &side.rows {
                for _ in 0..*times {
                    writeln!(text, "{},{}", id.lane, id.seq)?;
                }
            }
            fs::write(rows(folder, side), text)?;
        }
        Ok(())
    }

    /// Reads the evidence again.
    ///
    /// # Errors
    /// There was no audit since the writer was started.
    pub(super) fn load(folder: &Path) -> Result<Self> {
        let text = fs::read(facts(folder)).context("nothing was audited yet")?;
        let mut stored: Self = serde_json::from_slice(&text)?;
        for side in &mut stored.sides {
            let text = fs::read_to_string(rows(folder, side))?;
            side.rows = Side::parse_rows(&text).map_err(anyhow::Error::msg)?;
        }
        Ok(stored)
    }
}

fn facts(folder: &Path) -> PathBuf {
    folder.join("audit.json")
}

fn rows(folder: &Path, side: &Side) -> PathBuf {
    folder.join(format!("rows-{}-{}.csv", side.site, side.member))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_is_read_back_with_its_rows() {
        let folder = tempfile::tempdir().unwrap();
        let side = Side {
            site: "core1".into(),
            member: "zitadel-a-0".into(),
            system_identifier: "7".into(),
            in_recovery: true,
            timeline: 2,
            lsn: pgha_judge::Lsn(1),
            rows: Side::parse_rows("1,1\n1,2\n1,2\n").unwrap(),
        };
        let wal = Some(Err("gone".to_owned()));
        let stored = Stored {
            sides: vec![side.clone()],
            wal,
            ..Stored::default()
        };
        stored.save(folder.path()).unwrap();
        let read = Stored::load(folder.path()).unwrap();
        assert_eq!(read.sides, [side]);
        assert_eq!(read.wal, Some(Err("gone".to_owned())));
    }
}
