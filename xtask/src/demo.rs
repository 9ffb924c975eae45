//! `cargo xtask demo`: from a fresh machine to a service that has moved, and its users with it; by its own file alone, or by the whole
//! run book of a house whose desired state is in Git.

mod app;
mod kubectl;
mod person;
mod program;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use pgha_judge::Ruling;
use pgha_lab::cluster::{self, Pair, Patroni, Standby};
use pgha_lab::gitops::{self, Deployer, Platform};
use pgha_lab::paths;
use pgha_lab::progress::Progress;
use pgha_lab::site::{SERVICE_NAMESPACE, Site};
use pgha_lab::writer::{self, Audit, Load};

use self::app::{App, Parts};
use self::kubectl::Kubectl;
use self::person::Person;
use crate::lab;
use crate::part::say;

/// The cluster that the demo moves.
const CLUSTER: &str = "zitadel";

/// What is said of the move for each task of a run book.
const REPORT: &str = "target/demo/report.html";

/// `status` of both sites.
const STATUS: [&str; 7] = [
    "pgha",
    "status",
    CLUSTER,
    "--context",
    "core1",
    "--context",
    "core2",
];

/// Bring the lab up, move a service and its users under live writes, and show what became of every row and of logins
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Args {
    /// Through a platform in Git, as Holos has it and Flux applies it, with a full backup before; the first build of Flux takes a
    /// quarter of an hour
    #[arg(long)]
    gitops: bool,
}

impl Args {
    /// Through Git.
    pub(crate) const GITOPS: Self = Self { gitops: true };
}

/// The application with somebody who uses it.
struct House {
    person: Person,
    app: App,
}

/// Brings the lab up, moves a service and its users under live writes, and shows what became of every row and of the logins.
pub(crate) fn run(args: Args) -> Result<()> {
    let progress = Progress::to_stderr();
    let plugin = progress.part("kubectl pgha", |_| build_plugin())?;
    lab::up_with_standin(&progress)?;
    let kubectl = Kubectl::install(&plugin)?;
    create_pair(&progress)?;
    let (from, to) = direction()?;
    // An earlier demo may have given it to Flux.
    Platform::release(CLUSTER, &progress)?;
    let house = if args.gitops {
        gitops::up(Deployer::Flux, &progress)?;
        kubectl.add(&paths::program("cue"))?;
        Some(House::open_by_git(from, &progress)?)
    } else {
        House::open(from)?
    };
    let program = progress.part("writer", |_| lab::build_program("pgha-writer"))?;
    writer::stop(CLUSTER)?;
    let load = Load {
        connections: 4,
        rate: 200,
    };
    writer::start(CLUSTER, &program, load)?;
    let moved = show(&kubectl, house, (from, to));
    let verdict = writer::audit(CLUSTER, &Audit::of_moves(1));
    writer::stop(CLUSTER)?;
    moved?;
    let verdict = verdict?;
    say(&format!("\n{verdict}"));
    kubectl.run(&STATUS)?;
    say(&next(&kubectl, args, from, to));
    ensure!(
        verdict.ruling == Ruling::Pass,
        "the verdict is: {}",
        verdict.ruling
    );
    Ok(())
}

impl House {
    /// `None` where this machine cannot run it.
    fn open(site: Site) -> Result<Option<Self>> {
        let Some(parts) = Parts::ensure()? else {
            say("== users and their logins: left out");
            return Ok(None);
        };
        let app = App::open(&parts, CLUSTER, site)?;
        Self::with(&parts, app).map(Some)
    }

    /// Its application is in the platform that Flux applies.
    fn open_by_git(site: Site, progress: &Progress) -> Result<Self> {
        let parts = Parts::ensure()?.context("the whole run book needs users who log in")?;
        let app = App::open_by_git(&parts, CLUSTER, site, progress)?;
        Self::with(&parts, app)
    }

    fn with(parts: &Parts, app: App) -> Result<Self> {
        let person = Person::new(&parts.oidc, app.issuer())?;
        Ok(Self { person, app })
    }
}

/// Builds the plugin as it is shipped.
pub(crate) fn build_plugin() -> Result<PathBuf> {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(lab::workspace());
    cargo.args([
        "rustc",
        "--quiet",
        "--locked",
        "--release",
        "--package",
        "kubectl-pgha",
        "--bin",
        "kubectl-pgha",
    ]);
    // What generic code is the same of is there once, as it is on Windows by default: Rust's own linker here folds nothing unasked.
    cargo.args(["--", "-C", "link-arg=-Wl,--icf=all", "-C"]);
    let script = lab::workspace().join("crates/kubectl-pgha/ship.ld");
    cargo.arg(format!("link-arg=-Wl,-T,{}", script.display()));
    ensure!(
        cargo.status()?.success(),
        "the build of kubectl-pgha failed"
    );
    Ok(lab::workspace().join("target/release/kubectl-pgha"))
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

/// The move with everything before and after it that a user would look at.
fn show(kubectl: &Kubectl, house: Option<House>, (from, to): (Site, Site)) -> Result<()> {
    kubectl.run(&STATUS)?;
    kubectl.run(&["pgha", "leader", CLUSTER, "--context", from.name()])?;
    let Some(house) = house else {
        let sides = ["--from", from.name(), "--to", to.name(), "--yes"];
        return kubectl.run(&[&["pgha", "switchover", CLUSTER][..], &sides].concat());
    };
    move_with_users(kubectl, house, from, to)
}

fn move_with_users(kubectl: &Kubectl, house: House, from: Site, to: Site) -> Result<()> {
    let House { mut person, app } = house;
    kubectl.run(&["pgha", "traffic", "show", "-f", app::FILE])?;
    person.log_in_before(kubectl)?;
    let since = person::now()?;
    let users = app.users();
    let by_file = ["-f", app::FILE, "--to", to.name()];
    let switchover = ["pgha", "switchover", CLUSTER];
    let how = ["--yes", "--report", REPORT];
    let moved = person.accompany(kubectl, &[&switchover[..], &by_file, &how].concat());
    let seen = users.end();
    moved?;
    say(&app::report(&seen, from, to));
    kubectl.run(&[&["pgha", "traffic", "verify"][..], &by_file].concat())?;
    person.log_in_after(kubectl, &since)
}

fn next(kubectl: &Kubectl, args: Args, from: Site, to: Site) -> String {
    let (from, to) = (from.name(), to.name());
    let sides = format!("switchover {CLUSTER} --from {to} --to {from}");
    // HAProxy, which the service's file names, has ended.
    let (how, more) = if args.gitops {
        (
            " --hold-owners",
            format!(
                " `cargo xtask lab gitops release {CLUSTER}` takes the cluster out of Flux' hands."
            ),
        )
    } else {
        ("", String::new())
    };
    format!(
        "\nThe lab is still up. To try it yourself:\n\n  export PATH={}:$PATH KUBECONFIG={}\n\n  \
         kubectl pgha leader {CLUSTER} --context {to}\n  \
         kubectl pgha status {CLUSTER} --context core1 --context core2 -w\n  \
         kubectl pgha history {CLUSTER} --context {from} --context {to}\n  \
         kubectl pgha {sides}{how} --dry-run\n  \
         kubectl pgha {sides}{how}\n\n\
         Everything is in namespace {SERVICE_NAMESPACE}. `cargo xtask lab down` ends the lab.{more}",
        kubectl.bin().display(),
        paths::kubeconfig().display(),
    )
}
