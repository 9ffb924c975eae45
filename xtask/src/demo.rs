//! `cargo xtask demo`: from a fresh machine to a service that has moved.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use pgha_judge::{Question, Ruling};
use pgha_lab::cluster::{self, Pair, Patroni, Standby};
use pgha_lab::paths;
use pgha_lab::progress::Progress;
use pgha_lab::site::{SERVICE_NAMESPACE, Site};
use pgha_lab::writer::{self, Audit, Load};

use crate::lab;
use crate::part::say;

/// The cluster that the demo moves.
const CLUSTER: &str = "zitadel";

/// Brings the lab up, moves a service under live writes, and shows what became of every row.
pub(crate) fn run() -> Result<()> {
    let progress = Progress::to_stderr();
    let plugin = progress.part("kubectl pgha", |_| build_plugin())?;
    lab::up_with_standin(&progress)?;
    let bin = install(&plugin)?;
    create_pair(&progress)?;
    let (from, to) = direction()?;
    let program = progress.part("writer", |_| lab::build_program("pgha-writer"))?;
    writer::stop(CLUSTER)?;
    writer::start(
        CLUSTER,
        &program,
        Load {
            connections: 4,
            rate: 200,
        },
    )?;
    let moved = move_service(&bin, from, to);
    let verdict = audit();
    writer::stop(CLUSTER)?;
    moved?;
    let verdict = verdict?;
    say(&format!("\n{verdict}"));
    kubectl(
        &bin,
        &[
            "pgha",
            "status",
            CLUSTER,
            "--context",
            "core1",
            "--context",
            "core2",
        ],
    )?;
    say(&next(&bin, from, to));
    ensure!(
        verdict.ruling == Ruling::Pass,
        "the verdict is: {}",
        verdict.ruling
    );
    Ok(())
}

/// Builds the plugin as it is shipped.
pub(crate) fn build_plugin() -> Result<PathBuf> {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(lab::workspace());
    cargo.args([
        "build",
        "--quiet",
        "--locked",
        "--release",
        "--package",
        "kubectl-pgha",
    ]);
    ensure!(
        cargo.status()?.success(),
        "the build of kubectl-pgha failed"
    );
    Ok(lab::workspace().join("target/release/kubectl-pgha"))
}

/// Puts kubectl, the plugin and its completion into one folder for the PATH.
fn install(plugin: &Path) -> Result<PathBuf> {
    let bin = lab::workspace().join("target/demo/bin");
    fs::create_dir_all(&bin)?;
    let kubectl = bin.join("kubectl");
    if kubectl.symlink_metadata().is_ok() {
        fs::remove_file(&kubectl)?;
    }
    std::os::unix::fs::symlink(paths::program("kubectl"), &kubectl)?;
    replace(plugin, &bin.join("kubectl-pgha"))?;
    let completion = Command::new(plugin)
        .args(["completion", "kubectl"])
        .output()?;
    ensure!(
        completion.status.success(),
        "the plugin wrote no completion"
    );
    let script = bin.join("kubectl_complete-pgha");
    fs::write(&script, completion.stdout)?;
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    Ok(bin)
}

/// Copies a program over one that may be running.
fn replace(from: &Path, to: &Path) -> Result<()> {
    let beside = to.with_extension("new");
    fs::copy(from, &beside)?;
    fs::rename(beside, to).with_context(|| format!("cannot write {}", to.display()))
}

fn create_pair(progress: &Progress) -> Result<()> {
    let (standby, patroni) = (Standby::Archive, Patroni::V4_1);
    cluster::ensure(
        &Pair {
            name: CLUSTER.to_owned(),
            standby,
            patroni,
            instances: 2,
        },
        progress,
    )
}

/// From the site that takes writes to the other.
fn direction() -> Result<(Site, Site)> {
    let at = cluster::primary_site(CLUSTER)?;
    Ok(match at {
        Site::Core1 => (Site::Core1, Site::Core2),
        Site::Core2 => (Site::Core2, Site::Core1),
    })
}

fn move_service(bin: &Path, from: Site, to: Site) -> Result<()> {
    let (from, to) = (from.name(), to.name());
    kubectl(
        bin,
        &[
            "pgha",
            "status",
            CLUSTER,
            "--context",
            "core1",
            "--context",
            "core2",
        ],
    )?;
    kubectl(bin, &["pgha", "leader", CLUSTER, "--context", from])?;
    kubectl(
        bin,
        &[
            "pgha",
            "switchover",
            CLUSTER,
            "--from",
            from,
            "--to",
            to,
            "--yes",
        ],
    )
}

/// Runs kubectl as a user would, with only the demo's folder in front of the PATH.
#[expect(
    clippy::disallowed_methods,
    reason = "the user's PATH, behind the demo's own folder"
)]
fn kubectl(bin: &Path, args: &[&str]) -> Result<()> {
    say(&format!("\n$ kubectl {}", args.join(" ")));
    let path = std::env::var("PATH").unwrap_or_default();
    let mut kubectl = Command::new(bin.join("kubectl"));
    kubectl
        .args(args)
        .env("PATH", format!("{}:{path}", bin.display()));
    kubectl.env("KUBECONFIG", paths::kubeconfig());
    if !kubectl.status()?.success() {
        bail!("kubectl {} failed", args.join(" "));
    }
    Ok(())
}

fn audit() -> Result<pgha_judge::Verdict> {
    let question = Question {
        expected_moves: Some(1),
        ..Question::default()
    };
    let follow_within = Duration::from_secs(30);
    let asked = Audit {
        question,
        follow_within,
        reads_wal: true,
        is_repeated: false,
    };
    writer::audit(CLUSTER, &asked)
}

fn next(bin: &Path, from: Site, to: Site) -> String {
    format!(
        "\nThe lab is still up. To try it yourself:\n\n  export PATH={}:$PATH KUBECONFIG={}\n\n  \
         kubectl pgha leader {CLUSTER} --context {to}\n  \
         kubectl pgha status {CLUSTER} --context core1 --context core2 -w\n  \
         kubectl pgha switchover {CLUSTER} --from {to} --to {from} --dry-run\n  \
         kubectl pgha switchover {CLUSTER} --from {to} --to {from}\n\n\
         Everything is in namespace {SERVICE_NAMESPACE}. `cargo xtask lab down` ends the lab.",
        bin.display(),
        paths::kubeconfig().display(),
        from = from.name(),
        to = to.name(),
    )
}
