//! What a person brings to a command, by a file or by a pipe.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use pgha_core::diagnose::sanitised;

use crate::failure::Failure;

/// Reads a file, or standard input where it is `-`, and no more than so many bytes of it; with how that is called.
///
/// # Errors
/// It cannot be read.
pub(crate) async fn read(path: &Path, most: u64) -> Result<(Vec<u8>, String), Failure> {
    let is_stdin = path == Path::new("-");
    let shown = if is_stdin {
        "standard input".to_owned()
    } else {
        sanitised(&path.display().to_string())
    };
    let path = path.to_owned();
    // Whoever waits for a pipe can still be interrupted.
    let read = tokio::task::spawn_blocking(move || {
        if is_stdin {
            read_bounded(io::stdin(), most)
        } else {
            File::open(path).and_then(|file| read_bounded(file, most))
        }
    });
    let bytes = read
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)));
    let bytes = bytes.map_err(|error| Failure::usage(format!("cannot read {shown}: {error}")))?;
    Ok((bytes, shown))
}

/// Reads no more than so many bytes.
///
/// # Errors
/// It cannot be read.
pub(crate) fn read_bounded(source: impl Read, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}
