//! A file with a key, which only its owner may use.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// More than this is no key's file, in bytes.
const LARGEST: u64 = 64 * 1024;

/// Reads the text of a key's file. No message quotes it.
///
/// # Errors
/// It cannot be read, or others may use it.
pub fn read_key(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let unread = |error: io::Error| format!("the key file {shown} cannot be read: {error}");
    let file = File::open(path).map_err(unread)?;
    let mode = file.metadata().map_err(unread)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(format!(
            "others may use the key file {shown}: its mode is {mode:o}, not 600"
        ));
    }
    let mut text = String::new();
    let read = file.take(LARGEST).read_to_string(&mut text);
    read.map_err(unread)?;
    Ok(text)
}

/// Reads a file with one key on one line, without what is blank around it. No message quotes it.
///
/// # Errors
/// As [`read_key`]; or there is none in it, or more than one.
pub fn read_secret(path: &Path) -> Result<String, String> {
    let text = read_key(path)?;
    let line = text.trim();
    if line.is_empty() || line.contains(char::is_control) {
        let shown = path.display();
        return Err(format!(
            "the key file {shown} holds no key, or more than one"
        ));
    }
    Ok(line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_others_may_use_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "s3cret").unwrap();
        for (mode, is_good) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false)] {
            std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).unwrap();
            let read = read_key(file.path());
            assert_eq!(read.is_ok(), is_good, "{mode:o}");
            assert!(is_good || read.unwrap_err().contains(&format!("mode is {mode:o}")));
        }
        let missing = read_key(Path::new("/nonexistent/key")).unwrap_err();
        assert!(missing.contains("cannot be read"), "{missing}");
    }

    #[test]
    fn a_secret_is_one_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o600)).unwrap();
        for (text, secret) in [
            ("s3 cret\r\n", Some("s3 cret")),
            (" \n", None),
            ("s3cret\nother\n", None),
        ] {
            std::fs::write(file.path(), text).unwrap();
            let read = read_secret(file.path());
            assert_eq!(read.as_deref().ok(), secret);
            assert!(!read.is_err_and(|said| said.contains("s3cret")));
        }
    }
}
