//! Writes an archive that `docker load` and `ctr images import` read: a config for each image, one layer for all.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write};
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tar::{Builder, Header};

/// What an image says beside its files.
#[derive(Clone, Debug)]
pub struct Image {
    /// The reference, with the tag.
    pub name: String,
    /// The user its processes run as.
    pub user: String,
    /// The command in front of a container's arguments.
    pub entrypoint: Vec<String>,
    /// The environment.
    pub env: BTreeMap<String, String>,
}

/// Writes `images`, all with the content of `root`.
pub(super) fn write(root: &Path, images: &[Image], to: &Path) -> Result<()> {
    let layer = to.with_extension("layer");
    let digest = write_layer(root, &layer)
        .with_context(|| format!("cannot put {} into an archive", root.display()))?;
    let mut archive = Builder::new(BufWriter::new(File::create(to)?));
    let mut manifest = Vec::new();
    for image in images {
        let config = serde_json::to_vec(&config(image, &digest))?;
        let name = format!("{}.json", hex::encode(Sha256::digest(&config)));
        append(&mut archive, &name, &config)?;
        manifest.push(json!({
            "Config": name, "RepoTags": [image.name], "Layers": ["layer/layer.tar"],
        }));
    }
    append(
        &mut archive,
        "manifest.json",
        &serde_json::to_vec(&manifest)?,
    )?;
    archive.append_path_with_name(&layer, "layer/layer.tar")?;
    archive.into_inner()?.flush()?;
    Ok(fs::remove_file(layer)?)
}

fn config(image: &Image, layer_digest: &str) -> Value {
    let env: Vec<String> = image
        .env
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    json!({
        "architecture": "amd64",
        "os": "linux",
        "config": { "User": image.user, "Entrypoint": image.entrypoint, "Env": env },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{layer_digest}")] },
    })
}

fn write_layer(root: &Path, to: &Path) -> Result<String> {
    let writer = Hashing {
        inner: BufWriter::new(File::create(to)?),
        hash: Sha256::new(),
    };
    let mut layer = Builder::new(writer);
    layer.follow_symlinks(false);
    append_folder(&mut layer, root, Path::new(""))?;
    let mut writer = layer.into_inner()?;
    writer.flush()?;
    Ok(hex::encode(writer.hash.finalize()))
}

/// Adds what is in a folder, sorted; a container brings its own devices, `/proc` and `/sys`.
fn append_folder<W: Write>(layer: &mut Builder<W>, root: &Path, below: &Path) -> Result<()> {
    let mut entries: Vec<_> = fs::read_dir(root.join(below))?.collect::<io::Result<_>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = below.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_block_device() || kind.is_char_device() || kind.is_socket() || kind.is_fifo() {
            continue;
        }
        if kind.is_dir() {
            layer.append_dir(&name, entry.path())?;
            append_folder(layer, root, &name)?;
        } else {
            layer
                .append_path_with_name(entry.path(), &name)
                .with_context(|| format!("cannot add {}", name.display()))?;
        }
    }
    Ok(())
}

fn append<W: Write>(archive: &mut Builder<W>, name: &str, content: &[u8]) -> Result<()> {
    let mut header = Header::new_gnu();
    header.set_size(u64::try_from(content.len())?);
    header.set_mode(0o644);
    Ok(archive.append_data(&mut header, name, BufReader::new(content))?)
}

struct Hashing<W> {
    inner: W,
    hash: Sha256,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::fs::symlink;

    use super::*;

    fn entries(archive: impl io::Read) -> BTreeMap<String, Vec<u8>> {
        let mut found = BTreeMap::new();
        for entry in tar::Archive::new(archive).entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            found.insert(name, content);
        }
        found
    }

    #[test]
    fn two_images_share_the_layer_whose_digest_their_configs_name() {
        let folder = std::env::temp_dir().join(format!("pgha-archive-{}", std::process::id()));
        let root = folder.join("root");
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(root.join("a/b/file"), "hello").unwrap();
        symlink("/nowhere", root.join("a/link")).unwrap();
        let image = |name: &str| Image {
            name: name.to_owned(),
            user: "26".to_owned(),
            entrypoint: Vec::new(),
            env: BTreeMap::from([("PATH".to_owned(), format!("/{name}"))]),
        };
        let to = folder.join("image.tar");
        write(&root, &[image("one"), image("two")], &to).unwrap();

        let archive = entries(File::open(&to).unwrap());
        let manifest: Value = serde_json::from_slice(&archive["manifest.json"]).unwrap();
        let layer = &archive["layer/layer.tar"];
        let digest = format!("sha256:{}", hex::encode(Sha256::digest(layer)));
        for (number, name) in ["one", "two"].into_iter().enumerate() {
            assert_eq!(manifest[number]["RepoTags"][0], name);
            let file = manifest[number]["Config"].as_str().unwrap();
            let config: Value = serde_json::from_slice(&archive[file]).unwrap();
            assert_eq!(config["rootfs"]["diff_ids"][0], digest);
            assert_eq!(config["config"]["Env"][0], format!("PATH=/{name}"));
        }
        let files = entries(layer.as_slice());
        assert_eq!(files["a/b/file"], b"hello");
        assert!(files.contains_key("a/link"));
        fs::remove_dir_all(folder).unwrap();
    }
}
