//! An image of the plugin, as its users would make one: the program and what it is linked with, nothing else.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::archive::{self, Image};
use crate::program;
use crate::site::IMAGE_PLUGIN;

/// Where the program is in the image.
const FOLDER: &str = "usr/local/bin";

/// Writes the archive of an image with this program to `to`.
pub(super) fn write(plugin: &Path, to: &Path) -> Result<()> {
    let root = tempfile::tempdir()?;
    let folder = root.path().join(FOLDER);
    fs::create_dir_all(&folder)?;
    fs::copy(plugin, folder.join("kubectl-pgha"))
        .with_context(|| format!("cannot copy {}", plugin.display()))?;
    let linked = program::output(Command::new("ldd").arg(plugin))?;
    for library in libraries(&linked) {
        let inside = root.path().join(library.trim_start_matches('/'));
        fs::create_dir_all(inside.parent().context("a library without a folder")?)?;
        fs::copy(library, inside).with_context(|| format!("cannot copy {library}"))?;
    }
    let image = Image {
        name: IMAGE_PLUGIN.to_owned(),
        user: "65532".to_owned(),
        entrypoint: vec!["kubectl-pgha".to_owned()],
        env: BTreeMap::from([("PATH".to_owned(), format!("/{FOLDER}"))]),
    };
    archive::write(root.path(), &[image], to)
}

/// The paths in what `ldd` prints: `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)`, and the loader's alone.
fn libraries(printed: &str) -> impl Iterator<Item = &str> {
    let words = printed.lines().map(str::split_whitespace);
    words.filter_map(|mut words| words.find(|word| word.starts_with('/')))
}

#[cfg(test)]
mod tests {
    use super::libraries;

    #[test]
    fn every_library_that_is_a_file_is_taken() {
        let printed = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\
                       \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        let found: Vec<_> = libraries(printed).collect();
        let expected = [
            "/lib/x86_64-linux-gnu/libc.so.6",
            "/lib64/ld-linux-x86-64.so.2",
        ];
        assert_eq!(found, expected);
    }
}
