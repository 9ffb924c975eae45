//! The machine's own packages, by apt, without any of them starting a daemon.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::program;
use crate::progress::Part;

const PACKAGES: &str = include_str!("../recipes/host-packages.txt");

/// What a package's scripts ask before they start a daemon (`invoke-rc.d(8)`): 101 forbids it.
pub(crate) const POLICY: &str = include_str!("../recipes/policy-rc.d");
const POLICY_FILE: &str = "/usr/sbin/policy-rc.d";

/// Package lists older than this name versions that the mirror may have dropped.
const LISTS_FRESH: Duration = Duration::from_hours(24);

/// Installs what is missing of what each lab needs, and returns each package with its version, one a line.
///
/// # Errors
/// apt fails; the error holds what it wrote.
pub fn ensure_packages(part: &Part) -> Result<String> {
    ensure_list(PACKAGES, part)
}

/// The same for a list of packages, each with how to tell that it is there.
pub(crate) fn ensure_list(list: &str, part: &Part) -> Result<String> {
    let packages: Vec<(&str, &str)> = list
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(' '))
        .collect();
    let missing: Vec<&str> = packages
        .iter()
        .filter(|(_, check)| !is_there(check))
        .map(|(package, _)| *package)
        .collect();
    if !missing.is_empty() {
        install(part, &missing)?;
    }
    let mut query = Command::new("dpkg-query");
    query.args(["--show", "--showformat", "${Package} ${Version}\n"]);
    let names = packages.iter().map(|(package, _)| package);
    let versions = program::output(query.args(names)).context("cannot list versions")?;
    part.note(match missing.len() {
        0 => "all there".to_owned(),
        _ => format!("installed {}", missing.join(", ")),
    });
    Ok(versions)
}

/// Whether this process may do what only root may.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Installs one package of the list when what it is needed for is missing.
///
/// # Errors
/// As [`ensure_packages`].
pub(crate) fn ensure_package(part: &Part, name: &str) -> Result<()> {
    let mut lines = PACKAGES.lines().filter_map(|line| line.split_once(' '));
    let (package, check) = lines
        .find(|(package, _)| *package == name)
        .with_context(|| format!("the list of the machine's packages lacks {name}"))?;
    if is_there(check) {
        return Ok(());
    }
    install(part, &[package])
}

/// Writes the policy into another root file system, for packages that are installed there.
pub(crate) fn forbid_daemons(root: &Path) -> Result<()> {
    let policy = root.join(POLICY_FILE.trim_start_matches('/'));
    fs::write(&policy, POLICY).with_context(|| format!("cannot write {}", policy.display()))?;
    fs::set_permissions(&policy, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("cannot make {} a program", policy.display()))
}

fn is_there(check: &str) -> bool {
    program::output(Command::new("sh").args(["-c", check])).is_ok()
}

fn install(part: &Part, missing: &[&str]) -> Result<()> {
    if !lists_are_fresh() {
        part.note("apt-get update");
        apt(&["update"])?;
    }
    part.note(format!("apt-get install {}", missing.join(" ")));
    let _policy = Policy::forbid()?;
    let mut args = vec!["install", "--yes", "--no-install-recommends"];
    args.extend(missing);
    apt(&args)
}

fn apt(args: &[&str]) -> Result<()> {
    let mut command = Command::new("apt-get");
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        .args(["-o", "DPkg::Lock::Timeout=120"]);
    program::output(command.args(args)).map(drop)
}

fn lists_are_fresh() -> bool {
    let Ok(entries) = fs::read_dir("/var/lib/apt/lists") else {
        return false;
    };
    entries
        .filter_map(|entry| entry.ok()?.metadata().ok())
        .filter(fs::Metadata::is_file)
        .filter_map(|metadata| metadata.modified().ok()?.elapsed().ok())
        .any(|age| age < LISTS_FRESH)
}

/// Our policy while it is in force; a policy of the machine's own stays as it is.
struct Policy {
    is_ours: bool,
}

impl Policy {
    fn forbid() -> Result<Self> {
        let is_foreign = fs::read_to_string(POLICY_FILE).is_ok_and(|text| text != POLICY);
        if !is_foreign {
            fs::write(POLICY_FILE, POLICY).context("cannot write the policy for apt")?;
            fs::set_permissions(POLICY_FILE, fs::Permissions::from_mode(0o755))?;
        }
        Ok(Self {
            is_ours: !is_foreign,
        })
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        if self.is_ours {
            // Nothing can be done about it here; the next run takes it for ours by its content.
            drop(fs::remove_file(POLICY_FILE));
        }
    }
}
