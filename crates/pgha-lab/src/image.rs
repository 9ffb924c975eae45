//! The pods' images, made from Debian's packages and Patroni's wheels without an image builder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::built::{self, Key};
use crate::host;
use crate::paths::Cache;
use crate::program;
use crate::progress::Part;
use crate::site::{IMAGE_PATRONI_3_3, IMAGE_PATRONI_4_1, IMAGE_PAUSE, Site};

mod archive;
mod mirror;
mod peers;
mod plugin;
mod rootfs;

pub use archive::Image;
pub use peers::ensure_peers;

/// The user of the Postgres images: a number, because PGO's pods must not run as root (`runAsNonRoot`).
const POSTGRES_USER: &str = "26";

const PAUSE: &str = include_str!("../recipes/pause/pause.c");

/// The archive with the pause image.
///
/// # Errors
/// There is no C compiler that links statically.
pub fn ensure_pause(cache: &Cache) -> Result<PathBuf> {
    let key = Key::default().with("pause.c", PAUSE);
    let folder = built::ensure(cache, "pause", &key, |folder| {
        let root = folder.join("root");
        fs::create_dir(&root)?;
        let source = folder.join("pause.c");
        fs::write(&source, PAUSE)?;
        program::output(
            Command::new("gcc")
                .args(["-static", "-O2", "-Wall", "-Werror", "-o"])
                .arg(root.join("pause"))
                .arg(&source),
        )?;
        let image = Image {
            name: IMAGE_PAUSE.to_owned(),
            user: "65535".to_owned(),
            entrypoint: vec!["/pause".to_owned()],
            env: BTreeMap::new(),
        };
        archive::write(&root, &[image], &folder.join("image.tar"))?;
        Ok(fs::remove_dir_all(root)?)
    })?;
    Ok(folder.join("image.tar"))
}

/// The archive with both Postgres images: one layer, two `PATH`s.
///
/// # Errors
/// A mirror or the Python registry cannot be reached, or a package fails to install.
pub fn ensure_postgres(cache: &Cache, part: &Part) -> Result<PathBuf> {
    let mut key = Key::default()
        .with("code", code(include_str!("image/rootfs.rs")))
        .with("archive", code(include_str!("image/archive.rs")))
        .with("images", format!("{:?}", postgres_images()))
        .with("policy", host::POLICY);
    for (name, content) in rootfs::RECIPE {
        key = key.with(name, content);
    }
    let folder = built::ensure(cache, "postgres", &key, |folder| {
        let root = folder.join("root");
        let versions = rootfs::make(&root, &folder.join("build.log"), part)?;
        fs::write(folder.join("versions.txt"), &versions)?;
        part.note("writing the image");
        archive::write(&root, &postgres_images(), &folder.join("image.tar"))?;
        remove_root(&root)
    })?;
    part.note(interesting(&folder.join("versions.txt"))?);
    Ok(folder.join("image.tar"))
}

/// Makes an image of this `kubectl-pgha` and gives it to both sites, as [`crate::site::IMAGE_PLUGIN`]; what they had under
/// that name goes.
///
/// # Errors
/// The lab is not up, or the program is not there.
pub fn give_plugin(program: &Path) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let archive = folder.path().join("image.tar");
    plugin::write(program, &archive)?;
    for site in Site::ALL {
        crate::node::load(site, &archive)?;
    }
    Ok(())
}

/// A source file without its tests and its layout, which do not change what it makes.
fn code(source: &str) -> String {
    let (code, _) = source.split_once("#[cfg(test)]").unwrap_or((source, ""));
    code.chars()
        .filter(|c| !c.is_whitespace() && *c != ',')
        .collect()
}

fn postgres_images() -> Vec<Image> {
    [(IMAGE_PATRONI_4_1, "4.1"), (IMAGE_PATRONI_3_3, "3.3")]
        .map(|(name, patroni)| Image {
            name: name.to_owned(),
            user: POSTGRES_USER.to_owned(),
            entrypoint: Vec::new(),
            // Without a UTF-8 locale initdb with `encoding: UTF8` fails.
            env: BTreeMap::from([
                ("LANG".to_owned(), "C.UTF-8".to_owned()),
                ("LC_ALL".to_owned(), "C.UTF-8".to_owned()),
                (
                    "PATH".to_owned(),
                    format!(
                        "/usr/lib/postgresql/15/bin:/opt/patroni-{patroni}/bin:\
                         /usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
                    ),
                ),
            ]),
        })
        .into()
}

/// An unpacked system is not needed once it is in an archive.
fn remove_root(root: &Path) -> Result<()> {
    fs::remove_dir_all(root).with_context(|| format!("cannot remove {}", root.display()))
}

fn interesting(versions: &Path) -> Result<String> {
    let text = fs::read_to_string(versions)?;
    let lines = text.lines().filter(|line| {
        ["postgresql-15 ", "pgbackrest ", "pgbouncer ", "patroni-"]
            .iter()
            .any(|name| line.starts_with(name))
    });
    Ok(lines.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::code;

    #[test]
    fn layout_and_tests_are_no_part_of_the_code() {
        let long = "call(\n    a,\n    b,\n);\n\n#[cfg(test)]\nmod tests {}\n";
        assert_eq!(code(long), code("call(a, b);"));
        assert_ne!(code(long), code("call(a, c);"));
    }
}
