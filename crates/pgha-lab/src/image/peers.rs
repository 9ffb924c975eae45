//! A root file system with the products that traffic backends are tested against. Tests enter it by `chroot(8)`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::mirror::{self, RELEASE};
use crate::built::{self, Key};
use crate::host;
use crate::paths::Cache;
use crate::program;
use crate::progress::Part;

const PACKAGES: &str = include_str!("../../recipes/peers.txt");

/// The root file system, made when there is none of this recipe yet; notes the products' versions.
///
/// # Errors
/// The caller is not root, a mirror cannot be reached, or a package fails to install.
pub fn ensure_peers(cache: &Cache, part: &Part) -> Result<PathBuf> {
    let key = Key::default()
        .with("release", RELEASE)
        .with("packages", PACKAGES)
        .with("policy", host::POLICY)
        .with("code", super::code(include_str!("peers.rs")));
    let folder = built::ensure(cache, "peers", &key, |folder| {
        host::ensure_package(part, "debootstrap")?;
        let versions = make(&folder.join("root"), &folder.join("build.log"), part)?;
        Ok(fs::write(folder.join("versions.txt"), versions)?)
    })?;
    let versions = fs::read_to_string(folder.join("versions.txt"))
        .with_context(|| format!("{} lacks its versions", folder.display()))?;
    part.note(versions.lines().collect::<Vec<_>>().join(", "));
    Ok(folder.join("root"))
}

fn packages() -> impl Iterator<Item = &'static str> {
    PACKAGES.lines().filter(|line| !line.starts_with('#'))
}

/// Makes it, and returns the products with their versions, one a line.
fn make(root: &Path, log: &Path, part: &Part) -> Result<String> {
    let sources = mirror::sources()?;
    part.note("debootstrap");
    // In a mount namespace of its own nothing that debootstrap mounts can stay behind.
    program::logged(
        Command::new("unshare")
            .args(["--mount", "--", "debootstrap", "--variant=minbase", RELEASE])
            .arg(root)
            .arg(&sources[0].uri),
        log,
    )?;
    let list: Vec<String> = sources
        .iter()
        .map(|source| format!("deb {} {} main\n", source.uri, source.suite))
        .collect();
    fs::write(root.join("etc/apt/sources.list"), list.concat())?;
    fs::copy("/etc/resolv.conf", root.join("etc/resolv.conf"))?;
    host::forbid_daemons(root)?;
    part.note("apt-get install");
    let install = format!(
        "export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 && apt-get update && apt-get install \
         --yes --no-install-recommends {} && rm -rf /var/lib/apt/lists/* /var/cache/apt/*",
        packages().collect::<Vec<_>>().join(" ")
    );
    program::logged(
        Command::new("unshare")
            .args(["--mount", "--", "sh", "-c"])
            .arg("mount -t proc proc \"$0/proc\" && exec chroot \"$0\" sh -c \"$1\"")
            .arg(root)
            .arg(install),
        log,
    )?;
    let mut query = Command::new("chroot");
    query
        .arg(root)
        .args(["dpkg-query", "--show", "--showformat"]);
    program::output(query.arg("${Package} ${Version}\n").args(packages()))
}

#[cfg(test)]
mod tests {
    use super::packages;

    #[test]
    fn the_recipe_names_packages_and_nothing_else() {
        assert!(packages().any(|package| package == "haproxy"));
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c);
        assert!(packages().all(|package| !package.is_empty() && package.chars().all(is_plain)));
    }
}
