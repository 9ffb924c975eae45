//! Files that are there whole, or not at all.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Where a file is while it is written: in its own folder, under a name that no other process takes.
pub(crate) fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    path.with_file_name(name)
}

/// Writes a file that is not there yet; one in which not everything could be written is removed again.
///
/// # Errors
/// It is there, or cannot be written.
pub(crate) fn create(path: &Path, text: &str) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    let filled = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all());
    filled.inspect_err(|_| drop(fs::remove_file(path)))
}

/// Replaces a file, or leaves what was there.
///
/// # Errors
/// It cannot be written.
pub(crate) fn replace(path: &Path, text: &str) -> io::Result<()> {
    let unfinished = beside(path);
    create(&unfinished, text)?;
    fs::rename(&unfinished, path).inspect_err(|_| drop(fs::remove_file(&unfinished)))
}
