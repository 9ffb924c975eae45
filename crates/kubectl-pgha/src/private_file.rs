//! Files that only their owner reads: what `traffic` and `login` keep from one run to the next.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use crate::whole_file;

/// Replaces a file; after this it is on the disk, whole, or the old one is.
///
/// # Errors
/// It cannot be written.
pub(crate) fn replace(path: &Path, text: &str) -> io::Result<()> {
    let folder = make_folder(path)?;
    let unfinished = whole_file::beside(path);
    let mut file = options().truncate(true).open(&unfinished)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    File::open(folder)?.sync_all()
}

/// Opens a file, made when it is not there, and waits until nobody else holds it.
///
/// # Errors
/// It cannot be made.
pub(crate) fn lock(path: &Path) -> io::Result<File> {
    make_folder(path)?;
    let file = options().truncate(false).open(path)?;
    file.lock()?;
    Ok(file)
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).mode(0o600);
    options
}

/// The folder that a file lies in, made when it is not there.
fn make_folder(path: &Path) -> io::Result<&Path> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_is_its_owners_and_leaves_nothing_beside_it() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a/b/file.json");
        for text in ["first", "second"] {
            replace(&path, text).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_locked_file_keeps_what_is_in_it() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("lock");
        replace(&path, "text").unwrap();
        drop(lock(&path).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "text");
    }
}
