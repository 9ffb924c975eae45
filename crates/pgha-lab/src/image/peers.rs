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
const MOTO: &str = include_str!("../../recipes/peers-moto.txt");

/// What Python's packages are chosen for, and never compiled for: Debian 12 has glibc 2.36.
const WHEELS: &str = "--no-deps --require-hashes --only-binary :all: --no-compile --disable-pip-version-check \
    --root-user-action ignore --python-version 3.11 --implementation cp --abi cp311 --abi abi3 \
    --platform manylinux2014_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux_2_28_x86_64 \
    --platform manylinux_2_34_x86_64";

/// The root file system, made when there is none of this recipe yet; notes the products' versions.
///
/// # Errors
/// The caller is not root, a mirror cannot be reached, or a package fails to install.
pub fn ensure_peers(cache: &Cache, part: &Part) -> Result<PathBuf> {
    let key = Key::default()
        .with("release", RELEASE)
        .with("packages", PACKAGES)
        .with("moto", MOTO)
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
    in_root(root, &install, log)?;
    part.note("moto");
    install_moto(root, log)?;
    let mut query = Command::new("chroot");
    query
        .arg(root)
        .args(["dpkg-query", "--show", "--showformat"]);
    let versions = program::output(query.arg("${Package} ${Version}\n").args(packages()))?;
    let moto = MOTO.lines().find_map(|line| line.strip_prefix("moto=="));
    let moto = moto.and_then(|rest| rest.split_whitespace().next());
    Ok(format!("{versions}moto {}\n", moto.unwrap_or("unknown")))
}

/// Puts moto into `/opt/moto`, compiled: a test starts it many times.
fn install_moto(root: &Path, log: &Path) -> Result<()> {
    let folder = root.join("opt/moto");
    fs::create_dir_all(&folder)?;
    let list = folder.join("requirements.txt");
    fs::write(&list, MOTO)?;
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install"]);
    pip.args(WHEELS.split_whitespace());
    pip.arg("--target").arg(&folder).arg("--requirement");
    program::logged(pip.arg(&list), log).context("cannot install moto's wheels")?;
    in_root(root, "python3 -m compileall -q /opt/moto", log)
}

/// Runs a shell command in the new system, with `/proc` for as long as it runs.
fn in_root(root: &Path, script: &str, log: &Path) -> Result<()> {
    program::logged(
        Command::new("unshare")
            .args(["--mount", "--", "sh", "-c"])
            .arg("mount -t proc proc \"$0/proc\" && exec chroot \"$0\" sh -c \"$1\"")
            .arg(root)
            .arg(script),
        log,
    )
}

#[cfg(test)]
mod tests {
    use super::{MOTO, packages};

    #[test]
    fn the_recipe_names_packages_and_nothing_else() {
        assert!(packages().any(|package| package == "haproxy"));
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c);
        assert!(packages().all(|package| !package.is_empty() && package.chars().all(is_plain)));
    }

    #[test]
    fn every_module_of_moto_is_pinned_by_its_sum() {
        let mut modules = MOTO.lines().filter(|line| !line.starts_with('#'));
        assert!(modules.clone().any(|line| line.starts_with("moto==")));
        assert!(modules.all(|line| line.contains("==") && line.contains(" --hash=sha256:")));
    }
}
