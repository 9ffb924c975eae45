//! The file system of the Postgres images. What a pod of PGO's needs from it is listed in PGO's own Dockerfiles
//! (`components/image-postgres`) and its pods' commands.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::mirror::{self, RELEASE};
use crate::host;
use crate::program;
use crate::progress::Part;

const PACKAGES: &str = include_str!("../../recipes/image/packages.txt");
const WRAPPER: &str = include_str!("../../recipes/image/patroni.in");
const PATRONI: [(&str, &str); 2] = [
    ("4.1", include_str!("../../recipes/image/patroni-4.1.txt")),
    ("3.3", include_str!("../../recipes/image/patroni-3.3.txt")),
];

/// Everything the file system is made from.
pub(super) const RECIPE: [(&str, &str); 5] = [
    ("release", RELEASE),
    ("packages", PACKAGES),
    ("wrapper", WRAPPER),
    (PATRONI[0].0, PATRONI[0].1),
    (PATRONI[1].0, PATRONI[1].1),
];

/// The programs of Patroni, with the module and function that each runs (its `entry_points.txt`).
const ENTRY_POINTS: [(&str, &str, &str); 2] = [
    ("patroni", "patroni.__main__", "main"),
    ("patronictl", "patroni.ctl", "ctl"),
];

/// Makes it, and returns the packages with their versions, one a line.
pub(super) fn make(root: &Path, log: &Path, part: &Part) -> Result<String> {
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
    configure(root, &sources)?;
    part.note("apt-get install");
    let packages: Vec<&str> = PACKAGES
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    let install = format!(
        "export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 && apt-get update && apt-get install \
         --yes --no-install-recommends {}",
        packages.join(" ")
    );
    in_root(root, &install, log)?;
    for (version, requirements) in PATRONI {
        part.note(format!("Patroni {version}"));
        install_patroni(root, version, requirements, log)?;
    }
    // The root file system is read-only in a pod: what is not compiled now is compiled at every start.
    in_root(root, "python3 -m compileall -q /opt /usr/lib/python3", log)?;
    let mut versions = program::output(Command::new("chroot").arg(root).args([
        "dpkg-query",
        "--show",
        "--showformat",
        "${Package} ${Version}\n",
    ]))?;
    for (version, requirements) in PATRONI {
        let exact = requirements
            .lines()
            .find_map(|line| line.strip_prefix("patroni=="));
        let exact = exact
            .and_then(|rest| rest.split_whitespace().next())
            .unwrap_or("unknown");
        writeln!(versions, "patroni-{version} {exact}")?;
    }
    clean(root, log)?;
    Ok(versions)
}

fn configure(root: &Path, sources: &[mirror::Source]) -> Result<()> {
    let list: Vec<String> = sources
        .iter()
        .map(|source| format!("deb {} {} main\n", source.uri, source.suite))
        .collect();
    let policy = root.join("usr/sbin/policy-rc.d");
    fs::write(&policy, host::POLICY)?;
    fs::set_permissions(&policy, fs::Permissions::from_mode(0o755))?;
    fs::write(root.join("etc/apt/sources.list"), list.concat())?;
    fs::copy("/etc/resolv.conf", root.join("etc/resolv.conf"))?;
    // An image that is half made is thrown away, so its files need not be synced one by one.
    fs::write(
        root.join("etc/dpkg/dpkg.cfg.d/lab"),
        "force-unsafe-io\npath-exclude=/usr/share/doc/*\npath-exclude=/usr/share/man/*\n\
         path-exclude=/usr/share/locale/*\n",
    )?;
    // The package would make a cluster of its own, which no pod uses.
    fs::create_dir_all(root.join("etc/postgresql-common"))?;
    fs::write(
        root.join("etc/postgresql-common/createcluster.conf"),
        "create_main_cluster = false\n",
    )?;
    Ok(())
}

fn install_patroni(root: &Path, version: &str, requirements: &str, log: &Path) -> Result<()> {
    let folder = root.join(format!("opt/patroni-{version}"));
    let (lib, bin) = (folder.join("lib"), folder.join("bin"));
    fs::create_dir_all(&bin)?;
    let list = folder.join("requirements.txt");
    fs::write(&list, requirements)?;
    // The machine's Python may be another one than the image's, so the wheels are chosen for the image's.
    let mut pip = Command::new("python3");
    pip.args([
        "-m",
        "pip",
        "install",
        "--no-deps",
        "--require-hashes",
        "--only-binary",
        ":all:",
    ]);
    pip.args([
        "--no-compile",
        "--disable-pip-version-check",
        "--root-user-action",
        "ignore",
    ]);
    pip.args([
        "--python-version",
        "3.11",
        "--implementation",
        "cp",
        "--abi",
        "cp311",
    ]);
    pip.args(["--abi", "abi3", "--platform", "manylinux2014_x86_64"]);
    pip.args([
        "--platform",
        "manylinux_2_17_x86_64",
        "--platform",
        "manylinux_2_28_x86_64",
    ]);
    program::logged(
        pip.arg("--target")
            .arg(&lib)
            .arg("--requirement")
            .arg(&list),
        log,
    )
    .context("cannot install Patroni's wheels")?;
    for (name, module, function) in ENTRY_POINTS {
        let script = WRAPPER
            .replace("@LIB@", &format!("/opt/patroni-{version}/lib"))
            .replace("@MODULE@", module)
            .replace("@FUNCTION@", function);
        let file = bin.join(name);
        fs::write(&file, script)?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

fn clean(root: &Path, log: &Path) -> Result<()> {
    // pgBackRest reads this file beside the operator's own and would warn about it.
    let leftovers = "rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/* /etc/pgbackrest.conf \
                     /var/spool/pgbackrest /etc/apt/sources.list /usr/sbin/policy-rc.d /etc/resolv.conf \
                     /etc/dpkg/dpkg.cfg.d/lab /tmp/*";
    in_root(root, leftovers, log)?;
    // The path that PGO preloads is Red Hat's.
    let wrapper = root.join("usr/lib64/libnss_wrapper.so");
    fs::create_dir_all(root.join("usr/lib64"))?;
    symlink("/usr/lib/x86_64-linux-gnu/libnss_wrapper.so", &wrapper)
        .with_context(|| format!("cannot make {}", wrapper.display()))?;
    for folder in ["pgdata", "pgconf", "pgbackrest"] {
        fs::create_dir_all(root.join(folder))?;
    }
    Ok(())
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
