//! Things that take long to build, kept in the cache under a key of everything they are made from.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use crate::paths::Cache;

/// Everything one thing is made from.
#[derive(Clone, Debug, Default)]
pub struct Key {
    hash: Sha256,
}

impl Key {
    /// Adds an ingredient. Its name and length count, so that no two lists of ingredients are alike.
    #[must_use]
    pub fn with(mut self, name: &str, content: impl AsRef<[u8]>) -> Self {
        let content = content.as_ref();
        self.hash.update(format!("{name}\n{}\n", content.len()));
        self.hash.update(content);
        self
    }

    /// The key as it appears in the cache: 16 hexadecimal digits.
    pub fn text(&self) -> String {
        hex::encode(&self.hash.clone().finalize()[..8])
    }
}

/// Returns the folder of what was built from `key`, and calls `make` with an empty folder when there is none yet.
///
/// A folder appears whole or not at all: it is filled under another name first.
pub fn ensure(
    cache: &Cache,
    name: &str,
    key: &Key,
    make: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let folder = cache.built().join(format!("{name}-{}", key.text()));
    if folder.exists() {
        return Ok(folder);
    }
    let unfinished = cache.built().join(format!(".{name}"));
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished)
            .with_context(|| format!("cannot remove {}", unfinished.display()))?;
    }
    fs::create_dir_all(&unfinished)
        .with_context(|| format!("cannot make {}", unfinished.display()))?;
    make(&unfinished)?;
    fs::rename(&unfinished, &folder)
        .with_context(|| format!("cannot name {}", folder.display()))?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_depends_on_where_one_ingredient_ends() {
        let one = Key::default().with("a", "xy").with("b", "z");
        let other = Key::default().with("a", "x").with("b", "yz");
        assert_ne!(one.text(), other.text());
        assert_eq!(one.text().len(), 16);
        assert_eq!(
            one.text(),
            Key::default().with("a", "xy").with("b", "z").text()
        );
    }

    #[test]
    fn a_failed_build_leaves_nothing_that_looks_built() {
        let root = std::env::temp_dir().join(format!("pgha-built-{}", std::process::id()));
        let cache = Cache::at(root.clone());
        let key = Key::default().with("a", "1");
        let half = |folder: &Path| {
            fs::write(folder.join("half"), "")?;
            anyhow::bail!("no")
        };
        assert!(ensure(&cache, "thing", &key, half).is_err());
        let built = ensure(&cache, "thing", &key, |folder| {
            assert!(
                fs::read_dir(folder)?.next().is_none(),
                "the failed build's files are there"
            );
            Ok(fs::write(folder.join("whole"), "")?)
        });
        assert!(built.unwrap().join("whole").exists());
        ensure(&cache, "thing", &key, |_| {
            anyhow::bail!("it is built twice")
        })
        .unwrap();
        fs::remove_dir_all(root).unwrap();
    }
}
